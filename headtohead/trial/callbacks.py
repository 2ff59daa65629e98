"""Callbacks of a trial: random seeds per epoch, what ends it early, progress lines."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import numpy as np
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar

from datamodules import ImageDataModule
from datamodules.streams import DRAWS, stream_seed
from headtohead.cli.errors import one_line
from headtohead.trial.errors import TrialFailed
from headtohead.trial.networks import LAYOUTS, drawn_images, facts_of, left_as_it_is
from lit_models import Classifier, Inpainter, Task
from lit_models.facts import FACTS


class EpochSeed(Callback):
    """Seeds every training epoch from the trial's seed, the epoch and the rank.

    A trial that resumes after epoch 3 then draws the same augmentations and dropout masks in epoch 4 as one that
    was never interrupted, and every rank draws its own.

    Args:
        seed: of the trial.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Seed PyTorch on all devices, NumPy and Python: a network may draw from any of them."""
        seed = stream_seed(self.seed, trainer.current_epoch, trainer.global_rank, DRAWS)
        torch.manual_seed(seed)
        np.random.seed([seed % 2**32, seed >> 32])  # which takes words of 32 bits
        random.seed(seed)


class FiniteLoss(Callback):
    """Stops a trial whose training loss became infinite or NaN, or grew a ten-thousandfold: it would only waste time.

    Losses are left where they were computed and read some at a time, so that the device never has to wait; the message
    names the step at which it began.

    Args:
        every: steps between two readings; on one CPU, where reading costs nothing, every step is read.
    """

    growth = 1e4  # over the first loss, or over 1 where that is smaller: no recipe that learns comes near it

    def __init__(self, every: int = 50) -> None:
        self.every = every

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin with no loss kept."""
        self._kept: list[tuple[int, torch.Tensor]] = []  # steps, counted from 1, and their losses
        self._limit: float | None = None
        self._between = 1 if pl_module.device.type == "cpu" and trainer.world_size == 1 else self.every

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Keep the loss; read what was kept if it is time to."""
        if isinstance(outputs, Mapping) and "loss" in outputs:  # a task that optimises by hand returns none
            self._kept.append((trainer.fit_loop.total_batch_idx + 1, outputs["loss"].detach()))
            if len(self._kept) >= self._between:
                self._read(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Read before the checkpoint is written."""
        self._read(trainer, pl_module)

    def _read(self, trainer: Trainer, pl_module: LightningModule) -> None:
        kept, self._kept = self._kept, []
        losses = torch.stack([loss for _, loss in kept]).float().tolist() if kept else []
        if self._limit is None and losses:
            self._limit = self.growth * max(abs(losses[0]), 1)
        # not "greater than": a comparison with NaN is false; an infinite loss may meet an infinite limit
        fine = [math.isfinite(loss) and abs(loss) <= (self._limit or 0) for loss in losses]
        bad = not all(fine)
        if trainer.world_size > 1:  # all processes stop, or none: a single one would be waited for
            bad = trainer.strategy.reduce_boolean_decision(bad, all=False)
        if not bad:
            return
        if all(fine):
            raise TrialFailed("loss became NaN or too large in another process")
        (step, _), loss = kept[fine.index(False)], losses[fine.index(False)]
        became = (
            f"grew to {loss:.3g}" if math.isfinite(loss) else "became NaN" if math.isnan(loss) else "became infinite"
        )
        lr = getattr(pl_module, "lr", None)
        raise TrialFailed(f"loss {became} at step {step}; lower task.lr" + (f" ({lr})" if lr else ""))


