"""How fast a network answers: the median time of one forward pass, with the device waited for."""

from __future__ import annotations

import statistics
import time

import torch
from torch import Tensor, nn


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


def synchronize(device: torch.device) -> None:
    """Wait for a device: an accelerator's kernels return before they are done."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)
