"""Depthwise convolution, forward and backward, against the first edition, nn.Conv2d and what the machine allows."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchmarks.involution import bound, first_edition, resnet_step
from benchmarks.timing import Row, alternate, compare
from lit_models.operators import DepthwiseConv2d

SHAPE, KERNEL_SIZE = (128, 256, 16, 16), 5  # a layer of ConvMixer-256/8


def layers(shape: tuple[int, int, int, int]) -> tuple[nn.Conv2d, nn.Conv2d, Tensor, Tensor]:
    """Return ours, nn.Conv2d with its weights, an input with the channels last and the gradient of the output."""
    torch.manual_seed(0)
    channels = shape[1]
    ours = DepthwiseConv2d(channels, KERNEL_SIZE, padding=KERNEL_SIZE // 2)
    peer = nn.Conv2d(channels, channels, KERNEL_SIZE, padding=KERNEL_SIZE // 2, groups=channels)
    peer.load_state_dict(ours.state_dict())
    input, gradient = (torch.randn(shape).contiguous(memory_format=torch.channels_last) for _ in range(2))
    return ours, peer, input.requires_grad_(), gradient


def run(tiny: bool = False) -> list[Row]:
    """Measure."""
    shape, rounds = ((2, 8, 8, 8), 2) if tiny else (SHAPE, 7)
    layer, other, input, gradient = layers(shape)

    def ours() -> None:
        both(layer, input, gradient)

    def first() -> None:
        with first_edition():
            ours()

    case = f"forward and backward, {'×'.join(map(str, shape))}, K = {KERNEL_SIZE}, fp32, channels last"
    least, words = bound(3 * [input, gradient], 3 * KERNEL_SIZE**2 * input.numel())
    times, before = alternate(ours, first, rounds)
    return [
        compare(f"{case}, over the first edition", "ms", times, before, "less", 2.0),
        compare(f"{case}, over what the machine allows", "ms", times, rounds * [least], "share", 2.5, words),
        compare(
            f"{case}, over nn.Conv2d", "ms", *alternate(ours, lambda: both(other, input, gradient), rounds), "less"
        ),
        resnet_step("separable", 46, 1.5, tiny),
    ]


def both(layer: nn.Conv2d, input: Tensor, gradient: Tensor) -> tuple[Tensor, ...]:
    """Return the output, and the gradients of the input, the weights and the bias."""
    output = layer(input)
    assert layer.bias is not None
    return (output, *torch.autograd.grad(output, (input, layer.weight, layer.bias), gradient))


def check() -> None:
    """Assert equal outputs and gradients."""
    ours, peer, input, gradient = layers((2, 8, 9, 7))
    with first_edition():
        before = both(ours, input, gradient)
    for one, *others in zip(both(ours, input, gradient), both(peer, input, gradient), before, strict=True):
        for other in others:
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
