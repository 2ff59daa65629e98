"""The folder of a trial: where it lies, who may train there, and what is removed of a trial that was refused."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from headtohead.cli.errors import UsageError, one_line
from headtohead.records import record as records
from headtohead.records.files import lock
from headtohead.trial import tracking
from headtohead.trial.config import class_name, data_name
from headtohead.trial.errors import TrialFailed


def default(config: dict[str, Any], seed: int) -> Path:
    """Return the folder of a trial that was given none: made of what it is and, under a W&B agent, of its run.

    Args:
        config: the trial's resolved arguments.
        seed: of the trial.
    """
    name = f"{class_name(config['model'])}-{data_name(config)}-seed{seed}"
    if run := agent_run():
        return Path("runs") / os.environ["WANDB_SWEEP_ID"] / f"{name}-{run}"
    return Path("runs") / "train" / f"{name}-{records.config_hash(config)}"


def last(folder: Path) -> Path:
    """Return where a trial keeps its last checkpoint."""
    return folder / "checkpoints" / "last.ckpt"


def agent_run() -> str | None:
    """Return the id of the run that a W&B agent wants from this process, if one has started it."""
    return os.environ.get("WANDB_RUN_ID") if os.environ.get("WANDB_SWEEP_ID") else None


def take(folder: Path) -> FileLock | None:
    """Keep other processes out of a trial's folder: one would test the other's best checkpoint.

    Returns:
        What keeps them out, to be released; None on a file system that has no locks.

    Raises:
        UsageError: another process trains there.
        TrialFailed: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return lock(folder)
    except Timeout:
        said = f"another process is training in {folder}: wait for it, or give another folder"
        raise UsageError(f"--trainer.default_root_dir: {said}") from None
    except OSError as error:
        raise TrialFailed(f"{error.filename or folder}: {error.strerror or one_line(error)}") from error


def discard(folder: Path, made: Sequence[Path]) -> None:
    """Remove the folder of a trial that was refused, if it was made for it and holds no checkpoint.

    Args:
        folder: of the trial.
        made: the folders, of the trial and around it, that did not exist before it.
    """
    if folder not in made or (folder / "checkpoints").exists() or agent_run():
        return  # to an agent, its run says what was wrong
    tracking.finish(2)
    shutil.rmtree(folder, ignore_errors=True)
    for place in made[1:]:
        with suppress(OSError):  # another trial has come to lie in it
            place.rmdir()
