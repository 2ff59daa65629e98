"""ResNet: the paper's size, its forward pass written out, and what its operators keep."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lit_models import ResNet
from lit_models.architectures.res_net import OPERATORS, Operator
from lit_models.operators import Involution2d, p4m_action


def parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def by_hand(depth: int) -> tuple[int, int]:
    """Weights of the convolutions, and all parameters, of He et al.'s ResNet for CIFAR-10."""
    n = (depth - 2) // 6
    convolutions = 3 * 16 * 9
    norms = 2 * 16
    before = 16
    for width in (16, 32, 64):
        convolutions += before * width * 9 + (2 * n - 1) * width * width * 9
        norms += 2 * n * 2 * width
        before = width
    return convolutions, convolutions + norms + 64 * 10 + 10


@pytest.mark.parametrize(("depth", "convolutions", "total"), [(20, 267_696, 269_722), (32, 461_232, 464_154)])
def test_parameters_of_the_paper(depth, convolutions, total):
    model = ResNet(depth=depth)
    assert by_hand(depth) == (convolutions, total)  # the paper's table 6 says 0.27 M and 0.46 M
    assert sum(m.weight.numel() for m in model.modules() if isinstance(m, nn.Conv2d)) == convolutions
    assert parameters(model) == total


def papers(model: ResNet, images: Tensor) -> Tensor:
    """He et al. 2016, section 4.2: every other pixel and zero channels as the shortcut of a smaller map."""

    def step(x: Tensor, conv: nn.Module, norm: nn.Module, stride: int) -> Tensor:
        x = F.conv2d(x, conv.weight, None, stride, 1)
        return F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias)

    x = F.relu(step(images, model.stem, model.norm, 1))
    for index, block in enumerate(model.blocks):
        stride = 2 if index in (3, 6) else 1
        out = F.relu(step(x, block.first, block.first_norm, stride))
        out = step(out, block.second, block.second_norm, 1)
        if stride == 2:
            smaller = x[:, :, ::2, ::2]
            x = torch.cat([smaller, torch.zeros_like(smaller)], 1)
        x = F.relu(out + x)
    return x.mean((2, 3)) @ model.head.weight.T + model.head.bias


@pytest.mark.parametrize(("channels", "size"), [(3, 32), (1, 28), (1, 27)])
def test_equals_the_papers_formulation(channels, size):
    torch.manual_seed(0)
    model = ResNet(channels, size)
    model(torch.rand(8, channels, size, size))  # running statistics other than 0 and 1
    model = model.double().eval()
    images = torch.rand(3, channels, size, size, dtype=torch.float64)
    torch.testing.assert_close(model(images), papers(model, images), rtol=0, atol=1e-10)


def test_parameters_by_operator():
    def trunk(spatial) -> int:
        """Stem, norms and head, which are the same for all, and the 18 operators."""
        total, before = 3 * 16 * 9 + 2 * 16 + 650, 16
        for width in (16, 32, 64):
            total += spatial(before, width) + 5 * spatial(width, width) + 6 * 2 * width
            before = width
        return total

    def involution(before: int, after: int) -> int:
        hidden, taps = before // 4, before // 16 * 49
        return before * hidden + hidden + 2 * hidden + hidden * taps + taps + before * after

    assert parameters(ResNet(operator="conv")) == trunk(lambda before, after: before * after * 9)
    assert parameters(ResNet(operator="separable")) == trunk(lambda before, after: before * 9 + before * after)
    assert parameters(ResNet(operator="involution")) == trunk(involution)
    assert parameters(ResNet(operator="p4")) == trunk(lambda before, after: before * after * 4 * 9)
    assert parameters(ResNet(operator="p4m")) == trunk(lambda before, after: before * after * 8 * 9)


def test_involutions_are_rednets():
    involutions = [m for m in ResNet(operator="involution").modules() if isinstance(m, Involution2d)]
    assert {m.kernel_size for m in involutions} == {7}
    assert {m.channels // m.groups for m in involutions} == {16}
    assert {m.channels // m.reduce.out_channels for m in involutions} == {4}
    assert [m.stride for m in involutions].count(2) == 2


@pytest.mark.parametrize("steps", [0, 1, 3])
def test_involutions_stay_finite_before_the_running_statistics_fit(steps):
    torch.manual_seed(0)
    model = ResNet(operator="involution")  # with norms that all start at 1 its first logits are NaN
    images = 3 * torch.randn(4, 3, 32, 32)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    for _ in range(steps):
        optimizer.zero_grad()
        F.cross_entropy(model(images), torch.arange(4)).backward()
        optimizer.step()
    with torch.no_grad():
        assert model.eval()(images).abs().max() < 100


@pytest.mark.parametrize("width", [1, 3, 12, 17, 28])
def test_involutions_take_any_width(width):
    assert ResNet(operator="involution", width=width, depth=8)(torch.rand(2, 3, 32, 32)).shape == (2, 10)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(("channels", "size"), [(1, 28), (3, 32)])
@pytest.mark.parametrize(("operator", "width"), [("p4", 8), ("p4m", 6)])
def test_groups_are_invariant(operator, width, channels, size, training):
    torch.manual_seed(0)
    model = ResNet(channels, size, operator=operator, width=width, depth=14)
    images = torch.rand(4, channels, size, size)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    for _ in range(2):
        optimizer.zero_grad()
        F.cross_entropy(model(images), torch.arange(4)).backward()
        optimizer.step()
    model.train(training)
    with torch.no_grad():
        logits = model(images)
        assert logits.std(0).mean() > 1e-3
        for g in range(1, 8 if operator == "p4m" else 4):
            torch.testing.assert_close(model(p4m_action(images, g)), logits, rtol=0, atol=1e-5)
        if operator == "p4":  # it turns but does not mirror
            assert (model(images.flip(-1)) - logits).abs().max() > 1e-3


def test_another_operator_is_one_line(monkeypatch):
    monkeypatch.setitem(OPERATORS, "mean", Operator(lambda *channels, stride: MeanThenMix(*channels, stride)))
    torch.manual_seed(0)
    model, images = ResNet(operator="mean", depth=8), torch.rand(4, 3, 32, 32)
    assert sum(isinstance(module, MeanThenMix) for module in model.modules()) == 6
    optimizer = torch.optim.AdamW(model.parameters(), 1e-2)
    losses = []
    for _ in range(4):
        optimizer.zero_grad()
        losses.append(F.cross_entropy(model(images), torch.arange(4)))
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < losses[0]


class MeanThenMix(nn.Sequential):
    """An operator that somebody might bring: the mean of a pixel's neighbours, mixed over channels."""

    def __init__(self, before, after, stride):
        super().__init__(nn.AvgPool2d(3, stride, 1), nn.Conv2d(before, after, 1))


@pytest.mark.parametrize("operator", ["conv", "separable", "involution"])
def test_the_others_are_not(operator):
    torch.manual_seed(0)
    model, images = ResNet(operator=operator, depth=8), torch.rand(4, 3, 32, 32)
    with torch.no_grad():
        assert (model(images.rot90(1, (2, 3))) - model(images)).abs().max() > 1e-3


@pytest.mark.parametrize("operator", OPERATORS)
def test_maps_are_halved_twice(operator):
    model = ResNet(1, 28, operator=operator, width=4)
    shapes = []
    for block in model.blocks:
        block.register_forward_hook(lambda block, given, out: shapes.append((out.shape[1], *out.shape[-2:])))
    model(torch.rand(2, 1, 28, 28))
    assert shapes == [(4, 28, 28)] * 3 + [(8, 14, 14)] * 3 + [(16, 7, 7)] * 3
