"""Compares every two models of a table, paired by seed: by how much they differ, and how sure that is."""

from __future__ import annotations

import itertools
import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from headtohead.records.metrics import Kind
from headtohead.report.statistics import (
    LEAST_PAIRS,
    LEVEL,
    Floats,
    holm,
    improvement,
    mean_interval,
    sign_flip_test,
    smallest_adjusted,
)

MOST_ROWS = 30  # of a table of which every two are compared; of a longer one each is compared with the best


@dataclass(frozen=True)
class Pair:
    """How a model compares with one that ranks above it, in one number.

    Args:
        model: the one that ranks below.
        other: the one that ranks above.
        number: its name in ``runs.csv``.
        n: seeds that both ran.
        difference: mean of ``model`` minus ``other`` over those seeds.
        half: half the width of its 95 % interval.
        better: P(model better than other), over all pairs of a run of one and a run of the other.
        p: of the sign-flip test; NaN where n is too small for it.
        adjusted: the same after Holm's adjustment over all tests of the table.
        smallest: the smallest that ``adjusted`` could be with that many pairs and tests.
    """

    model: str
    other: str
    number: str
    n: int
    difference: float
    half: float
    better: float
    p: float
    adjusted: float = math.nan
    smallest: float = math.nan

    @property
    def decidable(self) -> bool:
        """Whether there are enough pairs for the test to find anything."""
        return self.smallest <= LEVEL

    @property
    def differs(self) -> bool:
        """Whether the table says that the two differ: by the test, or by the interval where no test is possible."""
        return self.adjusted < LEVEL if self.decidable else abs(self.difference) > self.half


def compare(runs: pd.DataFrame, kind: Kind, rows: pd.DataFrame) -> list[Pair]:
    """Compare every two rows of a table, or all with the best, in the numbers that stand for its kind.

    Args:
        runs: a row per trial, from :func:`headtohead.report.collect.runs_table`.
        kind: of the table.
        rows: of a summary, one table's, the best first.
    """
    keys = list(rows.config_hash)
    names = [str(name) for name in rows.model]
    alike = runs[runs.config_hash.isin(keys)].drop_duplicates(["seed", "config_hash"])
    by_seed = alike.set_index(["seed", "config_hash"])
    values = {number: by_seed[number].unstack()[keys].to_numpy(dtype=float) for number in kind.compared}
    pairs, samples = [], []
    for above, below in itertools.combinations(range(len(keys)), 2):
        if above > 0 and len(keys) > MOST_ROWS:
            break
        for number in kind.compared:
            a, b = values[number][:, below], values[number][:, above]
            both = ~np.isnan(a) & ~np.isnan(b)
            if both.any():
                sign = 1 if kind.metrics[number].goal == "max" else -1
                better = improvement(sign * a[~np.isnan(a)], sign * b[~np.isnan(b)])
                samples.append(a[both] - b[both])
                pairs.append(_pair(names[below], names[above], number, samples[-1], better))
    return _adjusted(_tested(pairs, samples))


def _pair(model: str, other: str, number: str, difference: Floats, better: float) -> Pair:
    low, high = mean_interval(difference)
    half = float(high - low) / 2
    return Pair(model, other, number, len(difference), float(difference.mean()), half, better, math.nan)


def _tested(pairs: Sequence[Pair], differences: Sequence[Floats]) -> list[Pair]:
    """Give every pair its p-value; those of as many seeds are tested at once."""
    result = list(pairs)
    for n in {pair.n for pair in pairs}:
        alike = [i for i, pair in enumerate(pairs) if pair.n == n]
        found = sign_flip_test(np.stack([differences[i] for i in alike]), 0)
        for i, p in zip(alike, found, strict=True):
            result[i] = replace(pairs[i], p=float(p))
    return result


def _adjusted(pairs: list[Pair]) -> list[Pair]:
    """Adjust the p-values of a table; pairs that are too few for any test are none of its tests."""
    tested = [i for i, pair in enumerate(pairs) if pair.n >= LEAST_PAIRS]
    result = list(pairs)
    if tested:
        adjusted = holm([pairs[i].p for i in tested])
        smallest = smallest_adjusted([pairs[i].n for i in tested])
        for i, p, least in zip(tested, adjusted, smallest, strict=True):
            result[i] = replace(pairs[i], adjusted=float(p), smallest=float(least))
    return result


