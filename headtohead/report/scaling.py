"""Compares architectures over sizes and amounts of data: whole curves, and where one reaches what another does.

A line is one architecture at three widths or more under one recipe, or at three shares of the training images. Two
lines are compared at the level that both reach, the lower of their ends: what the better one needs for it, as a
multiple of what the other does, read off straight lines between the points on a logarithmic axis. The interval is a
bootstrap's over the seeds of every point that learnt, its draws spread by Student's t of the seeds in place of the
normal's; tests/report/test_scaling.py simulates how often it holds the truth. Test images are not drawn.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from scipy import optimize, special

from headtohead.records.metrics import Kind, is_number, kind_of
from headtohead.records.record import Record, config_hash
from headtohead.report.collect import Trials, alone, hardware_name
from headtohead.report.labels import architecture_of, label_rows, short
from headtohead.report.learning import learned
from headtohead.report.statistics import LEVEL, Floats, drawn_means
from headtohead.report.table import Cell, Column, Grid

AXES = {
    "params": "parameters",
    "macs": "MACs for one image",
    "seconds": "seconds of training",
    "images": "share of the training images",
}
SHORT = {"params": "parameters", "macs": "MACs", "seconds": "seconds of training", "images": "training images"}
LEAST = 3  # points of a line
FIT = 5  # points of a line that is fitted: three numbers, one left out, one over
DRAWS = 1000
MOST = 4  # lines of which every two are compared; of more, each with the best
WIDTH, SHARE = "model.width", "data.train_size"


@dataclass(frozen=True)
class Line:
    """One architecture over an axis.

    Args:
        name: of the architecture.
        x: where its points lie, ascending.
        y: what each seed reached at each point, in the units of the table, of those that learnt.
        never: seeds that never learnt, at points where others did.
    """

    name: str
    x: Floats
    y: Sequence[Floats]
    never: int = 0

    @property
    def mean(self) -> Floats:
        """The mean over seeds at each point."""
        return np.array([values.mean() for values in self.y])


@dataclass(frozen=True)
class Family:
    """The lines that may be compared: of one data set and recipe, but for the axis.

    Args:
        axis: a name in ``AXES``.
        data: the data set.
        kind: of the trials.
        lines: the one that ends best first.
        recipe: what tells its recipe apart from that of other families on this axis and data set, such as ``lr=0.01``.
    """

    axis: str
    data: str
    kind: Kind
    lines: Sequence[Line]
    recipe: str = ""

    @property
    def where(self) -> str:
        """The data set, and the recipe where there are several."""
        return f"{self.data} ({self.recipe})" if self.recipe else self.data

    @property
    def sign(self) -> int:
        """1 where more is better, -1 where less is."""
        return self.kind.metrics[self.kind.main].sign

    @cached_property
    def crossings(self) -> list[Crossing]:
        """Every two lines of two seeds or more at the level that both reach; of many lines each beside the best."""
        lines = [line for line in self.lines if min(map(len, line.y)) > 1]
        every = list(itertools.combinations(lines, 2))
        pairs = every if len(lines) <= MOST else [pair for pair in every if pair[0] is lines[0]]
        return [crossing(one, other, self.sign) for one, other in pairs]


@dataclass(frozen=True)
class Crossing:
    """What the better of two lines needs for the end of the other, as a multiple of what that does.

    Args:
        better: name of the line that ends better.
        other: name of the other, whose end is the level.
        level: that both reach.
        x: where the better one reaches it; its smallest point where it is there already.
        at: where the other does.
        low: end of the 95 % interval of the ratio; 0 where the better one may need less than it was tried at.
        high: the other end; infinity where the other may need less than it was tried at.
        reached: the better one is above the level at its smallest point: the ratio is at most so large.
        n: the fewest and the most seeds of a point.
        at_once: the other is at the level at its smallest point: the ratio is at least so large.
        never: seeds that never learnt, which are left out.
    """

    better: str
    other: str
    level: float
    x: float
    at: float
    low: float
    high: float
    reached: bool
    n: tuple[int, int]
    at_once: bool = False
    never: int = 0

    @property
    def ratio(self) -> float:
        """What the better one needs, as a multiple."""
        return self.x / self.at


def families(trials: Trials) -> list[Family]:
    """Return the lines of a sweep; none where no architecture has three points on an axis."""
    found: dict[tuple[str, str, str, str], dict[str, dict[float, list[Record]]]] = {}
    recipes: dict[str, dict[str, Any]] = {}
    kinds: dict[str, Kind] = {}
    for record in trials.records.values():
        kind, width, share = kind_of(record.quality), record.config.get(WIDTH), record.config.get(SHARE, 1.0)
        if kind is None:
            continue
        kinds[kind.main] = kind
        recipe = {name: value for name, value in record.config.items() if name.partition(".")[0] != "model"}
        model = architecture_of(record)
        without = {name: value for name, value in model.items() if name != WIDTH}
        whole = {name: value for name, value in recipe.items() if name != SHARE}
        for axis, of, rest, point in (("size", recipe, without, width), ("images", whole, model, share)):
            if is_number(point):
                recipes[config_hash(of)] = of
                lines = found.setdefault((axis, record.data, kind.main, config_hash(of)), {})
                lines.setdefault(config_hash(rest), {}).setdefault(float(point), []).append(record)
    made: dict[tuple[str, str, str], dict[str, Sequence[Line]]] = {}
    for (axis, data, main, of_recipe), points_of in found.items():
        several = {key: points for key, points in points_of.items() if len(points) >= LEAST}
        for one in ("params", "macs", "seconds") if axis == "size" else ("images",):
            if drawn := _lines(several, one, kinds[main]):
                made.setdefault((data, one, main), {})[of_recipe] = drawn
    result = [
        Family(axis, data, kinds[main], drawn, said)
        for (data, axis, main), by_recipe in made.items()
        for drawn, said in zip(by_recipe.values(), _apart([recipes[key] for key in by_recipe]), strict=True)
    ]
    order = list(AXES)
    return sorted(result, key=lambda family: (family.data, order.index(family.axis), family.recipe))


def reach(x: Floats, y: Floats, level: float) -> float:
    """Return from where on a curve is at a level or above, read off straight lines over log x.

    Args:
        x: ascending, above 0.
        y: likewise long; the more the better.
        level: to be reached.

    Returns:
        ``x``; 0 where the first point is there already, infinity where the last is not.
    """
    below = np.flatnonzero(y < level)
    if not len(below):
        return 0.0
    i = int(below[-1])
    if i + 1 == len(x):
        return math.inf
    share = (level - y[i]) / (y[i + 1] - y[i])
    return float(x[i] * (x[i + 1] / x[i]) ** share)


def crossing(one: Line, other: Line, sign: int = 1) -> Crossing:
    """Compare two lines at the level that both reach.

    Args:
        one: a line, of two seeds or more at each point.
        other: another.
        sign: 1 where more is better, -1 where less is.
    """
    better, worse = (one, other) if sign * one.mean[-1] >= sign * other.mean[-1] else (other, one)

    def ends(means: Floats, others: Floats) -> tuple[float, float]:
        """Where the two reach the lower of their ends."""
        level = min(means[-1], others[-1])
        return reach(better.x, means, level), reach(worse.x, others, level)

    x, at = ends(sign * better.mean, sign * worse.mean)
    random = np.random.default_rng(0)
    n = min(len(values) for line in (better, worse) for values in line.y)
    # few seeds know their own spread badly
    wider = float(special.stdtrit(2 * (n - 1), 1 - LEVEL / 2) / special.ndtri(1 - LEVEL / 2))
    drawn = [
        np.array([v.mean() + wider * (drawn_means(v, DRAWS, random) - v.mean()) for v in line.y]).T
        for line in (better, worse)
    ]
    pairs = [ends(sign * a, sign * b) for a, b in zip(*drawn, strict=True)]
    # who is there at its smallest point may need anything from nothing to that
    least = [a / (b or worse.x[0]) for a, b in pairs]
    most = [(a or better.x[0]) / b if b > 0 else math.inf for a, b in pairs]
    low = float(np.quantile(least, LEVEL / 2, method="inverted_cdf"))
    high = float(np.quantile(most, 1 - LEVEL / 2, method="inverted_cdf"))
    reached = x == 0
    return Crossing(
        better.name,
        worse.name,
        float(worse.mean[-1]),
        float(better.x[0]) if reached else x,
        at if at > 0 else float(worse.x[0]),
        low,
        high,
        reached,
        (n, max(len(values) for line in (better, worse) for values in line.y)),
        at == 0,
        better.never + worse.never,
    )


def sentence(family: Family, found: Crossing) -> str:
    """Say what the better of two needs, by how much less or more, and how sure that is."""
    share = family.kind.is_share(family.kind.main)
    level = f"{found.level:.1f} %" if share else f"{found.level:.4g}"
    ratio, low, high = (_times(one, found.ratio < 0.5) for one in (found.ratio, found.low, found.high))
    if math.isinf(found.high):
        interval = "no interval" if found.low == 0 else f"at least {low}"
    else:
        interval = f"at most {high}" if found.low == 0 else f"{low} to {high}"
    what = SHORT[family.axis]
    if found.reached and found.at_once:
        of = f"as few {what} as were tried, and so does {found.other}: no multiple can be read off"
    else:
        bound = "at most " if found.reached else "at least " if found.at_once else ""
        of = f"{bound}{ratio} ({interval}) of the {what}"
    n = " to ".join(map(str, dict.fromkeys(found.n))) + (" that learnt" if found.never else "")
    return (
        f"{found.better} reaches {found.other}'s {family.kind.called} of {level} on {family.where} with {of}; test set "
        f"not counted; n = {n}."
    )


def fit(x: Floats, error: Floats) -> tuple[Floats, Floats, float] | None:
    """Fit ``a x^-b + c`` to all points but the last, from which nothing is taken on trust.

    Args:
        x: ascending, ``(n,)``, at least five.
        error: at each, above 0.

    Returns:
        ``a, b, c`` for x in multiples of its first, the residuals ``(n - 1,)``, and what the fit says of the last point
        minus what was measured there; None where no fit is found.
    """
    if len(x) < FIT:
        return None

    def law(x: Floats, a: float, b: float, c: float) -> Floats:
        return np.asarray(a * x**-b + c)

    times = x / x[0]
    start = (max(error[0] - error[-2], 1e-9), 0.5, max(float(error[:-1].min()) / 2, 0.0))
    try:
        found, _ = optimize.curve_fit(law, times[:-1], error[:-1], start, bounds=(0, np.inf), maxfev=10_000)
    except (RuntimeError, ValueError):  # it does not converge
        return None
    return found, error[:-1] - law(times[:-1], *found), float(law(times[-1:], *found)[0] - error[-1])


def fits(found: Sequence[Family]) -> Grid | None:
    """Return the table of the fits of one data set, each with how far it is off; None where no line has five points."""
    rows = []
    for family in found:
        share = family.kind.is_share(family.kind.main)
        for line in family.lines:
            error = (100 - line.mean) if share and family.sign == 1 else line.mean
            if family.sign == 1 and not share:
                continue
            law = fit(line.x, error)
            if law is not None:
                (a, b, c), residuals, off = law
                said = f"{a:.3g} (x / {line.x[0]:.3g})^−{b:.3g} + {c:.2f}"
                name = f"{line.name}, {family.recipe}" if family.recipe else line.name
                rows.append((name, AXES[family.axis], said, float(np.abs(residuals).max()), off, error[-1]))
    if not rows:
        return None
    heads = ("model", "x", "error, fitted without the last point", "largest residual", "off at the last", "there")
    columns = []
    for head, cells in zip(heads, zip(*rows, strict=True), strict=True):
        words = isinstance(cells[0], str)
        texts = [str(cell) if words else f"{cell:+.2f}" if head.startswith("off") else f"{cell:.2f}" for cell in cells]
        columns.append(Column(head, [Cell(text, cell) for text, cell in zip(texts, cells, strict=True)], words))
    return Grid(f"{found[0].data}: power laws of the error, and how far they are off", columns, folded=True)


def _times(ratio: float, as_share: bool) -> str:
    """Return a ratio as it is said: ``1/9`` where that is asked for and it is below 1, else ``1.8 ×``."""
    if as_share and 0 < ratio < 1:
        return f"1/{1 / ratio:.2g}" if ratio > 0.1 else f"1/{1 / ratio:,.0f}"
    return f"{ratio:.2g} ×" if ratio < 10 else f"{ratio:,.0f} ×"


def _lines(several: Mapping[str, Mapping[float, Sequence[Record]]], axis: str, kind: Kind) -> list[Line]:
    """Return the lines of one axis, the one that ends best first; none of fewer than three points."""
    first = {key: next(iter(points.values()))[0] for key, points in several.items()}
    drop = SHARE if axis == "images" else WIDTH
    names = label_rows([_named(record, key, drop) for key, record in first.items()], {})
    machines = {
        hardware_name(record.hardware)
        for points in several.values()
        for records in points.values()
        for record in alone(records)
    }
    if axis == "seconds" and len(machines) != 1:
        return []
    lines = []
    for key, points in several.items():
        found = [(_place(axis, point, records), records) for point, records in sorted(points.items())]
        found = [(place, records) for place, records in found if place > 0]
        x = np.array([place for place, _ in found])
        if axis == "seconds" and len(x):
            x = rising(x, [len(alone(records)) for _, records in found])
        order = np.argsort(x, kind="stable")
        x, kept = x[order], [found[index][1] for index in order]
        learnt = [[record for record in records if learned(record)] or records for records in kept]
        scale = 100 if kind.is_share(kind.main) else 1
        y = [np.array([scale * record.quality[kind.main] for record in records], float) for records in learnt]
        if len(set(x.tolist())) >= LEAST:
            never = sum(map(len, kept)) - sum(map(len, learnt))
            lines.append(Line(names[key], x, y, never))
    sign = kind.metrics[kind.main].sign
    return sorted(lines, key=lambda line: (-sign * line.mean[-1], line.name))


def _place(axis: str, point: float, records: Sequence[Record]) -> float:
    """Return where a point lies on an axis; 0 where that is not known."""
    if axis == "images":
        return point
    if axis != "seconds":
        return float(records[0].size[axis])
    times = [sum(epoch.get("seconds") or math.nan for epoch in record.history) for record in alone(records)]
    known = [time for time in times if math.isfinite(time)]
    return float(np.median(known)) if known else 0.0


def rising(seconds: Floats, weights: Sequence[float]) -> Floats:
    """Return the times of ever larger networks without those that fall from one to the next.

    How long few trials of small networks take scatters by more than they differ. A larger one of the same kind is not
    faster: where it seems so the two are averaged, on a logarithmic scale, and so with the one before (isotonic
    regression).

    Args:
        seconds: by size, ``(n,)``, above 0.
        weights: trials behind each.
    """
    fitted = optimize.isotonic_regression(np.log(seconds), weights=np.asarray(weights, float))
    return np.asarray(np.exp(fitted.x))


def _apart(recipes: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say of each recipe what tells it apart from the others."""
    names = sorted({name for recipe in recipes for name in recipe})
    differ = [name for name in names if len({repr(recipe.get(name)) for recipe in recipes}) > 1]
    return [short("", {name: recipe.get(name) for name in differ}) for recipe in recipes]


def _named(record: Record, key: str, drop: str) -> Record:
    """Return a record that has what tells its line apart from others of its family: the model without the axis."""
    config: dict[str, Any] = {
        name: value for name, value in record.config.items() if name.partition(".")[0] == "model" and name != drop
    }
    return replace(record, config=config, config_hash=key)
