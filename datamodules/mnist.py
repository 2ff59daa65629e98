"""MNIST: 70,000 handwritten digits, grey, 28x28."""

from __future__ import annotations

from datamodules.image import ImageDataModule


class MNIST(ImageDataModule):
    """Handwritten digits: 55,000 to train, 5,000 to validate, 10,000 to test.

    Grey images of 28x28 pixels in ten classes. No augmentation unless it is asked for: seed 000's question is what a
    network makes of rotations that it has never seen.

    Source: LeCun, Cortes and Burges; the files' checksums stand in ``datamodules/sources.py``.
    """

    source = "mnist"
    in_channels = 1
    image_size = 28
    num_classes = 10
    class_names = tuple("0123456789")
    mean = (0.1307,)
    std = (0.3081,)
    default_augment = "none"
