"""Involution on a GPU as three Triton kernels, each of which reads and writes every tensor once.

The arithmetic is that of :mod:`lit_models.operators.involution`, which calls these where Triton is installed: a program
takes a run of pixels with all channels of one group, and adds up in registers, in float32 (float64 for float64). Tensors
may have any strides; nothing is padded, unfolded or copied.

Every function writes to its first argument and takes the others as they come: ``input`` (B, C, H, W), ``kernel``
(B, G, K * K, H_out, W_out) with ``H_out = ceil(H / stride)`` and K odd, and gradients shaped as what they belong to.
"""

# mypy: disable-error-code="no-untyped-def,no-untyped-call,misc,untyped-decorator"
# No postponed annotations: Triton reads them to tell constants from arguments.
import math
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

# Values that a program holds in registers, where it sums over taps and where it sums over channels.
VALUES, ROW_VALUES = 2048, 4096
FEWEST, MOST = 16, 128  # pixels of a program
WARPS = 4


def forward(output: Tensor, input: Tensor, kernel: Tensor, stride: int) -> None:
    """Write the involution of ``input`` to ``output``."""
    _launch(_forward, input, kernel, output, stride, kernel.shape[3] * kernel.shape[4])


def backward_input(grad_input: Tensor, grad_output: Tensor, kernel: Tensor, stride: int) -> None:
    """Write the gradient of the input: every pixel gathers from the outputs whose window holds it."""
    _launch(_backward_input, grad_input, kernel, grad_output, stride, grad_input.shape[2] * grad_input.shape[3])


def backward_kernel(grad_kernel: Tensor, grad_output: Tensor, input: Tensor, stride: int) -> None:
    """Write the gradient of the kernel: per tap, what it read times the output's gradient, over channels."""
    _launch(_backward_kernel, input, grad_kernel, grad_output, stride, grad_kernel.shape[3] * grad_kernel.shape[4])


def _launch(program: Any, x: Tensor, k: Tensor, out: Tensor, stride: int, pixels: int) -> None:
    """Start a program for every run of pixels, sample and group.

    Args:
        program: the kernel.
        x: the input or its gradient.
        k: the kernel or its gradient.
        out: the output or its gradient.
        stride: of the involution.
        pixels: over how many the runs go, per sample and group.
    """
    (batch, channels, height, width), (_, groups, taps, h_out, w_out) = x.shape, k.shape
    if not batch:
        return
    per_group = channels // groups
    size = math.isqrt(taps)
    block, row = triton.next_power_of_2(per_group), triton.next_power_of_2(size)
    most = ROW_VALUES // (block * row) if program is _backward_kernel else VALUES // block
    run = max(FEWEST, min(MOST, most, triton.next_power_of_2(pixels)))
    runs = triton.cdiv(pixels, run)
    with torch.cuda.device_of(x):  # Triton starts programs on the current device, whatever the tensors' is
        program[(runs * batch * groups,)](
            *(x, k, out, runs, groups, height, width, h_out, w_out),
            *(*x.stride(), *k.stride(), *out.stride()),
            PER_GROUP=per_group,
            CHANNELS=block,
            ROW=row,
            PIXELS=run,
            SIZE=size,
            STRIDE=stride,
            SUM=tl.float64 if x.dtype == torch.float64 else tl.float32,
            num_warps=WARPS,
        )


# Tiles are (channels, pixels); that of the kernel's gradient is (channels, taps of a row, pixels), where SIZE taps are
# there and ROW is the power of two that holds them. Strides are named by tensor and dimension: kt is the kernel's from
# tap to tap. A sample may begin beyond 2^31 elements, a place within it may not.


