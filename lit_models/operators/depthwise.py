"""Depthwise convolution on CPUs at the speed of the machine: forward and both gradients one pass each.

PyTorch's own takes several times as long for the gradient of the weights as for all the rest of the layer. The operator
and its gradients are registered with PyTorch (``torch.ops.lit_models.depthwise_conv2d`` and so on), so
``torch.compile``, ``torch.export`` and the FLOP counter take them as they take a convolution: whole.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import register_flop_formula

from lit_models.operators import _native, _transforms

LARGEST = 7  # kernel of the compiled passes
COLUMNS = 3  # of a kernel at once: oneDNN takes six times as long for the weights of a 5x5 kernel as for those of a 5x3


class DepthwiseConv2d(nn.Conv2d):
    """Filters every channel on its own.

    It is ``nn.Conv2d(channels, channels, ..., groups=channels)``, weights and results included, but for the order of
    sums. On a CPU bfloat16 is summed in float32, and its result rounded once.

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
        if input.device.type not in ("cpu", "meta") or input.dim() != 4 or _transforms.active():
            output = super().forward(input)
            return output
        weight, bias = self.weight, self.bias
        if torch.is_autocast_enabled("cpu"):  # an operator of our own does what autocast does for conv2d
            dtype = torch.get_autocast_dtype("cpu")
            input, weight = input.to(dtype), weight.to(dtype)
            bias = None if bias is None else bias.to(dtype)
        output = torch.ops.lit_models.depthwise_conv2d(input, weight, bias, self.stride[0], int(self.padding[0]))
        return output


def _fits(weight: Tensor, stride: int, padding: int) -> bool:
    """Return whether the compiled passes have this size of kernel, this stride and this padding."""
    return weight.shape[2] <= LARGEST and stride <= 2 and padding < weight.shape[2]


def _layout(input: Tensor) -> torch.memory_format:
    """Return the layout of the output for this input."""
    channels_last = input.is_contiguous(memory_format=torch.channels_last) and not input.is_contiguous()
    return torch.channels_last if channels_last else torch.contiguous_format


@torch.library.custom_op("lit_models::depthwise_conv2d", mutates_args=())
def _depthwise_conv2d(input: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int) -> Tensor:
    """The operator itself: as conv2d with a group per channel and a square kernel."""
    if not (_fits(weight, stride, padding) and _native.takes(input, weight)):
        output: Tensor = F.conv2d(input, weight, bias, stride, padding, groups=len(weight))
        return output.contiguous(memory_format=_layout(input))
    output = _like_output(input, weight, bias, stride, padding)
    _native.depthwise(_native.FORWARD, input, output, weight, bias, weight.shape[2], stride, padding)
    return output


@torch.library.custom_op("lit_models::depthwise_conv2d_grad_input", mutates_args=())
def _depthwise_conv2d_grad_input(
    grad_output: Tensor, input: Tensor, weight: Tensor, stride: int, padding: int
) -> Tensor:
    """The gradient of the input, of which only shape and layout are read: (B, C, H, W)."""
    grad_input = torch.empty_like(input)
    if _fits(weight, stride, padding) and _native.takes(grad_input, grad_output, weight):
        _native.depthwise(_native.GRAD_INPUT, grad_input, grad_output, weight, None, weight.shape[2], stride, padding)
        return grad_input
    return grad_input.copy_(_gradient(grad_output, input, weight, stride, (padding, padding), of_input=True))


@torch.library.custom_op("lit_models::depthwise_conv2d_grad_weight", mutates_args=())
def _depthwise_conv2d_grad_weight(
    grad_output: Tensor, input: Tensor, weight: Tensor, stride: int, padding: int
) -> Tensor:
    """The gradient of the weights, of which only shape and dtype are read: (C, 1, K, K)."""
    if _fits(weight, stride, padding) and _native.takes(input, grad_output, weight):
        size = weight.shape[2]
        gradient = _native.depthwise(_native.GRAD_WEIGHT, input, grad_output, None, None, size, stride, padding)
        assert gradient is not None
        return gradient.to(weight.dtype)
    return _weight_gradient(grad_output, input, weight, stride, padding)


