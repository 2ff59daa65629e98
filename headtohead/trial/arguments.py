"""A trial's command line beyond its types: what may be left out, bounds, names, what this machine has."""

from __future__ import annotations

import functools
import inspect
import operator
import os
import re
import sys
from collections.abc import Container, Iterable, Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_args

from jsonargparse import Namespace
from lightning.pytorch import LightningDataModule, callbacks, loggers
from lightning.pytorch.accelerators import AcceleratorRegistry
from lightning.pytorch.core.hooks import DataHooks
from lightning.pytorch.strategies import StrategyRegistry
from torch import nn

import datamodules
from datamodules import ImageDataModule
from headtohead.cli.errors import UsageError, did_you_mean
from headtohead.trial.config import PRECISIONS, class_name, listed
from headtohead.trial.errors import Classes, is_a_task
from headtohead.trial.networks import FROM_THE_DATA, named
from headtohead.trial.refused import REFUSED
from lit_models import Classifier, Inpainter, Task, architectures, tasks
from lit_models.facts import takes_mask

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
OF_A_TASK = ("net", "num_classes")  # which the network and the data give
NO_END = ("max_epochs", "max_steps")
NOT_NOTHING = ("limit_train_batches", "limit_val_batches", "limit_test_batches", "val_check_interval")


def whole_numbers_first(kind: type) -> None:
    """Let an argument that is a whole number or a share be read as a whole number first, whatever was imported before.

    ``--trainer.limit_val_batches=1`` is one batch, and 1.0 is all of them. But typing keeps one ``Optional[Union]`` for
    both orders of int and float: after somebody's ``Optional[Union[float, int]]`` the other type of that argument has
    float first, too, and 1 would be read as 1.0 without a word.

    Args:
        kind: the class whose ``__init__`` has the arguments.
    """
    types = inspect.unwrap(kind.__init__).__annotations__  # type: ignore[misc]  # a class, not an instance, is asked
    for name, annotation in types.items():
        if {int, float} <= set(get_args(annotation)):
            others = [part for part in get_args(annotation) if part not in (int, float)]
            types[name] = functools.reduce(operator.or_, [int, float, *others])  # such a union is kept by nobody


def part_checkpoints(callbacks: Any, folder: Path) -> None:
    """Keep a user's own checkpoints apart from those by which the trial is resumed and tested.

    Args:
        callbacks: of the Trainer, as they were parsed; those that keep checkpoints and name no place are given one.
        folder: of the trial.

    Raises:
        UsageError: one names the place that the trial needs.
    """
    for callback in listed(callbacks):
        if class_name(callback.class_path) == "ModelCheckpoint":
            given = callback.init_args.dirpath
            callback.init_args.dirpath = str(folder / "own_checkpoints") if given is None else given
            if given is not None and Path(given).resolve() == (folder / "checkpoints").resolve():
                raise UsageError(
                    f"--trainer.callbacks.dirpath: {given} is where the trial keeps its own: name another folder"
                )


def check_batch(data: LightningDataModule, devices: int) -> None:
    """Refuse a batch that does not divide by the number of devices, before any of them starts.

    Args:
        data: whose batches are dealt out to the devices, if it is one of the suite's.
        devices: on all machines together.

    Raises:
        UsageError: says what would divide.
    """
    if not isinstance(data, ImageDataModule) or type(data).train_dataloader is not ImageDataModule.train_dataloader:
        return
    if (batch := data.batch_size) % devices:
        raise UsageError(
            f"--data.batch_size: must divide by the number of devices: got {batch} for {devices}; "
            f"{batch // devices * devices or devices} does"
        )


def check_arguments(config: Mapping[str, Any], classes: Classes) -> None:
    """Refuse what would fail later, or do nothing, or take the machine down.

    Args:
        config: of the subcommand, nested as it was parsed.
        classes: the names that ``model`` and ``data`` can have.

    Raises:
        UsageError: names the argument.
    """
    seed = config["seed_everything"]
    if isinstance(seed, bool) or not 0 <= seed < 2**32:  # of true, Lightning makes a seed that nobody asked for
        raise UsageError(
            f"--seed_everything: must be a whole number from 0 to {2**32 - 1}: got {seed}; 0 is the default"
        )
    for name, value in _flat(config):
        if isinstance(value, int) and abs(value) > LARGEST and name != "seed_everything":
            raise UsageError(f"--{name}: must be at most {LARGEST}: got {value}")
    for part in ("model", "task", "data"):
        _check_class(part, config[part], classes[part])
    if str(devices := config["trainer"]["devices"]).isdigit() and int(devices) > PROCESSES:
        raise UsageError(f"--trainer.devices: must be at most {PROCESSES} on this machine: got {devices}")
    _check_trainer(config["trainer"])


