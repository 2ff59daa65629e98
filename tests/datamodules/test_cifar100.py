"""CIFAR-100 from the files that its authors publish, as a person or torchvision puts them; else a message."""

import dataclasses
import hashlib
import pickle
import socket

import numpy as np
import pytest
import torchvision

from datamodules import CIFAR100
from datamodules.sources import DataUnavailable, load_arrays
from tests.datamodules.published import write_tar

PUBLISHED = torchvision.datasets.CIFAR100


@pytest.fixture
def files(monkeypatch):
    """A tiny data set in the form of the published one, whose sums torchvision is told; and no network."""
    random = np.random.RandomState(0)
    pickles, arrays = {}, {}
    for split, count in (("train", 20), ("test", 4)):
        images = random.randint(0, 256, (count, 3, 32, 32)).astype(np.uint8)
        fine = random.randint(0, 100, count).astype(np.uint8)
        content = {"data": images.reshape(count, -1), "fine_labels": fine.tolist(), "coarse_labels": [0] * count}
        pickles[split] = pickle.dumps(content)
        arrays |= {f"{split}_images": images, f"{split}_labels": fine}
    pickles["meta"] = pickle.dumps({"fine_label_names": list(CIFAR100.class_names)})
    md5 = {name: hashlib.md5(data).hexdigest() for name, data in pickles.items()}
    monkeypatch.setattr(PUBLISHED, "train_list", [["train", md5["train"]]])
    monkeypatch.setattr(PUBLISHED, "test_list", [["test", md5["test"]]])
    monkeypatch.setattr(PUBLISHED, "meta", {**PUBLISHED.meta, "md5": md5["meta"]})
    source = dataclasses.replace(CIFAR100.source, arrays={name: (a.shape, "") for name, a in arrays.items()})
    monkeypatch.setattr(CIFAR100, "source", source)

    def refuse(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    return pickles, arrays


def put(pickles, folder):
    (folder / "cifar-100-python").mkdir()
    for name, data in pickles.items():
        (folder / "cifar-100-python" / name).write_bytes(data)


def same(found, arrays):
    return all(np.array_equal(getattr(found, name), array) for name, array in arrays.items())


@pytest.mark.parametrize("form", ["folder", "archive", "download"])
def test_it_is_read_and_kept(files, tmp_path, monkeypatch, form):
    pickles, arrays = files
    if form == "folder":
        put(pickles, tmp_path)
    elif form == "archive":
        path = tmp_path / "cifar-100-python.tar.gz"
        write_tar(path, {f"cifar-100-python/{name}": data for name, data in pickles.items()})
        monkeypatch.setattr(PUBLISHED, "tgz_md5", hashlib.md5(path.read_bytes()).hexdigest())
    else:
        monkeypatch.setattr(PUBLISHED, "download", lambda self: put(pickles, self.root))
    assert same(load_arrays(CIFAR100.source, tmp_path), arrays)
    for path in tmp_path.iterdir():
        if path.is_file() and path.name != "cifar100.npz":
            path.unlink()
    assert same(load_arrays(CIFAR100.source, tmp_path), arrays)  # of what was kept


def test_what_differs_from_the_published_files_is_not_used(files, tmp_path):
    pickles, _ = files
    put({**pickles, "test": pickles["test"] + b"\0"}, tmp_path)
    with pytest.raises(DataUnavailable, match="test is missing or differs from the published file"):
        load_arrays(CIFAR100.source, tmp_path)


def test_a_kept_file_that_is_damaged_is_made_again(files, tmp_path):
    pickles, arrays = files
    put(pickles, tmp_path)
    load_arrays(CIFAR100.source, tmp_path)
    kept = tmp_path / "cifar100.npz"
    whole = bytearray(kept.read_bytes())
    whole[len(whole) // 2] ^= 1
    kept.write_bytes(whole)
    assert same(load_arrays(CIFAR100.source, tmp_path), arrays)
    assert kept.read_bytes() != whole


def test_without_internet_the_message_says_what_to_place(files, tmp_path):
    with pytest.raises(DataUnavailable) as said:
        load_arrays(CIFAR100.source, tmp_path)
    assert str(said.value).splitlines()[-1] == (
        f"To place it by hand, put into {tmp_path}: cifar-100-python.tar.gz, or the folder cifar-100-python unpacked "
        "from it"
    )


def test_the_names_of_the_classes():
    assert len(set(CIFAR100.class_names)) == 100
    assert list(CIFAR100.class_names) == sorted(CIFAR100.class_names)
    assert (CIFAR100.class_names[0], CIFAR100.class_names[99]) == ("apple", "worm")
