"""What a command line must keep to that its parser does not know: bounds, names, checkpoints that fit the model."""

from __future__ import annotations

import importlib
import inspect
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from lightning.pytorch import LightningDataModule, LightningModule, callbacks, loggers
from lightning.pytorch.accelerators import AcceleratorRegistry
from lightning.pytorch.core.hooks import DataHooks
from lightning.pytorch.strategies import StrategyRegistry

import datamodules
import lit_models
from datamodules import ImageDataModule
from lit_models import Task
from headtohead.cli.errors import UsageError, did_you_mean, one_line
from headtohead.trial.errors import Classes

LARGEST = 2**31 - 1  # counters below are C ints
PROCESSES = max(16, os.cpu_count() or 1)  # that one argument may start on this machine
# Lightning divides by some of these, and by others trains or tests nothing without a word. -1 is its word for no end.
LEAST = {
    "max_epochs": 1,
    "max_steps": 1,
    "min_epochs": 0,
    "check_val_every_n_epoch": 1,
    "accumulate_grad_batches": 1,
    "gradient_clip_val": 0,
    "log_every_n_steps": 0,
    "num_sanity_val_steps": -1,
}
NO_END = ("max_epochs", "max_steps")
NOT_NOTHING = ("limit_train_batches", "limit_val_batches", "limit_test_batches", "val_check_interval")


def check_arguments(config: Mapping[str, Any], classes: Classes) -> None:
    """Refuse what would fail later, or do nothing, or take the machine down.

    Args:
        config: of the subcommand, nested as it was parsed.
        classes: the names that ``model`` and ``data`` can have.

    Raises:
        UsageError: names the argument.
    """
    seed = config["seed_everything"]
    if seed is not True and (seed is False or not 0 <= seed < 2**32):
        raise UsageError(
            f"--seed_everything: must be a whole number from 0 to {2**32 - 1}: got {seed}; 0 is the default"
        )
    for name, value in _flat(config):
        if isinstance(value, int) and abs(value) > LARGEST and name != "seed_everything":
            raise UsageError(f"--{name}: must be at most {LARGEST}: got {value}")
    for part in ("model", "data"):
        _check_class(part, config[part], classes[part])
    workers = config["data"].get("init_args", {}).get("num_workers", 0)
    for name, value in (("trainer.devices", config["trainer"]["devices"]), ("data.num_workers", workers)):
        if str(value).isdigit() and int(value) > PROCESSES:
            raise UsageError(f"--{name}: must be at most {PROCESSES} on this machine: got {value}")
    _check_trainer(config["trainer"])


def check_checkpoint(path: Path, model: str) -> None:
    """Read a checkpoint as data, never as code, and refuse what is none or is another model's.

    Args:
        path: of the file.
        model: name of the class that is to be filled.

    Raises:
        UsageError: says what is wrong with it.
    """
    if not path.is_file():
        beside = [str(other) for other in path.parent.glob("*.ckpt")]
        raise UsageError(f"--ckpt_path: no file {path}{did_you_mean(str(path), beside)}")
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        weights, saved = checkpoint["state_dict"], checkpoint.get("hyper_parameters", {})
        name = str(saved.get("_class_path", model)).rpartition(".")[2]
    except Exception as error:  # damaged or foreign bytes make its readers raise nearly anything
        reason = "it holds more than weights" if "weights_only" in str(error) else one_line(error)[:100]
        raise UsageError(f"--ckpt_path: {path} is not a checkpoint that can be used: {reason}") from None
    if name != model:
        raise UsageError(f"--ckpt_path: {path} holds a {name}: --model={model} cannot be filled from it")
    if not isinstance(weights, dict) or any(isinstance(value, dict | list) for value in saved.values()):
        raise UsageError(f"--ckpt_path: {path} is not a checkpoint of this suite")


def classes() -> Classes:
    """Return what can be given as model, data, callbacks and logger, by name, with the arguments that each takes."""
    return {
        "model": _exported(lit_models, Task),
        "data": _exported(datamodules, LightningDataModule),
        "trainer.callbacks": dict.fromkeys(callbacks.__all__, ()),
        "trainer.logger": dict.fromkeys([*loggers.__all__, "true", "false"], ()),
    }


