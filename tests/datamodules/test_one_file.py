"""A further data set is one file in datamodules/ and nothing else."""

import gzip
import hashlib
import sys

import numpy as np
import pytest

import datamodules
from tests.datamodules.published import idx

TEXT = '''
"""Fashion: what a file in datamodules/ says of a data set that is published like MNIST."""

from functools import partial

from datamodules.formats import read_idx
from datamodules.image import ImageDataModule
from datamodules.mnist import IDX
from datamodules.sources import File, Source


class Fashion(ImageDataModule):
    """Clothes in two classes."""

    source = Source(
        name="FashionMNIST",
        npm="nobody-has-it@1.0.0",
        arrays=SUMS,
        files=[File(f"{name}.gz", partial(read_idx, field), [field]) for field, name in IDX.items()],
        by_hand="the four files of its authors",
    )
    in_channels = 1
    image_size = 28
    num_classes = 2
    class_names = ("shirt", "shoe")
    mean = (0.3,)
    std = (0.3,)
'''


@pytest.fixture
def fashion(tmp_path, monkeypatch):
    """The data module and its arrays; the published files lie in the data folder."""
    random = np.random.RandomState(0)
    arrays = {}
    for split, count in (("train", 30), ("test", 10)):
        arrays[f"{split}_images"] = random.randint(0, 256, (count, 1, 28, 28)).astype(np.uint8)
        arrays[f"{split}_labels"] = (np.arange(count) % 2).astype(np.uint8)
    for field, name in datamodules.mnist.IDX.items():
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(idx(arrays[field])))
    sums = {field: (array.shape, hashlib.sha256(array.tobytes()).hexdigest()) for field, array in arrays.items()}
    (tmp_path / "fashion.py").write_text(TEXT.replace("SUMS", repr(sums)))
    monkeypatch.setattr(datamodules, "__path__", [*datamodules.__path__, str(tmp_path)])  # as if it lay among ours
    yield __import__("datamodules.fashion").fashion.Fashion, arrays
    del sys.modules["datamodules.fashion"], datamodules.fashion


def test_one_file_is_enough(fashion, tmp_path):
    kind, arrays = fashion
    data = kind(str(tmp_path), batch_size=4, val_size=10)
    data.prepare_data()
    data.setup()
    assert (len(data.train), len(data.val), len(data.test), len(data.rotation_sweep)) == (20, 10, 10, 10)
    assert np.array_equal(data.test.images.numpy(), arrays["test_images"])
    assert (tmp_path / "fashionmnist.npz").is_file()
    index = next(iter(data.train_dataloader()))
    images, labels = data.transfer_batch_to_device(index, index.device, 0)
    assert images.shape == (4, 1, 28, 28)
    assert set(labels.tolist()) <= {0, 1}


def test_the_package_exports_the_data_sets_of_its_files():
    assert datamodules.__all__ == ["ImageDataModule", "CIFAR10", "FashionMNIST", "MNIST", "RotatedMNIST"]
