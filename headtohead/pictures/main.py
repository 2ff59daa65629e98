"""Draws a trained network: ``headtohead pictures CHECKPOINT``."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor, nn

from headtohead.cli.arguments import OneLineParser
from headtohead.pictures.feature_maps import map_pictures
from headtohead.pictures.filled import MOST_IMAGES, filled_picture
from headtohead.pictures.images import Sample, first_image, first_images, read_images
from headtohead.pictures.involutions import heat_maps
from headtohead.pictures.kernels import kernel_pictures
from headtohead.pictures.layers import convolutions, drawable
from headtohead.report.figures.style import Picture, save
from headtohead.trial.opening import CheckpointError, add_trusted_classes, find_data, load, task_arguments
from lit_models.facts import takes_mask
from lit_models.tasks.inpainter import SHARES, masks_of_test

Inputs = tuple[Tensor, ...]
HEAT_MAPS = 10  # images of the test set whose involution kernels are drawn


def main(args: Sequence[str] | None = None) -> int:
    """Draw the figures of one checkpoint, or what several networks that fill holes make of the same images.

    Args:
        args: command line, ``sys.argv[1:]`` by default.

    Returns:
        The exit code: 0, or 2 when something that was given cannot be used.
    """
    usage = "headtohead pictures CHECKPOINT [CHECKPOINT ...] [options]"
    parser = OneLineParser("pictures", usage=usage, description=__doc__, allow_abbrev=False)
    parser.add_argument(
        "checkpoint",
        type=Path,
        nargs="+",
        help="runs/<sweep>/<trial>/checkpoints/best.ckpt; of several networks that fill holes, one figure",
    )
    parser.add_argument("--out", type=Path, help="folder for the figures (default: figures/ beside the checkpoint)")
    parser.add_argument(
        "--image", type=Path, nargs="+", help="images to look at (default: the first of the test set that it knows)"
    )
    parser.add_argument(
        "--layer",
        help="any layer, whose outputs and kernels are drawn (default: the first convolution; depthwise: the middle)",
    )
    add_trusted_classes(parser)
    options = parser.parse_args(args)
    try:
        path = options.checkpoint[0]
        networks = [load(each, options.model) for each in options.checkpoint]
        model, inputs = networks[0]
        data = find_data(path, options.data)
        pictures = []
        if len(networks) == 1:
            given = read_images(options.image, inputs, data) if options.image else []
            together = given or first_images(HEAT_MAPS, inputs, data)
            pictures = draw(model, given or [first_image(inputs, data)], options.layer, together)
        if len(networks) > 1 or takes_mask(model):
            several = read_images(options.image, inputs, data) if options.image else None
            several = several or first_images(MOST_IMAGES, inputs, data)
            pictures.append(_filled(options.checkpoint, networks, several))
        folder = options.out or path.parent / "figures"
        for figure in [save(picture, folder, photographs=True) for picture in pictures]:
            print(f"{figure.caption}\n  wrote {figure.png}")
    except CheckpointError as error:
        print(f"pictures: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        argument = "--image" if str(error.filename) in map(str, options.image or ()) else "--out"
        print(f"pictures: {argument}: {error.filename}: {error.strerror}", file=sys.stderr)
        return 2
    return 0


def _filled(paths: Sequence[Path], networks: Sequence[tuple[nn.Module, Inputs]], samples: Sequence[Sample]) -> Picture:
    """Draw what networks make of the same images with the holes of the test of the first."""
    for path, (network, inputs) in zip(paths, networks, strict=True):
        if not takes_mask(network):
            kind = type(network).__name__
            raise CheckpointError(f"CHECKPOINT: several are drawn where all fill holes: {path} holds a {kind}")
        if inputs[0].shape != networks[0][1][0].shape:
            raise CheckpointError(f"CHECKPOINT: {path} takes images of another size than {paths[0]}")
    said = task_arguments(paths[0])
    shares = said.get("hole_min", SHARES[0]), said.get("hole_max", SHARES[1])
    rest = {name: said[name] for name in ("holes", "strokes") if name in said}
    try:
        masks = masks_of_test(len(samples[:MOST_IMAGES]), networks[0][1][0].shape[-1], shares, **rest)
    except (TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"CHECKPOINT: {paths[0]} has no holes that can be drawn: {error}") from None
    kinds = [type(network).__name__ for network, _ in networks]
    names = [
        kind if kinds.count(kind) == 1 else f"{kind}, {path.parent.parent.name}"
        for kind, path in zip(kinds, paths, strict=True)
    ]
    of = {name: network for name, (network, _) in zip(names, networks, strict=True)}
    if len(of) < len(names):
        raise CheckpointError(f"CHECKPOINT: {names[0]} is given twice")
    return filled_picture(of, samples[:MOST_IMAGES], masks)


def draw(
    model: nn.Module, samples: Sequence[Sample], layer: str | None = None, together: Sequence[Sample] = ()
) -> list[Picture]:
    """Draw every figure for which the network has the layers; nothing is written.

    Args:
        model: in evaluation mode.
        samples: images; what depends on the image is drawn for each.
        layer: of any kind, whose outputs, and if it is depthwise or an involution whose kernels, are drawn.
        together: images that share the figure of involution kernels; by default the samples.

    Raises:
        CheckpointError: the network has no convolution, no such layer or no maps of it, or cannot take the image.
    """
    names = list(convolutions(model))
    if not names:
        raise CheckpointError(f"CHECKPOINT: {type(model).__name__} has no convolution and no involution to draw")
    if layer is not None and layer not in (known := drawable(model)):
        raise CheckpointError(f"--layer: no layer is named {layer!r}; there are {', '.join(known)}")
    pictures = kernel_pictures(model, layer)
    try:
        for index, sample in enumerate(samples, start=1):
            pictures += map_pictures(model, sample, layer or names[0], f"-{index}" if len(samples) > 1 else "")
        pictures += heat_maps(model, together or samples, layer)
    except (RuntimeError, TypeError, ValueError) as error:
        why = textwrap.shorten(str(error), 200, placeholder=" …")
        raise CheckpointError(f"CHECKPOINT: {type(model).__name__} cannot take the image: {why}") from None
    if layer is not None and not any(picture.name.startswith("filters") for picture in pictures):
        raise CheckpointError(f"--layer: {layer} gives no maps of this image")
    return pictures
