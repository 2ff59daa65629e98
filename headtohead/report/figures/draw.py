"""Draws the figures of a sweep, readable in print and by the colour-blind; the same records give the same files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from headtohead.report.comparison import Comparison
from headtohead.report.figures import forest
from headtohead.report.figures.confusion import confusion_matrices
from headtohead.report.figures.critical import critical_difference
from headtohead.report.figures.curves import learning_curves, rotation
from headtohead.report.figures.groups import groups
from headtohead.report.figures.pareto import COSTS, pareto_fronts
from headtohead.report.figures.style import Figure, Picture, save

NAMES = (
    "verdicts",
    "claims",
    "ranks",
    "validation",
    "training_loss",
    "rotation",
    "rotation_polar",
    *(f"pareto_{cost}" for cost in COSTS),
    "confusion",
    "reported",  # of an earlier version
)


def draw_all(comparison: Comparison, folder: Path) -> list[Figure]:
    """Draw every figure for which the records have the numbers, and remove those of an earlier call that have not.

    Args:
        comparison: of a sweep.
        folder: where ``<name>.png`` is written.

    Returns:
        ``verdicts`` of what the sweep is about, ``claims``, ``ranks`` over three data sets or more, and for each data
        set: learning curves (``validation``, ``training_loss``), accuracy over the angle (``rotation``,
        ``rotation_polar``), Pareto fronts (``pareto_params``, ``pareto_macs``, ``pareto_time``) and ``confusion``. With
        several data sets their names end in that of the data set.
    """
    figures = [save(picture, folder) for picture in draw(comparison)]
    written = {figure.png for figure in figures}
    for name in NAMES:
        for pattern in (f"{name}.png", f"{name}-*.png"):
            for stale in set(folder.glob(pattern)) - written:
                stale.unlink()
    return figures


def draw(comparison: Comparison) -> Iterator[Picture]:
    """Draw every figure for which the records have the numbers; nothing is written."""
    yield from forest.verdicts(comparison.headline)
    yield from forest.claimed(comparison.judged)
    for ranks in comparison.ranks:
        yield from critical_difference(ranks, f"-{ranks.kind.main}" * (len(comparison.ranks) > 1))
    for group in groups(comparison.shown):
        for pictures in (learning_curves, rotation, pareto_fronts, confusion_matrices):
            yield from pictures(group)
