"""Rotated MNIST, made of MNIST: the rotation by value, and the same data set on every machine."""

import math
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from datamodules import RotatedMNIST, rotatedmnist
from datamodules.rotatedmnist import turned
from datamodules.sources import DataUnavailable, load_arrays

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 28, 28), np.uint8)


def by_hand(image, angle):
    """The same by a loop over pixels."""
    size, middle = len(image), (len(image) - 1) / 2
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    result = np.zeros_like(image)

    def at(row, column):
        return float(image[row, column]) if 0 <= row < size and 0 <= column < size else 0.0

    for i in range(size):
        for j in range(size):
            y, x = i - middle, j - middle
            row, column = cos * y + sin * x + middle, cos * x - sin * y + middle
            top, left = math.floor(row), math.floor(column)
            value = 0.0
            for k in (0, 1):
                for m in (0, 1):
                    weight = (1 - abs(row - top - k)) * (1 - abs(column - left - m))
                    value += weight * at(top + k, left + m)
            result[i, j] = round(value)
    return result


@pytest.mark.parametrize("angle", [0.0, 13.0, 45.0, 123.4, 359.0])
def test_rotation_is_bilinear_about_the_centre(angle):
    found = turned(IMAGES, np.full(3, angle)).astype(int)
    expected = np.stack([by_hand(image, angle) for image in IMAGES]).astype(int)
    assert np.abs(found - expected).max() <= 1  # where a value lies between two bytes
    assert (found != expected).mean() < 1e-3


def test_quarter_turns_are_exact_and_counter_clockwise():
    for quarters in range(4):
        assert (turned(IMAGES, np.full(3, 90.0 * quarters)) == np.rot90(IMAGES, quarters, (1, 2))).all()


def test_inside_it_is_as_pillow_turns():
    found = turned(IMAGES, np.full(3, 33.0))
    pillow = np.stack([Image.fromarray(image).rotate(33, Image.Resampling.BILINEAR) for image in IMAGES])
    assert np.abs(found.astype(int) - pillow)[:, 4:-4, 4:-4].max() <= 1


def test_what_is_made_otherwise_is_refused(tmp_path):
    source = replace(RotatedMNIST.source, make=lambda folder: {"train_images": np.zeros((2, 1, 28, 28), np.uint8)})
    with pytest.raises(DataUnavailable, match="RotatedMNIST: made on this machine: train_images is uint8"):
        load_arrays(source, tmp_path)


@pytest.mark.data
@pytest.mark.slow
def test_made_of_the_real_digits(real_data, tmp_path):
    """Twelve thousand and fifty thousand different digits, whose bytes are those of every other machine."""
    made = rotatedmnist._make(real_data)
    (tmp_path / "x").mkdir()
    source = replace(RotatedMNIST.source, make=lambda folder: made)
    arrays = load_arrays(source, tmp_path)
    assert (len(arrays.train_labels), len(arrays.test_labels)) == (12_000, 50_000)
    assert arrays.train_images.mean() / 255 == pytest.approx(RotatedMNIST.mean[0], abs=5e-5)
    assert arrays.train_images.std() / 255 == pytest.approx(RotatedMNIST.std[0], abs=5e-5)
    assert (load_arrays(source, tmp_path).test_images == arrays.test_images).all()
