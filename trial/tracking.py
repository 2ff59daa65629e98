"""Weights & Biases as the logger of a trial: online for those who are logged in, offline and silent for all others."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import wandb
from lightning.pytorch.loggers import WandbLogger

PROJECT = "architectures"


def wandb_logger(folder: Path, name: str, config: dict[str, Any]) -> WandbLogger:
    """Return the logger of a trial; nothing is asked and nothing is sent without an account.

    W&B's own variables are obeyed: ``WANDB_MODE``, ``WANDB_PROJECT``, ``WANDB_RUN_ID``, ``WANDB_NAME`` and the others.

    Args:
        folder: of the trial; offline runs are kept in its ``wandb``.
        name: of the run, unless ``WANDB_NAME`` says otherwise.
        config: the trial's resolved arguments, shown as the run's config.
    """
    mode = os.environ.get("WANDB_MODE") or ("online" if _logged_in() else "offline")
    folder.mkdir(parents=True, exist_ok=True)  # else wandb writes to a temporary folder
    logger = WandbLogger(
        name=os.environ.get("WANDB_NAME", name),
        save_dir=str(folder),
        project=os.environ.get("WANDB_PROJECT", PROJECT),
        id=os.environ.get("WANDB_RUN_ID"),
        mode=mode,
        config=config,
        settings=wandb.Settings(silent=mode != "online", console="auto" if mode == "online" else "off"),
    )
    logger._wandb_init.pop("anonymous", None)  # Lightning passes it always; wandb warns of it always
    return logger


def _logged_in() -> bool:
    """Tell whether this machine has credentials for W&B, without a prompt and without a request."""
    try:
        return bool(wandb.login(prompt=False))
    except Exception as error:  # credentials of a form that wandb refuses: the trial is worth more than its upload
        print(f"W&B: {' '.join(str(error).split())}; this trial is kept offline", flush=True)
        return False
