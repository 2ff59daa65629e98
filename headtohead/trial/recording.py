"""Builds the record of a trial: its scores, sizes, times and hardware."""

from __future__ import annotations

import math
import platform
import statistics
import subprocess
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, cast

import kornia
import lightning
import torch
import torchvision
from lightning.pytorch import Callback, LightningModule, Trainer

from headtohead.records import per_image
from headtohead.records.metrics import in_words
from headtohead.records.record import Record, config_hash, write
from headtohead.trial import contention
from headtohead.trial.config import data_name, network_name
from headtohead.trial.hardware import cpu_name, driver, trials_at_once, trials_on_machine
from headtohead.trial.networks import LAYOUTS, facts_of
from headtohead.trial.saving import Best, History
from headtohead.trial.speed import saturating, seconds_per_batch
from headtohead.trial.tracking import TrialLogger
from lit_models import Classifier, Task
from lit_models.facts import example_inputs
from lit_models.operators import vectors
from lit_models.sizes import size

THROUGHPUT_BATCH = 256  # images; on an accelerator, where launches bound small networks at that size, the least
LARGEST_BATCH = 8192


class Recorder(Callback):
    """Writes the record once the test has ended, on rank 0, in the process that ran the test.

    Args:
        folder: where ``record.json`` is written.
        config: from :func:`headtohead.trial.config.resolved_config`.
        seed: of the trial.
        best: the checkpoint that was tested.
        history: of the fit.
    """

    def __init__(self, folder: Path, config: dict[str, Any], seed: int, best: Best, history: History) -> None:
        self.folder, self.config, self.seed, self.best, self.history = folder, config, seed, best, history

    def recall(self) -> None:
        """Read from the last checkpoint what a fit in processes of its own (``ddp_spawn``) left only there."""
        if not self.history.epochs and self.history.path.is_file():
            states = torch.load(self.history.path, map_location="cpu", weights_only=True)["callbacks"]
            for callback in (self.best, self.history):
                callback.load_state_dict(states[callback.state_key])

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure what is left to measure, write the record, and give its numbers to the logger."""
        if not trainer.is_global_zero:
            return
        record = self._record(trainer, cast("Task", pl_module))
        path = write(record, self.folder)
        for logger in trainer.loggers:
            if not isinstance(logger, TrialLogger):  # which gets all of the record, later
                logger.log_metrics(scalars(record))
        print(
            f"{record.model} on {record.data}, seed {self.seed}: {in_words(record.quality)}, "
            f"{record.size['params']:,} parameters, {record.cost['total_seconds']:.0f} s\n{path}",
            flush=True,
        )

    def _record(self, trainer: Trainer, model: Task) -> Record:
        device = trainer.strategy.root_device
        data: Any = getattr(trainer, "datamodule", None)
        memory_format = getattr(data, "memory_format", "contiguous")
        layout = LAYOUTS[memory_format]
        example = [
            part.to(device, next(model.parameters()).dtype, memory_format=layout)
            for part in example_inputs(model.net, facts_of(data))
        ]
        compiled = model.net._compiled_call_impl is not None
        # a network compiled for each size would take minutes
        largest = THROUGHPUT_BATCH if device.type == "cpu" or compiled else LARGEST_BATCH

        def seconds(images: int) -> float:
            batch = [part.expand(images, *part.shape[1:]).clone(memory_format=layout) for part in example]
            return seconds_per_batch(model, *batch)

        total_seconds, before = self.history.total_seconds, contention.look()
        with trainer.precision_plugin.forward_context():
            latency = seconds_per_batch(model, *example)
            batch, throughput = saturating(seconds, THROUGHPUT_BATCH, largest)
        shares = contention.between(before, contention.look())
        warm_ups = self.history.starts if compiled or device.type != "cpu" else []
        epoch_seconds = seconds_of_an_epoch(self.history.seconds, warm_ups, compiled)
        images = _images_per_epoch(trainer, data) if hasattr(data, "train") else float("nan")
        score = self.best.score
        quality = {model.monitor: float("nan") if score is None else round(score, 6), **model.test_report}
        if "confusion" in quality and hasattr(data, "class_names"):
            quality["class_names"] = list(data.class_names)
        measured = size(model.net, *example)
        return Record(
            model=network_name(self.config),
            data=data_name(self.config),
            seed=self.seed,
            config=self.config,
            config_hash=config_hash(self.config),
            commit=code_commit(),
            hardware=_hardware(trainer, model, data),
            size={"params": measured.params, "macs": measured.macs, "bytes": measured.bytes},
            quality=quality,
            cost={
                "epoch_seconds": epoch_seconds,
                "train_images_per_second": images / epoch_seconds,
                "latency_seconds": latency,
                "inference_images_per_second": throughput,
                "inference_batch": batch,
                "peak_memory_mb": self.history.peak_memory_mb,
                "total_seconds": total_seconds,
            },
            history=self.history.epochs,
            per_image=_per_image(model, data),
            contention={"epochs": self.history.contention, "inference": shares},
        )


def _per_image(model: Task, data: Any) -> per_image.PerImage | None:
    """Pack what the test found of every image; None for a task or data of somebody else's that do not tell."""
    found, test_set = getattr(model, "per_image", None), getattr(data, "test_set", None)
    if found is None or test_set is None:
        return None
    if isinstance(model, Classifier):
        return per_image.of_classifier(test_set, dict(zip(model.angles, found.numpy(), strict=True)))
    groups = {name: among.numpy() for name, among in getattr(model, "groups", {}).items()}
    return per_image.of_inpainter(test_set, found[0].numpy(), groups)


