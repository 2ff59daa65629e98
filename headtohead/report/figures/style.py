"""Sets how all figures look, and writes them."""

from __future__ import annotations

import io
import math
import textwrap
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
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
    # Letters stay letters: smaller than outlines, found by a search and read aloud by a screen reader.
    "svg.fonttype": "none",
}
WIDTH, HEIGHT = 6.4, 4.2  # of a single panel, in inches
COLUMNS = 3  # of panels, where there are several


@dataclass(frozen=True)
class Picture:
    """A figure that is drawn and not yet written; its parts are those of :class:`Figure`."""

    name: str
    title: str
    caption: str
    canvas: Canvas


@dataclass(frozen=True)
class Figure:
    """A figure that was written.

    Args:
        name: of the file, without its suffix.
        title: a heading for it.
        caption: what there is to see, in a sentence or two; it stands in for the figure where that is not seen.
        svg: the figure as SVG, for the report.
        png: the file.
    """

    name: str
    title: str
    caption: str
    svg: str
    png: Path


def style() -> AbstractContextManager[None]:
    """Return the context in which figures are drawn and saved: whatever the user's own settings, they look alike."""
    return matplotlib.style.context(["default", STYLE])


def panel_grid(
    title: str,
    heads: Sequence[str],
    panel: tuple[float, float],
    gap: tuple[float, float],
    margin: tuple[float, float, float],
    **kind: Any,
) -> tuple[Canvas, list[Axes]]:
    """Lay out panels in rows, at places that are given and not, as a layout engine would, measured: that is slow.

    Args:
        title: above them all.
        heads: what will stand above each panel, its lines broken.
        panel: width and height of each, in inches, without what is written around it.
        gap: between panels beside and below each other, in inches, without the room for the heads.
        margin: left of the panels, right of them and below, in inches.
        kind: of the panels, such as ``projection="polar"``.
    """
    columns = min(COLUMNS, len(heads))
    rows = math.ceil(len(heads) / columns)
    (wide, high), (across, down), (left, right, below) = panel, gap, margin
    down += 0.2 + 0.16 * max(head.count("\n") + 1 for head in heads)
    width = left + columns * wide + (columns - 1) * across + right
    title = textwrap.fill(title, int(10 * width))
    above = 0.3 + 0.18 * title.count("\n")
    height = below + rows * (high + down) + above
    canvas = Canvas(figsize=(width, height))
    canvas.suptitle(title, x=(left + (width - left - right) / 2) / width, y=1 - 0.08 / height, va="top")
    canvas.subplots_adjust(
        left=left / width,
        right=1 - right / width,
        bottom=below / height,
        top=1 - (above + down) / height,
        wspace=across / wide,
        hspace=down / high,
    )
    return canvas, [canvas.add_subplot(rows, columns, 1 + index, **kind) for index in range(len(heads))]


def save(picture: Picture, folder: Path) -> Figure:
    """Draw a figure as SVG, in memory, and write it as PNG; drawn again, it gives the same bytes.

    Raises:
        OSError: the folder cannot be written.
    """
    name, title, caption, canvas = picture.name, picture.title, picture.caption, picture.canvas
    svg, png = io.StringIO(), io.BytesIO()
    about = {"Title": title, "Description": caption, "Date": None, "Creator": None}
    backends: Any = FigureCanvasSVG, FigureCanvasAgg  # which have no types; savefig would draw it twice for each
    with style(), matplotlib.rc_context({"svg.hashsalt": name}):
        if (engine := canvas.get_layout_engine()) is not None:
            engine.execute(canvas)
        canvas.set_layout_engine("none")  # it has done its work, and would do it again for either file
        backends[0](canvas).print_svg(svg, metadata=about)
        canvas.set_dpi(150)
        pixels = backends[1](canvas)
        pixels.draw()
    # 256 colours are plenty, and half the bytes; this way of choosing them is quick, and keeps white white
    drawn = Image.fromarray(np.asarray(pixels.buffer_rgba())).convert("RGB")
    drawn.quantize(256, Image.Quantize.MAXCOVERAGE).save(png, "png")
    path = write_bytes(folder / f"{name}.png", png.getvalue(), durable=False)
    return Figure(name, title, caption, svg.getvalue(), path)


def log_ticks(axis: Any) -> None:
    """Write numbers, not powers, on a logarithmic axis, also within one power of ten."""
    low, high = axis.get_view_interval()
    decades = math.log10(high / low) if low > 0 else 9.0
    subs = (1, 1.5, 2, 3, 4, 5, 6, 8) if decades < 0.8 else (1, 2, 5) if decades < 2 else (1,)
    axis.set_major_locator(LogLocator(subs=subs))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())
