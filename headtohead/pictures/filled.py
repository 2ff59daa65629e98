"""Draws what networks make of images with holes: input, each network's answer, and the truth, side by side."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure as Canvas
from torch import Tensor, nn

from headtohead.pictures.images import Sample
from headtohead.pictures.layers import Floats
from headtohead.pictures.panels import GAP, plain_style
from headtohead.report.figures.style import Picture

MOST_IMAGES = 8  # in one figure


@torch.no_grad()
def fill(network: nn.Module, image: Tensor, mask: Tensor) -> tuple[Tensor, float]:
    """Fill the holes of an image as the test does.

    Args:
        network: in evaluation mode: ``network(images, mask)``.
        image: whole, ``(1, C, S, S)`` in [0, 1].
        mask: ``(1, 1, S, S)``, 0 in holes and 1 elsewhere.

    Returns:
        The given pixels and, in the holes, the network's clamped to [0, 1], ``(1, C, S, S)``; and the mean absolute
        error in the holes.
    """
    output: Tensor = network(torch.where(mask != 0, image, 0), mask)
    composed = torch.where(mask != 0, image, output.float().clamp(0, 1))
    error = (composed - image).abs().sum() / ((1 - mask).sum() * image.shape[1])
    return composed, float(error)


def filled_picture(networks: Mapping[str, nn.Module], samples: Sequence[Sample], masks: Tensor) -> Picture:
    """Draw a row for each image: with its hole, filled by each network, and whole.

    Args:
        networks: in evaluation mode, by the name over their column.
        samples: images in [0, 1].
        masks: one for each, ``(images, 1, S, S)``.
    """
    heads = ["input", *networks, "truth"]
    errors: dict[str, list[float]] = {name: [] for name in networks}
    with plain_style():
        canvas = Canvas(figsize=(1.25 * len(heads), 1.36 * len(samples) + 0.5), layout="constrained")
        grid = canvas.subplots(len(samples), len(heads), squeeze=False)
        for row, sample, mask in zip(grid, samples, masks.unsqueeze(1), strict=True):
            image = sample.inputs[0]
            whole = _colours(image)
            shown = [np.where(mask[0, 0, ..., None] != 0, whole, to_rgb(GAP))]
            for name, network in networks.items():
                composed, error = fill(network, image, mask)
                errors[name].append(error)
                shown.append(_colours(composed))
            notes = [f"hole {1 - mask.mean():.0%}", *(f"L1 {100 * found[-1]:.1f} %" for found in errors.values()), ""]
            for axes, picture, note in zip(row, [*shown, whole], notes, strict=True):
                axes.imshow(picture, vmin=0, vmax=1)
                axes.set_xlabel(note, fontsize=7, labelpad=2)
                axes.set(xticks=[], yticks=[], frame_on=False)
        for axes, head in zip(grid[0], heads, strict=True):
            axes.set_title(textwrap.fill(head, 18), fontsize=8)
    means = ", ".join(f"{name} {100 * np.mean(found):.2f} %" for name, found in errors.items())
    title = f"Holes filled by {' and '.join(networks)}"
    caption = (
        f"{title}: the same images and masks for all, the holes in light blue. L1: mean absolute error in the hole; "
        f"mean of the {len(samples)} shown: {means}."
    )
    return Picture("filled", title, caption, canvas)


def _colours(image: Tensor) -> Floats:
    """Return an image ``(1, C, S, S)`` as ``(S, S, 3)``; one that is not in colours as grey."""
    pixels: Floats = image[0].permute(1, 2, 0).clamp(0, 1).numpy()
    return pixels if pixels.shape[2] == 3 else np.repeat(pixels.mean(2, keepdims=True), 3, axis=2)
