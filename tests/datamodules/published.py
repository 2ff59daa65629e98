"""Two tiny data sets in every form in which the real ones are published."""

import dataclasses
import gzip
import hashlib
import io
import json
import pickle
import pickletools
import socket
import struct
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torchvision
from PIL import Image

from datamodules import CIFAR10, MNIST
from datamodules.mnist import IDX
from datamodules.sources import Arrays, load_arrays

KINDS = {"mnist": MNIST, "cifar10": CIFAR10}
SHAPES = {"mnist": (1, 28, 28), "cifar10": (3, 32, 32)}


def load(name: str, folder: Path | str) -> Arrays:
    return load_arrays(KINDS[name].source, folder)


def tarball(name: str) -> str:
    """What ``npm pack`` calls it."""
    return f"{KINDS[name].source.npm.replace('@', '-')}.tgz"


class Fake:
    """Two tiny data sets in every form in which the real ones are published, and a network that has neither."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.log = folder, folder / "npm.log"
        self.data = folder / "data"
        self.data.mkdir(parents=True)
        random = np.random.RandomState(0)
        self.arrays = {}
        for name, shape in SHAPES.items():
            arrays = {}
            for split, count in (("train", 20), ("test", 4)):
                arrays[f"{split}_images"] = random.randint(0, 256, (count, *shape)).astype(np.uint8)
                arrays[f"{split}_labels"] = random.randint(0, 10, count).astype(np.uint8)
            self.arrays[name] = arrays
            sums = {field: (a.shape, hashlib.sha256(a.tobytes()).hexdigest()) for field, a in arrays.items()}
            monkeypatch.setattr(KINDS[name], "source", dataclasses.replace(KINDS[name].source, arrays=sums))
        self.idx = {IDX[field]: idx(array) for field, array in self.arrays["mnist"].items()}
        self.batches = self._batches()
        md5 = {name: hashlib.md5(data).hexdigest() for name, data in self.batches.items()}
        fake = self

        def download(data_set: torchvision.datasets.VisionDataset) -> None:
            assert socket.getdefaulttimeout() == 30
            print("chatter")
            print("chatter", file=sys.stderr)
            if "torchvision" not in fake.reachable:
                raise OSError("no network\n  for torchvision")
            name = type(data_set).__name__
            fake.put("raw" if name == "MNIST" else "folder", Path(data_set.root))

        self.reachable: set[str] = set()
        monkeypatch.setattr(torchvision.datasets.MNIST, "download", download)
        cifar = {
            "train_list": [[f"data_batch_{i}", md5[f"data_batch_{i}"]] for i in range(1, 6)],
            "test_list": [["test_batch", md5["test_batch"]]],
            "meta": {"filename": "batches.meta", "key": "label_names", "md5": md5["batches.meta"]},
            "tgz_md5": None,  # of what is put
            "download": download,
        }
        for attribute, value in cifar.items():
            monkeypatch.setattr(torchvision.datasets.CIFAR10, attribute, value)
        (folder / "bin").mkdir()
        monkeypatch.setenv("PATH", f"{folder / 'bin'}:/usr/bin:/bin")
        self.npm("echo 'npm error no network' >&2; exit 1")

    def npm(self, script: str) -> None:
        """Make ``npm`` write a line to the log, then run ``script``, in which $4 is the destination."""
        program = self.folder / "bin" / "npm"
        program.write_text(f'#!/bin/sh\necho "$@" >> {self.log}\n{script}\n')
        program.chmod(0o755)

    def npm_has(self, name: str) -> None:
        self.put("npm", self.folder, name)
        self.npm(f"cp {self.folder / tarball(name)} $4")

    @property
    def npm_calls(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []

    def put(self, form: str, folder: Path, name: str = "mnist") -> None:
        """Write a data set into ``folder`` in one of the published forms."""
        if form == "npz":
            np.savez(folder / f"{name}.npz", **self.arrays[name])
        elif form == "npm":
            write_tar(folder / tarball(name), self.members(name))
        elif form == "archive":
            path = folder / "cifar-10-python.tar.gz"
            write_tar(path, {f"cifar-10-batches-py/{k}": v for k, v in self.batches.items()})
            torchvision.datasets.CIFAR10.tgz_md5 = hashlib.md5(path.read_bytes()).hexdigest()
        elif form == "folder":
            (folder / "cifar-10-batches-py").mkdir()
            for file, data in self.batches.items():
                (folder / "cifar-10-batches-py" / file).write_bytes(data)
        else:
            place = folder / "MNIST" / "raw" if "raw" in form else folder
            place.mkdir(parents=True, exist_ok=True)
            for file, data in self.idx.items():
                file = file.replace("-idx", ".idx") if "dotted" in form else file
                if "gz" in form:
                    (place / f"{file}.gz").write_bytes(gzip.compress(data))
                else:
                    (place / file).write_bytes(data)

    def members(self, name: str) -> dict[str, bytes]:
        """Return what the npm package holds."""
        if name == "mnist":
            return {f"package/data/{file}": data for file, data in self.idx.items()}
        arrays = self.arrays[name]
        members = {
            f"package/{split}_lables.json": json.dumps(arrays[f"{split}_labels"].tolist()).encode()
            for split in ("train", "test")
        }
        sheets = {f"data_batch_{i + 1}": arrays["train_images"][4 * i : 4 * i + 4] for i in range(5)}
        for file, images in {**sheets, "test_batch": arrays["test_images"]}.items():
            members[f"package/{file}.png"] = png(images)
        return members

    def _batches(self) -> dict[str, bytes]:
        arrays = self.arrays["cifar10"]
        batches = {}
        for i in range(5):
            part = slice(4 * i, 4 * i + 4)
            batches[f"data_batch_{i + 1}"] = batch(arrays["train_images"][part], arrays["train_labels"][part])
        batches["test_batch"] = batch(arrays["test_images"], arrays["test_labels"])
        return {**batches, "batches.meta": pickle.dumps({"label_names": list(CIFAR10.class_names)})}

    def check(self, name: str, arrays: Arrays) -> None:
        for field, expected in self.arrays[name].items():
            array = getattr(arrays, field)
            assert np.array_equal(array, expected)
            assert array.dtype == (np.uint8 if "images" in field else np.int64)
            assert array.flags.writeable  # or torch.from_numpy warns


def idx(array: np.ndarray) -> bytes:
    array = array.squeeze(1) if array.ndim == 4 else array
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def png(images: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(images.transpose(0, 2, 3, 1).reshape(len(images), -1, 3)).save(buffer, "PNG")
    return buffer.getvalue()


def batch(images: np.ndarray, labels: np.ndarray) -> bytes:
    """Pickle as Python 2 did, whose strings were bytes, and NumPy of 2009, whose module had another name."""
    content = {"data": images.reshape(len(images), -1), "labels": labels.tolist()}
    data = bytearray(pickle.dumps(content, protocol=3).replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    as_python_2 = {"BINUNICODE": b"T", "BINBYTES": b"T", "SHORT_BINBYTES": b"U"}
    for opcode, _, position in pickletools.genops(bytes(data)):
        if opcode.name in as_python_2:
            data[position : position + 1] = as_python_2[opcode.name]
    return bytes(data)


def write_tar(path: Path, members: dict[str, bytes], extra: tuple[tarfile.TarInfo, ...] = ()) -> None:
    with tarfile.open(path, "w:gz") as archive:
        for info in extra:
            archive.addfile(info)
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


class Malicious:
    """Makes a file when it is unpickled."""

    def __init__(self, sentinel: Path) -> None:
        self.sentinel = sentinel

    def __reduce__(self):
        return Path.touch, (self.sentinel,)


def damaged(data: bytes, damage: str) -> bytes:
    middle = len(data) // 2
    return {
        "bit flip": data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :],
        "truncated": data[:middle],
        "empty": b"",
        "garbage": b"<html>sign in to the network</html>",
        "too long": data + b"\0" * 8,
    }[damage]
