"""What the benchmarks share: two sides timed in turn, and the row that comes of it."""

from __future__ import annotations

import logging
import multiprocessing
import os
import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, redirect_stdout
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Literal

import torch
import torch.nn.functional as F
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn

from headtohead.trial.hardware import best_precision, keep_freed_memory

Measure = Callable[[], float]  # one round of one side


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
            side.append(milliseconds(function))
    return times[0][1:], times[1][1:]


def apart(ours: Callable[[], Measure], peer: Callable[[], Measure], rounds: int) -> tuple[list[float], list[float]]:
    """Let both measure in turn, A B A B, each in a process of its own.

    What a step costs depends on how its process keeps memory: ours does as ``train.py`` has it done, the peer's is left
    as Python starts.

    Args:
        ours: what makes, in its process, the function that is called once a round and returns what it measured.
        peer: likewise.
        rounds: how many; one more goes before them, which warms up and does not count.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["benchmarks.train"])
    results: tuple[list[float], list[float]] = ([], [])
    pipes, processes = [], []
    for make, keep in ((ours, True), (peer, False)):
        here, there = context.Pipe()
        processes.append(context.Process(target=_serve, args=(make, keep, torch.get_num_threads(), there)))
        processes[-1].start()
        there.close()
        pipes.append(here)
    for _ in range(rounds + 1):
        for side, pipe in zip(results, pipes, strict=True):
            pipe.send(True)
            side.append(pipe.recv())
    for pipe, process in zip(pipes, processes, strict=True):
        pipe.send(False)
        process.join()
    return results[0][1:], results[1][1:]


def _serve(make: Callable[[], Measure], keep: bool, threads: int, pipe: Connection) -> None:
    """Measure whenever the parent says so; an error ends the process, which the parent sees as the end of the pipe."""
    quiet()
    multiprocessing.set_start_method(None, force=True)  # of the workers of a DataLoader: as anywhere, not as of this
    torch.set_num_threads(threads)
    if keep:
        keep_freed_memory()
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
        measure = make()
        while pipe.recv():
            pipe.send(measure())


def milliseconds(function: Callable[[], Any]) -> float:
    """Return how long a call takes."""
    start = time.perf_counter()
    function()
    return 1e3 * (time.perf_counter() - start)


def training(
    network: Callable[[], nn.Module],
    shape: tuple[int, int, int, int],
    precision: str = "32-true",
    memory_format: torch.memory_format = torch.contiguous_format,
    steps: int = 5,
) -> Measure:
    """Return a function that trains a new network some steps further and returns the milliseconds that one took.

    Args:
        network: makes it; it has 10 classes.
        shape: ``(B, C, H, W)`` of the images, which are random.
        precision: as for the Trainer.
        memory_format: of the images.
        steps: one after the other, as in training: after the other side's turn the first finds the caches full of that
            side's numbers.
    """
    images = torch.rand(shape).to(memory_format=memory_format)
    step = training_step(network(), images, torch.arange(len(images)) % 10, precision)
    return lambda: milliseconds(lambda: [step() for _ in range(steps)]) / steps


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


def quiet() -> None:
    """Keep what says nothing from being printed."""
    warnings.filterwarnings("ignore")
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)


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
