"""ConvUNet and PConvUNet: their size, what they read and what they do not, and how holes close."""

import pytest
import torch
import torch.nn.functional as F

from lit_models import ConvUNet, Inpainter, PConvUNet
from lit_models.operators import PartialConv2d, partial_conv2d
from lit_models.sizes import size
from lit_models.tasks.inpainter import STROKES, _fixed_numbers, draw_masks

DATA = [(1, 28), (3, 32)]
BOTH = pytest.mark.parametrize("architecture", [ConvUNet, PConvUNet])


def parameters(model):
    return sum(p.numel() for p in model.parameters())


def masks(count, pixels):
    return draw_masks(_fixed_numbers(STROKES)[:count], pixels)


def expected_parameters(channels, width, mask_channels):
    """Written out from the paper's table: kernels and channels, biases and batch norms."""
    seen, w = channels + mask_channels, width
    down = 49 * seen * w + w + 25 * w * 2 * w + 25 * 2 * w * 4 * w + 9 * 4 * w * 8 * w
    up = 9 * (8 + 4) * w * 4 * w + 9 * (4 + 2) * w * 2 * w + 9 * (2 + 1) * w * w + 9 * (w + seen) * channels + channels
    norms = 2 * (2 + 4 + 8 + 4 + 2 + 1) * w
    return down + up + norms


@pytest.mark.parametrize("width", [4, 16])
@pytest.mark.parametrize(("channels", "pixels"), DATA)
def test_parameters(channels, pixels, width):
    plain, partial = ConvUNet(channels, width), PConvUNet(channels, width)
    assert parameters(plain) == expected_parameters(channels, width, 1)
    assert parameters(partial) == expected_parameters(channels, width, 0)
    assert parameters(plain) - parameters(partial) == 49 * width + 9 * channels


def test_parameters_that_the_docstrings_state():
    with torch.device("meta"):
        plain, partial = ConvUNet(), PConvUNet()
    assert parameters(plain) == 4_543_215
    assert parameters(partial) == 4_540_052
    assert "4,543,215" in ConvUNet.__doc__
    assert "3,163" in ConvUNet.__doc__
    assert "4,540,052" in PConvUNet.__doc__


def test_products_of_the_pair():
    plain, partial = ConvUNet(width=4), PConvUNet(width=4)
    example = torch.zeros(1, 3, 32, 32), torch.ones(1, 1, 32, 32)
    difference = size(plain, *example).macs - size(partial, *example).macs
    assert difference == 16**2 * 49 * 4 + 32**2 * 9 * 3


@BOTH
@pytest.mark.parametrize(("channels", "pixels"), [*DATA, (2, 11), (3, 45)])
def test_an_image_keeps_its_shape(architecture, channels, pixels):
    model = architecture(channels, width=2)
    assert model(torch.rand(2, channels, pixels, pixels), masks(2, pixels)).shape == (2, channels, pixels, pixels)


@BOTH
@pytest.mark.parametrize("training", [True, False])
def test_what_lies_in_holes_changes_nothing(architecture, training):
    torch.manual_seed(0)
    model = architecture(width=4).train(training)
    images, mask = torch.rand(4, 3, 32, 32), masks(4, 32)
    output = model(images, mask)
    for hidden in (torch.rand_like(images), torch.tensor(1e6), torch.tensor(float("nan"))):
        assert torch.equal(model(torch.where(mask != 0, images, hidden), mask), output)
    assert not torch.equal(model(images * 0.9, mask), output)


@BOTH
def test_what_the_network_knows_of_the_mask(architecture):
    torch.manual_seed(0)
    model = architecture(width=4).eval()
    images = torch.zeros(1, 3, 32, 32)  # black: only the mask tells a pixel from a hole
    assert not torch.allclose(model(images, masks(1, 32)), model(images, torch.ones(1, 1, 32, 32)))


@pytest.mark.parametrize(("channels", "pixels"), DATA)
def test_holes_close_layer_by_layer(channels, pixels):
    model = PConvUNet(channels, width=2)
    shares = []
    for module in model.modules():
        if isinstance(module, PartialConv2d):
            module.register_forward_hook(lambda _, __, output: shares.append(output[1].mean().item()))
    mask = torch.zeros(1, 1, pixels, pixels)
    mask[..., 0, 0] = 1  # one pixel is all there is
    model(torch.rand(1, channels, pixels, pixels), mask)
    down, up = shares[:4], shares[4:]
    assert mask.mean() < down[0] < down[1] < down[2] < down[3] == 1
    assert up == [1, 1, 1, 1]


def test_partial_equals_a_forward_pass_written_out():
    torch.manual_seed(0)
    model = PConvUNet(1, width=2).eval()
    for norm in (*model.layers.down_norms, *model.layers.up_norms):
        if isinstance(norm, torch.nn.BatchNorm2d):
            norm.running_mean.normal_()
            norm.running_var.uniform_(0.5, 2)
    image, mask = torch.rand(2, 1, 28, 28), masks(2, 28)

    def convolve(layer, x, m, stride, padding):
        return partial_conv2d(x, m, layer.conv.weight, layer.conv.bias, stride, padding)

    d, n = model.layers.down, model.layers.down_norms
    x1, m1 = convolve(d[0], image, mask, 2, 3)
    x1 = x1.relu()
    x2, m2 = convolve(d[1], x1, m1, 2, 2)
    x2 = n[1](x2).relu()
    x3, m3 = convolve(d[2], x2, m2, 2, 2)
    x3 = n[2](x3).relu()
    x4, m4 = convolve(d[3], x3, m3, 2, 1)
    x4 = n[3](x4).relu()
    assert [x.shape[-1] for x in (x1, x2, x3, x4)] == [14, 7, 4, 2]
    x, m = x4, m4
    for level, (skip, skip_mask) in enumerate([(x3, m3), (x2, m2), (x1, m1), (image, mask)]):
        pixels = skip.shape[-1]
        twice = x.repeat_interleave(2, 2).repeat_interleave(2, 3)[..., :pixels, :pixels]
        twice_m = m.repeat_interleave(2, 2).repeat_interleave(2, 3)[..., :pixels, :pixels]
        if pixels == 7:  # 4 -> 7: nearest takes rows 0 0 1 1 2 2 3, which is twice, cut
            assert torch.equal(twice, F.interpolate(x, 7))
        both = torch.cat([twice_m.expand_as(twice), skip_mask.expand_as(skip)], 1)
        x, m = convolve(model.layers.up[level], torch.cat([twice, skip], 1), both, 1, 1)
        if level < 3:
            x = F.leaky_relu(model.layers.up_norms[level](x), 0.2)
    torch.testing.assert_close(model(image, mask), x)


@BOTH
def test_it_learns(architecture):
    torch.manual_seed(0)
    model = Inpainter(architecture(1, width=4))
    images = torch.rand(32, 1, 1, 1).expand(-1, -1, 28, 28).contiguous()
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = model.training_step((images, torch.zeros(32)), 0)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 3
    assert all(p.grad is not None for p in model.parameters())  # ddp waits for every gradient