def _exported(module: ModuleType, base: type) -> dict[str, list[str]]:
    """Return the classes that ``module`` exports and that can be trained or loaded, with their arguments."""
    found = {name: getattr(module, name) for name in sorted(module.__all__, key=str.lower)}
    return {
        name: list(parameters(kind, base))
        for name, kind in found.items()
        if issubclass(kind, base) and not is_abstract(kind)
    }


def parameters(kind: type, base: type) -> dict[str, inspect.Parameter]:
    """Return the arguments of a class, those that it passes on to its parents up to ``base`` included."""
    found: dict[str, inspect.Parameter] = {}
    for ancestor in kind.__mro__:
        if "__init__" in vars(ancestor) and issubclass(ancestor, base):
            named = dict(inspect.signature(ancestor.__init__).parameters)
            found = {
                name: p for name, p in named.items() if p.kind is p.POSITIONAL_OR_KEYWORD and name != "self"
            } | found
    return found


def is_abstract(kind: type) -> bool:
    """Tell whether a model or data module is there to be subclassed: it has no forward, or no images."""
    if issubclass(kind, Task):
        return kind.forward is LightningModule.forward
    own_images = issubclass(kind, LightningDataModule) and kind.train_dataloader is not DataHooks.train_dataloader
    return kind is ImageDataModule or not own_images


def _check_class(part: str, given: Mapping[str, Any], names: Iterable[str]) -> None:
    """Refuse a class that is there to be subclassed, and null where an argument needs a value."""
    module, _, name = given["class_path"].rpartition(".")
    kind = getattr(importlib.import_module(module), name)  # the parser has imported it already
    if is_abstract(kind):
        lacks = "forward" if part == "model" else "images"
        raise UsageError(f"--{part}: {name} has no {lacks}{did_you_mean('', names)}")
    defaults = parameters(kind, Task if part == "model" else LightningDataModule)
    for argument, value in given.get("init_args", {}).items():
        if value is None and argument in defaults and defaults[argument].default is not None:
            raise UsageError(f"--{part}.{argument}: must not be null; {defaults[argument].default} is the default")


def _check_trainer(trainer: Mapping[str, Any]) -> None:
    """Refuse what Lightning takes and then stumbles over, and what is not on this machine."""
    for name, least in LEAST.items():
        value = trainer[name]
        if value is not None and not value >= least and not (value == -1 and name in NO_END):
            raise UsageError(f"--trainer.{name}: must be at least {least}: got {value}")
    for name in NOT_NOTHING:
        if trainer[name] is not None and not isinstance(trainer[name], str) and trainer[name] == 0:
            raise UsageError(
                f"--trainer.{name}: must be more than 0: got {trainer[name]}; the default is 1.0, all of it"
            )
    every, epochs = trainer["check_val_every_n_epoch"], trainer["max_epochs"]
    if every is not None and epochs is not None and every > epochs > 0:
        raise UsageError(f"--trainer.check_val_every_n_epoch: must be at most max_epochs, {epochs}: got {every}")
    if trainer["default_root_dir"] == "":
        raise UsageError("--trainer.default_root_dir: must be a folder: got nothing")
    usable = [name for name in AcceleratorRegistry if AcceleratorRegistry[name]["accelerator"].is_available()]
    usable += ["auto", *(["gpu"] if {"cuda", "mps"} & set(usable) else [])]
    for name, known in (("accelerator", usable), ("strategy", ["auto", *StrategyRegistry.available_strategies()])):
        if isinstance(value := trainer[name], str) and value not in known:
            near = did_you_mean(value, known) or "; auto is the default"
            raise UsageError(f"--trainer.{name}: there is no {value!r} on this machine{near}")


def _flat(config: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Return the leaves of a nested configuration by their command-line names."""
    leaves: list[tuple[str, Any]] = []
    for name, value in config.items():
        inner = prefix if name in ("init_args", "dict_kwargs") else f"{prefix}{name}."
        leaves += _flat(value, inner) if isinstance(value, dict) else [(inner.rstrip("."), value)]
    return leaves