def classes() -> Classes:
    """Return what can be given as model, data, callbacks and logger, by name, with the arguments that each takes."""
    return {
        "model": {
            name: _arguments(getattr(architectures, name), FROM_THE_DATA) for name in _sorted(architectures.__all__)
        },
        "task": {
            name: _arguments(getattr(tasks, name), OF_A_TASK) for name in _sorted(tasks.__all__) if name != "Task"
        },
        "data": {
            name: _arguments(kind)
            for name in _sorted(datamodules.__all__)
            if isinstance(kind := getattr(datamodules, name), type) and _has_images(kind)
        },
        "trainer.callbacks": dict.fromkeys([name for name in callbacks.__all__ if name not in REFUSED], ()),
        "trainer.logger": dict.fromkeys([n for n in (*loggers.__all__, "true", "false") if n not in REFUSED], ()),
    }


def _sorted(names: Iterable[str]) -> list[str]:
    return sorted(names, key=str.lower)


def _arguments(kind: type, filled: Container[str] = ()) -> list[str]:
    """Return the arguments of a class that a user gives: not those that the suite fills in."""
    return [name for name in inspect.signature(kind).parameters if name not in filled]


def _has_images(kind: type) -> bool:
    """Tell whether a data module yields images, and is not there to be subclassed."""
    own_images = issubclass(kind, LightningDataModule) and kind.train_dataloader is not DataHooks.train_dataloader
    return own_images and kind is not ImageDataModule


def _check_class(part: str, given: Mapping[str, Any], names: Iterable[str]) -> None:
    """Refuse a class that is there to be subclassed, and null where an argument needs a value."""
    kind = named(given["class_path"])
    name = class_name(given["class_path"])
    if part == "data" and not _has_images(kind):
        raise UsageError(f"--data: {name} has no images{did_you_mean('', names)}")
    if part == "task" and kind is Task:
        raise UsageError(f"--task: Task is there to be subclassed{did_you_mean('', names)}")
    if part == "model" and isinstance(kind, type) and issubclass(kind, nn.Module):
        if issubclass(kind, Task):
            raise UsageError(is_a_task(name))
        if kind.forward is nn.Module.forward:
            raise UsageError(f"--model: {name} has no forward{did_you_mean('', names)}")
    defaults = inspect.signature(kind).parameters
    for argument, value in given.get("init_args", {}).items():
        default = defaults[argument].default if argument in defaults else None
        if value is None and default is not None and default is not inspect.Parameter.empty:
            raise UsageError(f"--{part}.{argument}: must not be null; {default} is the default")


def _check_trainer(trainer: Mapping[str, Any]) -> None:
    """Refuse what Lightning takes and then stumbles over, and what is not on this machine."""
    for argument in ("callbacks", "logger"):
        for one in listed(trainer[argument]):
            path = one["class_path"] if isinstance(one, Mapping) else ""
            name = class_name(path)
            if path.startswith("lightning.") and name in REFUSED:
                raise UsageError(f"--trainer.{argument}: {name} {REFUSED[name]}")
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
    if trainer["gradient_clip_algorithm"] is not None and not trainer["gradient_clip_val"]:
        raise UsageError("--trainer.gradient_clip_algorithm: changes nothing without gradient_clip_val")
    if trainer["default_root_dir"] == "":
        raise UsageError("--trainer.default_root_dir: must be a folder: got nothing")
    strategy = trainer["strategy"]
    if isinstance(strategy, str) and re.search("fsdp|deepspeed|fork|notebook", strategy):
        # the first two keep a part of the network in each process, which no checkpoint of a trial holds; CUDA cannot be
        # used by a process that is forked
        raise UsageError(f"--trainer.strategy: a trial cannot use {strategy!r}; ddp and ddp_spawn work")
    there = [name for name in AcceleratorRegistry if AcceleratorRegistry[name]["accelerator"].is_available()]
    usable = [*there, "auto", *(["gpu"] if {"cuda", "mps"} & set(there) else [])]
    for name, known in (("accelerator", usable), ("strategy", ["auto", *StrategyRegistry.available_strategies()])):
        if isinstance(value := trainer[name], str) and value not in known:
            near = did_you_mean(value, known) or "; auto is the default"
            raise UsageError(f"--trainer.{name}: there is no {value!r} on this machine{near}")
    _check_precision(
        str(trainer["precision"]), usable if trainer["accelerator"] == "auto" else [trainer["accelerator"]]
    )


