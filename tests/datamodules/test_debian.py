"""A data set from a Debian package: read without unpacking to the disk, and distrusted like any other."""

import gzip
import hashlib
import io
import lzma
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from datamodules import fashionmnist, formats, sources
from datamodules.fashionmnist import IN_PACKAGE, FashionMNIST
from datamodules.formats import read_debian
from datamodules.sources import DataUnavailable, load_arrays

PACKAGE = "dataset-fashion-mnist_9.9-1_all.deb"


def idx(array):
    dimensions = array.squeeze(1).shape if array.ndim == 4 else array.shape
    return b"\0\0\x08" + bytes([len(dimensions)]) + np.array(dimensions, ">u4").tobytes() + array.tobytes()


def member(name, content, size=None):
    header = f"{name:<16}{0:<12}{0:<6}{0:<6}{0o100644:<8o}{len(content) if size is None else size:<10}`\n".encode()
    assert len(header) == 60
    return header + content + b"\n" * (len(content) % 2)


def tar(files):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def deb(data, size=None):
    parts = [member("debian-binary", b"2.0\n"), member("control.tar.xz", b"odd", size), member("data.tar.xz", data)]
    return b"!<arch>\n" + b"".join(parts)


@pytest.fixture
def source(monkeypatch):
    """Fashion-MNIST, of three and two images."""
    random = np.random.default_rng(0)
    arrays = {
        "train_images": random.integers(0, 256, (3, 1, 28, 28), np.uint8),
        "train_labels": np.array([9, 0, 1], np.uint8),
        "test_images": random.integers(0, 256, (2, 1, 28, 28), np.uint8),
        "test_labels": np.array([3, 4], np.uint8),
    }
    known = {name: (array.shape, hashlib.sha256(array.tobytes()).hexdigest()) for name, array in arrays.items()}
    return replace(FashionMNIST.source, arrays=known), arrays


def package(arrays):
    return deb(lzma.compress(tar({name: gzip.compress(idx(arrays[field])) for field, name in IN_PACKAGE.items()})))


def test_a_package_that_a_person_placed_is_read_and_kept(tmp_path, source):
    source, arrays = source
    (tmp_path / PACKAGE).write_bytes(package(arrays))
    found = load_arrays(source, tmp_path)
    assert all((getattr(found, name) == array).all() for name, array in arrays.items())
    (tmp_path / PACKAGE).unlink()
    assert (load_arrays(source, tmp_path).test_images == arrays["test_images"]).all()  # fashionmnist.npz


def test_apt_is_asked_when_torchvision_fails(tmp_path, source, monkeypatch, capfd):
    source, arrays = source
    asked = []

    def refuse(source, folder):
        raise OSError("no way out")

    def apt(command, **options):
        asked.append(command)
        Path(options["cwd"], PACKAGE).write_bytes(package(arrays))
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(sources, "_download_with_torchvision", refuse)
    monkeypatch.setattr(subprocess, "run", apt)
    assert (load_arrays(source, tmp_path).train_labels == arrays["train_labels"]).all()
    assert asked == [["apt-get", "download", "--quiet", "dataset-fashion-mnist"]]
    assert "downloading (Debian, dataset-fashion-mnist) …" in capfd.readouterr().err

    def broken(command, **options):
        return subprocess.CompletedProcess(command, 100, "", "E: Unable to locate package\n")

    monkeypatch.setattr(subprocess, "run", broken)
    (tmp_path / "fashionmnist.npz").unlink()
    with pytest.raises(DataUnavailable) as error:
        load_arrays(source, tmp_path)
    said = str(error.value)
    assert "torchvision: no way out" in said
    assert "Debian, dataset-fashion-mnist: E: Unable to locate package" in said
    assert "which `apt-get download dataset-fashion-mnist` writes" in said
    assert "npm" not in said


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no Debian package"),
        (b"!<arch>\n", "no data.tar.xz"),
        (b"!<arch>\n" + member("data.tar.zst", b"x"), "no data.tar.xz"),
        (deb(lzma.compress(tar({})), size=-60), "no data.tar.xz"),  # which would be read again and again
        (deb(lzma.compress(tar({"other": b"x"}))), "has no file"),
        (deb(lzma.compress(tar(dict.fromkeys(IN_PACKAGE.values(), b"x")))), "gzip"),  # not gzip
        (deb(b"not xz at all"), "."),
    ],
)
def test_what_is_no_package_is_refused(tmp_path, content, said):
    path = tmp_path / PACKAGE
    path.write_bytes(content)
    with pytest.raises((ValueError, OSError, lzma.LZMAError, tarfile.TarError), match=said):
        fashionmnist._read_package(path)


def test_no_more_is_unpacked_than_a_data_set_can_have(tmp_path, monkeypatch):
    monkeypatch.setattr(formats, "MAX_ARCHIVE_BYTES", 10_000)
    monkeypatch.setattr(formats, "MAX_FILE_BYTES", 5_000)
    path = tmp_path / PACKAGE
    path.write_bytes(deb(lzma.compress(tar({f"file{i}": bytes(4_000) for i in range(5)}))))
    with pytest.raises(ValueError, match="more than any data set"):
        read_debian(path, ["file4"])
    with pytest.raises(ValueError, match="more than 5000 bytes"):
        formats.unpack(io.BytesIO(gzip.compress(bytes(6_000))))
