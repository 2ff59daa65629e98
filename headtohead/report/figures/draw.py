"""Draws the figures of a sweep, readable in print and by the colour-blind; the same records give the same files."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from functools import partial
from pathlib import Path

from headtohead.report.collect import Trials
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
EACH = 4  # jobs of a data set
FEW = EACH  # jobs: it takes longer to start processes than to draw them
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
)


class Drawing:
    """The figures of a sweep, most of them drawn by processes of their own while its tables are made.

    Args:
        folder: where ``<name>.png`` is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._jobs: list[Job] = []
        self._pool: ProcessPoolExecutor | None = None
        self._drawn: list[Future[list[Figure]]] = []

    def begin(self, shown: Trials) -> None:
        """Begin with those that need no verdict.

        Args:
            shown: the trials of the rows that are shown.
        """
        self._jobs = _jobs_of_trials(shown)
        if len(self._jobs) > FEW and "fork" in multiprocessing.get_all_start_methods():
            # each process has the trials by being forked: to pickle them would take longer than to draw
            context, workers = multiprocessing.get_context("fork"), min(len(self._jobs), os.cpu_count() or 1)
            self._pool = ProcessPoolExecutor(workers, context, _begin, (self._jobs, self.folder))
            # the longest first, which draws a matrix for each of several models, so that all end together
            order = sorted(range(len(self._jobs)), key=lambda index: (index + 1) % EACH)
            found = {index: self._pool.submit(_draw_job, index) for index in order}
            self._drawn = [found[index] for index in range(len(self._jobs))]

    def finish(self, comparison: Comparison) -> list[Figure]:
        """Draw the others, and remove those of an earlier call for which the records have no numbers.

        Args:
            comparison: of the same trials.

        Returns:
            ``verdicts`` of what the sweep is about, ``claims``, ``ranks`` over three data sets or more, ``best_of_k``
            of a search over recipes, ``scaling_params``, ``scaling_macs``, ``scaling_seconds`` and ``scaling_images``
            where widths or shares of the data vary, and for each data set: learning curves (``validation``, ``loss``),
            accuracy over the angle (``rotation``, and, of no more than seven models, ``rotation_polar``), Pareto fronts
            (``pareto_params``, ``pareto_macs``, ``pareto_time``) and ``confusion``. With several data sets their names
            end in that of the data set.
        """
        if not self._jobs:
            self.begin(comparison.shown)
        jobs = _jobs_of_verdicts(comparison) + ([] if self._pool else self._jobs)
        figures = [save(picture, self.folder) for job in jobs for picture in job()]
        figures += [figure for drawn in self._drawn for figure in drawn.result()]
        self.stop()
        written = {figure.png for figure in figures}
        for name in NAMES:
            for pattern in (f"{name}.png", f"{name}-*.png"):
                for stale in set(self.folder.glob(pattern)) - written:
                    stale.unlink()
        return figures

    def stop(self) -> None:
        """End the processes."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None


def _jobs_of_verdicts(comparison: Comparison) -> list[Job]:
    jobs: list[Job] = [partial(forest.verdicts, comparison.headline), partial(forest.claimed, comparison.judged)]
    for ranks in comparison.ranks:
        jobs.append(partial(critical_difference, ranks, f"-{ranks.kind.main}" * (len(comparison.ranks) > 1)))
    if comparison.searches:
        jobs.append(partial(best_of_k, comparison.searches))
    if comparison.curves:
        jobs.append(partial(scaling_curves, comparison.curves))
    return jobs


def _jobs_of_trials(shown: Trials) -> list[Job]:
    draws = (learning_curves, rotation, pareto_fronts, confusion_matrices)
    return [partial(pictures, group) for group in groups(shown) for pictures in draws]


_forked: tuple[list[Job], Path] = [], Path()  # of a process that draws


def _begin(jobs: list[Job], folder: Path) -> None:
    global _forked
    _forked = jobs, folder


def _draw_job(index: int) -> list[Figure]:
    jobs, folder = _forked
    return [save(picture, folder) for picture in jobs[index]()]
