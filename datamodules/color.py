"""Random brightness, contrast, saturation and hue of a whole batch at once, in few operations."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class RandomColor(nn.Module):
    """Changes brightness, contrast, saturation and hue of each image, in an order that is drawn for the batch.

    What kornia's ``ColorJiggle`` does, in less than a third of its operations: on a GPU small networks wait for each of
    those to be launched. From one seed both draw the same numbers and, but for rounding, make the same images.

    Args:
        brightness: the most that is added, either way, as a share of white.
        contrast: by so much at most, either way, the factor of all channels differs from 1.
        saturation: the same, for the factor of the saturation in HSV.
        hue: the largest turn, either way, as a share of the circle.
    """

    def __init__(self, brightness: float, contrast: float, saturation: float, hue: float) -> None:
        super().__init__()
        # in the order in which kornia draws them; contrast and saturation are factors, and lie around 1
        self.reach, self.middle = (brightness, contrast, hue, saturation), (0.0, 1.0, 0.0, 1.0)

    def forward(self, images: Tensor) -> Tensor:
        """Take and return floats in [0, 1], ``(B, 3, H, W)``."""
        reach, middle = torch.tensor([self.reach, self.middle])[:, :, None]
        draws = (2 * torch.rand(4, len(images)) - 1) * reach + middle
        order = torch.randperm(4).tolist()
        added, contrast, turn, saturation = draws.to(images.device, non_blocking=True).view(4, -1, 1, 1, 1)
        for step in order:
            match step:
                case 0:
                    images = (images + added).clamp_(0, 1)
                case 1:
                    images = (images * contrast).clamp_(0, 1)
                case 2:
                    images = saturated(images, saturation)
                case _:
                    images = hue_turned(images, turn)
        return images


def saturated(images: Tensor, factor: Tensor) -> Tensor:
    """Multiply the saturation in HSV, which stays at 1 at most; value and hue stay.

    So each channel's distance from the largest is multiplied, by so much at most that the smallest becomes 0.

    Args:
        images: in [0, 1], ``(B, 3, H, W)``.
        factor: 0 or more, ``(B, 1, 1, 1)``.
    """
    value, chroma = _value_and_chroma(images)
    scale = (value / chroma).fmin(factor)  # of black, 0 / 0, that is the factor
    return value.lerp(images, scale).clamp_min_(0)  # which rounding may go below


def hue_turned(images: Tensor, turn: Tensor) -> Tensor:
    """Turn the hue in HSV; saturation and value stay.

    Args:
        images: in [0, 1], ``(B, 3, H, W)``.
        turn: as a share of the circle, ``(B, 1, 1, 1)``.
    """
    value, chroma = _value_and_chroma(images)
    red, green, blue = images.split(1, 1)
    # The hue in sixths of the circle from red, times the chroma; of grey, which has none, 0 / 1e-12.
    of_red, of_green, of_blue = green - blue, (blue - red).add_(chroma, alpha=2), (red - green).add_(chroma, alpha=4)
    hue = torch.where(red == value, of_red, torch.where(green == value, of_green, of_blue)) / chroma.clamp_min(1e-12)
    # How far a channel lies below the value is a trapezium over the hue: it rises from 0 over one sixth, is the chroma
    # for two, falls over another, and is 0 for two. That of red begins 5 sixths before, of green 3, of blue 1.
    place = (hue + 6 * turn + torch.arange(5, 0, -2, device=images.device).view(3, 1, 1)).remainder_(6)
    return value.addcmul(chroma, place.minimum(4 - place).clamp_(0, 1), value=-1)


def _value_and_chroma(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return the largest channel of each pixel and its distance from the smallest, ``(B, 1, H, W)`` each."""
    value = images.amax(1, keepdim=True)
    return value, value - images.amin(1, keepdim=True)
