"""Involution, forward and backward, against F.unfold, the first edition and what the machine allows."""

from __future__ import annotations

import multiprocessing
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.timing import Row, alternate, compare, milliseconds, training_step
from lit_models import ResNet
from lit_models.operators import involution2d

SHAPE, KERNEL_SIZE, GROUPS = (64, 64, 32, 32), 7, 4


def unfolded(input: Tensor, kernel: Tensor, stride: int = 1) -> Tensor:
    """Return the involution by its published formulation: the input in K^2 copies, times the kernel, summed."""
    (batch, channels), (_, groups, taps, height, width) = input.shape[:2], kernel.shape
    size = round(taps**0.5)
    windows = F.unfold(input, size, padding=size // 2, stride=stride)
    windows = windows.view(batch, groups, channels // groups, taps, height, width)
    return (windows * kernel.unsqueeze(2)).sum(3).reshape(batch, channels, height, width)


def tensors(shape: tuple[int, int, int, int] = SHAPE) -> tuple[Tensor, Tensor, Tensor]:
    """Return an input, a kernel and the gradient of the output."""
    batch, _, height, width = shape
    random = torch.Generator().manual_seed(0)
    input = torch.randn(shape, generator=random, requires_grad=True)
    kernel = torch.randn(batch, GROUPS, KERNEL_SIZE**2, height, width, generator=random, requires_grad=True)
    return input, kernel, torch.randn(shape, generator=random)


def bound(tensors: Sequence[Tensor], macs: float) -> tuple[float, str]:
    """Return the least milliseconds for a pass: of moving its tensors once, and of its products.

    Both rates are measured here and now: of a copy, and of the product of two float32 matrices.

    Args:
        tensors: what the pass reads or writes.
        macs: products that it adds up.
    """
    source, matrix = torch.ones(2**24), torch.ones(1024, 1024)
    target = torch.empty_like(source)
    copy, product = (min(times) for times in alternate(lambda: target.copy_(source), lambda: matrix @ matrix, 7))
    rates = 2 * source.nbytes / copy / 1e6, 1024**3 / product / 1e6  # GB and 10^9 products a second
    moved, multiplied = sum(t.nbytes for t in tensors) / rates[0] / 1e6, macs / rates[1] / 1e6
    words = (
        f"{moved:.1f} ms at {rates[0]:.1f} GB/s of a copy, {multiplied:.1f} ms at {rates[1]:.0f} GMAC/s of a product"
    )
    return max(moved, multiplied), words


@contextmanager
def first_edition() -> Iterator[None]:
    """Have the operators run without their compiled passes."""
    before = os.environ.get("OPERATOR_VECTORS")
    os.environ["OPERATOR_VECTORS"] = "none"
    try:
        yield
    finally:
        del os.environ["OPERATOR_VECTORS"]
        if before is not None:
            os.environ["OPERATOR_VECTORS"] = before


def on_threads(number: int, function: Callable[[], None]) -> Callable[[], None]:
    """Return the function, run on so many threads of PyTorch's."""

    def run() -> None:
        before = torch.get_num_threads()
        torch.set_num_threads(number)
        try:
            function()
        finally:
            torch.set_num_threads(before)

    return run


def resnet_step(operator: str, width: int, target: float, tiny: bool) -> Row:
    """Compare a training step of the ResNet-8 of an operator with that of the convolutional one, on one thread."""
    batch = 2 if tiny else 64
    images = torch.rand(batch, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    steps = [
        training_step(ResNet(depth=8, operator=name, width=size), images, torch.arange(batch) % 10)
        for name, size in ((operator, width), ("conv", 16))
    ]
    ours, peer = (on_threads(1, step) for step in steps)
    times = alternate(ours, peer, 2 if tiny else 7)
    case = f"training step of ResNet-8 by {operator}, width {width}, over conv, width 16; batch {batch}, one thread"
    return compare(case, "ms", *times, "share", target)


def run(tiny: bool = False) -> list[Row]:
    """Measure time, then memory."""
    shape, rounds = ((2, 8, 8, 8), 2) if tiny else (SHAPE, 7)
    input, kernel, gradient = tensors(shape)

    def ours() -> None:
        torch.autograd.grad(involution2d(input, kernel), (input, kernel), gradient)

    def peer() -> None:
        torch.autograd.grad(unfolded(input, kernel), (input, kernel), gradient)

    def first() -> None:
        with first_edition():
            ours()

    size = "×".join(map(str, shape))
    case = f"forward and backward, {size}, K = 7, fp32"
    rows = [
        compare(f"{case}, over F.unfold", "ms", *alternate(ours, peer, rounds), "less", 25.0),
        compare(f"{case}, over the first edition", "ms", *alternate(ours, first, rounds), "less", 3.0),
    ]
    least, words = bound(3 * [input, kernel, gradient], 3 * KERNEL_SIZE**2 * input.numel())
    alone = [milliseconds(ours) for _ in range(rounds)]
    rows.append(compare(f"{case}, over what the machine allows", "ms", alone, rounds * [least], "share", 2.5, words))
    if (os.cpu_count() or 1) > 1:
        times = alternate(on_threads(2, ours), on_threads(1, ours), rounds)
        rows.append(compare(f"{case}, two threads over one", "ms", *times, "less", 1.7))
        busy = multiprocessing.get_context("spawn").Process(target=_keep_busy, daemon=True)
        alone = [milliseconds(ours) for _ in range(rounds)]
        busy.start()
        time.sleep(0 if tiny else 3)  # it has to start
        beside = [milliseconds(ours) for _ in range(rounds)]
        both = alternate(ours, peer, rounds)
        busy.kill()
        rows.append(compare(f"{case}, beside a busy process over alone", "ms", beside, alone, "share", 1 / 0.6))
        rows.append(compare(f"{case}, over F.unfold, both beside a busy process", "ms", *both, "less", 1.0))
    rows.append(resnet_step("involution", 34, 3.5, tiny))
    if not tiny and Path("/proc/self/clear_refs").exists():
        peaks = [[peak_memory(name, shape)] for name in ("ours", "peer")]
        rows.append(compare(f"peak memory beside the inputs, {size}", "MB", peaks[0], peaks[1], "less", 25.0))
    return rows


def _keep_busy() -> None:
    """Take a core until killed."""
    while True:
        pass


def check() -> None:
    """Assert equal outputs and gradients."""
    input, kernel, gradient = tensors((2, 8, 6, 5))

    def results(function: Callable[[Tensor, Tensor], Tensor]) -> list[Tensor]:
        output = function(input, kernel)
        return [output, *torch.autograd.grad(output, (input, kernel), gradient)]

    with first_edition():
        before = results(involution2d)
    for one, *others in zip(results(involution2d), results(unfolded), before, strict=True):
        for other in others:
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
