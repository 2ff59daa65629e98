"""Draws what each architecture reaches over its size, its time and its data, and where one reaches another."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.ticker import EngFormatter

from headtohead.report.figures.captions import capital
from headtohead.report.figures.curves import Curve, draw_curves, spots_of
from headtohead.report.figures.groups import Group, band
from headtohead.report.figures.style import COLORS, Picture, log_ticks, style
from headtohead.report.scaling import AXES, Family, sentence

MOST_SHOWN = 3  # crossings that are drawn
LINE = 66  # letters of a title in one line: recipes may need several


def scaling_curves(found: Sequence[Family]) -> Iterator[Picture]:
    """Draw a figure for each axis, data set and recipe: a line for each architecture, with its band."""
    looks = {name: i for i, name in enumerate(dict.fromkeys(line.name for family in found for line in family.lines))}
    several = len({family.data for family in found}) > 1
    seen: Counter[str] = Counter()
    for family in found:
        what, called = AXES[family.axis], family.kind.called
        unit = ", %" if family.kind.is_share(family.kind.main) else ""
        curves = []
        for line in family.lines:
            points = [band(values[:, None]) for values in line.y]
            mean, low, high = (np.array([point[i][0] for point in points]) for i in range(3))
            curves.append(Curve(line.name, line.x, mean, low, high))
        crossings = family.crossings
        caption = (
            f"{capital(called)} on {family.where} over {what}. "
            + " ".join(sentence(family, one) for one in crossings)
            + " A line with one seed at a point is compared with none."
            * any(len(v) < 2 for line in family.lines for v in line.y)
            + " Band: 95 % interval of the mean (Student's t); grey: what the better of two saves at the other's end."
        )
        title = f"{capital(called)} over {what}, {family.where}"
        shown = {curve.label: looks[curve.label] for curve in curves if looks[curve.label] < len(COLORS)}
        group = Group(family.data, family.kind, {}, shown)
        with style():
            canvas, axes = draw_curves(group, curves, textwrap.fill(title, LINE), xscale="log")
            for one in crossings[:MOST_SHOWN]:
                axes.plot([one.x, one.at], [one.level] * 2, ":|", color="#555555", linewidth=1.1, markersize=7)
            axes.set(xlabel=f"{what} (log scale)", ylabel=f"{called}{unit}")
            log_ticks(axes.xaxis)
            if family.axis in ("params", "macs"):
                axes.xaxis.set_major_formatter(EngFormatter(sep=" "))
        name = f"scaling_{family.axis}{f'-{family.data}' * several}"
        seen[name] += 1
        again = f"-{seen[name]}" if seen[name] > 1 else ""
        yield Picture(name + again, title, caption, canvas, spots_of(axes, curves, f"{{:.4g}} {what}"))