def p_value(pair: Pair, pairs: Sequence[Pair]) -> str:
    """Return the adjusted p-value, or why there can be none."""
    if pair.n < LEAST_PAIRS:
        return f"none: n < {LEAST_PAIRS}"
    if not pair.decidable:
        tests = sum(other.n >= LEAST_PAIRS for other in pairs)
        return f"none: n = {pair.n} is too few for {tests} tests"
    return f"{pair.adjusted:.3f}" if pair.adjusted >= 0.001 else f"{pair.adjusted:.1g}"


def verdicts(kind: Kind, rows: pd.DataFrame, pairs: Sequence[Pair]) -> list[str]:
    """Return a sentence for every two models among ``pairs``, in their order."""
    models = {row["model"]: row for row in rows.to_dict("records")}
    return [
        _verdict(kind, models, list(group))
        for _, group in itertools.groupby(pairs, key=lambda pair: (pair.model, pair.other))
    ]


def pair_notes(tables: Sequence[Sequence[Pair]]) -> list[str]:
    """Return the sentences without which tables of pairs would mislead."""
    if not any(tables):
        return []
    lines = [
        "Pairs: the difference is the mean over the seeds that both ran, ± half its 95 % interval (Student's t, not "
        "adjusted for the number of pairs). P(better): the share of all pairs of one run of each that the first wins, "
        "ties half. p: two-sided sign-flip test, paired by seed, adjusted by Holm over all tests of the table."
    ]
    if any(pair.n < LEAST_PAIRS for pairs in tables for pair in pairs):
        lines.append(f"Fewer than {LEAST_PAIRS} pairs cannot reach p < {LEVEL} whatever the difference: no p is shown.")
    for pairs in tables:
        tests = sum(pair.n >= LEAST_PAIRS for pair in pairs)
        if any(pair.n >= LEAST_PAIRS and not pair.decidable for pair in pairs):
            # the smallest p of n pairs is 2 / 2^n; the first of Holm's steps multiplies it by the number of tests
            enough = math.ceil(1 + math.log2(tests / LEVEL))
            lines.append(f"For {tests} tests in a table {enough} seeds are the fewest with which all can be decided.")
    return list(dict.fromkeys(lines))


def _verdict(kind: Kind, models: Mapping[str, Mapping[Hashable, Any]], group: list[Pair]) -> str:
    first = group[0]
    phrases = [_phrase(kind, pair, "it" if i else pair.other) for i, pair in enumerate(group)]
    ns = sorted({pair.n for pair in group})
    said = f"{first.model} is {' and '.join(phrases)}, n = {' and '.join(map(str, ns))}"
    if first.n == 1:
        said += " (one seed proves nothing)"
    elif not all(pair.decidable for pair in group):
        said += " (too few seeds for a test)"
    return f"{said}.{_at_what_cost(models[first.model], models[first.other])}"


def _phrase(kind: Kind, pair: Pair, other: str) -> str:
    digits = kind.metrics[pair.number].digits
    where = kind.metrics[pair.number].compared
    spread = "" if math.isnan(pair.half) else f" ± {pair.half:.{digits}f}"
    if not pair.differs and not math.isnan(pair.half):
        signed = f"{pair.difference:+.{digits}f}".replace("-", "−")
        return f"not shown to differ from {other} {where} ({signed}{spread} {kind.unit})"
    direction = "above" if pair.difference > 0 else "below"
    return f"{abs(pair.difference):.{digits}f}{spread} {kind.unit} {direction} {other} {where}"


def _at_what_cost(one: Mapping[Hashable, Any], other: Mapping[Hashable, Any]) -> str:
    """Say what the first model of a pair costs in shares of what the second does."""
    costs = {"params": "parameters", "macs": "MACs", "epoch_seconds": "time of an epoch"}
    shares = [
        f"{one[name] / other[name]:.3g} × the {said}"
        for name, said in costs.items()
        if other[name] > 0 and one[name] > 0 and (name != "epoch_seconds" or one["hardware"] == other["hardware"])
    ]
    said = f" It takes {', '.join(shares[:-1])} and {shares[-1]}." if len(shares) > 1 else ""
    return said + (" Recipe or hardware differ: see the table." if one["setting"] != other["setting"] else "")
