"""What a network costs: parameters, multiply-accumulates, bytes, latency and throughput."""

from __future__ import annotations

import copy
import statistics
import time
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from lit_models.operators import Involution2d


@dataclass(frozen=True)
class Size:
    """Size of a network: trainable parameters, MACs for one image, bytes of parameters and buffers."""

    params: int
    macs: int
    bytes: int


def size(model: nn.Module, *example: Tensor) -> Size:
    """Measure the size of ``model``.

    Args:
        model: any network; it is left as it was.
        *example: what it takes for one image, ``(1, C, H, W)``.

    Returns:
        Parameters that are trained; MACs of one forward pass by torch's own counter (matrix products and
        convolutions, two FLOPs each) and, which it does not know, K x K for each output of an involution; bytes of
        parameters and buffers.
    """
    # Shapes are all that counts: a copy on the meta device computes nothing and leaves the model alone.
    ghost = copy.deepcopy(model).to("meta").eval()
    ghost._compiled_call_impl = None  # what was compiled for the model's own device
    involutions: list[int] = []

    def count(module: nn.Module, _: Any, output: Tensor) -> None:
        involutions.append(output.numel() * cast("Involution2d", module).kernel_size ** 2)

    for module in ghost.modules():
        if isinstance(module, Involution2d):
            module.register_forward_hook(count)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        ghost(*(part.to("meta") for part in example))
    tensors = [*model.parameters(), *model.buffers()]
    return Size(
        params=sum(p.numel() for p in model.parameters() if p.requires_grad),
        macs=counter.get_total_flops() // 2 + sum(involutions),
        bytes=sum(t.numel() * t.element_size() for t in tensors),
    )


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
    _synchronize(batch[0].device)
    end = time.perf_counter() + budget
    while len(times) < 3 or time.perf_counter() < end:
        start = time.perf_counter()
        model(*batch)
        _synchronize(batch[0].device)
        times.append(time.perf_counter() - start)
    model.train(training)
    return statistics.median(times)


def _synchronize(device: torch.device) -> None:
    """Wait for the device: an accelerator's kernels return before they are done."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)
