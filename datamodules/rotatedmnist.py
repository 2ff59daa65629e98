"""Rotated MNIST: digits at angles drawn from the whole circle, few of them to learn from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from datamodules.formats import Bytes
from datamodules.image import ImageDataModule
from datamodules.mnist import MNIST
from datamodules.sources import FIELDS, Source, load_arrays

TRAIN, TEST = 12_000, 50_000
DRAW = 20_260  # random seed of the order of the digits and of their angles
AT_ONCE = 2_000  # images that are turned together: what they take of memory


def turned(images: Bytes, angles: npt.NDArray[np.float64]) -> Bytes:
    """Turn images ``(N, S, S)`` about their centres, counter-clockwise, bilinearly, with black from outside.

    In float64 by additions and multiplications alone, so that every machine makes the same bytes.

    Args:
        images: uint8.
        angles: in degrees, ``(N,)``.
    """
    count, size, _ = images.shape
    middle = (size - 1) / 2
    y, x = np.mgrid[:size, :size] - middle
    cos, sin = (part(np.deg2rad(angles))[:, None, None] for part in (np.cos, np.sin))
    # where each pixel comes from, in an image with an edge of one black pixel
    row, column = np.clip(cos * y + sin * x + middle, -1, size) + 1, np.clip(cos * x - sin * y + middle, -1, size) + 1
    padded = np.pad(images, ((0, 0), (1, 2), (1, 2))).astype(np.float64)
    top, left = row.astype(int), column.astype(int)
    below, right = row - top, column - left
    image = np.arange(count)[:, None, None]
    upper = padded[image, top, left] * (1 - right) + padded[image, top, left + 1] * right
    lower = padded[image, top + 1, left] * (1 - right) + padded[image, top + 1, left + 1] * right
    result: Bytes = np.rint(upper * (1 - below) + lower * below).astype(np.uint8)
    return result


def _make(data_dir: Path) -> dict[str, Bytes]:
    upright = load_arrays(MNIST.source, data_dir)
    images = np.concatenate([upright.train_images, upright.test_images])
    labels = np.concatenate([upright.train_labels, upright.test_labels]).astype(np.uint8)
    random = np.random.RandomState(DRAW)  # its stream is frozen by numpy's policy
    drawn = random.permutation(len(labels))[: TRAIN + TEST]
    angles = random.uniform(0, 360, TRAIN + TEST)
    parts = [slice(start, start + AT_ONCE) for start in range(0, TRAIN + TEST, AT_ONCE)]
    images = np.concatenate([turned(images[drawn[part], 0], angles[part]) for part in parts])[:, None]
    labels = labels[drawn]
    return dict(zip(FIELDS, (images[:TRAIN], labels[:TRAIN], images[TRAIN:], labels[TRAIN:]), strict=True))


class RotatedMNIST(ImageDataModule):
    """Digits of MNIST, each turned by an angle of its own: 12,000 to train and validate, 50,000 to test.

    On these, networks that are equivariant to rotations are usually compared. ``val_size: 2000`` leaves the 10,000
    training images that are usual.

    Source: Larochelle, Erhan, Courville, Bergstra and Bengio, "An empirical evaluation of deep architectures on
    problems with many factors of variation", ICML 2007. Deviation: their files are to be had nowhere that is checked
    here, so the data set is made from MNIST's, by the same recipe: of all 70,000 digits in a random order 12,000 and
    50,000, each turned about its centre by an angle between 0 and 360 degrees. Results are near those on the published
    files, and are not results on them.
    """

    source = Source(
        name="RotatedMNIST",
        make=_make,
        arrays={
            "train_images": ((TRAIN, 1, 28, 28), "d65e4f78af011928dff5acb11eb4d60cffc97c070d5f0e2297dec1ccc68a8580"),
            "train_labels": ((TRAIN,), "1ec212895fdbacd2f2c7309bbb1bb113e3d6d1fbfddcf60439ccbc09af316053"),
            "test_images": ((TEST, 1, 28, 28), "a3c1b3825568f886e61e89e052e0d43f7faa58a2370fe831afdbfef34093e3cc"),
            "test_labels": ((TEST,), "db438ddf543c9da5ffcd9fbe4a1a808a995fd27c7123b2ddd1fbaa88c0ead9da"),
        },
    )
    in_channels = 1
    image_size = 28
    num_classes = 10
    class_names = MNIST.class_names
    mean = (0.1306,)
    std = (0.2899,)
    default_augment = "none"
