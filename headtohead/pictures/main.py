"""Draws a trained network: ``headtohead pictures CHECKPOINT``."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

from torch import nn

from headtohead.cli.arguments import OneLineParser
from headtohead.pictures.feature_maps import map_pictures
from headtohead.pictures.images import Sample, first_image, read_images
from headtohead.pictures.involutions import heat_maps
from headtohead.pictures.kernels import kernel_pictures
from headtohead.pictures.layers import convolutions
from headtohead.report.figures.style import Picture, save
from headtohead.trial.opening import CheckpointError, add_trusted_classes, find_data, load


def main(args: Sequence[str] | None = None) -> int:
    """Draw the figures of one checkpoint.

    Args:
        args: command line, ``sys.argv[1:]`` by default.

    Returns:
        The exit code: 0, or 2 when something that was given cannot be used.
    """
    usage = "headtohead pictures CHECKPOINT [options]"
    parser = OneLineParser("pictures", usage=usage, description=__doc__, allow_abbrev=False)
    parser.add_argument("checkpoint", type=Path, help="runs/<sweep>/<trial>/checkpoints/best.ckpt")
    parser.add_argument("--out", type=Path, help="folder for the figures (default: figures/ beside the checkpoint)")
    parser.add_argument(
        "--image", type=Path, nargs="+", help="images to look at (default: the first of the test set that it knows)"
    )
    parser.add_argument(
        "--layer", help="whose outputs and kernels are drawn (default: the first; depthwise: the middle)"
    )
    add_trusted_classes(parser)
    options = parser.parse_args(args)
    try:
        model, inputs = load(options.checkpoint, options.model)
        data = find_data(options.checkpoint, options.data)
        samples = read_images(options.image, inputs, data) if options.image else [first_image(inputs, data)]
        pictures = draw(model, samples, options.layer)
        folder = options.out or options.checkpoint.parent / "figures"
        for figure in [save(picture, folder) for picture in pictures]:
            print(f"{figure.caption}\n  wrote {figure.png}")
    except CheckpointError as error:
        print(f"pictures: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"pictures: --out: {error.filename}: {error.strerror}", file=sys.stderr)
        return 2
    return 0


def draw(model: nn.Module, samples: Sequence[Sample], layer: str | None = None) -> list[Picture]:
    """Draw every figure for which the network has the layers; nothing is written.

    Args:
        model: in evaluation mode.
        samples: images; what depends on the image is drawn for each.
        layer: whose outputs, and if it is depthwise whose kernels, are drawn.

    Raises:
        CheckpointError: the network has no convolution, none named ``layer``, or cannot take the image.
    """
    names = list(convolutions(model))
    if not names:
        raise CheckpointError(f"CHECKPOINT: {type(model).__name__} has no convolution and no involution to draw")
    if layer is not None and layer not in names:
        raise CheckpointError(f"--layer: no convolution is named {layer!r}; there are {', '.join(names)}")
    pictures = kernel_pictures(model, layer)
    for index, sample in enumerate(samples, start=1):
        suffix = f"-{index}" if len(samples) > 1 else ""
        try:
            pictures += map_pictures(model, sample, layer or names[0], suffix)
            pictures += heat_maps(model, sample, suffix)
        except (RuntimeError, TypeError, ValueError) as error:
            why = textwrap.shorten(str(error), 200, placeholder=" …")
            raise CheckpointError(f"CHECKPOINT: {type(model).__name__} cannot take the image: {why}") from None
    return pictures