class LastBatch(Callback):
    """Tries, before the training, a last batch of one image, on which batch norm may have no statistics.

    Raises:
        MisconfigurationException: every epoch would end with such a batch, and the network cannot be trained on it.
    """

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Try it."""
        data: Any = getattr(trainer, "datamodule", None)
        facts, world = facts_of(data), trainer.world_size
        if not hasattr(data, "train") or trainer.limit_train_batches != 1.0 or len(facts) < len(FACTS):
            return
        mine, each = -(-len(data.train) // world), data.batch_size // world
        if (mine - 1) % each or not isinstance(pl_module, Task):
            return
        dtype, layout = next(pl_module.parameters()).dtype, LAYOUTS[data.memory_format]
        image = drawn_images(1, facts).to(pl_module.device, dtype, memory_format=layout)
        try:
            with torch.random.fork_rng(), left_as_it_is(pl_module), torch.no_grad():
                pl_module.train()
                with trainer.precision_plugin.forward_context():
                    pl_module.net(*pl_module.inputs(image))
        except Exception as error:  # of anybody's forward
            raise MisconfigurationException(
                f"--data.batch_size: {data.batch_size} leaves one image for the last batch of an epoch, on which "
                f"{type(pl_module.net).__name__} cannot be trained ({one_line(error)}): give another"
            ) from None


class TestShare(Callback):
    """Sees, before the training, that the share of the test set that is asked for holds a batch.

    Raises:
        MisconfigurationException: it holds none.
    """

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Count the batches."""
        share, data = trainer.limit_test_batches, getattr(trainer, "datamodule", None)
        if not isinstance(share, float) or not isinstance(data, ImageDataModule):
            return
        batches = min(map(len, data.test_dataloader()))
        if 0 < share * batches < 1:
            raise MisconfigurationException(
                f"--trainer.limit_test_batches: {share:g} of {batches} test batches is none: give 1 batch, "
                f"or a share of {1 / batches:.3g} at least"
            )


class Labelled(Callback):
    """Refuses a data module of somebody else's whose batches are no images with their labels, before any is used.

    Raises:
        MisconfigurationException: a loader yields something else, such as bare images.
    """

    def _check(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, *_: Any) -> None:
        if batch_idx or not isinstance(pl_module, Classifier | Inpainter):  # a task of one's own may take anything
            return
        if not (isinstance(batch, list | tuple) and len(batch) == 2):
            data = type(getattr(trainer, "datamodule", None)).__name__
            got = f"{len(batch)} things" if isinstance(batch, list | tuple) else f"a {type(batch).__name__}"
            raise MisconfigurationException(f"--data: {data} must yield batches of images and labels: got {got}")

    on_train_batch_start = on_validation_batch_start = on_test_batch_start = _check  # type: ignore[assignment]  # theirs name more


class LineProgress(ProgressBar):
    """Progress as plain lines, for output that is not a terminal: a log, a pipe, the runner of sweeps.

    Args:
        interval: seconds between two lines.
    """

    def __init__(self, interval: float = 5.0) -> None:
        super().__init__()
        self.interval = interval
        self._enabled = True

    def disable(self) -> None:
        """Print nothing: Lightning calls it on all ranks but the first."""
        self._enabled = False

    def enable(self) -> None:
        """Print."""
        self._enabled = True

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock that the time left is computed from."""
        super().on_train_start(trainer, pl_module)
        self._start = self._printed = time.perf_counter()
        self._first_step = trainer.fit_loop.total_batch_idx + 1

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Print where the training stands, if the last line is old enough."""
        if self._enabled and time.perf_counter() - self._printed >= self.interval:
            loss = outputs.get("loss") if isinstance(outputs, Mapping) else None
            self._line(trainer, batch_idx + 1, [] if loss is None else [f"loss {float(loss):.4f}"])

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print the epoch's result."""
        if self._enabled:
            self._line(trainer, int(self.total_train_batches))

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say that the test begins."""
        super().on_test_start(trainer, pl_module)
        if self._enabled:
            print("testing the best checkpoint", flush=True)
        self._printed = time.perf_counter()

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Print where the test stands, if the last line is old enough."""
        if self._enabled and time.perf_counter() - self._printed >= self.interval:
            self._printed = time.perf_counter()
            print(f"testing · step {batch_idx + 1}/{int(trainer.num_test_batches[dataloader_idx])}", flush=True)

    def _line(self, trainer: Trainer, step: int, more: Sequence[str] = ()) -> None:
        self._printed = time.perf_counter()
        epochs, steps = trainer.max_epochs or -1, int(self.total_train_batches)
        parts = [
            f"epoch {trainer.current_epoch + 1}" + (f"/{epochs}" if epochs > 0 else ""),
            f"step {step}/{steps}",
            *more,
        ]
        parts += [
            f"{name} {value:.4f}" for name, value in trainer.progress_bar_metrics.items() if isinstance(value, float)
        ]
        done = trainer.current_epoch * steps + step
        if epochs > 0 and done > self._first_step:
            seconds = (self._printed - self._start) / (done - self._first_step) * (epochs * steps - done)
            parts.append(f"{timedelta(seconds=round(seconds))} left")
        print(" · ".join(parts), flush=True)
