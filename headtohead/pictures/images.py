"""The images that are shown to a network: the first of its test set, files of the user's, or a drawn letter."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from datamodules import ImageDataModule
from datamodules.formats import read_pixels
from datamodules.sources import DataUnavailable, compact_file
from headtohead.pictures.layers import Floats
from headtohead.trial.opening import CheckpointError


@dataclass(frozen=True)
class Sample:
    """An image as people see it, ``(H, W)`` or ``(H, W, 3)`` in [0, 1], and as the network takes it."""

    name: str
    shown: Floats
    inputs: tuple[Tensor, ...]


def first_image(inputs: tuple[Tensor, ...], data: ImageDataModule | None) -> Sample:
    """Return the first image of the test set if that is on this machine, else a drawn letter.

    Args:
        inputs: what the network takes for one image.
        data: the data set; it is not fetched.
    """
    arrays = None
    if data is not None and _is_here(data):
        with contextlib.suppress(DataUnavailable):  # the file is damaged, and no source has it either
            arrays = data.load()  # without the split, which no picture needs
    if data is not None and arrays is not None:
        image = torch.from_numpy(arrays.test_images[:1]).float() / 255
        if image.shape[1:] == inputs[0].shape[1:]:
            label = data.class_names[int(arrays.test_labels[0])]
            return _sample(f"first test image, {label}", image, inputs, data)
    return _sample("a drawn letter", letter(inputs[0]), inputs, data)


def first_images(count: int, inputs: tuple[Tensor, ...], data: ImageDataModule | None) -> list[Sample]:
    """Return the first images of the test set, or what :func:`first_image` returns where that is not here."""
    first = first_image(inputs, data)
    if data is None or not first.name.startswith("first test image"):
        return [first]
    arrays = data.load()
    images = torch.from_numpy(arrays.test_images[:count]).float() / 255
    names = [f"image {index + 1}, {data.class_names[int(arrays.test_labels[index])]}" for index in range(len(images))]
    return [_sample(name, image.unsqueeze(0), inputs, data) for name, image in zip(names, images, strict=True)]


def read_images(paths: Sequence[Path], inputs: tuple[Tensor, ...], data: ImageDataModule | None) -> list[Sample]:
    """Read images, in the colours and at the size that the network takes.

    Raises:
        CheckpointError: a file is no image, or the network takes neither grey images nor colours.
    """
    channels, size = inputs[0].shape[1:3]
    if channels not in (1, 3):
        raise CheckpointError(f"--image: the network takes images of {channels} channels; 1 and 3 can be read")
    samples = []
    for path in paths:
        try:
            pixels = read_pixels(path, channels, size)
        except ValueError as error:
            raise CheckpointError(f"--image: {path}: {error}") from None
        tensor = torch.from_numpy(pixels).unsqueeze(0).float() / 255
        samples.append(_sample(path.name, tensor, inputs, data))
    return samples


def letter(like: Tensor) -> Tensor:
    """Draw an F, which no turn and no mirror maps onto itself, as an image ``(1, C, H, W)`` in [0, 1]."""
    _, channels, height, width = like.shape
    image = torch.zeros(1, channels, height, width)
    bar = max(1, height // 8)
    top, left = height // 6, width // 3
    image[..., top : height - top, left : left + bar] = 1
    image[..., top : top + bar, left : width - left + bar] = 1
    image[..., height // 2 - bar // 2 : height // 2 - bar // 2 + bar, left : width - left] = 1
    return image


def _sample(name: str, image: Tensor, inputs: tuple[Tensor, ...], data: ImageDataModule | None) -> Sample:
    """Prepare an image ``(1, C, H, W)`` in [0, 1] as the data module does before a network sees it."""
    shown = image[0].permute(1, 2, 0).numpy()
    shown = shown if shown.shape[2] == 3 else shown.mean(2)
    fits = data is not None and data.in_channels == image.shape[1]
    seen = data.normalized(image) if data is not None and fits else image
    return Sample(name, shown, (seen, *inputs[1:]))


def _is_here(data: ImageDataModule) -> bool:
    """Say whether reading the data set would fetch nothing."""
    if type(data).load is not ImageDataModule.load:
        return True  # a user's own, named by that user
    return compact_file(data.source, data.data_dir).is_file()
