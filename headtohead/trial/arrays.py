"""A data set of arrays that somebody has in memory: kept in a file, from which every trial of a comparison reads it."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np

from datamodules import ImageDataModule
from datamodules.checks import checked
from datamodules.sources import FIELDS, Arrays
from headtohead.cli.errors import UsageError
from headtohead.records.files import write_bytes
from lit_models.facts import FACTS

FOLDER = "runs/arrays"  # where the files are, unless the trials are elsewhere

__all__ = ["FOLDER", "Arrays", "OwnArrays", "keep"]


class OwnArrays(ImageDataModule):
    """Images and labels that :func:`keep` has written.

    Args:
        name: of the file without ``.npz``; it holds a hash of what the file holds, and so tells data apart.
        data_dir: folder of the file.
        **arguments: as every data module has them.
    """

    def __init__(self, name: str, data_dir: str = FOLDER, **arguments: Any) -> None:
        with np.load(Path(data_dir) / f"{name}.npz", allow_pickle=False) as file:
            facts: dict[str, Any] = {fact: int(file[fact]) for fact in FACTS}
            facts |= {of: tuple(map(float, file[of])) for of in ("mean", "std")}
        facts["class_names"] = tuple(map(str, range(facts["num_classes"])))
        # a data module's facts are those of its class: each file has a class of its own
        self.__class__ = type(type(self).__name__, (type(self),), facts)
        super().__init__(data_dir=data_dir, **arguments)
        self.name = name

    def load(self) -> Arrays:
        """Read the file."""
        with np.load(Path(self.data_dir) / f"{self.name}.npz", allow_pickle=False) as file:
            return Arrays(*(file[field] for field in FIELDS))


def keep(given: Any, folder: Path) -> tuple[str, dict[str, int], int]:
    """Write arrays to a file of their own, from which :class:`OwnArrays` reads them.

    Args:
        given: training images, training labels, test images, test labels: uint8 ``(N, C, S, S)``, or ``(N, S, S)`` for
            grey ones, and whole numbers ``(N,)`` from 0 on; arrays or tensors.
        folder: for the file.

    Returns:
        The name of the file, the facts of the data, and the number of training images.

    Raises:
        UsageError: says what is wrong with them.
    """
    if not isinstance(given, Arrays) and len(given) != len(FIELDS):
        raise UsageError(f"data: must be four arrays, {', '.join(FIELDS)}: got {len(given)}")
    try:
        given = given if isinstance(given, Arrays) else Arrays(*given)
        images, labels = (np.asarray(part) for part in (given.train_images, given.train_labels))
        if images.ndim not in (3, 4) or not labels.size:
            raise ValueError(f"train_images must be of shape (N, C, S, S) or (N, S, S): got {images.shape}")
        facts = {"in_channels": 1 if images.ndim == 3 else images.shape[1], "image_size": images.shape[-1]}
        facts["num_classes"] = int(labels.max()) + 1
        stated: Any = type("arrays", (), facts)
        arrays = checked(stated, given)
    except (ValueError, TypeError) as error:
        raise UsageError(f"data: {error}") from None
    white = np.float64(255)
    flat = arrays.train_images.transpose(1, 0, 2, 3).reshape(facts["in_channels"], -1)
    statistics = {"mean": flat.mean(1) / white, "std": np.maximum(flat.std(1) / white, 1e-3)}
    content = {field: getattr(arrays, field) for field in FIELDS} | facts | statistics
    digest = hashlib.sha256(repr([content[field].shape for field in FIELDS]).encode())
    for field in FIELDS:
        digest.update(content[field].tobytes())
    name = f"arrays-{digest.hexdigest()[:8]}"
    if not (folder / f"{name}.npz").is_file():
        buffer = io.BytesIO()
        np.savez(buffer, **content)
        folder.mkdir(parents=True, exist_ok=True)
        write_bytes(folder / f"{name}.npz", buffer.getvalue())
    return name, facts, len(arrays.train_labels)
