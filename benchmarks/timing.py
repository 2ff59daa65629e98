"""What the benchmarks share: two sides timed in turn, and the row that comes of it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn

from trial.rig import best_precision


class Missing(Exception):  # noqa: N818  # not an error: the row is left out
    """What a benchmark compares with is not installed; the message says what to install."""


@dataclass(frozen=True)
class Row:
    """Two sides of a benchmark.

    Args:
        case: what was measured.
        unit: of ``ours`` and ``peer``.
        ours: median over the rounds.
        peer: median over the rounds, of what it is compared with.
        ratio: of the medians, as ``better`` says.
        low: the smallest ratio of a round; its two sides ran one right after the other.
        high: the largest.
        target: what is to be reached, in words; empty where nothing is.
        met: whether it was.
        note: what the numbers do not say.
    """

    case: str
    unit: str
    ours: float
    peer: float
    ratio: float
    low: float
    high: float
    target: str = ""
    met: bool | None = None
    note: str = ""


def compare(
    case: str,
    unit: str,
    ours: Sequence[float],
    peer: Sequence[float],
    better: Literal["less", "more", "share"],
    target: float | None = None,
    note: str = "",
) -> Row:
    """Make a row of what was measured in each round.

    Args:
        case: what was measured.
        unit: of the numbers.
        ours: a number per round.
        peer: likewise, of the same rounds.
        better: ``less`` of it is better and the ratio is peer / ours; ``more`` is better and it is ours / peer;
            ``share`` is ours / peer of which less is better.
        target: the least ratio that is to be reached, or for ``share`` the greatest.
        note: what the numbers do not say.
    """

    def ratio(mine: float, theirs: float) -> float:
        return theirs / mine if better == "less" else mine / theirs

    middle = ratio(statistics.median(ours), statistics.median(peer))
    rounds = [ratio(*pair) for pair in zip(ours, peer, strict=True)]
    at_most = better == "share"
    return Row(
        case=case,
        unit=unit,
        ours=statistics.median(ours),
        peer=statistics.median(peer),
        ratio=middle,
        low=min(rounds),
        high=max(rounds),
        target="" if target is None else f"{'at most' if at_most else 'at least'} {target:g}×",
        met=None if target is None else middle <= target if at_most else middle >= target,
        note=note,
    )


def alternate(ours: Callable[[], Any], peer: Callable[[], Any], rounds: int) -> tuple[list[float], list[float]]:
    """Time both in turn, A B A B, so that whatever else the machine does falls on both.

    Returns:
        Milliseconds per round of each; the first round warms up and does not count.
    """
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds + 1):
        for side, function in zip(times, (ours, peer), strict=True):
            start = time.perf_counter()
            function()
            side.append(1e3 * (time.perf_counter() - start))
    return times[0][1:], times[1][1:]


def training_step(model: nn.Module, images: Tensor, labels: Tensor, precision: str = "32-true") -> Callable[[], None]:
    """Return a function that trains ``model`` one step further: forward, loss, backward, AdamW."""
    optimizer = torch.optim.AdamW(model.parameters())

    def step() -> None:
        with autocast(precision):
            loss = F.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def autocast(precision: str | None = None) -> AbstractContextManager[Any]:
    """Return the context in which the suite runs a network on this CPU, or in the given precision."""
    return torch.autocast("cpu", torch.bfloat16, enabled=(precision or best_precision("cpu")) == "bf16-mixed")


class Rate(Callback):
    """Measures the images per second of a fit, from the end of its warm-up to the end of its last step.

    Args:
        batch_size: images per step, over all processes.
        skip: steps that warm up and do not count.
        path: file to which rank 0 writes the rate, for a fit in processes of its own.
    """

    def __init__(self, batch_size: int, skip: int = 2, path: str | None = None) -> None:
        self.batch_size, self.skip, self.path = batch_size, skip, path
        self.ends: list[float] = []

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Note when the step ended."""
        self.ends.append(time.perf_counter())

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave the rate where another process finds it."""
        if self.path is not None and trainer.is_global_zero:
            with open(self.path, "w", encoding="utf-8") as file:
                file.write(str(self.value))

    @property
    def value(self) -> float:
        """Images per second."""
        return rate(self.ends, self.batch_size, self.skip)


def rate(ends: Sequence[float], batch_size: int, skip: int = 2) -> float:
    """Return images per second from the times at which steps ended; the first ``skip`` warm up."""
    return (len(ends) - skip) * batch_size / (ends[-1] - ends[skip - 1])
