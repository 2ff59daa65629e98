"""How fast a network answers: the median time of one forward pass, with the device waited for."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from headtohead.trial.errors import is_out_of_memory

WORTH = 1.1  # times the images per second, for a batch of twice the size


@torch.no_grad()
def seconds_per_batch(model: nn.Module, *batch: Tensor, budget: float = 0.5) -> float:
    """Return the median seconds of one forward pass of ``model`` in evaluation mode.

    Args:
        model: the network, on the device of ``batch``; its mode is restored.
        *batch: what it takes for images ``(B, C, H, W)``.
        budget: seconds to spend on counted passes; at least 3 are counted, after 2 that are not.
    """
    training = model.training
    model.eval()
    times: list[float] = []
    for _ in range(2):
        model(*batch)
    synchronize(batch[0].device)
    end = time.perf_counter() + budget
    while len(times) < 3 or time.perf_counter() < end:
        start = time.perf_counter()
        model(*batch)
        synchronize(batch[0].device)
        times.append(time.perf_counter() - start)
    model.train(training)
    return statistics.median(times)


def saturating(seconds: Callable[[int], float], first: int, most: int, budget: float = 2.5) -> tuple[int, float]:
    """Double the batch while the images per second grow by more than a tenth; return the batch and its images/s.

    It also stops when memory runs out, or when the next size, taken to need at most ten times as long, would not fit
    into the budget.

    Args:
        seconds: of a batch of so many images.
        first: images of the smallest batch.
        most: of the largest.
        budget: seconds in which further sizes begin.
    """
    end = time.perf_counter() + budget
    batch, taken = first, seconds(first)
    while 2 * batch <= most and time.perf_counter() + 10 * taken < end:
        longer = _unless_memory_runs_out(seconds, 2 * batch)
        if longer > 2 * taken / WORTH:
            break
        batch, taken = 2 * batch, longer
    return batch, batch / taken


def _unless_memory_runs_out(seconds: Callable[[int], float], batch: int) -> float:
    """Return the seconds of a batch; infinity, and the memory to others, where it does not suffice."""
    try:
        return seconds(batch)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
    if torch.accelerator.is_available():
        torch.accelerator.empty_cache()  # here: the error kept what had been allocated
    return math.inf


def synchronize(device: torch.device) -> None:
    """Wait for a device: an accelerator's kernels return before they are done."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)
