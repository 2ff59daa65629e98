"""Two processes with a thread each against one process with two threads, inside Trainer.fit."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from benchmarks.augment import Random
from benchmarks.timing import Rate, Row, compare, quiet
from benchmarks.train import trainer
from headtohead.trial.hardware import keep_freed_memory
from lit_models import CNN, Classifier

BATCH = 256
WARM_UP = 10  # steps: new processes first get the memory that they then keep

if multiprocessing.current_process().name != "MainProcess":
    quiet()  # this is one of the two processes, which import what they are given


class Process(Callback):
    """Prepares each process as ``train.py`` prepares a rank, and keeps the weights that rank 0 ends with."""

    def __init__(self, threads: int, path: str) -> None:
        self.threads, self.path = threads, path

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Set the number of threads; keep freed memory."""
        torch.set_num_threads(self.threads)
        keep_freed_memory()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the weights."""
        if trainer.is_global_zero:
            torch.save(pl_module.state_dict(), self.path)


def fit(
    model: Classifier, processes: int, threads: int, steps: int, batch_size: int, warm_up: int = 2, **options: Any
) -> tuple[float, dict[str, Any]]:
    """Return the images per second of an epoch over all processes, and the weights after it.

    Args:
        model: to train.
        processes: 1 or 2.
        threads: of each process.
        steps: of the epoch.
        batch_size: of all processes together.
        warm_up: steps that are not timed.
        options: of the Trainer.
    """
    data = Random(batch_size=batch_size, val_size=100, augment="none")
    data.count = batch_size * steps + 100
    before = torch.get_num_threads()
    with TemporaryDirectory() as folder:
        rate, weights = (str(Path(folder) / name) for name in ("rate", "weights"))
        measured = Rate(batch_size, warm_up, path=rate)
        options |= {"strategy": "ddp_spawn", "devices": 2} if processes == 2 else {"devices": 1}
        options["enable_progress_bar"] = False
        trainer(measured, callbacks=[measured, Process(threads, weights)], **options).fit(model, datamodule=data)
        torch.set_num_threads(before)
        return float(Path(rate).read_text()), torch.load(weights)


def run(tiny: bool = False) -> list[Row]:
    """Measure both in turn."""
    steps, batch, warm_up = (4, 8, 2) if tiny else (40, BATCH, WARM_UP)
    rates: tuple[list[float], list[float]] = ([], [])
    for _ in range(1 if tiny else 3):
        for side, (processes, threads) in zip(rates, ((2, 1), (1, 2)), strict=True):
            side.append(fit(Classifier(CNN(), schedule="constant"), processes, threads, steps, batch, warm_up)[0])
    note = "" if (os.cpu_count() or 1) >= 2 else "the machine has one core"
    return [compare(f"CNN, batch {batch}", "images/s", *rates, "more", 0.95, note)]


def check() -> None:
    """Assert that both end in the same weights: the mean over two halves of a batch is that of the whole."""
    torch.manual_seed(0)
    model = Classifier(CNN(width=2, hidden=4), schedule="constant", optimizer="sgd", lr=0.1)
    start = {name: value.clone() for name, value in model.state_dict().items()}
    results = []
    for processes in (2, 1):
        model.load_state_dict(start)
        # float32: bf16 would round the gradients of two halves otherwise than that of the whole
        results.append(fit(model, processes, 1, 4, 8, precision="32-true")[1])
    for name in (name for name, _ in model.named_parameters()):
        torch.testing.assert_close(results[0][name], results[1][name], rtol=1e-4, atol=1e-5)
        assert not torch.equal(results[0][name], start[name]), name
