"""Starts a network from weights in a file: torchvision's pretrained ones, or those of another trial."""

from __future__ import annotations

import functools
import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import Tensor, nn
from torchvision.models import WeightsEnum

from headtohead.cli.errors import UsageError, one_line

COUNTED = "num_batches_tracked"  # of a batch norm, which older files have not, and nothing here reads


@dataclass(frozen=True)
class Weights:
    """Weights in a file.

    Args:
        path: of the file.
        digits: the first 8 hexadecimal digits of the SHA-256 of its bytes, which torchvision's have in their names.
    """

    path: Path
    digits: str

    @property
    def identity(self) -> str:
        """What stands for them in a trial's identity, and finds them again where the file lies: ``NAME@DIGITS``."""
        return f"{self.path.name}@{self.digits}"


def find_weights(given: str, class_path: str, arguments: Mapping[str, Any]) -> Weights:
    """Return the weights that a user names.

    Args:
        given: a file, or ``FILE@DIGITS``, which must have these digits.
        class_path: of the network, for the message where there is no such file.
        arguments: of the network.

    Raises:
        UsageError: there is no such file, or another of that name.
    """
    named = re.fullmatch(r"(.+)@([0-9a-f]{8})", given)
    path = Path(named[1] if named and not Path(given).exists() else given).expanduser()
    if not path.is_file():
        raise UsageError(f"--weights: no file {path}; {_where_from(class_path, arguments)}")
    stat = path.stat()
    digits = _digits(path, stat.st_size, stat.st_mtime_ns)
    if named and path != Path(given) and digits != named[2]:
        raise UsageError(f"--weights: {path} is another file: its SHA-256 begins with {digits}: got {named[2]}")
    return Weights(path, digits)


def published(class_path: str, arguments: Mapping[str, Any]) -> WeightsEnum | None:
    """Return which weights torchvision publishes for a network, trained on ImageNet; None where it has none.

    Args:
        class_path: of the network: ``lit_models.VGG``, or a function of ``torchvision.models``.
        arguments: of the network.
    """
    module, _, name = class_path.rpartition(".")
    if name == "VGG" and module.partition(".")[0] == "lit_models":
        layers = {"A": 11, "B": 13, "D": 16, "E": 19}.get(str(arguments.get("configuration", "D")))
        name = f"vgg{layers}{'_bn' if arguments.get('batch_norm') else ''}"
    elif not module.startswith("torchvision.models"):
        return None
    try:
        return next(iter(torchvision.models.get_model_weights(name)))
    except (ValueError, StopIteration):
        return None


def fill(network: nn.Module, weights: Weights, name: str) -> str:
    """Give a network the weights of a file, by their names.

    The last layer starts anew where the file's is for another number of classes.

    Args:
        network: changed in place.
        weights: the file.
        name: of the network, for messages.

    Returns:
        What must be said: that the last layer starts anew; else nothing.

    Raises:
        UsageError: the file holds something else, or does not fit.
    """
    held, own = _read(weights.path), network.state_dict()
    for names, of in (([*own], held), ([*held], own)):
        missing = [key for key in names if key not in of and not key.endswith(COUNTED)]
        if missing:
            more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
            lacks = "it has no" if of is held else "the network has no"
            raise UsageError(f"--weights: {weights.path} does not fit {name}: {lacks} {missing[0]}{more}")
    last = [*own][-1].rpartition(".")[0]
    other = [key for key in own if key in held and held[key].shape != own[key].shape]
    for key in other:
        there, here = tuple(held[key].shape), tuple(own[key].shape)
        if key.rpartition(".")[0] != last or there[1:] != here[1:]:
            raise UsageError(f"--weights: {weights.path} does not fit {name}: {key} is {there} there, {here} here")
    classes = {len(held[key]) for key in other}
    network.load_state_dict({key: own[key] if key in other or key not in held else held[key] for key in own})
    return f"{last} starts anew: in {weights.path} it is for {classes.pop()} classes" if other else ""


def _read(path: Path) -> dict[str, Tensor]:
    """Return the weights in a file by their names: of a state dict, or of the network in a checkpoint of a trial.

    Raises:
        UsageError: it holds something else.
    """
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged or foreign bytes make its readers raise nearly anything
        reason = "it holds more than weights" if "weights_only" in str(error) else one_line(error)[:100]
        raise UsageError(f"--weights: {path} cannot be used: {reason}") from None
    if isinstance(found, Mapping) and isinstance(found.get("state_dict"), Mapping):
        found = {key.removeprefix("net."): value for key, value in found["state_dict"].items()}
    if not isinstance(found, Mapping) or not found or not all(isinstance(value, Tensor) for value in found.values()):
        raise UsageError(f"--weights: {path} is no state dict, which torch.save(network.state_dict(), FILE) writes")
    return dict(found)


def _where_from(class_path: str, arguments: Mapping[str, Any]) -> str:
    """Return where weights of a network are had."""
    weights = published(class_path, arguments)
    if weights is None:
        return "it must be a state dict, as torch.save writes it, or a checkpoint of another trial"
    kept = Path(torch.hub.get_dir()) / "checkpoints"
    of = type(weights).__name__.removesuffix("_Weights").lower()
    return (
        f"torchvision calls ImageNet's {os.path.basename(weights.url)}, and keeps it in {kept} once "
        f"torchvision.models.{of}(weights='{weights.name}') has fetched it"
    )


@functools.lru_cache(maxsize=8)
def _digits(path: Path, size: int, changed: int) -> str:
    """Return the digits of a file, once while its size and time stay: a sweep asks for each of its trials."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:8]
