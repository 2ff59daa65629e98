"""Involution: a filter of its own for every pixel, made from that pixel and shared by the channels of a group.

Source: Li et al., "Involution: Inverting the Inherence of Convolution for Visual Recognition", CVPR 2021,
https://arxiv.org/abs/2103.06255.

The textbook implementation unfolds the input into K^2 copies. Here no copy of it is made, forward or backward, so that
the extra memory is small whatever the kernel size. On a CPU compiled code computes it (``_native``), on a GPU Triton's
kernels (``triton_involution``), and PyTorch's own operations where neither can (``_tap_by_tap``).

The operator and its two gradients are registered with PyTorch (``torch.ops.lit_models.involution2d`` and so on), so
``torch.compile``, ``torch.export`` and the FLOP counter take them as they take a convolution: whole.
"""

import functools
import math
from types import ModuleType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import register_flop_formula

from lit_models.operators import _check, _native, _tap_by_tap, _transforms
from lit_models.operators.batch_norm import norm_relu


def involution2d(input: Tensor, kernel: Tensor, stride: int = 1) -> Tensor:
    """Applies to every pixel a K x K kernel of its own, the same for all channels of a group.

    ``out[b, c, i, j]`` is the sum over u and v in 0 to K - 1 of ``kernel[b, c // (C / G), u * K + v, i, j]``
    times ``input[b, c, i * stride + u - p, j * stride + v - p]``, with ``p = (K - 1) // 2`` and zeros outside
    the input: the paper's definition, plus a stride.

    Half precision inputs are accumulated in float32. Under autocast arguments are cast as for ``conv2d``.

    Args:
        input: (B, C, H, W), any strides. A channels_last input gives a channels_last output.
        kernel: (B, G, K * K, H_out, W_out) with ``H_out = ceil(H / stride)``, K odd and G a divisor of C.
        stride: Step between output pixels, in input pixels.

    Returns:
        (B, C, H_out, W_out), in the dtype of the arguments. Differentiable once with respect to both; within a
        transform of ``torch.func`` in any way, by slower operations.

    Raises:
        ValueError: if the shapes, dtypes or the stride do not fit together.
    """
    _check.at_least(1, stride=stride)
    _check_shapes(input, kernel, stride)
    device = input.device.type
    if torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device):
        # What autocast does for conv2d, float64 left alone included. Nothing below is changed by autocast: it
        # never touches in-place or out= operations.
        dtype = torch.get_autocast_dtype(device)
        input, kernel = (t if t.dtype == torch.float64 else t.to(dtype) for t in (input, kernel))
    if input.dtype != kernel.dtype:
        raise ValueError(f"kernel must have the dtype of input, {input.dtype}: got {kernel.dtype}")
    if _transforms.active():
        return _by_definition(input, kernel, stride)
    output: Tensor = torch.ops.lit_models.involution2d(input, kernel, stride)
    return output