def _check_precision(precision: str, accelerators: Sequence[Any]) -> None:
    """Refuse a precision that this hardware has not.

    Of float16 a processor has no arithmetic of its own: Lightning turns 16-mixed into bf16-mixed with a warning, so
    that the record would say what did not run, and 16-true takes minutes for a step of some networks.
    """
    name = PRECISIONS.get(precision, precision)
    if name.startswith("transformer-engine") and not (
        {"cuda", "gpu"} & set(accelerators) and find_spec("transformer_engine")
    ):
        raise UsageError(
            f"--trainer.precision: {name} needs a GPU of NVIDIA's and the package transformer_engine, "
            "of which this machine lacks one; bf16-mixed and 32-true work"
        )
    if name in ("16-mixed", "16-true") and set(accelerators) <= {"cpu"}:
        raise UsageError(
            f"--trainer.precision: {name} is for GPUs; on a CPU bf16-mixed, bf16-true, 32-true and 64-true work"
        )


def _flat(config: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Return the leaves of a nested configuration by their command-line names."""
    leaves: list[tuple[str, Any]] = []
    for name, value in config.items():
        inner = prefix if name in ("init_args", "dict_kwargs") else f"{prefix}{name}."
        leaves += _flat(value, inner) if isinstance(value, dict) else [(inner.rstrip("."), value)]
    return leaves


def name_the_task(args: list[str]) -> None:
    """Add the task of a network that fills holes where none is named, so that its arguments are known."""
    given = {arg.partition("=")[0]: arg.partition("=")[2] for arg in args}
    kind = getattr(architectures, given.get("--model", ""), None)
    if kind is not None and takes_mask(kind) and not {"--task", "--config", "-c"} & set(given):
        args.insert(2, "--task=Inpainter")


def leave_out_what_only_classifiers_have(arguments: Namespace) -> None:
    """Take from the arguments of a recipe those that an inpainter does not have; one that was given is refused."""
    theirs, ours = (inspect.signature(task).parameters for task in (Classifier, Inpainter))
    for name in [name for name in theirs if name in arguments and name not in ours]:
        if arguments[name] != theirs[name].default:
            raise UsageError(f"--task.{name}: is for classifiers: Inpainter has no such argument")
        del arguments[name]


def passes_on(message: str) -> bool:
    """Let an argument through to a function that takes any; tell whether the command line can be parsed again.

    ``timm.create_model`` hands what it does not know to the network that it makes; jsonargparse calls such arguments
    ``dict_kwargs``.
    """
    unknown = re.search(r"class_path '([\w.]+)':\s+Option '(\w+)' is not accepted", message)
    if unknown is None or not _takes_any(unknown[1]):
        return False
    for index, arg in enumerate(sys.argv):
        if arg.startswith(f"--model.{unknown[2]}="):
            sys.argv[index] = arg.replace("--model.", "--model.dict_kwargs.", 1)
            return True
    return False


def task_as_network(message: str) -> str | None:
    """Return the task that a message of the parser says cannot be the network, by its dotted name."""
    found = re.search(r'Parser key "model"[\s\S]*class_path \'([\w.]+)\'', message)
    with suppress(ImportError, AttributeError):
        if found and isinstance(kind := named(found[1]), type) and issubclass(kind, Task):
            return found[1]
    return None


def _takes_any(path: str) -> bool:
    with suppress(ValueError):  # what is built in may have no signature
        return any(
            parameter.kind is parameter.VAR_KEYWORD for parameter in inspect.signature(named(path)).parameters.values()
        )
    return False