def seconds_of_an_epoch(seconds: Sequence[float], warm_ups: Collection[int], compiled: bool) -> float:
    """Return the median seconds of an epoch, without those that compiled or loaded what others found ready.

    Args:
        seconds: of each epoch.
        warm_ups: which began a start of the trial.
        compiled: whether these compiled the network. Where there are no others the time of an epoch is then unknown,
            NaN; otherwise theirs is taken.
    """
    others = [one for epoch, one in enumerate(seconds) if epoch not in warm_ups]
    if others or not compiled:
        return statistics.median(others or seconds)
    return math.nan


def _images_per_epoch(trainer: Trainer, data: Any) -> int:
    """Return how many images an epoch trains on: all, or what ``limit_train_batches`` leaves of them."""
    batches, limit = -(-len(data.train) // data.batch_size), trainer.limit_train_batches
    taken = int(batches * limit) if isinstance(limit, float) else min(batches, limit)
    return min(len(data.train), taken * int(data.batch_size))


def scalars(record: Record) -> dict[str, float]:
    """Return the numbers of a record that a table would show, by name."""
    parts: dict[str, Any] = {**record.size, **record.quality, **record.cost}
    return {name: value for name, value in parts.items() if isinstance(value, int | float)}


def _hardware(trainer: Trainer, model: Task, data: Any) -> dict[str, Any]:
    device = trainer.strategy.root_device
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else cpu_name(),
        "accelerator": device.type,
        "devices": trainer.num_devices,
        "nodes": trainer.num_nodes,
        "precision": str(trainer.precision),
        "memory_format": getattr(data, "memory_format", "contiguous"),
        "images_on": getattr(data, "images_on", "host"),  # where batches are gathered: the device, or the host's memory
        "compiled": model.net._compiled_call_impl is not None,
        "operators": vectors() if device.type == "cpu" else "",  # by what involution and depthwise filters ran
        "threads": torch.get_num_threads(),
        "trials_at_once": trials_at_once(),
        "trials_on_machine": trials_on_machine(),
        "host": cpu_name(),  # which bounds the small networks, whatever the device
        "driver": driver() if device.type == "cuda" else "",
        "tf32": device.type == "cuda"
        and (torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32) != (False, False),
        # cuDNN always repeats itself here; on a GPU other operations do if asked, by --trainer.deterministic
        "deterministic": device.type != "cuda" or torch.are_deterministic_algorithms_enabled(),
        "versions": {
            "python": platform.python_version(),
            "torch": str(torch.__version__),
            "torchvision": str(torchvision.__version__),
            "lightning": lightning.__version__,
            "kornia": str(kornia.__version__),
        },
    }


def code_commit() -> str:
    """Return the commit of this code; empty outside a checkout."""
    root = Path(__file__).parents[2]
    if not (root / "pyproject.toml").is_file():  # installed: a repository around it is not its own
        return ""

    def git(*words: str) -> str:
        # without the lock that status would take: left behind by a killed trial, it would stop the user's commits
        command = ["git", "--no-optional-locks", "-C", str(root), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        commit, changed = git("rev-parse", "--short=10", "HEAD"), git("status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return ""
    return commit + ("-dirty" if changed else "")
