"""Says of two models which is better, that they are equal, or that this is undecided: with an error rate that holds.

A question is a family of comparisons: some pairs of models in some numbers. All its intervals hold the true differences
at once with 95 % (each at Bonferroni's share of the 5 %), and a verdict is what its interval says:

    better, worse   the interval lies on one side of 0
    equal           it lies within the margin: less than that counts as no difference
    undecided       neither

So at most one question in twenty has any false verdict, be it "better", "worse" or "equal", at every number of seeds.
"""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy import special

from headtohead.records.looks import Looks
from headtohead.records.metrics import Kind
from headtohead.report.collect import Trials
from headtohead.report.difference import Difference, Side, difference, side
from headtohead.report.statistics import (
    LEVEL,
    Floats,
    improvement,
    level_of_each_look,
    permutation_test,
)

Verdict = Literal["better", "worse", "equal", "undecided"]

ENOUGH = 8  # seeds from which on it is believed that no number of them would decide a question
MARGINS = {"MNIST": 0.2}  # points of accuracy, by data set, where it is not the metric's own


def verdict_of(value: float, half: float, margin: float, sign: int = 1) -> Verdict:
    """Return what an interval says.

    Args:
        value: the difference.
        half: half the width of its interval; infinite or NaN decides nothing.
        margin: what counts as equal. Within it, "equal" is said also where 0 is not in the interval.
        sign: 1 where more is better, -1 where less is.
    """
    if not math.isfinite(half):
        return "undecided"
    if abs(value) + half < margin:
        return "equal"
    if abs(value) > half:
        return "better" if sign * value > 0 else "worse"
    return "undecided"


@dataclass(frozen=True)
class Pair:
    """How a model compares with another in one number, over the seeds of each that learnt.

    Args:
        model: the one.
        other: the other.
        number: its name in ``runs.csv``.
        sign: 1 where more is better, -1 where less is.
        margin: what counts as equal.
        n: seeds of each that are compared.
        never: seeds of each that never learnt, which are left out.
        value: mean of ``model`` minus ``other``; NaN where one of them never learns.
        difference: the same with its variance; None where either has one seed.
        better: P(model better than other) with the ends of its 95 % interval.
        value_of_all: mean of ``model`` minus ``other`` over all seeds, those that never learnt too.
        p_of_all: of a permutation test of that difference, adjusted for the question's tests, where some never learnt.
        level: its share of the question's 5 %.
    """

    model: str
    other: str
    number: str
    sign: int
    margin: float
    n: tuple[int, int]
    never: tuple[int, int]
    value: float
    difference: Difference | None
    better: tuple[float, float, float]
    value_of_all: float
    p_of_all: float = math.nan
    level: float = math.nan

    @property
    def half(self) -> float:
        """Half the width of the interval of the difference; NaN where either has one seed."""
        if self.difference is None:
            return math.nan
        return float(self.difference.half(self._own_level))

    @property
    def _own_level(self) -> float:
        """The level of the seeds that learnt: where some never do there are two tests, of those and of all."""
        return self.level / 2 if any(self.never) else self.level

    @property
    def verdict(self) -> Verdict:
        """What the interval says: of the seeds that learnt."""
        return verdict_of(self.value, self.half, self.margin, self.sign)

    @property
    def verdict_of_all(self) -> Verdict:
        """What all seeds say together; "undecided" where all learnt, for which :attr:`verdict` speaks."""
        if not self.p_of_all <= LEVEL:
            return "undecided"
        return "better" if self.sign * self.value_of_all > 0 else "worse"

    @property
    def decided(self) -> bool:
        """Whether anything is decided."""
        return self.verdict != "undecided" or self.verdict_of_all != "undecided"

    @property
    def test_set_alone(self) -> float:
        """Half the interval that would be left after infinitely many seeds; 0 where the images are not counted."""
        images = 0.0 if self.difference is None else float(self.difference.images)
        return float(-special.ndtri(self._own_level / 2) * np.sqrt(images))

    def part(self, name: Literal["seeds", "images"]) -> float:
        """Return how wide half the interval would be if only the seeds varied, or only the images; NaN if unknown."""
        if self.difference is None or not (self.difference.counted or name == "seeds"):
            return math.nan
        if not self.difference.variance > 0:
            return math.nan
        half_of = self.difference.half_of_images if name == "images" else self.difference.half_of_seeds
        return float(half_of(self._own_level))

    def seeds_to_decide(self, most: int = 1000) -> int | None:
        """Return with how many seeds of each the question would be decided if all stayed as it is; None: by none."""
        if self.difference is None or not math.isfinite(self.half):
            return None
        n = 2 / (1 / self.n[0] + 1 / self.n[1])
        one = float(self.difference.seeds + self.difference.interaction) * n
        counts = np.arange(min(self.n) + 1, most + 1)
        of_seeds = special.stdtrit(2 * (counts - 1), 1 - self._own_level / 2) * np.sqrt(one / counts)
        half = np.hypot(of_seeds, self.difference.half_of_images(self._own_level))
        decided = (abs(self.value) > half) | (abs(self.value) + half < self.margin)
        return int(counts[decided.argmax()]) if decided.any() else None


