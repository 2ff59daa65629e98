"""Writes and reads checkpoints: whole or not at all, as data and never as code."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from enum import Enum
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
        folder: of the trial.

    Lightning's own goes through the system's folder for temporary files. Where that is on another disk the last step
    is a copy, which a full disk or a kill leaves half done in the place of the checkpoint that was good.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.origin: Any = {}

    def tell(self, origin: Mapping[str, Any]) -> None:
        """Set what every checkpoint carries with it.

        Args:
            origin: the classes and arguments of data, network and task, the facts of the data, and the resolved
                arguments and random seed of the trial.
        """
        self.origin = _plain(dict(origin))

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Replace the file at ``path`` in one step; on an OSError it is as it was."""
        path = Path(path)
        # of the trial's own, not the parents: one whose folder has vanished is to fail
        path.parent.mkdir(exist_ok=True, parents=path.parent != self.folder / "checkpoints")
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


def open_checkpoint(path: Path, model: str) -> dict[str, Any]:
    """Read a checkpoint as data, never as code, and refuse what is none or is another network's.

    Args:
        path: of the file.
        model: class path of the network that is to be filled.

    Returns:
        What it holds; the tensors stay on the disk until they are read.

    Raises:
        UsageError: says what is wrong with it.
    """
    if not path.is_file():
        beside = [str(other) for other in path.parent.glob("*.ckpt")]
        raise UsageError(f"--ckpt_path: no file {path}{did_you_mean(str(path), beside)}")
    try:
        checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        weights, origin = checkpoint["state_dict"], checkpoint.get(ORIGIN)
        first_edition = "_class_path" in checkpoint.get("hyper_parameters", {})
    except Exception as error:  # damaged or foreign bytes make its readers raise nearly anything
        reason = "it holds more than weights" if "weights_only" in str(error) else one_line(error)[:100]
        raise UsageError(f"--ckpt_path: {path} is not a checkpoint that can be used: {reason}") from None
    try:
        held = (origin or {})["model"]["class_path"]
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
    return checkpoint


def read_arguments(
    path: Path, checkpoint: dict[str, Any], task: str, given: Mapping[str, Any], fits: bool
) -> dict[str, dict[str, Namespace]]:
    """Return the arguments of the network and the task in a checkpoint, by part, as a command line would give them.

    Args:
        path: of the file, for messages.
        checkpoint: as :func:`open_checkpoint` returned it.
        task: class name of the task that is to train or test on.
        given: what stands on the command line, nested, without defaults; it comes before what the checkpoint holds.
        fits: whether it is to be trained on.

    Raises:
        UsageError: it was trained in another task, or is to be tested with other arguments than it was trained with;
            or its arguments name classes, which would be run as code.
    """
    origin = checkpoint[ORIGIN]
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
    said = {
        part: {kind: dict((given.get(part) or {}).get(kind) or {}) for kind in kinds} for part, kinds in groups.items()
    }
    if not fits:  # of a training, all that differs is told at once, by check_same_trial
        there, here = (
            {f"{part}.{name}": value for part in of for kind in of[part] for name, value in of[part][kind].items()}
            for of in (groups, _plain(said))
        )
        _refuse_differences(path, {name: there[name] for name in here if name in there}, here)
    return {
        part: {
            kind: Namespace({**held, **said[part][kind]}) for kind, held in kinds.items() if held or said[part][kind]
        }
        for part, kinds in groups.items()
    }


def check_facts(path: Path, checkpoint: dict[str, Any], data: str, facts: Mapping[str, int]) -> None:
    """Refuse data whose images or classes are others than those that a network was trained on.

    Args:
        path: of the checkpoint, for messages.
        checkpoint: as :func:`open_checkpoint` returned it.
        data: what the data are called.
        facts: of them, as far as they state them.

    Raises:
        UsageError: says which they were.
    """
    trained = checkpoint[ORIGIN].get("facts") or {}
    if not trained or not facts or trained == facts:
        return

    def said(of: Mapping[str, int]) -> tuple[str, int | str]:
        size = of.get("image_size", "?")
        return f"{of.get('in_channels', '?')}×{size}×{size}", of.get("num_classes", "?")

    (images, classes), (others, of) = said(trained), said(facts)
    raise UsageError(
        f"--ckpt_path: {path} was trained on images of {images} in {classes} classes: "
        f"--data={data} has {others} in {of}"
    )


def check_same_trial(path: Path, checkpoint: dict[str, Any], config: Mapping[str, Any], seed: int) -> None:
    """Refuse to go on with the training of another trial: its record would be that of neither.

    One that is to train longer is the same up to there if nothing in it knows how long it is: no schedule of the
    learning rate, and no callback.

    Args:
        path: of the checkpoint, for messages.
        checkpoint: as :func:`open_checkpoint` returned it.
        config: the resolved arguments of the trial that is to go on.
        seed: of it.

    Raises:
        UsageError: names what differs.
    """
    if "optimizer_states" not in checkpoint:
        raise UsageError(
            f"--ckpt_path: {path} holds weights and no state of a training, which cannot go on from it: give last.ckpt"
        )
    origin = checkpoint[ORIGIN]
    if "config" not in origin:
        raise UsageError(f"--ckpt_path: {path} does not say of which trial it is: begin anew")
    held, wanted = ({"seed_everything": s, **c} for s, c in ((origin["seed"], origin["config"]), (seed, config)))
    longer = not checkpoint["lr_schedulers"] and "trainer.callbacks" not in wanted
    epochs = wanted.get("trainer.max_epochs")
    if longer and isinstance(epochs, int) and (epochs > checkpoint["epoch"] or epochs == -1):
        held = {**held, "trainer.max_epochs": epochs}
    _refuse_differences(path, held, wanted)


def _refuse_differences(path: Path, held: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    missing = object()
    differ = [n for n in dict.fromkeys([*held, *wanted]) if held.get(n, missing) != wanted.get(n, missing)]
    said = []
    for name in differ:
        there, here = (f"{of[name]}" if name in of else "none" for of in (held, wanted))
        said.append(f"{name}={there} there, {here} here" if name in held else f"{name} is not given there, {here} here")
    if said:
        raise UsageError(f"--ckpt_path: {path} is of another trial: {'; '.join(said)}")


def _plain(value: Any) -> Any:
    """Return a configuration in values that a checkpoint can hold without code."""
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, Enum):
        return value.name  # which the command line takes
    return value if isinstance(value, int | float | str | bool | None) else str(value)
