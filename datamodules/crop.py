"""Random crops, flips, turns and shifts of a whole batch at once: few operations, each on all of its images."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from kornia.augmentation import AugmentationBase2D
from torch import Tensor, nn


class RandomCropFlip(AugmentationBase2D):
    """Cuts a window of the image's own size out of the zero-padded image, and mirrors every other one left to right.

    It does what kornia's ``RandomCrop(size, padding)`` and ``RandomHorizontalFlip(0.5)`` do one after the other, and
    takes bytes as well as floats: of every pixel it computes where in the padded batch it comes from, and fetches it.

    Args:
        padding: zeros added to each side, in pixels: by so many pixels at most a window is off the middle.
    """

    def __init__(self, padding: int) -> None:
        super().__init__(p=1.0)
        self.padding = padding

    def transform_tensor(self, input: Tensor, **_: Any) -> Tensor:
        """Take ``(B, C, H, W)`` of any dtype: kornia's own takes floats only."""
        return input

    def validate_tensor(self, input: Tensor) -> None:
        """Refuse what is not ``(B, C, H, W)``.

        Raises:
            ValueError: it is not.
        """
        if input.dim() != 4:
            raise ValueError(f"images must be (B, C, H, W): got {tuple(input.shape)}")

    def generate_parameters(self, batch_shape: tuple[int, ...]) -> dict[str, Tensor]:
        """Draw for each image the row and column of its window, and whether it is mirrored.

        On the CPU, so that a seed gives the same images on every device; two small copies of a step, for which nothing
        waits. Drawn for a whole epoch at once they would depend on how many images an epoch has.
        """
        count = batch_shape[0]
        return {
            "corner": torch.randint(2 * self.padding + 1, (2, count)),
            "mirrored": torch.randint(2, (count,), dtype=torch.bool),
        }

    def apply_transform(
        self, input: Tensor, params: dict[str, Tensor], flags: dict[str, Any], transform: Tensor | None = None
    ) -> Tensor:
        """Return ``(B, C, H, W)``."""
        count, channels, height, width = input.shape
        corner, mirrored = (params[name].to(input.device, non_blocking=True) for name in ("corner", "mirrored"))
        padded = F.pad(input, (self.padding,) * 4)
        row, column = (
            first[:, None] + torch.arange(size, device=input.device)
            for first, size in zip(corner, (height, width), strict=True)
        )
        # A window of the mirrored image: its columns are counted from the right.
        column = torch.where(mirrored[:, None], padded.shape[-1] - 1 - column, column)
        pixel = (row[:, :, None] * padded.shape[-1] + column[:, None, :]).view(count, 1, -1)
        return padded.flatten(2).gather(2, pixel.expand(-1, channels, -1)).view_as(input)


class RandomQuarterTurns(nn.Module):
    """Turns each square image by 0, 90, 180 or 270 degrees, all four equally likely.

    Not kornia's ``RandomRotation90``, which rounds a uniform number, so that its first and last turn are half as likely
    as the others, and interpolates where pixels need only move.
    """

    def forward(self, images: Tensor) -> Tensor:
        """Take and return ``(B, C, S, S)`` of any dtype."""
        turns = torch.randint(4, (len(images),)).to(images.device, non_blocking=True)
        turned = torch.stack([images.rot90(turn, (2, 3)) for turn in range(4)])
        return turned[turns, torch.arange(len(images), device=images.device)]


class RandomTurnShift(nn.Module):
    """Turns each image about its middle by a random angle and shifts it, bilinear, with zeros outside.

    What kornia's ``RandomRotation(degrees)`` and ``RandomAffine(0, translate)`` do with uniform draws, in an eighth of
    their operations: on a GPU small networks wait for each of those to be launched.

    Args:
        degrees: the largest angle, either way.
        shift: the largest shift, either way, as a share of height and width.
    """

    def __init__(self, degrees: float = 0.0, shift: float = 0.0) -> None:
        super().__init__()
        self.degrees, self.shift = degrees, shift

    def forward(self, images: Tensor) -> Tensor:
        """Take and return floats ``(B, C, H, W)``."""
        count = len(images)
        angles = torch.deg2rad((2 * torch.rand(count) - 1) * self.degrees)
        return turned_and_shifted(images, angles, (2 * torch.rand(count, 2) - 1) * self.shift)


def turned_and_shifted(images: Tensor, angles: Tensor, shifts: Tensor) -> Tensor:
    """Turn each image, of two pixels a side at least, counter-clockwise about its middle, then shift it right and down.

    Bilinear, with zeros outside.

    Args:
        images: ``(B, C, H, W)``.
        angles: in radians, ``(B,)``, on the CPU.
        shifts: to the right and down, as shares of width and height, ``(B, 2)``, on the CPU.
    """
    height, width = images.shape[2:]
    # Where a pixel of the result comes from, in coordinates in which the middles of the outer pixels are -1 and 1. Rows
    # point down, so that counter-clockwise has the sign of clockwise in a book on mathematics.
    spans = torch.tensor([width - 1, height - 1], dtype=images.dtype)
    cos, sin = angles.cos().to(images.dtype), angles.sin().to(images.dtype)
    turn = torch.stack([cos, -sin, sin, cos], 1).view(-1, 2, 2) * spans / spans[:, None]
    off = 2 * shifts.to(images.dtype) * torch.tensor([width, height]) / spans
    matrices = torch.cat([turn, -turn @ off[:, :, None]], 2).to(images.device, non_blocking=True)
    grid = F.affine_grid(matrices, list(images.shape), align_corners=True)
    return F.grid_sample(images, grid, align_corners=True)
