"""Draws the figures of a sweep, readable in print and by the colour-blind; the same records give the same files."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from headtohead.report.comparison import Comparison
from headtohead.report.figures import forest
from headtohead.report.figures.best_of_k import best_of_k
from headtohead.report.figures.confusion import confusion_matrices
from headtohead.report.figures.critical import critical_difference
from headtohead.report.figures.curves import learning_curves, rotation
from headtohead.report.figures.groups import groups
from headtohead.report.figures.pareto import COSTS, pareto_fronts
from headtohead.report.figures.scaling import scaling_curves
from headtohead.report.figures.style import Figure, Picture, save
from headtohead.report.scaling import AXES

Job = Callable[[], Iterator[Picture]]
FEW = 8  # jobs, those of one data set: it takes longer to start processes than to draw them
NAMES = (
    "verdicts",
    "claims",
    "ranks",
    "best_of_k",
    *(f"scaling_{axis}" for axis in AXES),
    "validation",
    "loss",
    "rotation",
    "rotation_polar",
    *(f"pareto_{cost}" for cost in COSTS),
    "confusion",
    *("reported", "training_loss"),  # of earlier versions
)


def draw_all(comparison: Comparison, folder: Path) -> list[Figure]:
    """Draw every figure for which the records have the numbers, and remove those of an earlier call that have not.

    Args:
        comparison: of a sweep.
        folder: where ``<name>.png`` is written.

    Returns:
        ``verdicts`` of what the sweep is about, ``claims``, ``ranks`` over three data sets or more, ``best_of_k`` of a
        search over recipes, ``scaling_params``, ``scaling_macs``, ``scaling_seconds`` and ``scaling_images`` where
        widths or shares of the data vary, and for each data set: learning curves (``validation``, ``loss``),
        accuracy over the angle (``rotation``, and, of no more than seven models, ``rotation_polar``), Pareto fronts
        (``pareto_params``, ``pareto_macs``, ``pareto_time``) and ``confusion``. With several data sets their names end
        in that of the data set.
    """
    jobs = _jobs(comparison)
    if len(jobs) > FEW and "fork" in multiprocessing.get_all_start_methods():
        # each process has the comparison by being forked: to pickle it would take longer than to draw
        context = multiprocessing.get_context("fork")
        with ProcessPoolExecutor(min(len(jobs), os.cpu_count() or 1), context, _begin, (jobs, folder)) as pool:
            figures = [figure for found in pool.map(_draw_job, range(len(jobs))) for figure in found]
    else:
        figures = [save(picture, folder) for job in jobs for picture in job()]
    written = {figure.png for figure in figures}
    for name in NAMES:
        for pattern in (f"{name}.png", f"{name}-*.png"):
            for stale in set(folder.glob(pattern)) - written:
                stale.unlink()
    return figures


def draw(comparison: Comparison) -> Iterator[Picture]:
    """Draw every figure for which the records have the numbers; nothing is written."""
    for job in _jobs(comparison):
        yield from job()


def _jobs(comparison: Comparison) -> list[Job]:
    """Return what draws the figures, a few each; those of a data set can be drawn at once."""
    jobs: list[Job] = [partial(forest.verdicts, comparison.headline), partial(forest.claimed, comparison.judged)]
    for ranks in comparison.ranks:
        jobs.append(partial(critical_difference, ranks, f"-{ranks.kind.main}" * (len(comparison.ranks) > 1)))
    if comparison.searches:
        jobs.append(partial(best_of_k, comparison.searches))
    if comparison.curves:
        jobs.append(partial(scaling_curves, comparison.curves))
    for group in groups(comparison.shown):
        jobs += [
            partial(pictures, group) for pictures in (learning_curves, rotation, pareto_fronts, confusion_matrices)
        ]
    return jobs


_forked: tuple[list[Job], Path] = [], Path()  # of a process that draws


def _begin(jobs: list[Job], folder: Path) -> None:
    global _forked
    _forked = jobs, folder


def _draw_job(index: int) -> list[Figure]:
    jobs, folder = _forked
    return [save(picture, folder) for picture in jobs[index]()]
