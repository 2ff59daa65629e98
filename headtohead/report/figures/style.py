"""Sets how all figures look, and writes them."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.style
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Canvas  # not pyplot's: no window, no state that a caller would share
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from PIL import Image

from headtohead.records.files import write_bytes

# Okabe and Ito's palette, told apart in every common colour blindness; styles and markers tell them apart in grey.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
LINES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1, 1, 1)), (0, (1, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
GREY = "#BBBBBB"
STYLE = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "lines.markersize": 4.5,
}
WIDTH, HEIGHT = 6.4, 4.2  # of a figure of one panel, in inches
DPI = 120
PALETTE = 128  # colors of a file


@dataclass(frozen=True)
class Spot:
    """A point of a figure and the numbers that it stands for, which a report shows where the pointer is."""

    axes: Axes
    x: float
    y: float
    said: str


@dataclass(frozen=True)
class Picture:
    """A figure that is drawn and not yet written; its parts are those of :class:`Figure`."""

    name: str
    title: str
    caption: str
    canvas: Canvas
    spots: Sequence[Spot] = ()


@dataclass(frozen=True)
class Figure:
    """A figure that was written.

    Args:
        name: of the file, without its suffix.
        title: a heading for it.
        caption: what there is to see, in a sentence or two; it stands in for the figure where that is not seen.
        png: the file.
        size: width and height in pixels.
        spots: what the points of it stand for: how far from the left and from the top, in thousandths, and the numbers.
    """

    name: str
    title: str
    caption: str
    png: Path
    size: tuple[int, int]
    spots: Sequence[tuple[int, int, str]] = ()


def style() -> AbstractContextManager[None]:
    """Return the context in which figures are drawn and saved: whatever the user's own settings, they look alike."""
    return matplotlib.style.context(["default", STYLE])


def save(picture: Picture, folder: Path, photographs: bool = False) -> Figure:
    """Draw a figure and write it as PNG; drawn again, it gives the same bytes.

    Args:
        picture: the figure.
        folder: where ``<name>.png`` is written.
        photographs: there are some in it, so that all colors are kept and not the most frequent alone.

    Raises:
        OSError: the folder cannot be written.
    """
    canvas = picture.canvas
    backend: Any = FigureCanvasAgg  # which has no types; savefig would draw twice
    canvas.set_dpi(DPI)
    with style():
        pixels = backend(canvas)
        pixels.draw()
    colors = np.asarray(pixels.buffer_rgba())[..., :3]
    drawn = Image.fromarray(np.ascontiguousarray(colors)) if photographs else _few_colors(colors)
    png = io.BytesIO()
    drawn.save(png, "png", optimize=True)
    path = write_bytes(folder / f"{picture.name}.png", png.getvalue(), durable=False)
    return Figure(picture.name, picture.title, picture.caption, path, drawn.size, _places(picture.spots, drawn.size))


def _few_colors(pixels: npt.NDArray[np.uint8]) -> Image.Image:
    """Return an image of the colors that most pixels have, which takes a third of the bytes.

    All others, those of edges, become the nearest of them. Pillow's ways of choosing give a band the color of another.

    Args:
        pixels: ``(H, W, 3)``.
    """
    codes = pixels.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    found, places, counts = np.unique(codes, return_inverse=True, return_counts=True)
    kept = found[np.argsort(-counts, kind="stable")[:PALETTE]]
    every, palette = (np.stack([x >> 16, x >> 8 & 255, x & 255], 1).astype(np.float32) for x in (found, kept))
    nearest = (np.square(palette).sum(1) - 2 * every @ palette.T).argmin(1)
    image = Image.fromarray(nearest[places].astype(np.uint8).reshape(codes.shape), "P")
    image.putpalette(palette.astype(np.uint8).tobytes())
    return image


def _places(spots: Sequence[Spot], size: tuple[int, int]) -> list[tuple[int, int, str]]:
    found = []
    for spot in spots:
        x, y = spot.axes.transData.transform((spot.x, spot.y))
        if np.isfinite([x, y]).all():
            found.append((round(1000 * x / size[0]), round(1000 - 1000 * y / size[1]), spot.said))
    return found


def log_ticks(axis: Any) -> None:
    """Write numbers, not powers, on a logarithmic axis, also within one power of ten."""
    low, high = axis.get_view_interval()
    decades = math.log10(high / low) if low > 0 else 9.0
    subs = (1, 1.5, 2, 3, 4, 5, 6, 8) if decades < 0.8 else (1, 2, 5) if decades < 2 else (1,)
    axis.set_major_locator(LogLocator(subs=subs))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())
