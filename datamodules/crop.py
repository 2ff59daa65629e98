"""Random crop and flip of a whole batch at once, by moving pixels and nothing else."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from kornia.augmentation import AugmentationBase2D
from torch import Tensor


class RandomCropFlip(AugmentationBase2D):
    """Cuts a window of the image's own size out of the zero-padded image, and mirrors every other one left to right.

    It does what kornia's ``RandomCrop(size, padding)`` and ``RandomHorizontalFlip(0.5)`` do one after the other, and
    takes bytes as well as floats: all windows of the padded batch are one view, out of which one is copied per image.

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
        """Draw for each image the row and column of its window, and whether it is mirrored."""
        count = batch_shape[0]
        return {
            "corner": torch.randint(2 * self.padding + 1, (2, count)),
            "mirrored": torch.randint(2, (count,), dtype=torch.bool),
        }

    def apply_transform(
        self, input: Tensor, params: dict[str, Tensor], flags: dict[str, Any], transform: Tensor | None = None
    ) -> Tensor:
        """Return ``(B, C, H, W)``."""
        count, _, height, width = input.shape
        # A window mirrored is a window of the mirrored image, whose distribution is the same.
        both = F.pad(torch.cat([input, input.flip(-1)]), (self.padding,) * 4)
        windows = both.unfold(2, height, 1).unfold(3, width, 1)  # (2B, C, rows, columns, H, W)
        image = torch.arange(count) + count * params["mirrored"]
        index = torch.stack([image, *params["corner"]]).to(input.device, non_blocking=True)
        return windows[index[0], :, index[1], index[2]]
