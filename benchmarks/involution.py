"""Involution, forward and backward, against its published formulation with F.unfold."""

from __future__ import annotations

import multiprocessing
import re
from multiprocessing.connection import Connection
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.timing import Row, alternate, compare
from lit_models.operators import involution2d

SHAPE, KERNEL_SIZE, GROUPS = (64, 64, 32, 32), 7, 4


def unfolded(input: Tensor, kernel: Tensor) -> Tensor:
    """The published formulation: the input in K^2 copies, times the kernel, summed."""
    batch, channels, height, width = input.shape
    groups, taps = kernel.shape[1], kernel.shape[2]
    size = round(taps**0.5)
    windows = F.unfold(input, size, padding=size // 2).view(batch, groups, channels // groups, taps, height, width)
    return (windows * kernel.unsqueeze(2)).sum(3).view(input.shape)


def tensors(shape: tuple[int, int, int, int] = SHAPE) -> tuple[Tensor, Tensor, Tensor]:
    """Return an input, a kernel and the gradient of the output."""
    batch, _, height, width = shape
    random = torch.Generator().manual_seed(0)
    input = torch.randn(shape, generator=random, requires_grad=True)
    kernel = torch.randn(batch, GROUPS, KERNEL_SIZE**2, height, width, generator=random, requires_grad=True)
    return input, kernel, torch.randn(shape, generator=random)


def run(tiny: bool = False) -> list[Row]:
    """Measure time, then memory."""
    shape = (2, 8, 8, 8) if tiny else SHAPE
    input, kernel, gradient = tensors(shape)

    def ours() -> None:
        torch.autograd.grad(involution2d(input, kernel), (input, kernel), gradient)

    def peer() -> None:
        torch.autograd.grad(unfolded(input, kernel), (input, kernel), gradient)

    size = "×".join(map(str, shape))
    rows = [compare(f"time, {size}, K = 7, fp32", "ms", *alternate(ours, peer, 2 if tiny else 7), "less", 6.0)]
    if not tiny and Path("/proc/self/clear_refs").exists():
        peaks = [[peak_memory(name, shape)] for name in ("ours", "peer")]
        rows.append(compare(f"peak memory beside the inputs, {size}", "MB", peaks[0], peaks[1], "less", 8.0))
    return rows


def check() -> None:
    """Assert equal outputs and gradients."""
    input, kernel, gradient = tensors((2, 8, 6, 5))
    results = [
        (output, *torch.autograd.grad(output, (input, kernel), gradient))
        for output in (involution2d(input, kernel), unfolded(input, kernel))
    ]
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def peak_memory(side: str, shape: tuple[int, int, int, int]) -> float:
    """Return the MB that one pass needs beside its inputs, in a process that did nothing before."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_peak_memory, args=(side, shape, there))
    process.start()
    there.close()
    peak: float = here.recv()
    process.join()
    return peak


def _peak_memory(side: str, shape: tuple[int, int, int, int], answer: Connection) -> None:
    function = involution2d if side == "ours" else unfolded
    input, kernel, gradient = tensors((1, GROUPS, 8, 8))
    torch.autograd.grad(function(input, kernel), (input, kernel), gradient)  # threads and libraries
    input, kernel, gradient = tensors(shape)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = _status("VmRSS")
    torch.autograd.grad(function(input, kernel), (input, kernel), gradient)
    answer.send(max(_status("VmHWM") - before, 1) * 1024 / 1e6)


def _status(name: str) -> int:
    """Return a line of this process's status, in KiB."""
    found = re.search(rf"{name}:\s+(\d+)", Path("/proc/self/status").read_text())
    return int(found.group(1)) if found else 0
