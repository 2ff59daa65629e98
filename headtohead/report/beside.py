"""Compares the same architectures in two sweeps, such as before and after tuning: their order and their verdicts.

The order is compared by Kendall's rank correlation tau-b of the two lists of means: 1 where every two architectures
come in the same order in both, -1 where every two come the other way round. Every two architectures are compared in
each sweep, as one question each (headtohead/report/verdicts.py), and the verdicts that differ are listed.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from headtohead.cli.errors import UsageError
from headtohead.records.metrics import Kind
from headtohead.records.record import Record, config_hash
from headtohead.report.collect import Trials, runs_table
from headtohead.report.labels import architecture_of, label_rows
from headtohead.report.summary import by_table, summarize
from headtohead.report.table import Cell, Column, Grid, difference_in_words, markdown, verdict_in_words, words
from headtohead.report.verdicts import Pair, Samples, compare, margin_of

LEAST = 3  # architectures: the order of two says nothing of others


@dataclass(frozen=True)
class Beside:
    """What two sweeps say of the architectures that both have, on one data set.

    Args:
        data: the data set.
        kind: of the trials.
        means: of each architecture in the one sweep and in the other, the best of the one first.
        pairs: of every two architectures the comparison in the one sweep and in the other.
        left_out: architectures of which a sweep has several rows, so that none of them can be taken.
    """

    data: str
    kind: Kind
    means: Mapping[str, tuple[float, float]]
    pairs: Sequence[tuple[Pair, Pair]]
    left_out: Sequence[str]

    @property
    def changed(self) -> list[tuple[Pair, Pair]]:
        """The pairs of which the two sweeps do not say the same, of the seeds that learnt or of all."""
        return [(a, b) for a, b in self.pairs if _said(a) != _said(b)]

    @property
    def tau(self) -> float:
        """Kendall's tau-b of the means."""
        return kendall(*zip(*self.means.values(), strict=True))

    @property
    def alike(self) -> int:
        """How many pairs come in the same order in both."""
        sides = itertools.combinations(self.means.values(), 2)
        return sum((a[0] - b[0]) * (a[1] - b[1]) > 0 for a, b in sides)


def kendall(x: npt.ArrayLike, y: npt.ArrayLike) -> float:
    """Return Kendall's tau-b of two lists of one length; NaN where all values of one are equal."""
    from scipy import stats  # here: half a second

    return float(stats.kendalltau(np.asarray(x, float), np.asarray(y, float)).statistic)


def beside(one: Trials, other: Trials, margin: float | None = None) -> list[Beside]:
    """Compare two sweeps by the architectures that both have, on every data set where these are three or more.

    Args:
        one: a sweep.
        other: another.
        margin: what counts as equal; by default that of the metric.

    Raises:
        UsageError: there is no such data set.
    """
    sweeps, tables = (one, other), [runs_table(trials) for trials in (one, other)]
    summaries = [_by_architecture(trials, runs) for trials, runs in zip(sweeps, tables, strict=True)]
    records = [record for trials in sweeps for record in trials.records.values()]
    names = label_rows([_bare(record) for record in records], {})
    result = []
    for (data, main), (kind, here) in summaries[0].items():
        _, there = summaries[1].get((data, main), (kind, {}))
        both = [key for key in here if key in there]
        several = [key for key in both if max(len(here[key]), len(there[key])) > 1]
        kept = [key for key in both if key not in several]
        if len(kept) < LEAST:
            continue
        margins = {main: margin_of(kind, main, data) if margin is None else margin}
        found = []
        for trials, runs, rows in zip(sweeps, tables, (here, there), strict=True):
            hashes = {key: str(rows[key][0].config_hash) for key in kept}
            of = {hashes[key]: names[key] for key in kept}
            pairs = [(hashes[a], hashes[b]) for a, b in itertools.combinations(kept, 2)]
            found.append(compare(Samples(trials, runs, kind), pairs, [main], margins, of, trials.looks))
        means = {names[key]: (float(here[key][0][main]), float(there[key][0][main])) for key in kept}
        pairs_of_both = list(zip(*found, strict=True))
        result.append(Beside(data, kind, means, pairs_of_both, [names[key] for key in several]))
    if not result:
        raise UsageError(
            f"--beside: {one.name} and {other.name} share no data set on which both have {LEAST} architectures or more "
            "with the same arguments and one recipe each"
        )
    return result


def in_words(found: Sequence[Beside], one: str, other: str) -> str:
    """Return the comparison as Markdown.

    Args:
        found: on each data set.
        one: what the first sweep is called.
        other: what the second is called.
    """
    grids, lines = [], []
    for here in found:
        metric, total = here.kind.metrics[here.kind.main], len(here.pairs)
        what = f"{here.data}: {here.kind.called}"
        means = np.array(list(here.means.values()))
        sign = -metric.sign
        columns = [words("model", list(here.means))]
        for index, name in enumerate((one, other)):
            texts = [f"{value:.{metric.digits}f}{metric.unit}" for value in means[:, index]]
            places = [int((sign * means[:, index] < sign * value).sum()) + 1 for value in means[:, index]]
            columns.append(Column(name, [Cell(*cell) for cell in zip(texts, means[:, index], strict=True)]))
            columns.append(Column("place", [Cell(str(place), place) for place in places]))
        grids.append(Grid(what, columns))
        if here.changed:
            columns = [
                words("model", [pair.model for pair, _ in here.changed]),
                words("against", [pair.other for pair, _ in here.changed]),
            ]
            for name, pairs in zip((one, other), zip(*here.changed, strict=True), strict=True):
                columns.append(words(name, [f"{verdict_in_words(p)} {difference_in_words(p, metric)}" for p in pairs]))
            grids.append(Grid(f"{here.data}: verdicts that change", columns))
        tau = "not defined: all are equal in one" if math.isnan(here.tau) else f"{here.tau:.2f}"
        lines.append(
            f"{what} of {len(here.means)} architectures in {one} and in {other}: Kendall's rank correlation {tau}; "
            f"{here.alike} of {total} pairs come in the same order; {len(here.changed)} of {total} verdicts change."
        )
        if here.left_out:
            lines.append(f"Left out on {here.data}, with several rows in a sweep: {', '.join(here.left_out)}.")
    note = "Every two architectures are compared in each sweep; the intervals of a sweep hold at once with 95 %."
    return markdown(grids, lines, [note])


def _by_architecture(
    trials: Trials, runs: pd.DataFrame
) -> dict[tuple[str, str], tuple[Kind, dict[str, list[pd.Series]]]]:
    """Return for each data set and main metric the rows of each architecture, the best first."""
    keys = {record.config_hash: _bare(record).config_hash for record in trials.records.values()}
    result: dict[tuple[str, str], tuple[Kind, dict[str, list[pd.Series]]]] = {}
    for kind, data, rows in by_table(summarize(trials, runs)):
        _, of = result.setdefault((data, kind.main), (kind, {}))
        for _, row in rows.iterrows():
            of.setdefault(keys[str(row.config_hash)], []).append(row)
    return result


def _said(pair: Pair) -> tuple[str, str]:
    """Return the verdict of the seeds that learnt, and of all."""
    return pair.verdict, pair.verdict_of_all if any(pair.never) else pair.verdict


def _bare(record: Record) -> Record:
    """Return a record without its recipe: what is left of its configuration is the model and its arguments."""
    config = architecture_of(record)
    return replace(record, config=config, config_hash=config_hash({**config, "data": record.data}))
