"""Involution: a filter of its own for every pixel, made from that pixel and shared by the channels of a group.

Source: Li et al., "Involution: Inverting the Inherence of Convolution for Visual Recognition", CVPR 2021,
https://arxiv.org/abs/2103.06255.

The textbook implementation unfolds the input into K^2 copies. Here the K^2 taps are added up one at a time,
forward and backward, so the extra memory is a workspace of a few samples whatever the kernel size.

The operator and its two gradients are registered with PyTorch (``torch.ops.lit_models.involution2d`` and so on), so
``torch.compile``, ``torch.export`` and the FLOP counter take them as they take a convolution: whole.
On a GPU each is one kernel, :mod:`lit_models.operators.triton_involution`, where Triton is installed.
"""

import functools
import math
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import register_flop_formula

from lit_models.operators import _check, _native, _transforms

# Elements of workspace per thread on a CPU. A chunk of samples this large (2 MB in float32) stays in the
# second-level cache over all K^2 taps; a smaller one pays more for launching operations than for arithmetic.
_CPU_CHUNK = 2**19
# Elsewhere the cache matters less than a busy device: this only bounds the workspace (64 MB in float32).
_DEVICE_CHUNK = 2**24


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
    size, dtype = _root(taps), _accumulation_dtype(input.dtype)
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
        filters: Tensor = self.span(F.relu(self.norm(self.reduce(self.pool(x)))))
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
    if _root(taps) ** 2 != taps or taps % 2 == 0:
        raise ValueError(f"kernel must hold K*K taps with K odd (1, 9, 25, 49, ...): got {taps}")
    expected = (batch, groups, taps, -(-height // stride), -(-width // stride))
    if tuple(kernel.shape) != expected:
        raise ValueError(
            f"kernel must be {expected} for input {tuple(input.shape)} and stride={stride}: got {tuple(kernel.shape)}"
        )


def _root(taps: int) -> int:
    """Kernel size from its number of taps."""
    return math.isqrt(taps)


@torch.library.custom_op("lit_models::involution2d", mutates_args=())
def _involution2d(input: Tensor, kernel: Tensor, stride: int) -> Tensor:
    """The operator itself, for arguments that :func:`involution2d` has checked."""
    output: Tensor = _like_output(input, kernel, stride)
    if _native.takes(input, output, kernel):
        _native.involution(_native.FORWARD, input, output, kernel, stride)
    else:
        _forward(output, input, kernel, stride)
    return output


@torch.library.custom_op("lit_models::involution2d_grad_input", mutates_args=())
def _involution2d_grad_input(grad_output: Tensor, input: Tensor, kernel: Tensor, stride: int) -> Tensor:
    """The gradient of the input, of which only shape and layout are read: (B, C, H, W)."""
    grad_input = torch.empty_like(input)
    if _native.takes(grad_input, grad_output, kernel):
        _native.involution(_native.GRAD_INPUT, grad_input, grad_output, kernel, stride)
    else:
        _backward_input(grad_input, grad_output, kernel, stride)
    return grad_input


@torch.library.custom_op("lit_models::involution2d_grad_kernel", mutates_args=())
def _involution2d_grad_kernel(grad_output: Tensor, input: Tensor, kernel: Tensor, stride: int) -> Tensor:
    """The gradient of the kernel, of which only shape and layout are read: (B, G, K * K, H_out, W_out)."""
    grad_kernel = torch.empty_like(kernel)
    if _native.takes(input, grad_output, grad_kernel):
        _native.involution(_native.GRAD_WEIGHT, input, grad_output, grad_kernel, stride)
    else:
        _backward_kernel(grad_kernel, grad_output, input, stride)
    return grad_kernel


@functools.cache
def _fused() -> Any:
    """The kernels for GPUs; None where Triton, which PyTorch brings for most of them, is not installed."""
    try:
        from lit_models.operators import triton_involution  # here: a CPU needs no compiler
    except ImportError:
        return None
    return triton_involution


@_involution2d.register_kernel("cuda")
def _(input: Tensor, kernel: Tensor, stride: int) -> Tensor:
    output: Tensor = _like_output(input, kernel, stride)
    (_fused().forward if _fused() else _forward)(output, input, kernel, stride)
    return output


@_involution2d_grad_input.register_kernel("cuda")
def _(grad_output: Tensor, input: Tensor, kernel: Tensor, stride: int) -> Tensor:
    grad_input = torch.empty_like(input)
    (_fused().backward_input if _fused() else _backward_input)(grad_input, grad_output, kernel, stride)
    return grad_input


@_involution2d_grad_kernel.register_kernel("cuda")
def _(grad_output: Tensor, input: Tensor, kernel: Tensor, stride: int) -> Tensor:
    grad_kernel = torch.empty_like(kernel)
    (_fused().backward_kernel if _fused() else _backward_kernel)(grad_kernel, grad_output, input, stride)
    return grad_kernel


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


def _forward(output: Tensor, input: Tensor, kernel: Tensor, stride: int) -> None:
    """Writes the involution of ``input`` to ``output``."""
    layout = None
    for x, k, out in _chunks(kernel.shape[1], input, kernel, output):
        if layout is None or layout.samples != len(x):  # The first chunk, and the last if it is shorter.
            layout = _Layout(x, k, stride)
            planes, kernels, total = layout.planes(), layout.rows(k.shape[2]), layout.rows(x.shape[2])
            flat_total = layout.flat(total)
            taps = list(zip(layout.taps(planes), layout.flat(kernels).unsqueeze(3).unbind(2), strict=True))
        layout.load(planes, x)
        layout.inner(kernels).copy_(k)
        total.zero_()
        for shifted, weight in taps:
            flat_total.addcmul_(shifted, weight)
        out.copy_(layout.inner(total))


def _backward_input(grad_input: Tensor, grad_output: Tensor, kernel: Tensor, stride: int) -> None:
    """Writes the gradient of the input: every tap sends the output's gradient back to where it read."""
    layout = None
    for grad_x, grad_out, k in _chunks(kernel.shape[1], grad_input, grad_output, kernel):
        if layout is None or layout.samples != len(k):
            layout = _Layout(grad_x, k, stride)
            planes, kernels, grads = layout.planes(), layout.rows(k.shape[2]), layout.rows(grad_x.shape[2])
            flat_grads = layout.flat(grads)
            taps = list(zip(layout.taps(planes), layout.flat(kernels).unsqueeze(3).unbind(2), strict=True))
        layout.inner(kernels).copy_(k)
        layout.inner(grads).copy_(grad_out)
        planes.zero_()
        for shifted, weight in taps:
            shifted.addcmul_(flat_grads, weight)
        layout.store(grad_x, planes)


def _backward_kernel(grad_kernel: Tensor, grad_output: Tensor, input: Tensor, stride: int) -> None:
    """Writes the gradient of the kernel: per tap, what it read times the output's gradient, over channels."""
    layout = None
    for grad_k, grad_out, x in _chunks(grad_kernel.shape[1], grad_kernel, grad_output, input):
        if layout is None or layout.samples != len(x):
            layout = _Layout(x, grad_k, stride)
            planes, kernels, grads = layout.planes(), layout.rows(grad_k.shape[2]), layout.rows(x.shape[2])
            flat_grads = layout.flat(grads)
            product = torch.empty_like(flat_grads, memory_format=torch.contiguous_format)
            taps = list(zip(layout.taps(planes), layout.flat(kernels).unbind(2), strict=True))
        layout.load(planes, x)
        layout.inner(grads).copy_(grad_out)
        for shifted, grad_weight in taps:
            torch.mul(flat_grads, shifted, out=product)
            torch.sum(product, 2, out=grad_weight)
        grad_k.copy_(layout.inner(kernels))


class _Layout:
    """Where the pixels of a few samples lie while taps are added up: so that a tap is one contiguous run.

    Input planes are zero-padded and split by row and column modulo the stride, which makes a strided tap
    contiguous; output rows are stored as long as input rows (the ``pitch``), which makes a tap of a whole
    plane the same plane at an offset: one run of ``length`` elements in place of H_out short ones. What lies
    between the rows of an output is never copied out, and is zero wherever it would be added to something
    that is.

    Args:
        x: (n, G, C / G, H, W), a chunk of the input or of its gradient.
        k: (n, G, K * K, H_out, W_out), the same chunk of the kernel or of its gradient.
        stride: The involution's stride.
    """

    def __init__(self, x: Tensor, k: Tensor, stride: int) -> None:
        self.samples, self.groups, self.channels, height, width = x.shape
        _, _, taps, self.h_out, self.w_out = k.shape
        self.size = _root(taps)
        self.stride = stride
        self.pad = (self.size - 1) // 2
        reach = (self.size - 1) // stride
        # As far as the last tap reads or the input extends, whichever is more.
        self.n_rows = max(self.h_out + reach, -(-(height + self.pad) // stride))
        self.pitch = max(self.w_out + reach, -(-(width + self.pad) // stride))
        self.length = (self.h_out - 1) * self.pitch + self.w_out
        self.options: dict[str, Any] = {"dtype": _accumulation_dtype(x.dtype), "device": x.device}

    def planes(self) -> Tensor:
        """Zeros for the padded input: (n, G, C / G, stride, stride, n_rows, pitch)."""
        shape = (self.stride, self.stride, self.n_rows, self.pitch)
        return torch.zeros(self.samples, self.groups, self.channels, *shape, **self.options)

    def rows(self, depth: int) -> Tensor:
        """Zeros at the output's resolution: (n, G, depth, H_out, pitch)."""
        return torch.zeros(self.samples, self.groups, depth, self.h_out, self.pitch, **self.options)

    def inner(self, rows: Tensor) -> Tensor:
        """The pixels proper of ``rows``: (n, G, depth, H_out, W_out)."""
        return rows[..., : self.w_out]

    def flat(self, rows: Tensor) -> Tensor:
        """``rows`` as runs: (n, G, depth, length)."""
        return rows.flatten(3)[..., : self.length]

    def taps(self, planes: Tensor) -> list[Tensor]:
        """What each tap reads of ``planes``: K * K views (n, G, C / G, length), in row-major order."""
        views = []
        for tap in range(self.size**2):
            (u, row_phase), (v, column_phase) = (divmod(i, self.stride) for i in divmod(tap, self.size))
            plane = planes[:, :, :, row_phase, column_phase].flatten(3)
            views.append(plane.narrow(3, u * self.pitch + v, self.length))
        return views

    def load(self, planes: Tensor, x: Tensor) -> None:
        """Copies ``x`` into its place in ``planes``."""
        for plane, pixels in self._phases(planes, x):
            plane.copy_(pixels)

    def store(self, x: Tensor, planes: Tensor) -> None:
        """Copies ``x`` out of its place in ``planes``."""
        for plane, pixels in self._phases(planes, x):
            pixels.copy_(plane)

    def _phases(self, planes: Tensor, x: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Pairs of views of the same pixels, for each row and column modulo the stride."""
        # Padded row r lies in phase r % stride at index r // stride; pixel row h is padded row h + pad.
        starts = [(phase - self.pad) % self.stride for phase in range(self.stride)]
        pairs = []
        for row_phase, top in enumerate(starts):
            for column_phase, left in enumerate(starts):
                pixels = x[..., top :: self.stride, left :: self.stride]
                plane = planes[:, :, :, row_phase, column_phase]
                plane = plane.narrow(3, (top + self.pad) // self.stride, pixels.shape[3])
                pairs.append((plane.narrow(4, (left + self.pad) // self.stride, pixels.shape[4]), pixels))
        return pairs


def _grouped(x: Tensor, groups: int) -> Tensor:
    """Views (B, C, H, W) as (B, G, C / G, H, W); splitting a dimension is possible whatever the strides."""
    batch, channels, height, width = x.shape
    return x.view(batch, groups, channels // groups, height, width)


def _accumulation_dtype(dtype: torch.dtype) -> torch.dtype:
    """Sums of 16 bit floats are kept in 32: K^2 roundings in a row would be visible."""
    return torch.float32 if dtype in (torch.bfloat16, torch.float16) else dtype


def _chunks(groups: int, *tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Cuts the batch into chunks that fit the cache, each tensor as (n, G, ., ., .).

    Args:
        groups: G.
        tensors: (B, C, ., .), or (B, G, ., ., .) already.
    """
    budget = _CPU_CHUNK * torch.get_num_threads() if tensors[0].device.type == "cpu" else _DEVICE_CHUNK
    chunk = max(1, budget // sum(t.shape[1:].numel() for t in tensors))
    grouped = [t if t.dim() == 5 else _grouped(t, groups) for t in tensors]
    return zip(*(torch.split(t, chunk) for t in grouped), strict=True)
