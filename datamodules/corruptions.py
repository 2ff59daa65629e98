"""Corrupts test images: noise, blur, less contrast, a shift, another scale, each at five strengths.

The numbers that are drawn for an image belong to its place in the test set. They are drawn and the images made on the
CPU, and rounded to bytes: every network, batch size, device and number of processes is tested on the same images.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import torch
from kornia.enhance import adjust_contrast_with_mean_subtraction
from kornia.filters import gaussian_blur2d
from kornia.geometry.transform import scale, translate
from torch import Tensor

Corruption = Literal["noise", "blur", "contrast", "shift", "scale"]
KINDS: tuple[Corruption, ...] = get_args(Corruption)
# From the weakest to the strongest. Noise: its standard deviation, of white. Blur: the standard deviation of the
# Gaussian, in widths of the image. Contrast: what is left of it. Shift: in widths of the image. Scale: how many times
# as large or as small things become.
STRENGTHS: dict[Corruption, tuple[float, ...]] = {
    "noise": (0.05, 0.1, 0.15, 0.2, 0.3),
    "blur": (0.015, 0.03, 0.045, 0.06, 0.08),
    "contrast": (0.8, 0.6, 0.4, 0.3, 0.2),
    "shift": (0.04, 0.08, 0.12, 0.16, 0.2),
    "scale": (1.1, 1.2, 1.3, 1.4, 1.5),
}
DRAW = 20_260  # of what is drawn


@dataclass(frozen=True)
class Corrupted:
    """A batch of a corrupted test set: where its images lie in their pool, ``(B,)``, and what is done to them."""

    index: Tensor
    name: Corruption
    strength: int


def corrupt(images: Tensor, places: Iterable[int], name: Corruption, strength: int) -> Tensor:
    """Return corrupted copies of images.

    An image is shifted in a direction of its own, and becomes larger or smaller about its centre with equal odds; what
    lies outside is the nearest pixel of its edge. Noise is Gaussian, drawn for each pixel and channel. Of an image, all
    strengths have the same noise, direction and choice.

    Args:
        images: ``(B, C, S, S)`` uint8, on the CPU.
        places: of the images in the test set.
        name: one of ``KINDS``.
        strength: 1 to 5.
    """
    floats, amount = images.float() / 255, STRENGTHS[name][strength - 1]
    size = images.shape[-1]
    made: Tensor
    match name:
        case "noise":
            drawn = [_random(name, place).standard_normal(floats[0].numel()) for place in places]
            made = floats + amount * _tensor(drawn).view_as(floats)
        case "blur":
            sigma = amount * size
            window = 2 * math.ceil(3 * sigma) + 1  # three deviations to either side
            made = gaussian_blur2d(floats, window, (sigma, sigma), border_type="replicate")
        case "contrast":
            made = adjust_contrast_with_mean_subtraction(floats, amount)
        case "shift":
            angles = np.array([_random(name, place).uniform(0, 2 * math.pi) for place in places])
            by = amount * size * np.stack([np.cos(angles), np.sin(angles)], 1)
            made = translate(floats, _tensor(by), padding_mode="border")
        case "scale":
            larger = np.array([_random(name, place).randint(2) for place in places])
            factors = np.where(larger == 1, amount, 1 / amount)
            made = scale(floats, _tensor(factors), padding_mode="border")
    return (255 * made.clamp(0, 1)).round().to(torch.uint8)


def _random(name: Corruption, place: int) -> np.random.RandomState:
    """Return the random stream of an image, which numpy's policy keeps as it is."""
    return np.random.RandomState([DRAW, KINDS.index(name), place])


def _tensor(numbers: npt.ArrayLike) -> Tensor:
    return torch.from_numpy(np.asarray(numbers, np.float32))
