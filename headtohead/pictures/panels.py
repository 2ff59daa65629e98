"""Lays out pictures of a network: tiles side by side, or panels with a title each."""

from __future__ import annotations

import math
import textwrap
from contextlib import AbstractContextManager

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure as Canvas

from headtohead.pictures.images import Sample
from headtohead.pictures.layers import Floats
from headtohead.report.figures.style import Picture

MAPS, TILES = 60, 256  # at most so many in one figure: panels with a title, tiles without
COLUMNS, TILE_COLUMNS = 6, 16
GAP = "#A8C8E8"  # between tiles: neither of them is blue


def tile_picture(name: str, title: str, tiles: Floats, note: str, together: int = 1) -> Picture:
    """Draw tiles with values in [0, 1] side by side, so many of them always in one row."""
    shown = tiles[:TILES]
    of_all = f"the first {len(shown)} of {len(tiles)}" if len(shown) < len(tiles) else f"{len(shown)}"
    columns = min(TILE_COLUMNS, together * math.ceil(len(shown) ** 0.5 / together))
    image = mosaic(shown, columns)
    side = 6.0 if columns > 4 else 1.2 * columns + 1
    with plain_style():
        height = side * image.shape[0] / image.shape[1]
        canvas = Canvas(figsize=(max(side, 4.0), height + 0.5), layout="constrained")
        axes = canvas.subplots()
        axes.set_title(textwrap.fill(title, 60), fontsize=10)
        colors = image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)
        axes.imshow(np.where(np.isnan(colors), to_rgb(GAP), colors))
        axes.set_axis_off()
    return Picture(name, title, f"{title}: {of_all}, row by row; {note}.", canvas)


def mosaic(tiles: Floats, columns: int) -> Floats:
    """Lay tiles (N, H, W) or (N, H, W, 3) side by side in rows, a gap of NaN, a pixel or more wide, around each."""
    count, height, width, *colors = tiles.shape
    gap = max(1, height // 12)
    rows = math.ceil(count / columns)
    columns = min(columns, count)
    whole = np.full((rows * (height + gap) + gap, columns * (width + gap) + gap, *colors), np.nan, np.float32)
    for index, tile in enumerate(tiles):
        top, left = (
            gap + place * (size + gap) for place, size in zip(divmod(index, columns), (height, width), strict=True)
        )
        whole[top : top + height, left : left + width] = tile
    return whole


def panel_grid(
    count: int, title: str, columns: int = COLUMNS, width: float = 1.4, height: float = 1.8
) -> tuple[Canvas, list[Axes]]:
    """Return a figure with ``count`` panels without axes."""
    columns = min(columns, count)
    rows = math.ceil(count / columns)
    canvas = Canvas(figsize=(max(width * columns, 4.0), height * rows + 0.3), layout="constrained")
    canvas.suptitle(title, fontsize=10)
    grid = canvas.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    return canvas, list(grid.flat[:count])


def show_image(axes: Axes, sample: Sample) -> None:
    """Draw the image that the others are made of."""
    axes.imshow(sample.shown, cmap="gray", vmin=0, vmax=1)
    axes.set_title(textwrap.fill(sample.name, 20), fontsize=8)
    axes.set_axis_off()


def plain_style() -> AbstractContextManager[None]:
    """Return the context in which panels are drawn: no grid, and pixels as they are."""
    return matplotlib.style.context({"axes.grid": False, "image.interpolation": "nearest"})
