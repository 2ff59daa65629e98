"""Fashion-MNIST: 70,000 articles of clothing, grey, 28x28; in the format of MNIST, and harder."""

from __future__ import annotations

import io
from functools import partial
from pathlib import Path

from datamodules.formats import Bytes, from_idx, read_debian, read_idx, unpack
from datamodules.image import ImageDataModule
from datamodules.mnist import IDX
from datamodules.sources import File, Source

IN_PACKAGE = {field: f"./usr/share/datasets/fashion-mnist/{name}.gz" for field, name in IDX.items()}


def _read_package(path: Path) -> dict[str, Bytes]:
    members = read_debian(path, list(IN_PACKAGE.values()))
    return {field: from_idx(unpack(io.BytesIO(members[name]))) for field, name in IN_PACKAGE.items()}


class FashionMNIST(ImageDataModule):
    """Articles of clothing: 55,000 to train, 5,000 to validate, 10,000 to test.

    Grey images of 28x28 pixels in ten classes. No augmentation unless it is asked for, as for MNIST.

    Source: Xiao, Rasul and Vollgraf, "Fashion-MNIST: a novel image dataset for benchmarking machine learning
    algorithms", 2017.
    """

    source = Source(
        name="FashionMNIST",
        debian="dataset-fashion-mnist",
        arrays={
            "train_images": ((60_000, 1, 28, 28), "2e487a6c89124f78f2d7521542223cafe96f7123c3ca13d447772ac6ecbb3012"),
            "train_labels": ((60_000,), "657fbd221bfc9f4198cc14b5619cc33ec57c58dd0e47af4d99d6650759e869a7"),
            "test_images": ((10_000, 1, 28, 28), "c867c93ff95360594e8ec3287995350b824dd110b11595c0e13d5423f621867a"),
            "test_labels": ((10_000,), "3d0e6c6ea990b53b6f8f500a41cac93881d981b315f84578b7d915342ade01e9"),
        },
        files=[
            # in a folder of their own: MNIST's files have the same names
            *(
                File(f"FashionMNIST/raw/{name}{suffix}", partial(read_idx, field), [field])
                for field, name in IDX.items()
                for suffix in ("", ".gz")
            ),
            File("dataset-fashion-mnist_*.deb", _read_package),
        ],
        by_hand="FashionMNIST/raw/ as torchvision makes it, or the package dataset-fashion-mnist_…_all.deb",
    )
    in_channels = 1
    image_size = 28
    num_classes = 10
    class_names = (
        "T-shirt/top",
        "trouser",
        "pullover",
        "dress",
        "coat",
        "sandal",
        "shirt",
        "sneaker",
        "bag",
        "ankle boot",
    )
    mean = (0.2860,)
    std = (0.3530,)
    default_augment = "none"
