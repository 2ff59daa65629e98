"""The augmentations that have a name, lists of them, and how they come to the device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import kornia.augmentation as K
import torch
from torch import nn

from datamodules.color import RandomColor
from datamodules.crop import RandomCropFlip, RandomQuarterTurns, RandomTurnShift

Augment = Literal["default", "none", "flip", "shift", "crop_flip", "quarter_turns", "rotate", "color"]


def augmentation(name: Augment) -> nn.Module:
    """Build the random transformation of training images in [0, 1], of shape ``(B, C, H, W)``.

    Args:
        name: ``none``; ``flip``, left-right; ``shift``, by up to 10 % either way; ``crop_flip``, a crop of the image
            padded by 4 zeros, and flip; ``quarter_turns``, by a multiple of 90 degrees; ``rotate``, by any angle;
            ``color``, brightness by up to 0.2 of white, contrast and saturation by up to 20 %, hue by up to 5 % of the
            circle.

    Raises:
        ValueError: the name is not one of these.
    """
    flip: nn.Module = K.RandomHorizontalFlip(p=0.5)
    augment: nn.Module
    match name:
        case "none":
            augment = nn.Identity()
        case "flip":
            augment = flip
        case "shift":
            augment = RandomTurnShift(shift=0.1)
        case "crop_flip":
            augment = RandomCropFlip(padding=4)
        case "quarter_turns":
            augment = RandomQuarterTurns()
        case "rotate":
            augment = RandomTurnShift(degrees=180.0)
        case "color":
            augment = RandomColor(brightness=0.2, contrast=0.2, saturation=0.2, hue=0.05)
        case _:
            raise ValueError(f"augment: no augmentation is named {name!r}; there are {', '.join(get_args(Augment))}")
    return augment


def joined(parts: Sequence[Augment | nn.Module]) -> nn.Module:
    """Return the augmentation that applies all parts in their order, each to floats ``(B, C, H, W)``.

    One part alone is that part itself, so that a list of one draws what its element draws. Nothing clamps images but
    the parts that do so themselves.

    Args:
        parts: names of :func:`augmentation` and modules; ``none`` adds nothing.

    Raises:
        ValueError: a name is none of these.
    """
    modules = [part if isinstance(part, nn.Module) else augmentation(part) for part in parts if part != "none"]
    if len(modules) > 1:
        return K.AugmentationSequential(*modules)  # type: ignore[arg-type]  # it runs any module, and says kornia's
    return modules[0] if modules else nn.Identity()


def mixing(augment: nn.Module) -> str | None:
    """Say which part of an augmentation mixes images with one another, whose labels would change; None if none does."""
    for part in augment.children() if type(augment) is K.AugmentationSequential else [augment]:
        if any(isinstance(of, K.MixAugmentationBaseV2) and not isinstance(of, K.RandomJigsaw) for of in part.modules()):
            return f"{type(part).__name__} mixes images, and would have to mix their labels too"
    return None


def move(augment: nn.Module, device: torch.device) -> None:
    """Move an augmentation's tensors to a device, where they are elsewhere.

    kornia's own ``to`` would also draw the random numbers there; they stay on the CPU, as those of all others.
    """
    for part in augment.modules():
        for name, buffer in [*part.named_buffers(recurse=False)]:
            if buffer.device != device:
                setattr(part, name, buffer.to(device))
        for name, weight in [*part.named_parameters(recurse=False)]:
            if weight.device != device:
                setattr(part, name, nn.Parameter(weight.detach().to(device), weight.requires_grad))
