"""Depthwise convolution whose weights get their gradient in the memory layout in which that is fast."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

COLUMNS = 3  # of a kernel at once: oneDNN takes six times as long for the weights of a 5x5 kernel as for those of a 5x3


class DepthwiseConv2d(nn.Conv2d):
    """Filters every channel on its own.

    It is ``nn.Conv2d(channels, channels, ..., groups=channels)``, weights and results included. On a CPU the gradient
    of its weights, elsewhere several times slower than all the rest of the layer, is computed in float32, with the
    channels last, and by three columns of the kernel at a time, whatever the precision and layout of the images.

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
        grad_input = grad_weight = grad_bias = None
        if ctx.needs_input_grad[0]:
            grad_input = _gradient(grad_output, input, weight, ctx.stride, ctx.padding, of_input=True)
        if ctx.needs_input_grad[1]:
            grad_weight = _weight_gradient(grad_output, input, weight, ctx.stride, ctx.padding)
        if ctx.needs_input_grad[2]:
            grad_bias = grad_output.sum((0, 2, 3))
        return grad_input, grad_weight, grad_bias, None, None


def _gradient(
    grad: Tensor, input: Tensor, weight: Tensor, stride: tuple[int, ...], padding: tuple[int, ...], of_input: bool
) -> Tensor:
    """Return PyTorch's gradient of conv2d with a channel per group, of its input or of its weights."""
    options = (None, stride, padding, (1, 1), False, (0, 0), len(weight), (of_input, not of_input, False))
    gradients: tuple[Tensor, ...] = torch.ops.aten.convolution_backward(grad, input, weight, *options)
    return gradients[0 if of_input else 1]


def _weight_gradient(
    grad: Tensor, input: Tensor, weight: Tensor, stride: tuple[int, ...], padding: tuple[int, ...]
) -> Tensor:
    """Return the gradient (C, 1, K, K) of the weights, which every column of the kernel has for itself."""
    dtype = torch.promote_types(weight.dtype, torch.float32)
    grad = grad.to(dtype).contiguous(memory_format=torch.channels_last)
    width, out = input.shape[3], grad.shape[3]
    result = torch.empty_like(weight)
    for start in range(0, weight.shape[3], COLUMNS):
        columns = slice(start, start + COLUMNS)
        part = weight[..., columns].to(dtype)
        # what these columns meet: from `left`, which may lie in the padding, as far as the last output reaches
        left, wide = start - padding[1], (out - 1) * stride[1] + part.shape[3]
        first = max(left, 0)
        last = max(first, min(left + wide, width))
        shape = (*input.shape[:3], wide)
        met = torch.empty(shape, dtype=dtype, device=input.device, memory_format=torch.channels_last)
        met[..., : first - left] = 0
        met[..., first - left : last - left] = input[..., first:last]
        met[..., last - left :] = 0
        result[..., columns] = _gradient(grad, met, part, stride, (padding[0], 0), of_input=False)
    return result
