"""Compares the trials of a sweep: tables, verdicts and notes, whatever form they are written in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from headtohead.records.metrics import Kind
from headtohead.report import claims
from headtohead.report.collect import Trials, mixed_hardware, runs_table
from headtohead.report.pairs import Pair, compare, pair_notes, verdicts
from headtohead.report.summary import best_rows, by_table, notes, summarize
from headtohead.report.table import Grid, costs, pairwise, quality

MOST_ROWS = 120  # of a table


@dataclass(frozen=True)
class Part:
    """What trials of one kind on the same data say."""

    kind: Kind
    data: str
    rows: pd.DataFrame
    pairs: Sequence[Pair]

    @cached_property
    def grids(self) -> list[Grid]:
        """The tables, without one of pairs if there is but one model."""
        tables = quality(self.kind, self.data, self.rows), costs(self.kind, self.data, self.rows)
        pairs = pairwise(self.kind, self.data, self.pairs)
        return [*tables, pairs] if pairs else [*tables]

    @cached_property
    def verdicts(self) -> list[str]:
        """A sentence for every two models."""
        return verdicts(self.kind, self.rows, self.pairs)

    @cached_property
    def verdicts_against_best(self) -> list[str]:
        """A sentence for each model against the one that ranks first."""
        best = self.rows.model.iloc[0]
        return verdicts(self.kind, self.rows, [pair for pair in self.pairs if pair.other == best])


@dataclass(frozen=True)
class Comparison:
    """A sweep in tables and words.

    Args:
        trials: its records.
        runs: a row per trial.
        shown: the trials of the rows in the summary: of very many rows, the best.
        summary: a row per model and recipe.
        parts: of each kind and data set.
        notes: sentences without which the tables would mislead.
    """

    trials: Trials
    runs: pd.DataFrame
    shown: Trials
    summary: pd.DataFrame
    parts: list[Part]
    notes: list[str]

    @cached_property
    def csv(self) -> str:
        """Every trial, for other programs."""
        text: str = self.runs.to_csv(index=False, lineterminator="\n", float_format="%.6g")
        return text

    @cached_property
    def reported(self) -> Grid | None:
        """The claims of the sources beside what was measured, if this is the sweep that repeats them."""
        found = claims.read() if self.trials.name == claims.SWEEP else []
        return claims.reported(self.runs, found) if found else None

    @cached_property
    def verdicts_against_best(self) -> list[str]:
        """A sentence for each model against the one that ranks first on the same data."""
        return [line for part in self.parts for line in part.verdicts_against_best]


def make_comparison(trials: Trials, target: float | None = None) -> Comparison:
    """Compare the trials of a sweep.

    Args:
        trials: with at least one record.
        target: see :func:`headtohead.report.collect.runs_table`.
    """
    runs = runs_table(trials, target)
    shown = best_rows(trials, runs, MOST_ROWS)
    summary = summarize(shown, runs)
    parts = [Part(kind, data, rows, compare(runs, kind, rows)) for kind, data, rows in by_table(summary)]
    said = notes(summary) + pair_notes([part.pairs for part in parts]) + mixed_hardware(shown)
    if (rows := runs.config_hash.nunique()) > len(summary):
        said.append(f"The best {len(summary):,} of {rows:,} rows are shown; runs.csv has every trial.")
    return Comparison(trials, runs, shown, summary, parts, said)
