"""Opens a checkpoint, which may come from a stranger, without running code that it names."""

from __future__ import annotations

import importlib
import inspect
import pickle
import sys
import textwrap
import zipfile
from argparse import ArgumentParser
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

import datamodules
from datamodules import ImageDataModule
from headtohead.cli.errors import one_line
from headtohead.trial.checkpoints import ORIGIN
from lit_models import architectures
from lit_models.facts import FACTS, default_facts, example_inputs, taken_by

# What an ImageFolder needs to be what it was
OF_FOLDERS = {"root": str, "image_size": int, "channels": int, "test_share": float, "test_seed": int}


class CheckpointError(ValueError):
    """A checkpoint cannot be used as asked; the message is one line and says what would work."""


def add_trusted_classes(parser: ArgumentParser) -> None:
    """Let a command be told the classes of a checkpoint that are not the suite's own."""
    for name, what, example in (("--model", "network", "mine.Linear"), ("--data", "data", "my_data.Stripes")):
        parser.add_argument(name, help=f"class of the {what}, such as {example}; its module will be imported and run")


def load(path: Path, name: str | None = None) -> tuple[nn.Module, tuple[Tensor, ...]]:
    """Build the network of a checkpoint, ready to be looked at.

    The checkpoint itself says from which class and arguments it came. Weights are read without running code; a class
    that the checkpoint names is used only if it is one of ``lit_models``, for importing any other would run what a
    stranger wrote. Lightning's ``load_from_checkpoint`` is not used, because it can call functions that a checkpoint
    names.

    Args:
        path: of the checkpoint.
        name: class of the network, if the user says so: one of ``lit_models``, or ``module.Class``.

    Returns:
        The network in evaluation mode, and what it takes for one image.

    Raises:
        CheckpointError: the file is missing or no checkpoint, or does not fit the class.
    """
    if not path.is_file():
        raise CheckpointError(f"CHECKPOINT: no file {path}")
    try:
        raw = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged input makes its readers raise nearly anything
        refused = zipfile.is_zipfile(path) and isinstance(error, pickle.UnpicklingError)
        reason = "not loaded: it holds more than weights and plain values" if refused else "not a checkpoint"
        raise CheckpointError(f"CHECKPOINT: {path}: {reason}") from None
    if not isinstance(raw, dict) or not isinstance(raw.get("state_dict"), dict):
        raise CheckpointError(f"CHECKPOINT: {path}: not a checkpoint of Lightning: it has no state_dict")
    origin = _mapping(raw.get(ORIGIN))
    model = _mapping(origin.get("model"))
    kind = _find("model", architectures, name, str(model.get("class_path") or ""), nn.Module)
    given = {**_mapping(model.get("init_args")), **_mapping(model.get("dict_kwargs"))}
    facts = FACTS | default_facts(kind) | _mapping(origin.get("facts"))
    weights = {key.removeprefix("net."): value for key, value in raw["state_dict"].items()}
    try:
        network: nn.Module = kind(**{**given, **taken_by(kind, facts, **given)})
        network.load_state_dict(weights)
    except Exception as error:  # of a constructor that may be anybody's
        why = textwrap.shorten(str(error), 200, placeholder=" …") or type(error).__name__
        raise CheckpointError(f"CHECKPOINT: {path} does not fit {kind.__name__}: {why}") from None
    return network.eval(), example_inputs(network, facts)


def find_data(path: Path, name: str | None = None) -> ImageDataModule | None:
    """Build the data module that a checkpoint was trained on, as far as that is known; nothing is read yet.

    Args:
        path: of the checkpoint, which says what it was trained on.
        name: class of the data, if the user says so: one of ``datamodules``, or ``module.Class``.

    Raises:
        CheckpointError: ``name`` cannot be imported or built.
    """
    part = _mapping(_origin(path).get("data"))
    said = str(part.get("class_path") or "")
    if name is None and not _is_ours(datamodules, said):
        if said:
            print(f"not read: the data {said}; if you trust that code, say --data={said}", file=sys.stderr)
        return None
    kind = _find("data", datamodules, name, said, ImageDataModule)
    known = _mapping(part.get("init_args"))
    more = {key: of for key, of in OF_FOLDERS.items() if key in inspect.signature(kind).parameters}
    every = {"data_dir": str, "normalize": bool, **more}
    wanted = {key: known[key] for key, of in every.items() if isinstance(known.get(key), of)}
    try:
        data: ImageDataModule = kind(**wanted)
    except (TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(f"--data: {kind.__name__}: {one_line(error)}") from None
    return data


def task_arguments(path: Path) -> dict[str, Any]:
    """Return the arguments of the task that a checkpoint was trained in, as far as it says; :func:`load` took it."""
    return _mapping(_mapping(_origin(path).get("task")).get("init_args"))


def _origin(path: Path) -> dict[str, Any]:
    """Return what a checkpoint says of where it came from; its weights stay on the disk."""
    return _mapping(torch.load(path, map_location="cpu", weights_only=True, mmap=True).get(ORIGIN))


def _mapping(value: Any) -> dict[str, Any]:
    """Return a mapping that a checkpoint holds; an empty one for anything else."""
    return dict(value) if isinstance(value, dict) else {}


def _is_ours(home: ModuleType, path: str) -> bool:
    """Say whether a class path, such as ``lit_models.EqCNN``, names a class that ``home`` exports."""
    return path.partition(".")[0] == home.__name__.partition(".")[0] and path.rpartition(".")[2] in home.__all__


def _find(option: str, home: ModuleType, name: str | None, said: str, base: type) -> Any:
    """Return a class: by the user's word any, by a file's only one of ours.

    Args:
        option: of the command line, ``model`` or ``data``.
        home: our own classes.
        name: what the user gave.
        said: what a file says.
        base: what it must be a subclass of.

    Raises:
        CheckpointError: there is none.
    """
    ours = [key for key in home.__all__ if issubclass(getattr(home, key), base)]
    if name is None:
        name = said.rpartition(".")[2]
        if not _is_ours(home, said):
            what = (
                f"names {said}, which is none of ours; if you trust that code," if said else "does not name its class;"
            )
            raise CheckpointError(f"CHECKPOINT: it {what} say --{option}={said or 'module.Class'}")
    if "." not in name:
        if name not in ours:
            raise CheckpointError(f"--{option}: no {option} is named {name!r}; there are {', '.join(ours)}")
        return getattr(home, name)
    module, _, attribute = name.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise CheckpointError(f"--{option}: {name}: {one_line(error)}") from None
    if not (inspect.isclass(found) and issubclass(found, base)):
        raise CheckpointError(f"--{option}: {name} is no {base.__name__}")
    return found
