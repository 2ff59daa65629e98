"""Draws the outputs of the layers for an image, upright and turned by 90 degrees."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure as Canvas
from torch import Tensor, nn

from headtohead.pictures.images import Sample
from headtohead.pictures.layers import Floats, drawable
from headtohead.pictures.panels import MAPS, panel_grid, plain_style, show_image, tile_picture
from headtohead.report.figures.style import Picture


@torch.no_grad()
def outputs(model: nn.Module, inputs: tuple[Tensor, ...]) -> dict[str, Floats]:
    """Return what each layer that gives feature maps makes of one image.

    Args:
        model: in evaluation mode.
        inputs: what its ``forward`` takes for one image.

    Returns:
        Arrays (V, C, H, W) by the name of the layer, in the order in which they ran. V is 1, or the number of
        orientations: the planes of a group convolution, or the turned copies that a network makes of its image.
    """
    found: dict[str, Floats] = {}

    def keep(name: str) -> Callable[..., None]:
        def hook(_: nn.Module, __: Any, output: Any) -> None:
            maps = output[0] if isinstance(output, tuple) else output  # a partial convolution returns its mask too
            if isinstance(maps, Tensor) and maps.dim() in (4, 5) and name not in found:
                planes = maps.transpose(1, 2).flatten(0, 1) if maps.dim() == 5 else maps
                found[name] = planes.float().numpy().copy()  # a layer after it may work in place

        return hook

    handles = [module.register_forward_hook(keep(name)) for name, module in drawable(model).items()]
    try:
        model(*inputs)
    finally:
        for handle in handles:
            handle.remove()
    return found


@dataclass(frozen=True)
class Move:
    """Which map a map equals after the input was turned: its index, its quarter turns, and the largest difference."""

    source: int
    turns: int
    difference: float


def moves(before: Floats, after: Floats) -> list[Move]:
    """Find for each orientation's maps after a turn those before it that come nearest, themselves turned or not.

    Args:
        before: (V, C, H, W), of the image.
        after: the same of the turned image.
    """
    result = []
    for maps in after:
        tried = [
            Move(source, turns, float(np.abs(np.rot90(other, turns, (1, 2)) - maps).max()))
            for turns in range(4)
            for source, other in enumerate(before)
            if np.rot90(other, turns, (1, 2)).shape == maps.shape
        ]
        result.append(min(tried, key=lambda move: move.difference))
    return result


def map_pictures(model: nn.Module, sample: Sample, layer: str, suffix: str) -> list[Picture]:
    """Draw the outputs of every layer; and of one layer those of each filter, and those of the turned image.

    Args:
        model: in evaluation mode.
        sample: the image.
        layer: the one of which more is drawn.
        suffix: of the names of the figures.
    """
    kind = type(model).__name__
    found = outputs(model, sample.inputs)
    types = {name: type(module).__name__ for name, module in model.named_modules()}
    pictures = [_layer_outputs(f"layers{suffix}", f"Outputs of each layer of {kind}", sample, found, types)]
    if layer in found:  # a network need not use all that it has
        tiles = np.stack([_stretched(channel) for channel in found[layer][0]])
        title = f"Outputs of each filter of {kind}, {layer}"
        pictures.append(
            tile_picture(
                f"filters{suffix}",
                title,
                tiles,
                f"input: {sample.name}; each from its lowest value, black, to its highest",
            )
        )
        if sample.shown.shape[0] == sample.shown.shape[1]:
            image, *others = sample.inputs
            turned = (image.rot90(1, (2, 3)), *(part.rot90(1, (2, 3)) if part.dim() == 4 else part for part in others))
            after = outputs(model, turned)[layer]
            pictures.append(_turned(f"turned{suffix}", f"{kind}, {layer}", sample, found[layer], after))
    return pictures


def _layer_outputs(
    name: str, title: str, sample: Sample, found: Mapping[str, Floats], types: Mapping[str, str]
) -> Picture:
    """Draw the mean over the channels of each layer's output, of the first orientation."""
    maps_only = {layer: maps for layer, maps in found.items() if maps.shape[2] * maps.shape[3] > 1}
    shown = dict(list(maps_only.items())[:MAPS])
    left_out = f", the first {len(shown)} of {len(maps_only)}" if len(shown) < len(maps_only) else ""
    caption = f"{title} for one image ({sample.name}): the mean over the channels, in the order they run{left_out}."
    with plain_style():
        canvas, panels = panel_grid(len(shown) + 1, title)
        show_image(panels[0], sample)
        for axes, (layer, maps) in zip(panels[1:], shown.items(), strict=True):
            axes.imshow(maps[0].mean(0), cmap="viridis")
            size = f"{maps.shape[1]}×{maps.shape[2]}×{maps.shape[3]}"
            axes.set_title(f"{textwrap.fill(layer, 24)}\n{types[layer]}\n{size}", fontsize=6.5)
    return Picture(name, title, caption, canvas)


def _turned(name: str, of: str, sample: Sample, before: Floats, after: Floats) -> Picture:
    """Draw the maps of every orientation before and after the image is turned by 90 degrees."""
    views = len(before)
    # the filter whose maps differ most: between orientations, or where there is one, between pixels
    channel = int((before.std(0).mean((1, 2)) if views > 1 else before.std((0, 2, 3))).argmax())
    found = moves(before, after)
    largest = max(move.difference for move in found)
    unit = max(float(np.abs(before).max()), 1e-12)
    same = largest <= 1e-4 * unit
    title = f"Feature maps before and after turning the image: {of}"
    caption = f"{title}, filter {channel + 1} of {before.shape[1]}. "
    if same:
        steps = ", ".join(f"map {i} is the former map {move.source + 1}" for i, move in enumerate(found, start=1))
        turning = ", each turned along with the image" if any(move.turns for move in found) else ""
        caption += f"Turning the image by 90° only moves the maps: {steps}{turning}."
    else:
        caption += (
            f"Turning the image by 90° changes the maps: by up to {100 * largest / unit:.0f} % of the largest value."
        )
    with plain_style():
        canvas = Canvas(figsize=(max(1.35 * (views + 1), 4.2), 3.4 if views > 1 else 3.9), layout="constrained")
        canvas.suptitle(textwrap.fill(title, 24 * max(views, 2)), fontsize=10)
        grid = canvas.subplots(2, views + 1, squeeze=False)
        low, high = float(before[:, channel].min()), float(before[:, channel].max())
        for row, (maps, shown) in enumerate(((before, sample.shown), (after, np.rot90(sample.shown)))):
            show_image(grid[row, 0], Sample("turned by 90°" if row else "image", shown, ()))
            for index in range(views):
                axes = grid[row, index + 1]
                axes.imshow(maps[index, channel], cmap="viridis", vmin=low, vmax=high)
                move = found[index]
                now = f"= map {move.source + 1}{', turned' if move.turns else ''}" if same else "differs"
                axes.set_title(now if row else f"map {index + 1}", fontsize=8)
                axes.set_axis_off()
    return Picture(name, title, caption, canvas)


def _stretched(channel: Floats) -> Floats:
    """Map one channel to [0, 1]."""
    low, high = float(channel.min()), float(channel.max())
    return (channel - low) / max(high - low, 1e-12)
