"""Puts verdicts into sentences: who, by how much, how sure, what would decide it, at what cost."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import pandas as pd

from headtohead.records.looks import Looks
from headtohead.records.metrics import Kind
from headtohead.report.statistics import share_interval
from headtohead.report.times import Ratio, ratio
from headtohead.report.verdicts import ENOUGH, Pair, verdict_of


def sentence(kind: Kind, pair: Pair, looks: Looks | None = None) -> str:
    """Say what a pair's verdict is, by how much, and how sure it is."""
    metric = kind.metrics[pair.number]
    where, unit = metric.compared or metric.head, unit_of(kind, pair.number)
    said = _of_those_that_learn(pair, where, unit, metric.digits, looks)
    if any(pair.never):
        when = " when it learns" if pair.difference is not None else ""
        said += f"{when}: {_never(pair)}; {_of_all(pair, unit, metric.digits)}"
    return f"{said}{'' if pair.difference is None or pair.difference.counted else '; test set not counted'}"


def unit_of(kind: Kind, number: str) -> str:
    """Return the unit of a difference."""
    own = kind.metrics[number].unit.strip()
    return kind.unit if own in ("%", "") else own


def _of_those_that_learn(pair: Pair, where: str, unit: str, digits: int, looks: Looks | None) -> str:
    value, low, high = (_signed(x, digits) for x in (pair.value, pair.value - pair.half, pair.value + pair.half))
    interval = f"({value} {unit}, {low} to {high})"
    if pair.difference is None:
        one = "one seed that learns" if any(pair.never) else "one seed"
        why = "nothing to compare" if min(pair.n) == 0 else f"{one} decides nothing ({value} {unit})"
        return f"{pair.model} against {pair.other} {where}: {why}"
    if pair.verdict == "equal":
        return f"{pair.model} and {pair.other} are equal {where} within ± {pair.margin:g} {unit} {interval}"
    if pair.verdict != "undecided":
        return f"{pair.model} is {pair.verdict} than {pair.other} {where} {interval}"
    if not math.isfinite(pair.half):
        return (
            f"{pair.model} against {pair.other} {where}: undecided ({value} {unit}, with no spread between seeds to "
            "judge it by)"
        )
    return f"{pair.model} against {pair.other} {where}: undecided {interval}; {_what_would(pair, looks)}"


def _signed(value: float, digits: int) -> str:
    return f"{value:+.{digits}f}".replace("-", "−")


def _what_would(pair: Pair, looks: Looks | None) -> str:
    """Say how many seeds would decide a pair if mean and spread stayed as they are, or that none would."""
    if_so = "if the difference stayed as it is,"
    needed = pair.seeds_to_decide()
    if needed is not None:
        beyond = f", more than the {looks.most} allowed" if looks and needed > looks.most else ""
        return f"{if_so} {needed} seeds of each would decide it{beyond}"
    if verdict_of(pair.value, rest := pair.test_set_alone, pair.margin) != "undecided":
        return f"{if_so} more than 1,000 seeds of each would be needed"
    if min(pair.n) < ENOUGH:
        return "too few seeds to say how many would decide it"
    return f"{if_so} no number of seeds would decide it: the test set alone leaves ± {rest:.2g}"


def _never(pair: Pair) -> str:
    parts = []
    for name, n, never in zip((pair.model, pair.other), pair.n, pair.never, strict=True):
        if never:
            low, high = share_interval(never, n + never)
            # what stands before it says "when it learns", but for pairs without a difference
            does = "does not" if pair.difference is not None else "does not learn"
            parts.append(f"{name} {does} in {never} of {n + never} seeds ({low:.0%} to {high:.0%} of all seeds)")
    return " and ".join(parts)


def _of_all(pair: Pair, unit: str, digits: int) -> str:
    """Say what all seeds together say."""
    said = f"over all seeds {_signed(pair.value_of_all, digits)} {unit}"
    if math.isnan(pair.p_of_all):
        return said
    return f"{said}, {pair.verdict_of_all} (permutation test, p = {min(1, pair.p_of_all):.2g})"


def sentences(kind: Kind, rows: pd.DataFrame, pairs: Sequence[Pair], looks: Looks | None = None) -> list[str]:
    """Return a sentence for every pair and number, and after the last of a pair what the first costs.

    The hardware on which times were measured stands behind the last of those on it.
    """
    models = {row["model"]: row for row in rows.to_dict("records")}
    lines: list[str] = []
    measured_on = ""
    for index, pair in enumerate(pairs):
        line = f"{sentence(kind, pair, looks)}; n = {_and(pair.n)}."
        one, other = models[pair.model], models[pair.other]
        last = index + 1 == len(pairs) or (pairs[index + 1].model, pairs[index + 1].other) != (pair.model, pair.other)
        if last and ratio_of_times(one, other) is not None:
            if measured_on not in ("", one["hardware"]):
                lines[-1] += f" Times on {measured_on}."
            measured_on = one["hardware"]
        lines.append(line + (at_what_cost(one, other) if last else ""))
    if measured_on:
        lines[-1] += f" Times on {measured_on}."
    return lines


def _and(n: tuple[int, int]) -> str:
    return str(n[0]) if n[0] == n[1] else f"{n[0]} and {n[1]}"


def at_what_cost(one: Mapping[Hashable, Any], other: Mapping[Hashable, Any]) -> str:
    """Say what the first model of a pair costs in shares of what the second does."""
    costs = {"params": "parameters", "macs": "MACs"}
    shares = [
        f"{one[name] / other[name]:.3g} × the {said}"
        for name, said in costs.items()
        if other[name] > 0 and one[name] > 0
    ]
    if (time := ratio_of_times(one, other)) is not None:
        why = "one trial" if min(len(one["training_seconds"]), len(other["training_seconds"])) == 1 else "no spread"
        interval = f"{time.low:.3g} to {time.high:.3g}" if math.isfinite(time.low) else f"{why}: no interval"
        shares.append(f"{time.value:.3g} × the time of training ({interval})")
    said = f" {one['model']} takes {', '.join(shares[:-1])} and {shares[-1]}." if len(shares) > 1 else ""
    return said + (" Recipe or hardware differ: see the table." if one["setting"] != other["setting"] else "")


def ratio_of_times(one: Mapping[Hashable, Any], other: Mapping[Hashable, Any]) -> Ratio | None:
    """Return the ratio of the times of training of two rows of a summary; None where they cannot be compared."""
    times = one["training_seconds"], other["training_seconds"]
    if one["hardware"] != other["hardware"] or not all(times) or not all(t > 0 for side in times for t in side):
        return None
    return ratio(*times)
