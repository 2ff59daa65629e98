"""What a search over recipes found for each architecture: the best point by validation, and what the search cost.

A search is a sweep that tried each architecture with three recipes or more, of equal epochs and training images, that
differ in more than augmentation. The test set is read nowhere here: what is chosen is chosen by validation.

How good an architecture is depends on how long one searches, and the best of many is better by luck too. So each is
shown as the expected best validation of k tried points, for every k. With the n values v(1) <= ... <= v(n) that a
search found and k points drawn from them with replacement,

    E[best of k] = sum over i of v(i) * ((i / n)^k - ((i - 1) / n)^k)

Source: Dodge, Gururangan, Card, Schwartz and Smith, "Show Your Work: Improved Reporting of Experimental Results",
EMNLP 2019. Deviation: the interval beside it is where the best of k lies in 95 % of such searches, quantiles of the
same distribution, in place of the paper's standard deviation. Drawn with replacement, the best of k = n is lower than
the best that was found (Tang and others, "Showing Your Work Doesn't Always Work", ACL 2020).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from headtohead.cli.errors import UsageError
from headtohead.cli.output import counted
from headtohead.cli.sweep_text import sweep_text
from headtohead.records.metrics import Kind, is_number, kind_of
from headtohead.records.record import Record, config_hash
from headtohead.report.collect import Trials
from headtohead.report.labels import architecture_of, label_rows
from headtohead.report.table import Cell, Column, Grid

Floats = npt.NDArray[np.float64]

LEAST = 3  # recipes of an architecture that are a search
LENGTH = ("data.train_size", "trainer.max_epochs", "trainer.max_steps")  # of a trial: another is no point of the search
AUGMENT = "data.augment"
FEW = 5  # points, at which the order is said beside that at all
SEEDS = 5  # of what is tuned


@dataclass(frozen=True)
class Search:
    """The points that were tried for one architecture.

    Args:
        name: of the architecture.
        kind: of its trials.
        data: the data set.
        points: the trials of each recipe.
        validation: mean of each point's seeds, in the record's units.
    """

    name: str
    kind: Kind
    data: str
    points: Sequence[Sequence[Record]]
    validation: Floats

    @property
    def sign(self) -> int:
        """1 where more is better, -1 where less is."""
        return self.kind.metrics[self.kind.monitor].sign

    @property
    def best(self) -> Record:
        """A trial of the best point, the first of equals."""
        return self.points[int(np.argmax(self.sign * self.validation))][0]

    @property
    def trials(self) -> int:
        """How many trials the search took."""
        return sum(map(len, self.points))

    @property
    def seconds(self) -> float:
        """How many seconds they took; NaN where a record does not say."""
        found = [record.cost.get("total_seconds") for point in self.points for record in point]
        return sum(value if is_number(value) else math.nan for value in found)

    @property
    def varied(self) -> dict[str, list[Any]]:
        """The arguments that were searched, with their values."""
        configs = [point[0].config for point in self.points]
        names = dict.fromkeys(name for config in configs for name in config)
        values = {name: list({repr(c.get(name)): c.get(name) for c in configs}.values()) for name in names}
        return {name: found for name, found in values.items() if len(found) > 1}

    @property
    def edges(self) -> list[str]:
        """The arguments of the best point that lie at an end of what was tried, so that more beyond may be better."""
        said = []
        for name, values in self.varied.items():
            if all(is_number(value) for value in values):
                best = self.best.config[name]
                where = {min(values): "least", max(values): "largest"}.get(best)
                said += [f"{name}={best} is the {where} tried"] if where else []
        return said


def searches(trials: Trials) -> list[Search]:
    """Return the searches of a sweep, the best first on each data set; none where it is no search.

    Args:
        trials: of a sweep.
    """
    found: dict[tuple[str, str, str], dict[str, list[Record]]] = {}
    kinds: dict[str, Kind] = {}
    for record in trials.records.values():
        kind = kind_of(record.quality)
        if kind is not None and is_number(record.quality.get(kind.monitor)):
            kinds[kind.monitor] = kind
            length = {name: repr(record.config.get(name)) for name in LENGTH}
            where = record.data, kind.monitor, repr([sorted(architecture_of(record).items(), key=str), length])
            found.setdefault(where, {}).setdefault(record.config_hash, []).append(record)
    found = {where: points for where, points in found.items() if _recipes(points) >= LEAST}
    names = _names([next(iter(points.values()))[0] for points in found.values()])
    result = []
    for (data, monitor, _), points in found.items():
        validation = [np.mean([record.quality[monitor] for record in point]) for point in points.values()]
        first = next(iter(points.values()))[0]
        result.append(
            Search(names[_key(first)], kinds[monitor], data, list(points.values()), np.array(validation, float))
        )
    return sorted(result, key=lambda search: (search.data, -(search.sign * search.validation).max(), search.name))


def _recipes(points: Mapping[str, Sequence[Record]]) -> int:
    """Return how many recipes there are beside augmentation, which alone is a question and no search."""
    configs = [point[0].config for point in points.values()]
    return len({config_hash({name: value for name, value in c.items() if name != AUGMENT}) for c in configs})


def expected_best(
    values: npt.ArrayLike, goal_sign: int = 1, points: npt.ArrayLike | None = None
) -> tuple[Floats, Floats, Floats]:
    """Return the expected best of k of some values, and where it lies in 95 % of searches.

    Args:
        values: of the points that a search tried, ``(n,)``.
        goal_sign: 1 where more is better, -1 where less is.
        points: the numbers k, ``(m,)``; 1 to n by default.

    Returns:
        Mean, and the quantiles at 2.5 and 97.5 %, each ``(m,)``.
    """
    x = np.sort(goal_sign * np.asarray(values, float))
    n = len(x)
    k = np.arange(1, n + 1) if points is None else np.asarray(points)
    up_to = (np.arange(n + 1) / n) ** k[:, None]  # the probability that the best of k is among the i worst
    mean = (x * np.diff(up_to, axis=1)).sum(1)
    low, high = (x[(up_to[:, 1:] >= level - 1e-12).argmax(1)] for level in (0.025, 0.975))
    ends = (low, high) if goal_sign == 1 else (high, low)
    return goal_sign * mean, goal_sign * ends[0], goal_sign * ends[1]


def order_at(found: Sequence[Search]) -> str:
    """Say in which order the architectures come after 5 points and after all that each of them had."""
    last = min(len(search.points) for search in found)
    said, before = [], ""
    for k in sorted({min(FEW, last), last}):
        means = {s.name: s.sign * expected_best(s.validation, s.sign, [k])[0].item() for s in found}
        order = ", ".join(sorted(means, key=lambda name: -means[name]))
        said.append(f"at k = {k} the order is {'the same' if order == before else order}")
        before = order
    return "; ".join(said)


def warnings(found: Sequence[Search]) -> list[str]:
    """Return a line for all that makes a search unequal or unfinished."""
    lines = []
    for data in dict.fromkeys(search.data for search in found):
        those = [search for search in found if search.data == data]
        for what, counts in (
            ("trials", {search.name: search.trials for search in those}),
            ("points", {search.name: len(search.points) for search in those}),
        ):
            if len(set(counts.values())) > 1:
                said = ", ".join(f"{name} {count}" for name, count in counts.items())
                lines.append(f"Budgets on {data} differ: the architectures had unequal numbers of {what}: {said}.")
                break
        ranges = {repr(sorted((name, sorted(map(repr, values))) for name, values in s.varied.items())) for s in those}
        if len(ranges) > 1:
            lines.append(f"Searches on {data} differ: the architectures were tried with other values.")
    for search in found:
        lines += [f"{search.name} on {search.data}: {edge}: look further." for edge in search.edges]
    return lines


def notes(found: Sequence[Search]) -> list[str]:
    """Return in which order the architectures come after few points and after all, and the warnings."""
    by_data = {search.data: [other for other in found if other.data == search.data] for search in found}
    return [f"Best of k points on {data}: {order_at(those)}." for data, those in by_data.items()] + warnings(found)


def budgets(found: Sequence[Search]) -> Grid:
    """Return the table of what each search cost and found, of one data set."""
    share = found[0].kind.is_share(found[0].kind.monitor)
    best = [float((s.sign * s.validation).max() * s.sign) for s in found]
    point = [", ".join(f"{name}={s.best.config.get(name)}" for name in s.varied) for s in found]
    seconds = [s.seconds for s in found]

    def column(head: str, texts: Sequence[str], values: Sequence[float | str], words: bool = False) -> Column:
        cells = [Cell(text, value) for text, value in zip(texts, values, strict=True)]
        return Column(head, cells, words)

    return Grid(
        f"{found[0].data}: what the search cost and found",
        [
            column("model", [s.name for s in found], [s.name for s in found], words=True),
            column("points", [str(len(s.points)) for s in found], [len(s.points) for s in found]),
            column("trials", [str(s.trials) for s in found], [s.trials for s in found]),
            column("seconds", ["–" if math.isnan(x) else f"{x:,.0f}" for x in seconds], seconds),
            column("best validation", [f"{100 * x:.2f} %" if share else f"{x:.4g}" for x in best], best),
            column("its point", point, point, words=True),
            column("at an edge", ["; ".join(s.edges) or "no" for s in found], [len(s.edges) for s in found], True),
        ],
    )


def tuned_file(trials: Trials) -> str:
    """Return a W&B sweep file of the best point of each architecture by validation, with seeds that are new.

    Args:
        trials: of a search.

    Raises:
        UsageError: the sweep is no search, or one of several kinds of trials.
    """
    found = searches(trials)
    if not found:
        raise UsageError(
            f"--best: {trials.name} is no search: no architecture ran with {LEAST} recipes or more of equal length; "
            "sweeps/tune.yaml is one"
        )
    if len({search.kind.monitor for search in found}) > 1:
        raise UsageError(f"--best: {trials.name} has trials of several kinds: search for each in a sweep of its own")
    used = {record.seed for record in trials.records.values()}
    seeds = [seed for seed in range(len(used) + SEEDS) if seed not in used][:SEEDS]
    configs = [search.best.config for search in found]
    alike = {
        name: {"value": value}
        for name, value in configs[0].items()
        if name.partition(".")[0] != "model" and all(config.get(name, ...) == value for config in configs)
    }
    differ = {name.partition(".")[0] for config in configs for name in config if name not in alike}
    alike = {name: spec for name, spec in alike.items() if name not in differ}  # a class stands with its arguments
    kind = found[0].kind
    config = {
        "name": f"{trials.name}_best",
        "description": f"The best point of each architecture in {trials.name}, by validation, with new seeds.",
        "program": "train.py",
        "method": "grid",
        "metric": {"name": kind.monitor, "goal": "maximize" if found[0].sign == 1 else "minimize"},
        "parameters": {
            "seed_everything": {"values": seeds},
            "config": {"values": [_mapping(config, alike) for config in configs]},
            **alike,
        },
        "command": ["${env}", "${interpreter}", "${program}", "fit", "${args}"],
    }
    lines = [
        f"The best point of each architecture in {trials.name}, by validation alone, with seeds that it did not use."
    ]
    lines += ["Written by python report.py RUNS --best. What the search cost each:"]
    for search in found:
        time = "" if math.isnan(search.seconds) else f", {search.seconds:,.0f} s"
        value = search.sign * float((search.sign * search.validation).max())
        said = f"{100 * value:.2f} %" if kind.is_share(kind.monitor) else f"{value:.4g}"
        spent = f"{counted(len(search.points), 'point')}, {counted(search.trials, 'trial')}"
        lines.append(f"  {search.name} on {search.data}: {spent}{time}; {said}")
    return sweep_text(config, [*lines, *(f"Warning: {line}" for line in warnings(found))])


def _mapping(config: Mapping[str, Any], alike: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is an architecture's own as a mapping of the form that a configuration file has."""
    own: dict[str, Any] = {}
    for name, value in config.items():
        part, dot, argument = name.partition(".")
        if name in alike:
            continue
        if part in ("model", "task", "data"):
            own.setdefault(part, {"class_path": config[part]})
            if dot:
                own[part].setdefault("init_args", {})[argument] = value
        elif dot:
            own.setdefault(part, {})[argument] = value
        else:
            own[name] = value
    return {
        part: said["class_path"] if isinstance(said, dict) and set(said) == {"class_path"} else said
        for part, said in own.items()
    }


def _key(record: Record) -> str:
    length = {name: record.config[name] for name in LENGTH if name in record.config}
    return config_hash({**architecture_of(record), **length, "data": record.data})


def _names(found: Sequence[Record]) -> dict[str, str]:
    """Return the names of architectures by what tells them apart, whatever their recipes."""
    length = {name for name in LENGTH if len({repr(record.config.get(name)) for record in found}) > 1}
    rows = [
        replace(
            record,
            config={**architecture_of(record), **{name: record.config.get(name) for name in sorted(length)}},
            config_hash=_key(record),
        )
        for record in found
    ]
    return label_rows(rows, {})
