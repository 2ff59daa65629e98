"""Flattens the parsed configuration of a trial to command-line names, for its record and its identity."""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Mapping
from enum import Enum
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.plugins.io import CheckpointIO
from torch import nn

from headtohead.trial.networks import named

# Arguments of the Trainer that change what is learnt, chosen or measured. The others say where to run and what to show.
TRAINER_ARGUMENTS = (
    "max_epochs",
    "max_steps",
    "max_time",
    "min_epochs",
    "min_steps",
    "precision",
    "accumulate_grad_batches",
    "gradient_clip_val",
    "gradient_clip_algorithm",
    "limit_train_batches",
    "limit_val_batches",
    "limit_test_batches",
    "overfit_batches",
    "val_check_interval",
    "check_val_every_n_epoch",
    "sync_batchnorm",
    "callbacks",
    "plugins",
)
# What they are by default, or what comes to the same: left out, so that what resolves alike is one identity.
SAME_AS_NOT_GIVEN: dict[str, tuple[Any, ...]] = {
    "min_epochs": (None, 0, 1),  # a trial without an epoch has no record
    "min_steps": (None, 0),
    "gradient_clip_val": (None, 0.0),
    "gradient_clip_algorithm": (None, "norm"),
    "val_check_interval": (None, 1.0),
    "check_val_every_n_epoch": (1,),
    "limit_train_batches": (None, 1.0),
    "limit_val_batches": (None, 1.0),
    "limit_test_batches": (None, 1.0),
    "precision": (None,),
    "max_epochs": (None,),
    "max_time": (None,),
    "callbacks": (None, []),
    "plugins": (None, []),
}
PRECISIONS = {"16": "16-mixed", "bf16": "bf16-mixed", "32": "32-true", "64": "64-true"}  # Lightning's older names
FLOATS = ("gradient_clip_val", "overfit_batches")  # 1 and 1.0 are the same there; for the limits they are not
# Callbacks that show or keep something, and change nothing.
SHOW = (
    "DeviceStatsMonitor",
    "LearningRateMonitor",
    "ModelCheckpoint",
    "ModelSummary",
    "RichModelSummary",
    "RichProgressBar",
    "TQDMProgressBar",
)
# Where data lie, who reads them and in which order of pixels changes no result.
NOT_CONFIG = {"data.data_dir", "data.num_workers", "data.memory_format"}
# Arguments that came after records were kept, by class: left out at their defaults, by which those records ran.
LATER: dict[str, tuple[str, ...]] = {
    "Classifier": ("l1", "warmup", "label_smoothing", "top5", "turned"),
    "Inpainter": ("holes", "hole_min", "hole_max", "strokes", "l1", "warmup"),
    "SimpleCNN": ("activation", "pooling"),
    "EqCNN": ("activation", "pooling"),
    "FCNet": ("activation",),
    "ConvNet": ("activation", "pooling", "dropout"),
    "VGG": ("activation", "pooling", "dropout"),
    "CifarCNN": ("activation", "pooling", "dropout", "channel_dropout"),
    "CNN": ("activation", "pooling"),
    "INN": ("kernel_size", "groups", "reduction", "activation", "pooling"),
    "ConvMixer": ("activation",),
    "ResNet": ("kernel_size", "group_channels", "reduction"),
    "ConvUNet": ("levels",),
    "PConvUNet": ("levels",),
}
LATER_OF_DATA = {"data.split_seed": 0, "data.train_size": 1, "data.label_noise": 0, "data.corruptions": False}
OURS = ("lit_models", "datamodules")  # their classes need no module on the command line
LIGHTNINGS = "lightning.pytorch.callbacks."


