"""Draws what a search over recipes is expected to find, against how many points it tries."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

import numpy as np
from matplotlib.ticker import MaxNLocator

from headtohead.report.figures.captions import capital
from headtohead.report.figures.curves import Curve, draw_curves, spots_of
from headtohead.report.figures.groups import Group
from headtohead.report.figures.style import COLORS, Picture, style
from headtohead.report.tuning import Search, expected_best, order_at

MOST = 400  # numbers of points of a curve


def best_of_k(found: Sequence[Search]) -> Iterator[Picture]:
    """Draw the expected best validation of k points for each architecture, a figure for each data set."""
    several = len({search.data for search in found}) > 1
    for data, part in groupby(found, key=lambda search: search.data):
        those = list(part)
        kind = those[0].kind
        scale, unit = (100, ", %") if kind.is_share(kind.monitor) else (1, "")
        curves = []
        for search in those:
            points = np.unique(np.geomspace(1, len(search.points), MOST).round())  # all of them, up to some eighty
            mean, low, high = (scale * x for x in expected_best(search.validation, search.sign, points))
            curves.append(Curve(search.name, points, mean, low, high))
        called = f"validation {kind.called.removeprefix('test ')}"
        caption = (
            f"Best {called} on {data} that a search is expected to find, over the number of points k that it tries "
            f"(Dodge and others 2019): {order_at(those)}. Band: where the best of k lies in 95 % of searches."
        )
        looks = {search.name: index for index, search in enumerate(those[: len(COLORS)])}
        group = Group(data, kind, {}, looks)
        title = capital(f"expected best {called} of k points, {data}")
        with style():
            canvas, axes = draw_curves(group, curves, title)
            axes.set(xlabel="points tried, k", ylabel=f"best {called}{unit}")
            axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
        yield Picture(
            f"best_of_k{f'-{data}' * several}", title, caption, canvas, spots_of(axes, curves, "{:.0f} points")
        )
