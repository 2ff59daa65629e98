"""Z2CNN and P4CNN: their size, the authors' forward pass written out, and who is invariant to quarter turns."""

import io

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lit_models import P4CNN, Z2CNN
from lit_models.operators import P4ConvP4, P4ConvZ2


def train(model: nn.Module, *shape: int, steps: int = 5) -> None:
    """A few steps, so that weights and running statistics are no longer what they were drawn as."""
    images = torch.rand(16, *shape)
    labels = torch.arange(16) % 10
    optimizer = torch.optim.AdamW(model.parameters(), 1e-2)
    model.train()
    for _ in range(steps):
        optimizer.zero_grad()
        F.cross_entropy(model(images), labels).backward()
        optimizer.step()


def assert_invariant(model: nn.Module, images: Tensor, tolerance: float = 1e-5) -> None:
    with torch.no_grad():
        logits = model(images)
        assert logits.std(0).mean() > 1e-4  # a constant would be invariant too
        for turns in (1, 2, 3):
            torch.testing.assert_close(model(images.rot90(turns, (2, 3))), logits, rtol=0, atol=tolerance)


def test_parameters_of_the_paper():
    z2 = (9 * 20 + 20) + 5 * (20 * 20 * 9 + 20) + (20 * 10 * 16 + 10) + 6 * 2 * 20
    p4 = (9 * 10 + 10) + 5 * (10 * 10 * 4 * 9 + 10) + (10 * 10 * 4 * 16 + 10) + 6 * 2 * 10
    assert sum(p.numel() for p in Z2CNN().parameters()) == z2 == 21_750
    assert sum(p.numel() for p in P4CNN().parameters()) == p4 == 24_680


def authors_z2_cnn(model: Z2CNN, images: Tensor) -> Tensor:
    """gconv_experiments, MNIST_ROT/models/Z2CNN.py, in PyTorch's functions."""
    convs = [m for m in model.features if isinstance(m, nn.Conv2d)]
    norms = [m for m in model.features if isinstance(m, nn.BatchNorm2d)]
    x = images
    for index, (conv, norm) in enumerate(zip(convs, norms, strict=True)):
        x = F.conv2d(x, conv.weight, conv.bias)
        x = F.relu(F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias))
        if index == 1:
            x = F.max_pool2d(x, 2, 2)
    return F.conv2d(x, model.top.weight, model.top.bias).amax(3).amax(2)


def authors_p4_cnn(model: P4CNN, images: Tensor) -> Tensor:
    """gconv_experiments, MNIST_ROT/models/P4CNN.py: each plane is a convolution with one turned set of filters."""

    def group_conv(x: Tensor, conv: nn.Module) -> Tensor:
        planes = []
        for r in range(4):
            weight = conv.weight.rot90(r, (-2, -1))
            if x.dim() == 5:
                weight = weight.roll(r, 2).flatten(1, 2)
            planes.append(F.conv2d(x.flatten(1, -3), weight, conv.bias))
        return torch.stack(planes, 2)

    convs = [m for m in model.features if isinstance(m, P4ConvZ2 | P4ConvP4)]
    norms = [m for m in model.features if isinstance(m, nn.BatchNorm3d)]
    x = images
    for index, (conv, norm) in enumerate(zip(convs, norms, strict=True)):
        x = group_conv(x, conv)
        mean, variance, weight, bias = (
            t.view(-1, 1, 1, 1) for t in (norm.running_mean, norm.running_var, norm.weight, norm.bias)
        )
        x = F.relu((x - mean) / (variance + 1e-5).sqrt() * weight + bias)
        if index == 1:
            x = F.max_pool3d(x, (1, 2, 2))
    return group_conv(x, model.top).amax((2, 3, 4))


@pytest.mark.parametrize(("model", "formulation"), [(Z2CNN, authors_z2_cnn), (P4CNN, authors_p4_cnn)])
@pytest.mark.parametrize(("channels", "size"), [(1, 28), (3, 32)])
def test_equals_the_authors_formulation(model, formulation, channels, size):
    torch.manual_seed(0)
    network = model(channels, size)
    train(network, channels, size, size, steps=2)
    network = network.double().eval()
    images = torch.rand(3, channels, size, size, dtype=torch.float64)
    torch.testing.assert_close(network(images), formulation(network, images), rtol=0, atol=1e-10)


@pytest.mark.parametrize(("model", "share"), [(Z2CNN, 0.3), (P4CNN, 0.0)])
def test_dropout_of_the_authors(model, share):
    layers = [m for m in model().features if isinstance(m, nn.Conv2d | P4ConvZ2 | P4ConvP4 | nn.Dropout)]
    kinds = "".join("d" if isinstance(m, nn.Dropout) else "c" for m in layers)
    assert kinds == "cd" + "c" + "cd" * 4
    assert {m.p for m in layers if isinstance(m, nn.Dropout)} == {share}


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(("channels", "size"), [(1, 28), (3, 32), (1, 34)])
def test_p4_cnn_is_invariant(channels, size, training):
    torch.manual_seed(size)
    model = P4CNN(channels, size).train(training)  # in training by the statistics of the batch, which turn along
    assert_invariant(model, torch.randn(4, channels, size, size))


@pytest.mark.parametrize(("channels", "size"), [(1, 28), (3, 32)])
def test_p4_cnn_stays_invariant_in_training_and_in_a_checkpoint(channels, size):
    torch.manual_seed(0)
    model = P4CNN(channels, size, width=6)
    images = torch.rand(4, channels, size, size)
    before = model.eval()(images).detach()
    train(model, channels, size, size)
    model.eval()
    assert (model(images) - before).abs().max() > 0.01
    assert_invariant(model, images)
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    reloaded = P4CNN(channels, size, width=6)
    reloaded.load_state_dict(torch.load(file, weights_only=True))
    reloaded.eval()
    assert torch.equal(reloaded(images), model(images))
    assert_invariant(reloaded, images)


@pytest.mark.parametrize(("channels", "size"), [(1, 28), (3, 32)])
def test_p4_cnn_is_invariant_in_bf16_to_its_rounding(channels, size):
    torch.manual_seed(0)
    model = P4CNN(channels, size)
    train(model, channels, size, size)
    model.eval()
    images = torch.rand(4, channels, size, size)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        logits = model(images).float()
        scale = logits.abs().max()
        for turns in (1, 2, 3):
            difference = (model(images.rot90(turns, (2, 3))).float() - logits).abs().max()
            assert difference <= scale * 2**-6  # bf16 has 8 bits: a few roundings of 2 ** -8 each


@pytest.mark.parametrize(("channels", "size"), [(1, 28), (3, 32)])
def test_z2_cnn_is_not_invariant(channels, size):
    torch.manual_seed(0)
    model, images = Z2CNN(channels, size).eval(), torch.rand(4, channels, size, size)
    for turns in (1, 2, 3):
        assert (model(images.rot90(turns, (2, 3))) - model(images)).abs().max() > 1e-4


def test_z2_cnn_takes_27_pixels():
    assert Z2CNN(image_size=27)(torch.rand(2, 1, 27, 27)).shape == (2, 10)
