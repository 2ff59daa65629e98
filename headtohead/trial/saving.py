"""The callbacks that save a trial: ``best.ckpt`` after validation, ``last.ckpt`` with the history after each epoch."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any, Literal

import lightning
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint

from headtohead.trial import contention
from headtohead.trial.hardware import peak_memory_mb
from headtohead.trial.speed import synchronize


class Best(Checkpoint):
    """Keeps in ``best.ckpt`` the weights that did best in validation: those very weights that were validated.

    Lightning's ``ModelCheckpoint`` keeps those that the network has when it saves, which are others where a callback
    lends averaged weights for the validation. Nor is it found by its place among other callbacks, or by a path that
    is written down: a user's own ``ModelCheckpoint`` beside it, or another place for the folder, change nothing.

    Args:
        folder: where ``best.ckpt`` is kept.
        monitor: the logged number by which the best is chosen; of equal ones the first is.
        mode: ``max`` where more is better, ``min`` where less is.

    Raises:
        MisconfigurationException: later, no such number is logged in validation.
    """

    def __init__(self, folder: Path, monitor: str, mode: Literal["min", "max"]) -> None:
        self.path, self.monitor, self.mode = folder / "best.ckpt", monitor, mode
        self.score: float | None = None  # of the weights that are kept
        self._validated: dict[str, Any] = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Refuse a training that ends before its first validation."""
        batches, together = int(trainer.num_training_batches), trainer.accumulate_grad_batches
        first = int(trainer.val_check_batch or batches)  # validation's, in batches
        epochs = 0 if trainer.check_val_every_n_epoch is None else trainer.check_val_every_n_epoch - 1
        steps = epochs * -(-batches // together) + (-(-first // together) if first == batches else first // together)
        if self.score is None and 0 < trainer.max_steps < steps:
            raise MisconfigurationException(
                f"--trainer.max_steps: must reach the first validation, after {steps} steps: got {trainer.max_steps}"
            )

    def on_validation_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Copy the weights that are about to be validated."""
        if batch_idx == 0 and dataloader_idx == 0 and not trainer.sanity_checking:
            weights = trainer.strategy.lightning_module_state_dict()
            self._validated = {name: value.detach().clone() for name, value in weights.items()}

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write them if they are the best so far."""
        if trainer.sanity_checking or trainer.state.fn != "fit":
            return
        logged = trainer.callback_metrics
        if self.monitor not in logged:
            there_are = ", ".join(name for name in logged if not name.startswith("train_")) or "nothing"
            raise MisconfigurationException(
                f"--task: {type(pl_module).__name__} must log {self.monitor}, by which the best checkpoint is chosen, "
                f"in validation: it logs {there_are}"
            )
        score = float(logged[self.monitor])
        sign = 1 if self.mode == "max" else -1
        if self.score is None or sign * score > sign * self.score or (math.isnan(self.score) and not math.isnan(score)):
            self.score = score
            checkpoint = {
                "epoch": trainer.current_epoch,
                "global_step": trainer.global_step,
                "pytorch-lightning_version": lightning.__version__,
                "state_dict": self._validated,
            }
            trainer.strategy.save_checkpoint(checkpoint, self.path)
            trainer.strategy.barrier()
        self._validated = {}

    def state_dict(self) -> dict[str, Any]:
        """Return what the last checkpoint keeps."""
        return {"score": self.score}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.score = state_dict["score"]


class History(Checkpoint):
    """Writes ``last.ckpt`` after every epoch, and in it what was measured in all epochs so far.

    A trial that resumes from that file goes on where it stopped, with its history and its clock. The history has of
    every epoch: the logged numbers, the learning rate of its last step, the images of a step, and the seconds of its
    training. A number that only other epochs have is null, such as that of a validation every second epoch. It is a
    ``Checkpoint`` because those alone run after the model has logged its epoch. The clock is looked at when the device
    is done. The memory is that of the fit: what is measured after it needs more.

    Args:
        folder: where ``last.ckpt`` is kept.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "last.ckpt"
        self.epochs: list[dict[str, float | None]] = []
        self.data: str | None = None  # fingerprint of all images and labels
        self.contention: list[dict[str, float | None]] = []  # of each epoch, its validation included
        self.starts: list[int] = []  # the epochs with which the trial began, or went on after an interruption
        self._start = time.perf_counter()
        self._earlier_seconds = 0.0
        self.peak_memory_mb = 0.0  # of this process, up to the last epoch's end

    @property
    def total_seconds(self) -> float:
        """Seconds for which the trial ran, over all its starts."""
        return self._earlier_seconds + time.perf_counter() - self._start

    @property
    def seconds(self) -> list[float]:
        """Seconds of training of each epoch."""
        return [epoch["seconds"] or 0.0 for epoch in self.epochs]

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Start the clock of the trial: from here on no time goes to downloads or to a server that does not answer."""
        if stage == "fit":
            if trainer.is_global_zero:  # a logger of one's own may have made another folder alone
                self.path.parent.parent.mkdir(parents=True, exist_ok=True)
            self._start = time.perf_counter()

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Refuse data that are no longer those that the last checkpoint was trained on.

        Raises:
            MisconfigurationException: they have changed since.
        """
        data = getattr(getattr(trainer, "datamodule", None), "fingerprint", None)
        if self.data is not None and data != self.data:
            raise MisconfigurationException("--ckpt_path: the data have changed since it was written: begin anew")
        self.data = data

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note where the trial begins; forget what was allocated before, on a GPU."""
        super().on_train_start(trainer, pl_module)
        self.starts.append(len(self.epochs))
        if pl_module.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(pl_module.device)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock of the epoch."""
        synchronize(pl_module.device)
        self._before, self._look = dict(trainer.callback_metrics), contention.look()
        self._epoch_start, self._validation_seconds = time.perf_counter(), 0.0

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Note the learning rate of the step."""
        self._lr = trainer.optimizers[0].param_groups[0]["lr"] if trainer.optimizers else None

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop the clock: the seconds of an epoch are those of training."""
        synchronize(pl_module.device)
        self._validation_start = time.perf_counter()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Go on."""
        if not trainer.sanity_checking and trainer.state.fn == "fit":
            synchronize(pl_module.device)
            self._validation_seconds += time.perf_counter() - self._validation_start

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note the epoch, then write the checkpoint."""
        synchronize(pl_module.device)
        seconds = time.perf_counter() - self._epoch_start - self._validation_seconds
        self.peak_memory_mb = max(self.peak_memory_mb, peak_memory_mb(pl_module.device))
        # Lightning leaves what earlier epochs logged where it is: what was measured since is another object
        measured = {
            name: float(value)
            for name, value in trainer.callback_metrics.items()
            if value is not self._before.get(name)
        }
        batch_size = getattr(getattr(trainer, "datamodule", None), "batch_size", None)
        changing = {
            "lr": None if self._lr is None else float(self._lr),
            "batch_size": None if batch_size is None else batch_size * trainer.accumulate_grad_batches,
        }
        epoch = {"epoch": trainer.current_epoch, **measured, **changing, "seconds": seconds}
        names = dict.fromkeys([name for other in self.epochs[-1:] for name in other] + [*epoch])
        self.epochs = [{name: other.get(name) for name in names} for other in [*self.epochs, epoch]]
        self.contention.append(contention.between(self._look, contention.look()))
        trainer.save_checkpoint(self.path)

    def state_dict(self) -> dict[str, Any]:
        """Return what the checkpoint keeps."""
        measured = {"epochs": self.epochs, "contention": self.contention, "starts": self.starts}
        return {**measured, "data": self.data, "seconds": self.total_seconds, "memory": self.peak_memory_mb}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.epochs = list(state_dict["epochs"])
        self._earlier_seconds = state_dict["seconds"]
        # checkpoints of earlier versions have none of these
        self.data = state_dict.get("data")
        self.peak_memory_mb = state_dict.get("memory", 0.0)
        self.contention = list(state_dict.get("contention", [{}] * len(self.epochs)))
        self.starts = list(state_dict.get("starts", [0]))
