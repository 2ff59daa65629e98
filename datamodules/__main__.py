"""Draws training images of a data set, as they are and as an augmentation makes them, each time anew.

python -m datamodules CIFAR10 --augment=crop_flip
python -m datamodules ImageFolder --root=flowers
python -m datamodules mine.Own --augment='[flip, {class_path: kornia.augmentation.RandomErasing}]' --to=images.png
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
import yaml
from jsonargparse import ArgumentParser
from PIL import Image
from torch import Tensor, nn

import datamodules
from datamodules.augmentation import Augment, mixing
from datamodules.image import ImageDataModule
from datamodules.sources import DataUnavailable

COLUMNS, DRAWS = 8, 4  # images, and how often each is augmented
SIDE = 64  # pixels that an image has at least in the picture, by repeating its own
GAP = 2  # pixels between images, white


def main(args: Sequence[str] | None = None) -> int:
    """Draw a grid: the images in its first row, below each what was made of it.

    Args:
        args: command line, ``sys.argv[1:]`` by default.

    Returns:
        The exit code: 0; 1 when the data cannot be had; 2 when the data set or the augmentation cannot be built, which
        is said in one line.
    """
    parser = argparse.ArgumentParser(
        "python -m datamodules",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("data", help="the name of a data set, or a class of yours by its dotted name")
    parser.add_argument("--augment", default="default", help="as --data.augment of a trial (default: the data set's)")
    parser.add_argument("--data_dir", default="data", help="where data sets are kept (default: data)")
    parser.add_argument("--root", help="of ImageFolder: the folder of the images, as --data.root of a trial")
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn (default: 0)")
    parser.add_argument("--to", type=Path, help="the PNG file (default: DATA-augmented.png)")
    options = parser.parse_args(args)
    try:
        kind = data_set(options.data)
        root = inspect.signature(kind).parameters.get("root")
        if root is None and options.root is not None:
            raise ValueError(f"--root: is for ImageFolder: leave it out of {kind.__name__}")
        if root is not None and root.default is root.empty and options.root is None:
            raise ValueError(f"--root: {kind.__name__} needs the folder of its images, such as --root=flowers")
        folder = {} if options.root is None else {"root": options.root}
        data = kind(data_dir=options.data_dir, augment=parsed(options.augment), **folder)
        images = torch.from_numpy(data.loaded().train_images[:COLUMNS])
        torch.manual_seed(options.seed)
        picture = grid(data, images)
    except DataUnavailable as error:
        print(f"datamodules: {error}", file=sys.stderr)
        return 1
    except Exception as error:  # of anybody's class
        print(f"datamodules: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    path = options.to or Path(f"{kind.__name__}-augmented.png")
    try:
        picture.save(path, "PNG")
    except OSError as error:
        print(f"datamodules: --to: {path}: {error.strerror or error}", file=sys.stderr)
        return 2
    print(path)
    return 0


def data_set(name: str) -> type[ImageDataModule]:
    """Return the data set of a name or dotted name.

    Raises:
        ValueError: there is none.
    """
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    module, _, last = name.rpartition(".")
    try:
        kind = getattr(importlib.import_module(module or "datamodules"), last, None)
    except ImportError as error:
        raise ValueError(f"DATA: {name}: {error}") from None
    if not (isinstance(kind, type) and issubclass(kind, ImageDataModule) and kind is not ImageDataModule):
        ours = [known for known in datamodules.__all__ if known[0].isupper() and known != "ImageDataModule"]
        raise ValueError(f"DATA: no data set is named {name!r}; there are {', '.join(ours)}")
    return kind


def parsed(text: str) -> Any:
    """Build what ``--augment`` says: a name, a module, or a list of these.

    Raises:
        ValueError: an element is none, which is named.
    """
    try:
        given = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:  # the second of what looks like a date and is none
        raise ValueError(f"--augment: not valid YAML: {error}") from None
    made = []
    for element in given if isinstance(given, list) else [given]:
        parser = ArgumentParser(exit_on_error=False)
        parser.add_argument("--augment", type=Augment | nn.Module)
        try:
            made.append(parser.instantiate(parser.parse_object({"augment": element})).augment)
        except Exception as error:  # of the parser, and of anybody's constructor
            said = [line.strip(" -") for line in str(error).splitlines()]
            frame = r".*Literal\[|Does not|Subtypes|Errors|Given|Problem|Parser key|$"  # of what was found wrong
            why = [line for line in said if not re.match(frame, line)]
            names = ", ".join(get_args(Augment))
            neither = any(line.startswith(("Expected a dot", "Not a valid subclass")) for line in said)
            reason = f"neither one of {names} nor a class with its arguments" if neither else why[0]
            raise ValueError(f"--augment: {element}: {reason}") from None
    return made


def grid(data: ImageDataModule, images: Tensor) -> Image.Image:
    """Return a picture of images and, below each, what the augmentation makes of it, as often as there are rows.

    Args:
        data: whose augmentation it is.
        images: ``(B, C, H, W)`` uint8.

    Raises:
        ValueError: the augmentation is none that a trial takes.
    """
    if said := mixing(data.augment):
        raise ValueError(f"--augment: {said}")
    floats = images.float() / 255
    rows = [floats, *(data.augment(floats.clone()).clamp(0, 1) for _ in range(DRAWS))]  # clamped to be shown
    if any(row.shape != floats.shape for row in rows):
        raise ValueError(f"--augment: must return images of shape {tuple(floats.shape)}: got {tuple(rows[1].shape)}")
    scale = max(1, -(-SIDE // images.shape[-1]))
    cells = torch.stack(rows).repeat_interleave(scale, -1).repeat_interleave(scale, -2)
    cells = nn.functional.pad(cells, (0, GAP, 0, GAP), value=1.0)
    count, columns, channels, height, width = cells.shape
    whole = cells.permute(0, 3, 1, 4, 2).reshape(count * height, columns * width, channels)
    pixels = (255 * whole).round().to(torch.uint8).numpy()
    return Image.fromarray(np.ascontiguousarray(pixels.squeeze(2) if channels == 1 else pixels))


if __name__ == "__main__":
    sys.exit(main())
