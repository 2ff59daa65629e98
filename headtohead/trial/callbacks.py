"""Callbacks of a trial: random seeds per epoch, history, early ends (SIGTERM, a loss that is NaN), progress lines."""

from __future__ import annotations

import math
import os
import signal
import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint, ProgressBar

from headtohead.trial.errors import Terminated, TrialFailed
from headtohead.trial.hardware import peak_memory_mb
from headtohead.trial.speed import synchronize


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
        """Seed PyTorch on all devices."""
        # odd factors keep (seed, epoch, rank) apart; manual_seed takes 64 bits
        torch.manual_seed((self.seed * 1_000_003 + trainer.current_epoch * 10_007 + trainer.global_rank) % 2**63)


class History(ModelCheckpoint):
    """Writes ``last.ckpt`` after every epoch, and in it the scalars and seconds of all epochs so far.

    A trial that resumes from that file goes on where it stopped, with its history and its clock. It is a
    ``ModelCheckpoint`` because those alone run after the model has logged its epoch. The clock is looked at when the
    device is done, and the memory is that of the fit: what is measured after it needs more.

    Args:
        folder: where ``last.ckpt`` is kept.
    """

    def __init__(self, folder: str) -> None:
        # one file, replaced in one step: a counter in its name would leave two behind a kill
        super().__init__(
            folder, filename="last", save_top_k=1, save_on_train_epoch_end=True, enable_version_counter=False
        )
        self.epochs: list[dict[str, float]] = []
        self._start = time.perf_counter()
        self._earlier_seconds = 0.0
        self.peak_memory_mb = 0.0  # of this process, up to the last epoch's end

    @property
    def total_seconds(self) -> float:
        """Seconds for which the trial ran, over all its starts."""
        return self._earlier_seconds + time.perf_counter() - self._start

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Start the clock of the trial: from here on no time goes to downloads or to a server that does not answer."""
        super().setup(trainer, pl_module, stage)
        if stage == "fit":
            self._start = time.perf_counter()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget what was allocated before, on a GPU."""
        super().on_train_start(trainer, pl_module)
        if pl_module.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(pl_module.device)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock of the epoch."""
        synchronize(pl_module.device)
        self._epoch_start, self._validation_seconds = time.perf_counter(), 0.0

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop the clock: the seconds of an epoch are those of training."""
        synchronize(pl_module.device)
        self._validation_start = time.perf_counter()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Go on."""
        if not trainer.sanity_checking:
            synchronize(pl_module.device)
            self._validation_seconds += time.perf_counter() - self._validation_start
        super().on_validation_end(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note the epoch, then write the checkpoint."""
        synchronize(pl_module.device)
        seconds = time.perf_counter() - self._epoch_start - self._validation_seconds
        self.peak_memory_mb = max(self.peak_memory_mb, peak_memory_mb(pl_module.device))
        scalars = {name: float(value) for name, value in trainer.callback_metrics.items()}
        self.epochs.append({"epoch": trainer.current_epoch, **scalars, "seconds": seconds})
        super().on_train_epoch_end(trainer, pl_module)

    def state_dict(self) -> dict[str, Any]:
        """Return what the checkpoint keeps."""
        return {
            **super().state_dict(),
            "epochs": self.epochs,
            "seconds": self.total_seconds,
            "memory": self.peak_memory_mb,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        super().load_state_dict(state_dict)
        self.epochs = list(state_dict["epochs"])
        self._earlier_seconds = state_dict["seconds"]
        self.peak_memory_mb = state_dict.get("memory", 0.0)  # checkpoints of an earlier version have none


class Termination(Callback):
    """Ends a trial on all its ranks at SIGTERM, whoever of them gets it; the last checkpoint stays.

    Lightning's own handler, which this one replaces, talks to the other ranks from within: when a scheduler sends the
    signal to all of them, as Slurm does, each waits for the others for ever.

    Raises:
        Terminated: on the first rank, wherever it is. The others write nothing and end at once.
    """

    def _install(self, trainer: Trainer, pl_module: LightningModule) -> None:
        def end(*_: object) -> None:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough: an agent and a scheduler may both send it
            if trainer.strategy.launcher is not None:
                trainer.strategy.launcher.kill(signal.SIGTERM)
            if not trainer.is_global_zero:
                os._exit(0)  # 0, or Lightning would kill the first rank before it has ended its run
            raise Terminated

        signal.signal(signal.SIGTERM, end)

    # Lightning installs its own before each of these; a fit begins with a validation, to check that it works
    on_validation_start = on_train_start = on_test_start = _install


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
            self._line(trainer, batch_idx + 1)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print the epoch's result."""
        if self._enabled:
            self._line(trainer, int(self.total_train_batches))

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say that the test begins."""
        super().on_test_start(trainer, pl_module)
        if self._enabled:
            print("testing the best checkpoint", flush=True)

    def _line(self, trainer: Trainer, step: int) -> None:
        self._printed = time.perf_counter()
        epochs, steps = trainer.max_epochs or -1, int(self.total_train_batches)
        parts = [f"epoch {trainer.current_epoch + 1}" + (f"/{epochs}" if epochs > 0 else ""), f"step {step}/{steps}"]
        parts += [
            f"{name} {value:.4f}" for name, value in trainer.progress_bar_metrics.items() if isinstance(value, float)
        ]
        done = trainer.current_epoch * steps + step
        if epochs > 0 and done > self._first_step:
            seconds = (self._printed - self._start) / (done - self._first_step) * (epochs * steps - done)
            parts.append(f"{timedelta(seconds=round(seconds))} left")
        print(" · ".join(parts), flush=True)
