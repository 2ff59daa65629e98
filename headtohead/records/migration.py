"""Brings records of an earlier schema to the names of this one, in memory; files stay as they were written."""

from __future__ import annotations

from typing import Any

QUALITY = {
    "test_acc_circle": "test_acc_rotation_sweep",
    "circle": "rotation_sweep",
    "test_logit_difference": "test_invariance_error",
}
# In schema 1 a network was its own task, so that the arguments of the recipe were the model's.
RECIPE = {f"model.{name}" for name in ("optimizer", "lr", "weight_decay", "momentum", "schedule")}

# What the name "default" stood for while records kept it: the same trial is one identity, however it was asked for.
DEFAULT_AUGMENT = {"MNIST": "none", "CIFAR10": "crop_flip"}


def with_augmentation_named(config: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration that names its augmentation, where an earlier one says that it is the data set's own."""
    known = DEFAULT_AUGMENT.get(str(config.get("data")))
    if config.get("data.augment") != "default" or known is None:
        return config
    return {**config, "data.augment": known}


def from_schema_1(raw: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a record of schema 1 under the names of schema 2.

    ``config_hash`` is left as it is: who reads the record computes it from the new ``config``. What is not of the type
    that a record has there is left for validation to name.
    """
    new = {("hardware" if name == "rig" else name): value for name, value in raw.items()} | {"schema": 2}
    quality, config = new.get("quality"), new.get("config")
    if isinstance(quality, dict):
        new["quality"] = {QUALITY.get(name, name): value for name, value in quality.items()}
        if isinstance(config, dict):
            new["config"] = _with_task(config, "Inpainter" if "test_l1_hole" in quality else "Classifier")
    return new


def _with_task(config: dict[str, Any], task: str) -> dict[str, Any]:
    """Name the task and its arguments right behind those of the model."""
    new = {name: value for name, value in config.items() if name.partition(".")[0] == "model" and name not in RECIPE}
    new["task"] = task
    new |= {name.replace("model.", "task."): value for name, value in config.items() if name in RECIPE}
    return new | {name: value for name, value in config.items() if name.partition(".")[0] != "model"}
