"""Depthwise convolution against PyTorch's own."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from lit_models.operators import DepthwiseConv2d


def pair(*arguments):
    torch.manual_seed(0)
    ours = DepthwiseConv2d(6, *arguments)
    kernel_size, stride, padding, bias = arguments
    theirs = nn.Conv2d(6, 6, kernel_size, stride, padding, groups=6, bias=bias)
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


@pytest.mark.parametrize(
    ("arguments", "size"),
    [
        *[(arguments, (8, 7)) for arguments in ((5, 1, 2, True), (3, 2, 1, False), (4, 1, 0, True), (1, 1, 0, False))],
        ((7, 2, 3, True), (9, 11)),
        ((6, 3, 1, False), (8, 10)),
        ((9, 1, 4, False), (1, 1)),  # the outer columns meet nothing but padding
        ((9, 2, 5, True), (3, 2)),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_output_and_gradients_are_those_of_conv2d(arguments, size, dtype):
    """What becomes of images in another layout is in test_values.py."""
    images = torch.randn(3, 6, *size, dtype=dtype)
    found = []
    for layer in pair(*arguments):
        x = images.clone().requires_grad_()
        output = layer.to(dtype)(x)
        output.sin().sum().backward()
        found.append([output, x.grad, *(parameter.grad for parameter in layer.parameters())])
    for mine, theirs in zip(*found, strict=True):
        assert mine.dtype == dtype
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_under_autocast_it_does_what_autocast_does(layout):
    ours, theirs = pair(5, 1, 2, True)
    images = torch.randn(4, 6, 12, 12).contiguous(memory_format=layout).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        outputs = ours(images), theirs(images)
    assert outputs[0].dtype == torch.bfloat16
    assert torch.equal(*outputs)
    exact = nn.Conv2d(6, 6, 5, padding=2, groups=6)
    exact.load_state_dict(ours.state_dict())
    for layer, output in ((ours, outputs[0]), (theirs, outputs[1]), (exact, exact(images))):
        output.sum().backward()
        assert layer.weight.grad.dtype == torch.float32
    error = (ours.weight.grad - exact.weight.grad).abs().max()
    assert error <= (theirs.weight.grad - exact.weight.grad).abs().max() + 1e-3
    torch.testing.assert_close(ours.bias.grad, exact.bias.grad, rtol=1e-2, atol=1e-2)


def test_gradients_that_nobody_wants_are_not_computed():
    layer, _ = pair(3, 1, 1, True)
    layer.weight.requires_grad_(False)
    images = torch.randn(2, 6, 5, 5, requires_grad=True)
    layer(images).sum().backward()
    assert layer.weight.grad is None
    assert images.grad is not None
    layer.weight.requires_grad_(True)
    layer(images.detach()).sum().backward()
    assert layer.weight.grad is not None


def test_its_products_are_counted():
    layer, _ = pair(3, 1, 1, True)
    for images in (torch.zeros(1, 6, 5, 5), torch.zeros(1, 6, 5, 5, device="meta")):
        with FlopCounterMode(display=False) as counter:
            layer.to(images.device)(images)
        assert counter.get_total_flops() == 2 * 6 * 9 * 25