@_depthwise_conv2d.register_fake
def _like_output(input: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int) -> Tensor:
    """An output without values: (B, C, H_out, W_out), in the layout of the input."""
    height, width = ((n + 2 * padding - weight.shape[2]) // stride + 1 for n in input.shape[2:])
    shape = (*input.shape[:2], height, width)
    return torch.empty(shape, dtype=input.dtype, device=input.device, memory_format=_layout(input))


@_depthwise_conv2d_grad_input.register_fake
def _(grad_output: Tensor, input: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    return torch.empty_like(input)


@_depthwise_conv2d_grad_weight.register_fake
def _(grad_output: Tensor, input: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    return torch.empty_like(weight, memory_format=torch.contiguous_format)


def _keep(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor | None, int, int], output: Tensor) -> None:
    """Keep what the gradients read, and nothing else."""
    input, weight, _, ctx.stride, ctx.padding = inputs
    ctx.save_for_backward(input, weight)


def _gradients(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None, None]:
    """Return the gradients that are asked for: a first layer needs none of the images."""
    arguments = (grad_output, *ctx.saved_tensors, ctx.stride, ctx.padding)
    of_input, of_weight, of_bias, _, _ = ctx.needs_input_grad
    return (
        torch.ops.lit_models.depthwise_conv2d_grad_input(*arguments) if of_input else None,
        torch.ops.lit_models.depthwise_conv2d_grad_weight(*arguments) if of_weight else None,
        grad_output.sum((0, 2, 3)) if of_bias else None,
        None,
        None,
    )


_depthwise_conv2d.register_autograd(_gradients, setup_context=_keep)


@register_flop_formula(torch.ops.lit_models.depthwise_conv2d)
def _flops(input: Any, weight: Any, *_: Any, out_shape: Any, **__: Any) -> int:
    """A product and a sum for every tap of every output. Arguments are shapes."""
    return int(2 * math.prod(weight[2:]) * math.prod(out_shape))


@register_flop_formula(
    [torch.ops.lit_models.depthwise_conv2d_grad_input, torch.ops.lit_models.depthwise_conv2d_grad_weight]
)
def _gradient_flops(grad_output: Any, input: Any, weight: Any, *_: Any, **__: Any) -> int:
    """As many as forward: each product there has two factors, and each factor's gradient takes one product."""
    return int(2 * math.prod(weight[2:]) * math.prod(grad_output))


def _gradient(
    grad: Tensor, input: Tensor, weight: Tensor, stride: int, padding: tuple[int, int], of_input: bool
) -> Tensor:
    """Return PyTorch's gradient of conv2d with a channel per group, of its input or of its weights."""
    options = (None, (stride, stride), padding, (1, 1), False, (0, 0), len(weight), (of_input, not of_input, False))
    gradients: tuple[Tensor, ...] = torch.ops.aten.convolution_backward(grad, input, weight, *options)
    return gradients[0 if of_input else 1]


def _weight_gradient(grad: Tensor, input: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    """Return the gradient (C, 1, K, K) of the weights, which every column of the kernel has for itself."""
    dtype = torch.promote_types(weight.dtype, torch.float32)
    grad = grad.to(dtype).contiguous(memory_format=torch.channels_last)
    width, out = input.shape[3], grad.shape[3]
    result = torch.empty_like(weight, memory_format=torch.contiguous_format)
    for start in range(0, weight.shape[3], COLUMNS):
        columns = slice(start, start + COLUMNS)
        part = weight[..., columns].to(dtype)
        # what these columns meet: from `left`, which may lie in the padding, as far as the last output reaches
        left, wide = start - padding, (out - 1) * stride + part.shape[3]
        first = max(left, 0)
        last = max(first, min(left + wide, width))
        shape = (*input.shape[:3], wide)
        met = torch.empty(shape, dtype=dtype, device=input.device, memory_format=torch.channels_last)
        met[..., : first - left] = 0
        met[..., first - left : last - left] = input[..., first:last]
        met[..., last - left :] = 0
        result[..., columns] = _gradient(grad, met, part, stride, (padding, 0), of_input=False)
    return result