@dataclass
class Samples:
    """The values of every row of a table in each number, by seed.

    Args:
        trials: with the values of single images.
        runs: a row per trial, from :func:`headtohead.report.collect.runs_table`.
        kind: of the table.
    """

    trials: Trials
    runs: pd.DataFrame
    kind: Kind
    _sides: dict[tuple[str, str, str], Side] = field(default_factory=dict)
    _values: dict[tuple[str, str, bool], Floats] = field(default_factory=dict)
    _groups: dict[str, pd.DataFrame] = field(init=False)

    def __post_init__(self) -> None:
        self._groups = {str(key): group for key, group in self.runs.groupby("config_hash", sort=False)}

    def values(self, key: str, number: str, learned: bool = True) -> Floats:
        """Return the numbers of a row's seeds, of those that learnt or of all, without those that were not measured."""
        where = key, number, learned
        if where not in self._values:
            group = self._measured(key, number)
            self._values[where] = np.asarray((group[group.learned] if learned else group)[number], dtype=float)
        return self._values[where]

    def test_set(self, key: str, number: str) -> str:
        """Return what identifies the test set of which all seeds of a row keep single images, else nothing.

        It is nothing too where there is one image, which says nothing of others, or where a value is no number.
        """
        kept = [self._per_image(name, number) for name in self._learned(key, number).trial]
        usable = [found if found and len(found[1]) > 1 and np.isfinite(found[1]).all() else None for found in kept]
        sets = {f"{found[0]} of {len(found[1])}" if found else "" for found in usable}
        return sets.pop() if len(sets) == 1 else ""

    def side(self, key: str, number: str, images: bool) -> Side:
        """Return what a row's seeds gave, with or without single images."""
        where = key, number, str(images)
        if where not in self._sides:
            table = None
            if images:
                kept = [self._per_image(name, number) for name in self._learned(key, number).trial]
                scale = 100 if self.kind.is_share(number) else 1
                table = scale * np.stack([np.asarray(found[1], dtype=float) for found in kept if found])
            self._sides[where] = side(self.values(key, number), table)
        return self._sides[where]

    def _measured(self, key: str, number: str) -> pd.DataFrame:
        group = self._groups[key]
        return group[group[number].notna()]

    def _learned(self, key: str, number: str) -> pd.DataFrame:
        group = self._measured(key, number)
        return group[group.learned]

    def _per_image(self, trial: str, number: str) -> tuple[str, Any] | None:
        kept, name = self.trials.records[trial].per_image, self.kind.metrics[number].per_image
        values = kept.values(name) if kept is not None and name else None
        return None if kept is None or values is None else (kept.images_of(name), values)


def margin_of(kind: Kind, number: str, data: str) -> float:
    """Return what counts as equal unless somebody says otherwise."""
    metric = kind.metrics[number]
    return MARGINS.get(data, metric.margin) if number.startswith("test_acc") else metric.margin


def compare(
    samples: Samples,
    pairs: Iterable[tuple[str, str]],
    numbers: Sequence[str],
    margins: Mapping[str, float],
    names: Mapping[str, str],
    looks: Looks | None = None,
    but: Container[tuple[frozenset[str], str]] = (),
    stated: int = 0,
) -> list[Pair]:
    """Compare pairs of rows in some numbers: one question, whose verdicts share the 5 %.

    Those that have not run yet have their share too: what is said of the first must hold when the last has run.

    Args:
        samples: of the table.
        pairs: of ``config_hash``.
        numbers: names in ``runs.csv``.
        margins: what counts as equal, by number.
        names: of the rows.
        looks: how often the verdicts were looked at while seeds were drawn, if they were.
        but: what another question is about, two rows and a number each, and this one is not.
        stated: how many pairs the question names, where it was stated before the trials ran.
    """
    found = [
        _pair(samples, a, b, number, margins[number], names)
        for a, b in pairs
        for number in numbers
        if (frozenset((a, b)), number) not in but
        and len(samples.values(a, number, False))
        and len(samples.values(b, number, False))
    ]
    # also those of which too few learnt for an interval: all seeds may still decide them
    tests = sum(pair.difference is not None or not math.isnan(pair.p_of_all) for pair in found)
    return [_at_level(pair, max(tests, stated * len(numbers)), looks) for pair in found]


def _pair(samples: Samples, a: str, b: str, number: str, margin: float, names: Mapping[str, str]) -> Pair:
    x, y = samples.values(a, number), samples.values(b, number)
    every = [samples.values(key, number, learned=False) for key in (a, b)]
    sign = samples.kind.metrics[number].sign
    between = None
    if min(len(x), len(y)) > 1:
        images = samples.test_set(a, number) == samples.test_set(b, number) != ""
        between = difference(samples.side(a, number, images), samples.side(b, number, images))
    never = len(every[0]) - len(x), len(every[1]) - len(y)
    return Pair(
        model=names[a],
        other=names[b],
        number=number,
        sign=sign,
        margin=margin,
        n=(len(x), len(y)),
        never=never,
        value=float(x.mean() - y.mean()) if len(x) and len(y) else math.nan,
        difference=between,
        better=improvement(sign * every[0], sign * every[1]),
        value_of_all=float(every[0].mean() - every[1].mean()),
        p_of_all=permutation_test(*every) if any(never) and min(map(len, every)) > 1 else math.nan,
    )


def _at_level(pair: Pair, tests: int, looks: Looks | None) -> Pair:
    """Give a pair its share of the question's 5 %."""
    level = LEVEL / max(tests, 1)
    if looks is not None:
        level = level_of_each_look(level, looks.first, max(looks.most, *pair.n))
    return replace(pair, level=level, p_of_all=pair.p_of_all * 2 * LEVEL / level)
