"""Draws mean ranks over data sets, and joins the models that are not told apart."""

from __future__ import annotations

from collections.abc import Iterator

from matplotlib.figure import Figure as Canvas

from headtohead.report.figures.style import COLORS, WIDTH, Picture, style
from headtohead.report.ranks import Ranks


def critical_difference(found: Ranks, suffix: str = "") -> Iterator[Picture]:
    """Draw the mean rank of every model, and a bar over each group within one critical difference."""
    names, ranks = list(found.mean), list(found.mean.values())
    title = f"Mean rank over {len(found.data)} data sets"
    groups = []
    for start, first in enumerate(ranks):
        groups.append((start, max(i for i, rank in enumerate(ranks) if rank - first < found.critical)))
    # a group within another says nothing new
    groups = [(a, b) for a, b in groups if b > a and not any(c <= a and b <= d and (c, d) != (a, b) for c, d in groups)]
    listed = ", ".join(f"{name} {rank:.2f}" for name, rank in found.mean.items())
    caption = (
        f"{title} ({', '.join(found.data)}), 1 is best: {listed}. Joined: not told apart, their mean ranks differ by "
        f"less than {found.critical:.2f} (Nemenyi, 5 %). All alike: p = {found.p:.2g} (Friedman)."
    )
    with style():
        canvas = Canvas(figsize=(WIDTH, 1.3 + 0.28 * len(names)), layout="constrained")
        axes = canvas.subplots()
        axes.set_title(title)
        axes.plot(ranks, range(len(names)), "o", color=COLORS[0])
        for index, (first, last) in enumerate(groups):
            at = ranks[last] + 0.15 + 0.12 * index
            axes.plot([at, at], [first, last], color=COLORS[1], linewidth=3)
        axes.set_yticks(range(len(names)), names)
        axes.invert_yaxis()
        axes.set_xlabel(f"mean rank, 1 is best; joined: less than {found.critical:.2f} apart")
    yield Picture(f"ranks{suffix}", title, caption, canvas)