@triton.jit
def _forward(
    x, k, out, runs, groups, height, width, h_out, w_out,
    xb, xc, xh, xw, kb, kg, kt, kh, kw, ob, oc, oh, ow,
    PER_GROUP: tl.constexpr, CHANNELS: tl.constexpr, ROW: tl.constexpr, PIXELS: tl.constexpr,
    SIZE: tl.constexpr, STRIDE: tl.constexpr, SUM: tl.constexpr,
):  # fmt: skip
    sample, group = (tl.program_id(0) // runs // groups).to(tl.int64), tl.program_id(0) // runs % groups
    pixel = tl.program_id(0) % runs * PIXELS + tl.arange(0, PIXELS)
    channel = tl.arange(0, CHANNELS)
    x += sample * xb + group * PER_GROUP * xc
    k += sample * kb + group * kg
    out += sample * ob + group * PER_GROUP * oc
    i, j = pixel // w_out, pixel % w_out
    there = pixel < h_out * w_out
    some = (channel < PER_GROUP)[:, None]
    total = tl.zeros((CHANNELS, PIXELS), SUM)
    for u in range(SIZE):
        row = i * STRIDE + u - SIZE // 2
        for v in range(SIZE):
            column = j * STRIDE + v - SIZE // 2
            inside = there & (row >= 0) & (row < height) & (column >= 0) & (column < width)
            weight = tl.load(k + (u * SIZE + v) * kt + i * kh + j * kw, mask=inside, other=0.0).to(SUM)
            read = channel[:, None] * xc + (row * xh + column * xw)[None, :]
            total += tl.load(x + read, mask=some & inside[None, :], other=0.0).to(SUM) * weight[None, :]
    place = channel[:, None] * oc + (i * oh + j * ow)[None, :]
    tl.store(out + place, total.to(out.dtype.element_ty), mask=some & there[None, :])


@triton.jit
def _backward_input(
    x, k, out, runs, groups, height, width, h_out, w_out,
    xb, xc, xh, xw, kb, kg, kt, kh, kw, ob, oc, oh, ow,
    PER_GROUP: tl.constexpr, CHANNELS: tl.constexpr, ROW: tl.constexpr, PIXELS: tl.constexpr,
    SIZE: tl.constexpr, STRIDE: tl.constexpr, SUM: tl.constexpr,
):  # fmt: skip
    sample, group = (tl.program_id(0) // runs // groups).to(tl.int64), tl.program_id(0) // runs % groups
    pixel = tl.program_id(0) % runs * PIXELS + tl.arange(0, PIXELS)
    channel = tl.arange(0, CHANNELS)
    x += sample * xb + group * PER_GROUP * xc
    k += sample * kb + group * kg
    out += sample * ob + group * PER_GROUP * oc
    row, column = pixel // width, pixel % width
    there = pixel < height * width
    some = (channel < PER_GROUP)[:, None]
    total = tl.zeros((CHANNELS, PIXELS), SUM)
    for u in range(SIZE):
        # the output that reads this pixel with this tap, where the stride lets one
        up = row + SIZE // 2 - u
        i = up // STRIDE
        for v in range(SIZE):
            left = column + SIZE // 2 - v
            j = left // STRIDE
            inside = there & (up >= 0) & (left >= 0) & (i < h_out) & (j < w_out)
            inside = inside & (i * STRIDE == up) & (j * STRIDE == left)
            weight = tl.load(k + (u * SIZE + v) * kt + i * kh + j * kw, mask=inside, other=0.0).to(SUM)
            read = channel[:, None] * oc + (i * oh + j * ow)[None, :]
            total += tl.load(out + read, mask=some & inside[None, :], other=0.0).to(SUM) * weight[None, :]
    place = channel[:, None] * xc + (row * xh + column * xw)[None, :]
    tl.store(x + place, total.to(x.dtype.element_ty), mask=some & there[None, :])


@triton.jit
def _backward_kernel(
    x, k, out, runs, groups, height, width, h_out, w_out,
    xb, xc, xh, xw, kb, kg, kt, kh, kw, ob, oc, oh, ow,
    PER_GROUP: tl.constexpr, CHANNELS: tl.constexpr, ROW: tl.constexpr, PIXELS: tl.constexpr,
    SIZE: tl.constexpr, STRIDE: tl.constexpr, SUM: tl.constexpr,
):  # fmt: skip
    sample, group = (tl.program_id(0) // runs // groups).to(tl.int64), tl.program_id(0) // runs % groups
    pixel = tl.program_id(0) % runs * PIXELS + tl.arange(0, PIXELS)
    channel = tl.arange(0, CHANNELS)
    v = tl.arange(0, ROW)[:, None]
    x += sample * xb + group * PER_GROUP * xc
    k += sample * kb + group * kg
    out += sample * ob + group * PER_GROUP * oc
    i, j = pixel // w_out, pixel % w_out
    there = pixel < h_out * w_out
    some = channel < PER_GROUP
    grads = channel[:, None] * oc + (i * oh + j * ow)[None, :]
    grad = tl.load(out + grads, mask=some[:, None] & there[None, :], other=0.0).to(SUM)
    for u in range(SIZE):
        row, column = (i * STRIDE + u - SIZE // 2)[None, :], (j * STRIDE)[None, :] + v - SIZE // 2
        inside = there[None, :] & (v < SIZE) & (row >= 0) & (row < height) & (column >= 0) & (column < width)
        place = channel[:, None, None] * xc + (row * xh + column * xw)[None, :, :]
        value = tl.load(x + place, mask=some[:, None, None] & inside[None, :, :], other=0.0).to(SUM)
        result = tl.sum(value * grad[:, None, :], 0).to(k.dtype.element_ty)
        # what lies outside is written too, as zero
        tl.store(k + (u * SIZE + v) * kt + (i * kh + j * kw)[None, :], result, mask=there[None, :] & (v < SIZE))
