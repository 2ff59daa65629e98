"""Strategies: what a sweep runs next. The runner asks at the start, and whenever it has run all that it was given."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from headtohead.runner.sweep_file import Trial


class Strategy(Protocol):
    """Decides which trials a sweep runs next; one that looks at results reads their records in the sweep's folder."""

    def next_trials(self, folder: Path) -> Sequence[Trial]:
        """Return further trials, none of which it has returned before; none when there is nothing left to do.

        Args:
            folder: of the sweep, with a folder per trial; that of a finished one holds its record.
        """


class AsListed:
    """The trials of a sweep file, in its order.

    Args:
        trials: all of them.
    """

    def __init__(self, trials: Sequence[Trial]) -> None:
        self.trials = list(trials)

    def next_trials(self, folder: Path) -> Sequence[Trial]:
        """Return all of them, the first time."""
        trials, self.trials = self.trials, []
        return trials
