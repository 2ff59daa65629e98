"""The stage that asks where a step waits for the device: each wait leaves the device idle while Python goes on."""

from __future__ import annotations

import os
import traceback
import warnings
from collections import Counter
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from benchmarks.gpu_check.findings import Findings
from benchmarks.gpu_check.networks import cases
from benchmarks.gpu_check.speed import trainer
from benchmarks.gpu_check.trials import ROOT

# How often a step may wait. One that is evaluated sends what is then kept: of a network that fills holes the masks and
# their shares, of a classifier the grids of the rotations. The first batch of a test has the range of its images read.
MOST = {
    ("training", "CNN"): 0,
    ("training", "ConvUNet"): 0,
    ("validation", "CNN"): 0,
    ("validation", "ConvUNet"): 2,
    ("test", "CNN"): 1,
    ("test", "ConvUNet"): 3,
}


class Watch(Callback):
    """Has PyTorch warn at each wait, from one step to another of a training, validation or test."""

    def __init__(self, what: str, first: int, last: int) -> None:
        self.what, self.first, self.last = what, first, last

    def _begin(self, what: str, index: int) -> None:
        if (what, index) == (self.what, self.first):
            torch.cuda.synchronize()
            torch.cuda.set_sync_debug_mode("warn")

    def _end(self, what: str, index: int) -> None:
        if (what, index) == (self.what, self.last):
            torch.cuda.set_sync_debug_mode("default")

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Begin."""
        self._begin("training", batch_idx)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """End."""
        self._end("training", batch_idx)

    def on_validation_batch_start(self, *given: Any, **_: Any) -> None:
        """Begin."""
        self._begin("validation", given[3])

    def on_validation_batch_end(self, *given: Any, **_: Any) -> None:
        """End."""
        self._end("validation", given[4])

    def on_test_batch_start(self, *given: Any, **_: Any) -> None:
        """Begin."""
        self._begin("test", given[3])

    def on_test_batch_end(self, *given: Any, **_: Any) -> None:
        """End."""
        self._end("test", given[4])


def waits(found: Findings) -> None:
    """Waits per step of training, validation and test, and the lines that wait."""
    if not found.cuda:
        found.note("Only a GPU is waited for.")
        return
    every = cases()
    runs: list[tuple[str, str, dict[str, Any], dict[str, Any]]] = [
        *(("training", "CNN", {"augment": name}, {}) for name in ("crop_flip", "flip", "rotate", "color")),
        ("training", "ConvUNet", {"augment": "flip"}, {}),
        ("training", "CNN", {"augment": "none"}, {"gradient_clip_val": 1.0}),
        ("validation", "CNN", {"augment": "none"}, {"limit_val_batches": 4}),
        ("validation", "ConvUNet", {"augment": "none"}, {"limit_val_batches": 4}),
        ("test", "CNN", {"augment": "none"}, {}),
        ("test", "ConvUNet", {"augment": "none"}, {}),
    ]
    for what, name, of_data, of_trainer in runs:
        if found.left < 5:
            found.note("No time was left for the rest.")
            return
        one = every[name]
        data = one.data(30, **of_data)
        data.val_size = 640  # five batches
        data.count += 640
        first, last = {"training": (6, 20), "validation": (1, 2), "test": (0, 0)}[what]
        seen: Counter[str] = Counter()

        def shown(message: Any, *_: Any, seen: Counter[str] = seen, **__: Any) -> None:
            own = any(frame.name in ("_begin", "_end") for frame in traceback.extract_stack())
            if "synchroniz" in str(message) and not own:
                seen[_where()] += 1

        fit = trainer(found, [Watch(what, first, last)], "bf16-mixed", num_sanity_val_steps=0, **of_trainer)
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.showwarning = shown
            try:
                if what == "test":
                    fit.test(one.task(), datamodule=data, verbose=False)
                else:
                    fit.fit(one.task(), datamodule=data)
            finally:
                torch.cuda.set_sync_debug_mode("default")
        steps = last - first + 1
        more = ", clipped" if of_trainer.get("gradient_clip_val") else ""
        said = f"{what} of {name}, augment={of_data['augment']}{more}"
        judge(found, said, seen, steps, MOST[what, name])


def judge(found: Findings, said: str, seen: Counter[str], steps: int, most: int) -> None:
    """Keep whether steps waited no more often than they may, and where they did.

    Args:
        found: where that is kept.
        said: what steps they are.
        seen: waits by the line that waits.
        steps: how many they are.
        most: waits that each may have.
    """
    each = seen.total() / steps
    may = f"at most {most} waits" if most else "no wait"
    found.right(f"{said}: {may}", each <= most, f"{each:.2f} a step")
    for place, count in seen.most_common(6):
        found.row("Waits", step=said, waits=count / steps, at=place)
    if not seen:
        found.row("Waits", step=said, waits=0.0, at="")


def _where() -> str:
    """Return the line that waits, and the suite's line that led to it."""
    frames = [f for f in traceback.extract_stack() if not f.filename.endswith(("warnings.py", "waits.py"))]
    ours = next((f for f in reversed(frames) if f.filename.startswith(f"{ROOT}{os.sep}")), None)
    inner = frames[-1]
    place = f"{inner.filename.rpartition('site-packages/')[2].removeprefix(f'{ROOT}/')}:{inner.lineno}"
    if ours is None or ours is inner:
        return place
    return f"{place}, from {ours.filename.removeprefix(f'{ROOT}/')}:{ours.lineno}"
