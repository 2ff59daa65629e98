"""What one training step of a network costs on this machine: its memory, and its seconds beside another network's."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from headtohead.trial.hardware import best_precision
from headtohead.trial.speed import synchronize

FEW = 2  # images, from which the memory of a batch is found
WARM = 2  # steps that are not counted
STATES = 4  # tensors of a parameter's size in a step: itself, its gradient, the two moments of AdamW


@dataclass(frozen=True)
class Beside:
    """The seconds of a training step of one network as a multiple of another's.

    Args:
        ratio: the median over turns, in each of which both took a step.
        low: below it lies a quarter of the turns.
        high: above it lies a quarter.
    """

    ratio: float
    low: float
    high: float


def training_bytes(network: nn.Module, example: tuple[Tensor, ...], batch: int) -> int:
    """Return the bytes that a training step keeps: parameters, gradients, AdamW's moments, buffers, activations.

    Activations are what the forward pass saves for the backward pass: PyTorch's own hooks count them for two images,
    and ``batch`` images need as much in proportion. What an operator needs for a moment only is not counted. So the
    number is without noise, and the same on all machines that run the same operators.

    Args:
        network: it is left as it was, but for its buffers.
        example: what it takes for one image, ``(1, C, H, W)`` each.
        batch: images of a step.
    """
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    parameters, own = list(network.parameters()), [*network.parameters(), *network.buffers()]
    images = tuple(torch.rand_like(part.expand(FEW, *part.shape[1:])) for part in example)
    network.train()
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        loss = _loss(network, images)  # alive, so that no storage is used twice
    for tensor in own:
        kept.pop(tensor.untyped_storage().data_ptr(), None)
    del loss
    trained = sum(p.numel() * p.element_size() for p in parameters if p.requires_grad)
    rest = sum(t.numel() * t.element_size() for t in own) - trained
    return STATES * trained + rest + sum(kept.values()) * batch // FEW


class Steps:
    """Training steps of a network: forward, backward and AdamW.

    Args:
        network: it is trained on noise.
        example: what it takes for one image, ``(1, C, H, W)`` each.
        batch: images of a step.
        device: where they are taken, by default on a GPU if there is one.
        layout: how the images lie in memory.
    """

    def __init__(
        self,
        network: nn.Module,
        example: tuple[Tensor, ...],
        batch: int,
        device: torch.device | None = None,
        layout: torch.memory_format = torch.channels_last,
    ) -> None:
        self.device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.network = network.to(self.device).train()
        images = (torch.rand_like(part.expand(batch, *part.shape[1:])) for part in example)
        self.images = tuple(part.to(self.device, memory_format=layout) for part in images)
        self.optimizer = torch.optim.AdamW(network.parameters(), lr=1e-6, fused=True)
        self.mixed = best_precision() == "bf16-mixed"

    def seconds(self, mixed: bool | None = None) -> float:
        """Take a step; return how long it took, with the device waited for.

        Args:
            mixed: under autocast to bfloat16; by default where the hardware multiplies in it.
        """
        mixed = self.mixed if mixed is None else mixed
        start = time.perf_counter()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=mixed):
            loss = _loss(self.network, self.images)
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        synchronize(self.device)
        return time.perf_counter() - start


def beside(one: Callable[[], float], other: Callable[[], float], turns: int, budget: float) -> Beside:
    """Take steps of two networks in turn, so that what slows the machine slows both; return how their seconds compare.

    Args:
        one: takes a step and returns its seconds.
        other: likewise.
        turns: at least; the first two are not counted.
        budget: seconds, after which no further turn begins.
    """
    ratios: list[float] = []
    end = time.perf_counter() + budget
    for turn in range(WARM + 200):
        if turn >= WARM + turns and time.perf_counter() > end:
            break
        ratio = one() / other()
        ratios += [ratio] if turn >= WARM else []
    low, middle, high = np.quantile(ratios, [0.25, 0.5, 0.75])
    return Beside(float(middle), float(low), float(high))


def _loss(network: nn.Module, images: tuple[Tensor, ...]) -> Tensor:
    """Return a number whose gradient reaches every parameter, whatever the task."""
    loss: Tensor = network(*images).float().square().mean()
    return loss
