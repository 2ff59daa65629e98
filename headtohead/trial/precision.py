"""Chooses the precision of a trial that was given none: by the seconds of a few training steps, where bf16 may pay."""

from __future__ import annotations

import copy
import os
import platform
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from jsonargparse import Namespace
from lightning.pytorch import Trainer
from lightning.pytorch.plugins.precision import Precision
from lightning.pytorch.utilities.seed import isolate_rng
from torch import Tensor, nn

from headtohead.cli.errors import one_line
from headtohead.records.files import write_text
from headtohead.records.record import config_hash
from headtohead.trial.checkpoints import ORIGIN, SafeCheckpointIO
from headtohead.trial.hardware import best_precision
from headtohead.trial.networks import LAYOUTS, facts_of
from headtohead.trial.training_cost import Steps, beside
from lit_models import Task
from lit_models.facts import FACTS, example_inputs

LEAST = 1.1  # times as fast as float32, for bfloat16 to be taken
TURNS, BUDGET = 5, 0.3  # steps in each precision, and seconds, both at least
FOLDER = "precision"  # in that of a sweep: a file for each configuration and device


def begin(trainer: Namespace, checkpoint: Mapping[str, Any] | None) -> bool:
    """Fill in the precision if none is given: that of the checkpoint which is gone on from, or the hardware's.

    Args:
        trainer: the Trainer's arguments; ``precision`` may change.
        checkpoint: from which the trial goes on, if it does.

    Returns:
        Whether a measurement is to confirm it: on a GPU the casts are launches, which a small network waits for. On a
        CPU they are cheap.
    """
    if trainer.precision is not None or trainer.plugins is not None:  # a plugin may bring its own
        return False
    held = ((checkpoint or {}).get(ORIGIN) or {}).get("precision")
    if held in ("bf16-mixed", "32-true"):
        trainer.precision = held
        return False
    trainer.precision = best_precision(trainer.accelerator)
    return trainer.precision == "bf16-mixed" and _on_gpu(trainer.accelerator)


def _on_gpu(accelerator: Any) -> bool:
    return torch.cuda.is_available() and accelerator in ("auto", "gpu", "cuda")


def settle(arguments: Namespace, trainer: Trainer, task: Task, data: Any, config: Mapping[str, Any]) -> None:
    """Go back from bfloat16 to float32 where it is not clearly faster in training, and say what was measured.

    Trials of a sweep that differ in the seed alone get one precision: the first that has measured writes it down beside
    them. Left as they are: a trial on several devices, whose ranks have to agree, and a compiled network, in which
    casts cost no launches and a copy would have to be compiled twice.

    Args:
        arguments: the Trainer's, as they are kept in ``config.yaml``.
        trainer: in ``bf16-mixed`` on entry.
        task: not yet on the device; it is left as it is, and so are all random numbers.
        data: the data module, whose batch size counts.
        config: the trial's resolved arguments.
    """
    facts = facts_of(data)
    batch, layout = getattr(data, "batch_size", None), LAYOUTS[getattr(data, "memory_format", "contiguous")]
    known = len(facts) == len(FACTS) and batch is not None  # which somebody else's data module need not say
    if trainer.world_size > 1 or task.net._compiled_call_impl is not None or not known:
        return
    device, folder = trainer.strategy.root_device, Path(arguments.default_root_dir)
    if "SWEEP_NAME" in os.environ or folder.parent.parent == Path("runs"):  # else nobody's folder but this trial's
        folder = folder.parent
    path = folder / FOLDER / f"{config_hash({**config, 'on': _name(device)})}.txt"
    if path.is_file():
        said = path.read_text(encoding="utf-8")
    else:
        example = example_inputs(task.net, facts)
        said = _first(path, _measured(task.net, example, batch, device, layout))
        if device.type == "cuda":  # a trial's peak is its own
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(device)
    print(said.strip(), flush=True)
    if not said.startswith("precision bf16-mixed"):
        arguments.precision, trainer.strategy.precision_plugin = "32-true", Precision()
        if isinstance(checkpoints := trainer.strategy.checkpoint_io, SafeCheckpointIO):
            checkpoints.origin["precision"] = "32-true"


def _name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device)


def _measured(*of: Any) -> str:
    """Return in a line which precision is taken, and why; see :func:`speedup`."""
    with isolate_rng():  # which, when an error leaves it, would not set random numbers back
        try:
            ratio = speedup(*of)
        except Exception as error:  # of anybody's forward, or out of memory: the training says it if it matters there
            return f"precision 32-true: bf16-mixed could not be compared with it: {one_line(error)[:100]}\n"
    if ratio > LEAST:
        return f"precision bf16-mixed: {ratio:.3g} x as fast as 32-true here\n"
    return f"precision 32-true: bf16-mixed is only {ratio:.3g} x as fast here\n"


def speedup(
    net: nn.Module, example: tuple[Tensor, ...], batch: int, device: torch.device, layout: torch.memory_format
) -> float:
    """Return the seconds of a training step in float32 as a multiple of those under bfloat16, of a copy, in turns."""
    steps = Steps(copy.deepcopy(net), example, batch, device, layout)
    return beside(lambda: steps.seconds(mixed=False), lambda: steps.seconds(mixed=True), TURNS, BUDGET).ratio


def _first(path: Path, said: str) -> str:
    """Write what was measured, unless another trial was first; return what is written there."""
    with suppress(OSError):  # another was first; or the folder has no links, and each trial decides for itself
        path.parent.mkdir(parents=True, exist_ok=True)
        own = write_text(path.with_name(f".{path.name}.{platform.node()}.{os.getpid()}"), said)
        try:
            os.link(own, path)
        finally:
            own.unlink()
    return path.read_text(encoding="utf-8") if path.is_file() else said