def _by_definition(input: Tensor, kernel: Tensor, stride: int) -> Tensor:
    """The same by operations that PyTorch can transform and differentiate in any way: K^2 copies of the input."""
    batch, groups, taps, height, width = kernel.shape
    size, dtype = math.isqrt(taps), torch.promote_types(input.dtype, torch.float32)
    copies = F.unfold(input.to(dtype), size, padding=(size - 1) // 2, stride=stride)
    copies = copies.view(batch, groups, input.shape[1] // groups, taps, height, width)
    return (copies * kernel.to(dtype).unsqueeze(2)).sum(3).flatten(1, 2).to(input.dtype)


class Involution2d(nn.Module):
    """Looks at each pixel, writes a small filter for it, and applies that filter around the pixel.

    A convolution uses one filter everywhere and a different one per channel; an involution is the reverse, so
    it can afford large windows with few weights.

    The filters come from the input itself: 1x1 convolution to ``max(1, channels // reduction)`` channels,
    batch norm, ReLU, 1x1 convolution to ``groups * kernel_size**2``. Li et al. 2021,
    https://arxiv.org/abs/2103.06255. As in the paper the number of channels does not change. The Keras example names
    the width of the hidden layer by a number of ``channel`` that need not be the input's, which is ``hidden`` here:
    ``channel // reduction_ratio``. Deviation: with
    ``bias=True`` (the choice of the Keras example, document 003) both 1x1 convolutions have a bias; the
    authors' RedNet omits the first, which batch norm cancels.

    Args:
        channels: C, of the input and the output.
        kernel_size: K, odd.
        groups: G, the number of filters per pixel; channel c uses filter ``c // (C / G)``.
        stride: Step between output pixels. Filters are made from the input averaged over ``stride`` x
            ``stride``.
        reduction: How much narrower than the input the hidden layer of the filter generator is.
        bias: Whether the two 1x1 convolutions have a bias.
        hidden: Channels of the hidden layer, if not ``max(1, channels // reduction)``.

    Raises:
        ValueError: if a size is not positive, ``kernel_size`` is even or ``groups`` does not divide
            ``channels``.
    """

    def __init__(
        self,
        channels: int,
        kernel_size: int,
        groups: int = 1,
        stride: int = 1,
        reduction: int = 4,
        bias: bool = True,
        hidden: int | None = None,
    ) -> None:
        super().__init__()
        _check.at_least(
            1, channels=channels, kernel_size=kernel_size, groups=groups, stride=stride, reduction=reduction
        )
        if hidden is None:
            hidden = max(1, channels // reduction)
        _check.at_least(1, hidden=hidden)
        _check.odd("kernel_size", kernel_size)
        _check.divides("groups", groups, "channels", channels)
        self.channels = channels
        self.kernel_size = kernel_size
        self.groups = groups
        self.stride = stride
        # ceil_mode makes the pooled size ceil(H / stride), the output size of involution2d.
        self.pool = nn.AvgPool2d(stride, ceil_mode=True) if stride > 1 else nn.Identity()
        self.reduce = nn.Conv2d(channels, hidden, 1, bias=bias)
        self.norm = nn.BatchNorm2d(hidden)
        self.span = nn.Conv2d(hidden, groups * kernel_size**2, 1, bias=bias)

    def kernel(self, x: Tensor) -> Tensor:
        """Makes the filters for ``x``, for ``forward`` and for pictures.

        Args:
            x: (B, C, H, W).

        Returns:
            (B, G, K * K, H_out, W_out), taps in row-major order.
        """
        filters: Tensor = self.span(norm_relu(self.norm, self.reduce(self.pool(x))))
        return filters.view(len(x), self.groups, self.kernel_size**2, *filters.shape[2:])

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, C, H, W) to (B, C, ceil(H / stride), ceil(W / stride))."""
        return involution2d(x, self.kernel(x), self.stride)

    def extra_repr(self) -> str:
        """Arguments that the printed submodules do not show."""
        return f"{self.channels}, kernel_size={self.kernel_size}, groups={self.groups}, stride={self.stride}"


def _check_shapes(input: Tensor, kernel: Tensor, stride: int) -> None:
    """Refuses tensors that do not fit together, naming the one that does not and the shape that would."""
    if input.dim() != 4:
        raise ValueError(f"input must be (B, C, H, W): got {tuple(input.shape)}")
    if kernel.dim() != 5:
        raise ValueError(f"kernel must be (B, G, K*K, H_out, W_out): got {tuple(kernel.shape)}")
    batch, channels, height, width = input.shape
    _check.at_least(1, channels=channels, height=height, width=width)
    groups, taps = kernel.shape[1], kernel.shape[2]
    if groups < 1 or channels % groups:
        raise ValueError(f"kernel's groups must divide channels={channels}: got {groups}")
    if math.isqrt(taps) ** 2 != taps or taps % 2 == 0:
        raise ValueError(f"kernel must hold K*K taps with K odd (1, 9, 25, 49, ...): got {taps}")
    expected = (batch, groups, taps, -(-height // stride), -(-width // stride))
    if tuple(kernel.shape) != expected:
        raise ValueError(
            f"kernel must be {expected} for input {tuple(input.shape)} and stride={stride}: got {tuple(kernel.shape)}"
        )


@torch.library.custom_op("lit_models::involution2d", mutates_args=())
def _involution2d(input: Tensor, kernel: Tensor, stride: int) -> Tensor:
    """The operator itself, for arguments that :func:`involution2d` has checked."""
    output: Tensor = _like_output(input, kernel, stride)
    if _native.takes(input, output, kernel):
        _native.involution(_native.FORWARD, input, output, kernel, stride)
    else:
        _without_c(input.device.type).forward(output, input, kernel, stride)
    return output


@torch.library.custom_op("lit_models::involution2d_grad_input", mutates_args=())
def _involution2d_grad_input(grad_output: Tensor, input: Tensor, kernel: Tensor, stride: int) -> Tensor:
    """The gradient of the input, of which only shape and layout are read: (B, C, H, W)."""
    grad_input = torch.empty_like(input)
    if _native.takes(grad_input, grad_output, kernel):
        _native.involution(_native.GRAD_INPUT, grad_input, grad_output, kernel, stride)
    else:
        _without_c(input.device.type).backward_input(grad_input, grad_output, kernel, stride)
    return grad_input


@torch.library.custom_op("lit_models::involution2d_grad_kernel", mutates_args=())
def _involution2d_grad_kernel(grad_output: Tensor, input: Tensor, kernel: Tensor, stride: int) -> Tensor:
    """The gradient of the kernel, of which only shape and layout are read: (B, G, K * K, H_out, W_out)."""
    grad_kernel = torch.empty_like(kernel)
    if _native.takes(input, grad_output, grad_kernel):
        _native.involution(_native.GRAD_WEIGHT, input, grad_output, grad_kernel, stride)
    else:
        _without_c(input.device.type).backward_kernel(grad_kernel, grad_output, input, stride)
    return grad_kernel


@functools.cache
def _without_c(device: str) -> ModuleType:
    """Return the three passes for a type of device: by Triton, which PyTorch brings for most GPUs, or by PyTorch."""
    if device != "cuda":
        return _tap_by_tap
    try:
        from lit_models.operators import triton_involution  # here: a CPU needs no compiler
    except ImportError:
        return _tap_by_tap
    return triton_involution


@_involution2d.register_fake
def _like_output(input: Tensor, kernel: Tensor, stride: int) -> Tensor:
    """An output without values: (B, C, H_out, W_out), channels last if the input is and not contiguous as well."""
    channels_last = input.is_contiguous(memory_format=torch.channels_last) and not input.is_contiguous()
    layout = torch.channels_last if channels_last else torch.contiguous_format
    shape = (*input.shape[:2], *kernel.shape[3:])
    return torch.empty(shape, dtype=input.dtype, device=input.device, memory_format=layout)


@_involution2d_grad_input.register_fake
def _(grad_output: Tensor, input: Tensor, kernel: Tensor, stride: int) -> Tensor:
    return torch.empty_like(input)


@_involution2d_grad_kernel.register_fake
def _(grad_output: Tensor, input: Tensor, kernel: Tensor, stride: int) -> Tensor:
    return torch.empty_like(kernel)


def _keep(ctx: Any, inputs: tuple[Tensor, Tensor, int], output: Tensor) -> None:
    """Keep the two arguments for the gradients, and nothing else."""
    input, kernel, ctx.stride = inputs
    ctx.save_for_backward(input, kernel)


def _gradients(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
    """Return the gradients that are asked for: a first layer needs none of the images."""
    arguments = (grad_output, *ctx.saved_tensors, ctx.stride)
    of_input, of_kernel, _ = ctx.needs_input_grad
    return (
        torch.ops.lit_models.involution2d_grad_input(*arguments) if of_input else None,
        torch.ops.lit_models.involution2d_grad_kernel(*arguments) if of_kernel else None,
        None,
    )


_involution2d.register_autograd(_gradients, setup_context=_keep)


@register_flop_formula(torch.ops.lit_models.involution2d)
def _flops(input: Any, kernel: Any, stride: int, *_: Any, out_shape: Any, **__: Any) -> int:
    """A product and a sum for every tap of every output. Arguments are shapes."""
    return int(2 * kernel[2] * math.prod(out_shape))


@register_flop_formula([torch.ops.lit_models.involution2d_grad_input, torch.ops.lit_models.involution2d_grad_kernel])
def _gradient_flops(grad_output: Any, input: Any, kernel: Any, stride: int, *_: Any, **__: Any) -> int:
    """As many as forward: each product there has two factors, and each factor's gradient takes one product."""
    return int(2 * kernel[2] * math.prod(grad_output))
