"""CIFAR-10: 60,000 photographs of animals and vehicles, colour, 32x32."""

from __future__ import annotations

from datamodules.image import ImageDataModule


class CIFAR10(ImageDataModule):
    """Small photographs: 45,000 to train, 5,000 to validate, 10,000 to test.

    RGB images of 32x32 pixels in ten classes, padded, cropped and flipped in training unless told otherwise.

    Source: Krizhevsky 2009; the files' checksums stand in ``datamodules/sources.py``. Mean and standard
    deviation are those of the pixels of the training set; seed 002 has (0.2023, 0.1994, 0.2010), the mean of the
    images' own deviations.
    """

    source = "cifar10"
    in_channels = 3
    image_size = 32
    num_classes = 10
    class_names = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
    mean = (0.4914, 0.4822, 0.4465)
    std = (0.2470, 0.2435, 0.2616)
    default_augment = "crop_flip"
