"""Depthwise convolution whose weights get their gradient in the memory layout in which that is fast."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class DepthwiseConv2d(nn.Conv2d):
    """Filters every channel on its own.

    It is ``nn.Conv2d(channels, channels, ..., groups=channels)``, weights and results included. On a CPU the gradient
    of its weights, elsewhere several times slower than all the rest of the layer, is computed in float32 and with the
    channels last, whatever the precision and layout of the images.

    Args:
        channels: C, of the input and the output.
        kernel_size: K.
        stride: As for ``nn.Conv2d``.
        padding: As for ``nn.Conv2d``.
        bias: Whether there is a bias per channel.
    """

    def __init__(self, channels: int, kernel_size: int, stride: int = 1, padding: int = 0, bias: bool = True) -> None:
        super().__init__(channels, channels, kernel_size, stride, padding, groups=channels, bias=bias)

    def forward(self, input: Tensor) -> Tensor:
        """Maps (B, C, H, W) to (B, C, H_out, W_out), sizes as for ``nn.Conv2d``."""
        output: Tensor
        if input.device.type != "cpu" or torch.compiler.is_compiling() or not self.weight.requires_grad:
            output = super().forward(input)
            return output
        weight, bias = self.weight, self.bias
        if torch.is_autocast_enabled("cpu"):  # a function of our own does what autocast does for conv2d
            dtype = torch.get_autocast_dtype("cpu")
            input, weight = input.to(dtype), weight.to(dtype)
            bias = None if bias is None else bias.to(dtype)
        output = _Depthwise.apply(input, weight, bias, self.stride, self.padding)
        return output


class _Depthwise(torch.autograd.Function):
    """The forward pass of conv2d, and a backward pass that computes the two gradients separately."""

    @staticmethod
    def forward(
        ctx: Any, input: Tensor, weight: Tensor, bias: Tensor | None, stride: tuple[int, ...], padding: tuple[int, ...]
    ) -> Tensor:
        ctx.save_for_backward(input, weight)
        ctx.stride, ctx.padding = stride, padding
        return F.conv2d(input, weight, bias, stride, padding, groups=len(weight))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
        input, weight = ctx.saved_tensors
        arguments = (None, ctx.stride, ctx.padding, (1, 1), False, (0, 0), len(weight))

        def gradient(grad: Tensor, x: Tensor, w: Tensor, *mask: bool) -> Any:
            return torch.ops.aten.convolution_backward(grad, x, w, *arguments, mask)

        grad_input = gradient(grad_output, input, weight, True, False, False)[0] if ctx.needs_input_grad[0] else None
        grad_bias = grad_output.sum((0, 2, 3)) if ctx.needs_input_grad[2] else None
        last, single, grad_weight = grad_output, input, None
        if ctx.needs_input_grad[1]:
            dtype = torch.promote_types(weight.dtype, torch.float32)
            last, single = (t.to(dtype, memory_format=torch.channels_last) for t in (last, single))
            grad_weight = gradient(last, single, weight.to(dtype), False, True, False)[1].to(weight.dtype)
        return grad_input, grad_weight, grad_bias, None, None