def resolved_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Flatten what LightningCLI resolved into command-line names: ``{"model": "EqCNN", "task.lr": 0.001, ...}``.

    All that changes what is learnt or chosen is in it, and what comes to the same is written in one way, for its hash
    is the identity by which trials are pooled.

    Args:
        config: of the subcommand, as nested dicts.

    Returns:
        The arguments; ours are named as on the command line, a user's own class keeps its module: ``mine.Linear``.
        Lists, and classes with arguments, are JSON, which the command line reads.
    """
    flat: dict[str, Any] = {}
    for part in ("model", "task", "data"):
        path = config[part]["class_path"]
        flat[part] = class_name(path) if path.partition(".")[0] in OURS else path
        arguments = {**config[part].get("init_args", {}), **(config[part].get("dict_kwargs") or {})}
        if later := LATER.get(flat[part]):
            of = inspect.signature(named(path)).parameters
            arguments = {k: v for k, v in arguments.items() if not (k in later and v == of[k].default)}
        flat |= {f"{part}.{name}": value for name, value in arguments.items()}
    own = getattr(named(config["data"]["class_path"]), "default_augment", None)
    if own is not None and "data.augment" in flat:
        flat["data.augment"] = _augmentation(flat["data.augment"], own)
    for name, default in LATER_OF_DATA.items():
        if flat.get(name) == default:
            del flat[name]
    if flat["data"] == "ImageFolder":
        flat["data.root"] = os.path.normpath(flat["data.root"])  # with a slash at its end it is the same
    flat |= {f"trainer.{name}": value for name, value in _of_the_trainer(config["trainer"])}
    return {key: _scalar(value) for key, value in flat.items() if key not in NOT_CONFIG}


def of_the_devices(config: Mapping[str, Any], trainer: Trainer, net: nn.Module) -> dict[str, int]:
    """Return how many devices train, where that changes what is learnt: batch norm sees the images of its own alone.

    Args:
        config: as :func:`resolved_config` returned it.
        trainer: of the trial.
        net: that is trained.
    """
    norms = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d
    alone = trainer.num_devices * trainer.num_nodes == 1 or config["trainer.sync_batchnorm"]
    if alone or not any(isinstance(layer, norms) for layer in net.modules()):
        return {}
    return {"trainer.devices": trainer.num_devices, "trainer.num_nodes": trainer.num_nodes}


def class_name(path: str) -> str:
    """Return the last part of a dotted name."""
    return path.rpartition(".")[2]


def network_name(config: dict[str, Any]) -> str:
    """Return what a network is called in tables: its class, or what timm was asked for."""
    name = class_name(config["model"])
    return str(config["model.model_name"]) if name == "create_model" and "model.model_name" in config else name


def data_name(config: dict[str, Any]) -> str:
    """Return what data are called in tables: their class, or the folder that an ImageFolder reads."""
    name = class_name(config["data"])
    return os.path.basename(config["data.root"]) or name if name == "ImageFolder" else name


def _augmentation(value: Any, own: str) -> Any:
    """Return an augmentation without what adds nothing, and a list of one as its element: they draw the same.

    Args:
        value: a name, a class with its arguments, or a list of these.
        own: the data set's own, which ``default`` stands for.
    """
    parts = [own if one == "default" else one for one in listed(value)]
    parts = [one for one in parts if one != "none"]
    if len(parts) > 1:
        return parts
    return parts[0] if parts else "none"


def _of_the_trainer(trainer: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return the Trainer's arguments that are part of a trial's identity, each in one way of writing."""
    found = []
    for name in TRAINER_ARGUMENTS:
        value = trainer.get(name)
        if name in ("callbacks", "plugins"):
            value = [one for one in listed(value) if not _shows(one)]
        if name == "precision" and value is not None:
            value = PRECISIONS.get(str(value), str(value))
        if name in FLOATS and value is not None:
            value = float(value)
        if not any(type(value) is type(same) and value == same for same in SAME_AS_NOT_GIVEN.get(name, ())):
            found.append((name, value))
    return found


def listed(value: Any) -> list[Any]:
    """Return what an argument names as a list: it takes one thing, several or nothing."""
    return [] if value is None else list(value) if isinstance(value, list | tuple) else [value]


def _shows(one: Any) -> bool:
    """Tell whether a callback or plugin changes nothing that a record says."""
    path = one.get("class_path", "") if isinstance(one, Mapping) else str(one)
    if path.startswith(LIGHTNINGS) and class_name(path) in SHOW:
        return True
    kind = named(path) if "." in path else None
    return isinstance(kind, type) and issubclass(kind, CheckpointIO)


def _class(value: Any) -> Any:
    """Return a class with arguments without those that it has by default, and Lightning's callbacks by their name."""
    if isinstance(value, Mapping) and "class_path" in value:
        path = value["class_path"]
        given = {**(value.get("init_args") or {}), **(value.get("dict_kwargs") or {})}
        defaults = {name: found.default for name, found in inspect.signature(named(path)).parameters.items()}
        given = {name: _class(v) for name, v in given.items() if name not in defaults or v != defaults[name]}
        return {"class_path": path.removeprefix(LIGHTNINGS), **({"init_args": given} if given else {})}
    if isinstance(value, list | tuple):
        return [_class(inner) for inner in value]
    return value


def _scalar(value: Any) -> Any:
    """Return a value as a record keeps it: of an enumeration, the name, as the command line takes it."""
    if isinstance(value, Enum):
        return value.name
    if value is None or isinstance(value, int | float | str | bool):
        return value
    return json.dumps(_class(value), default=lambda one: one.name if isinstance(one, Enum) else str(one))
