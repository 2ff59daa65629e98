"""Involution in PyTorch's own operations: the K^2 taps added up one at a time, forward and backward.

It computes what the compiled passes do not: float64 and float16, and any device without Triton. The extra memory is a
workspace of a few samples.
"""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

# Elements of workspace per thread on a CPU. A chunk of samples this large (2 MB in float32) stays in the
# second-level cache over all K^2 taps; a smaller one pays more for launching operations than for arithmetic.
_CPU_CHUNK = 2**19
# Elsewhere the cache matters less than a busy device: this only bounds the workspace (64 MB in float32).
_DEVICE_CHUNK = 2**24


def forward(output: Tensor, input: Tensor, kernel: Tensor, stride: int) -> None:
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


def backward_input(grad_input: Tensor, grad_output: Tensor, kernel: Tensor, stride: int) -> None:
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


def backward_kernel(grad_kernel: Tensor, grad_output: Tensor, input: Tensor, stride: int) -> None:
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

    Input planes are zero-padded, and split by row and column modulo the stride, so that a strided tap is contiguous
    too. Output rows are as long as input rows (the ``pitch``), so that a tap of a whole plane is the same plane at an
    offset: one run of ``length`` elements in place of H_out short ones. What lies between the rows of an output is
    never copied out, and is zero wherever it would be added to something that is.

    Args:
        x: (n, G, C / G, H, W), a chunk of the input or of its gradient.
        k: (n, G, K * K, H_out, W_out), the same chunk of the kernel or of its gradient.
        stride: The involution's stride.
    """

    def __init__(self, x: Tensor, k: Tensor, stride: int) -> None:
        self.samples, self.groups, self.channels, height, width = x.shape
        _, _, taps, self.h_out, self.w_out = k.shape
        self.size = math.isqrt(taps)
        self.stride = stride
        self.pad = (self.size - 1) // 2
        reach = (self.size - 1) // stride
        # As far as the last tap reads or the input extends, whichever is more.
        self.n_rows = max(self.h_out + reach, -(-(height + self.pad) // stride))
        self.pitch = max(self.w_out + reach, -(-(width + self.pad) // stride))
        self.length = (self.h_out - 1) * self.pitch + self.w_out
        # Sums of 16 bit floats are kept in 32: K^2 roundings in a row would be visible.
        self.options: dict[str, Any] = {"dtype": torch.promote_types(x.dtype, torch.float32), "device": x.device}

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


def _chunks(groups: int, *tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Cuts the batch into chunks that fit the cache, each tensor as (n, G, ., ., .).

    Args:
        groups: G.
        tensors: (B, C, ., .), or (B, G, ., ., .) already.
    """
    budget = _CPU_CHUNK * torch.get_num_threads() if tensors[0].device.type == "cpu" else _DEVICE_CHUNK
    chunk = max(1, budget // sum(t.shape[1:].numel() for t in tensors))
    grouped = [t if t.dim() == 5 else t.unflatten(1, (groups, -1)) for t in tensors]
    return zip(*(torch.split(t, chunk) for t in grouped), strict=True)
