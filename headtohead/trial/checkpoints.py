"""Writes and reads checkpoints: whole or not at all, as data and never as code."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import torch
from jsonargparse import Namespace
from lightning.fabric.plugins import TorchCheckpointIO

from headtohead.cli.errors import UsageError, did_you_mean, one_line

ORIGIN = "trial"  # the key under which a checkpoint says from which data, network and task it came


class SafeCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint beside its place and moves it there, and reads no code.

    Args:
        origin: the classes and arguments of data, network and task, which every checkpoint carries with it.

    Lightning's own goes through the system's folder for temporary files. Where that is on another disk the last step
    is a copy, which a full disk or a kill leaves half done in the place of the checkpoint that was good.
    """

    def __init__(self, origin: dict[str, Any] | None = None) -> None:
        super().__init__()
        self.origin = _plain(origin or {})

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Replace the file at ``path`` in one step; on an OSError it is as it was."""
        path = Path(path)
        path.parent.mkdir(exist_ok=True)  # not its parents: a trial whose folder has vanished is to fail
        temporary = path.with_name(f".{path.name}.tmp")  # always the same: a kill leaves no more than one
        content = io.BytesIO()  # torch.save hides what the disk says behind an error of its own
        torch.save({**checkpoint, ORIGIN: self.origin}, content)
        try:
            with temporary.open("wb") as file:
                file.write(content.getbuffer())
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise OSError(error.errno, error.strerror, str(path)) from error  # a write does not say of what

    def load_checkpoint(
        self, path: str | Path, map_location: Any = lambda storage, _: storage, weights_only: bool | None = True
    ) -> dict[str, Any]:
        """Read tensors and plain values; anything else is refused, whatever ``weights_only`` says."""
        checkpoint: dict[str, Any] = super().load_checkpoint(path, map_location, weights_only=True)
        return checkpoint


def check_checkpoint(path: Path, model: str) -> None:
    """Read a checkpoint as data, never as code, and refuse what is none or is another network's.

    Args:
        path: of the file.
        model: class path of the network that is to be filled.

    Raises:
        UsageError: says what is wrong with it.
    """
    if not path.is_file():
        beside = [str(other) for other in path.parent.glob("*.ckpt")]
        raise UsageError(f"--ckpt_path: no file {path}{did_you_mean(str(path), beside)}")
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        weights, origin = checkpoint["state_dict"], checkpoint.get(ORIGIN)
        first_edition = "_class_path" in checkpoint.get("hyper_parameters", {})
    except Exception as error:  # damaged or foreign bytes make its readers raise nearly anything
        reason = "it holds more than weights" if "weights_only" in str(error) else one_line(error)[:100]
        raise UsageError(f"--ckpt_path: {path} is not a checkpoint that can be used: {reason}") from None
    try:
        held = origin["model"]["class_path"]
    except (TypeError, KeyError):
        held = ""
    if first_edition and not held:
        raise UsageError(
            f"--ckpt_path: {path} was written by the first edition, which this one cannot read: train again"
        )
    if not isinstance(weights, dict) or not isinstance(held, str) or not held:
        raise UsageError(f"--ckpt_path: {path} is not a checkpoint of this suite")
    if held.rpartition(".")[2] != model.rpartition(".")[2]:
        name, other = held.rpartition(".")[2], model.rpartition(".")[2]
        raise UsageError(f"--ckpt_path: {path} holds a {name}: --model={other} cannot be filled from it")


def read_arguments(path: Path, task: str) -> dict[str, dict[str, Namespace]]:
    """Return the arguments of the network and the task in a checkpoint, by part, as a command line would give them.

    Args:
        path: of a file that has passed :func:`check_checkpoint`.
        task: class name of the task that is to train or test on.

    Raises:
        UsageError: it was trained in another task, or its arguments name classes, which would be run as code.
    """
    origin = torch.load(path, map_location="cpu", weights_only=True, mmap=True)[ORIGIN]
    try:
        held = str(origin["task"]["class_path"]).rpartition(".")[2]
        groups = {
            part: {name: dict(origin[part].get(name) or {}) for name in ("init_args", "dict_kwargs")}
            for part in ("model", "task")
        }
    except (TypeError, KeyError, AttributeError, ValueError):
        raise UsageError(f"--ckpt_path: {path} is not a checkpoint of this suite") from None
    if held != task:
        raise UsageError(f"--ckpt_path: {path} was trained in the task {held}: got --task={task}")
    if "class_path" in str(groups):
        raise UsageError(f"--ckpt_path: {path} is not a checkpoint of this suite: its arguments name classes")
    return {part: {name: Namespace(given) for name, given in named.items() if given} for part, named in groups.items()}


def _plain(value: Any) -> Any:
    """Return a configuration in values that a checkpoint can hold without code."""
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value if isinstance(value, int | float | str | bool | None) else str(value)
