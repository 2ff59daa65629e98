"""Flattens the parsed configuration of a trial to command-line names, for its record and its identity."""

from __future__ import annotations

from typing import Any

# Arguments of the Trainer that change what is learnt or measured. The others say where to run and what to show.
TRAINER_ARGUMENTS = (
    "max_epochs",
    "max_steps",
    "max_time",
    "precision",
    "accumulate_grad_batches",
    "gradient_clip_val",
    "gradient_clip_algorithm",
    "limit_train_batches",
    "limit_val_batches",
    "limit_test_batches",
    "overfit_batches",
    "sync_batchnorm",
)
# Where data lie, who reads them and in which order of pixels changes no result.
NOT_CONFIG = {"data.data_dir", "data.num_workers", "data.memory_format"}
OURS = ("lit_models", "datamodules")  # their classes need no module on the command line


def resolved_config(config: dict[str, Any]) -> dict[str, Any]:
    """Flatten what LightningCLI resolved into command-line names: ``{"model": "EqCNN", "task.lr": 0.001, ...}``.

    Args:
        config: of the subcommand, as nested dicts.

    Returns:
        The arguments; ours are named as on the command line, a user's own class keeps its module: ``mine.Linear``.
    """
    flat: dict[str, Any] = {}
    for part in ("model", "task", "data"):
        path = config[part]["class_path"]
        flat[part] = class_name(path) if path.partition(".")[0] in OURS else path
        arguments = {**config[part].get("init_args", {}), **config[part].get("dict_kwargs", {})}
        flat |= {f"{part}.{name}": value for name, value in arguments.items()}
    trainer = config["trainer"]
    flat |= {f"trainer.{name}": trainer[name] for name in TRAINER_ARGUMENTS if trainer.get(name) is not None}
    flat = {key: value for key, value in flat.items() if key not in NOT_CONFIG}
    return {
        key: value if isinstance(value, int | float | str | bool | None) else str(value) for key, value in flat.items()
    }


def class_name(path: str) -> str:
    """Return the last part of a dotted name."""
    return path.rpartition(".")[2]


def network_name(config: dict[str, Any]) -> str:
    """Return what a network is called in tables: its class, or what timm was asked for."""
    name = class_name(config["model"])
    return str(config["model.model_name"]) if name == "create_model" and "model.model_name" in config else name
