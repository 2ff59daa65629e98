"""Groups trials into what one figure shows, by model, and averages over their seeds."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy import special

from headtohead.records.metrics import Kind, is_number, kind_of
from headtohead.records.record import Record
from headtohead.report.collect import Trials, labels
from headtohead.report.figures.style import COLORS
from headtohead.report.learning import learned

Floats = npt.NDArray[np.float64]
LONGEST = 50  # letters of a data set in the name of a file: of 255 bytes a letter may take four
MOST_MODELS = 15  # in a figure: the names of more have no room


@dataclass(frozen=True)
class Group:
    """The trials of one kind on one data set, by model, the best first.

    Args:
        data: name of the data set; of very many models also how many are shown.
        kind: of its trials.
        models: their records by what the model is called.
        looks: for the best of them the index of color, line and marker, the same in all figures of a sweep.
        dead: trials that are left out because they never learnt, where others of their model did.
        suffix: of the names of its figures, where there is more than one group.
    """

    data: str
    kind: Kind
    models: Mapping[str, Sequence[Record]]
    looks: Mapping[str, int]
    dead: int = 0
    suffix: str = ""

    @property
    def goal(self) -> Literal["max", "min"]:
        """Which way is better."""
        return self.kind.metrics[self.kind.main].goal

    def scaled(self, name: str, values: Floats) -> Floats:
        """Return shares in per cent, other numbers as they are."""
        return 100 * values if self.kind.is_share(name) else values


def groups(trials: Trials) -> list[Group]:
    """Split trials by data set and kind."""
    names = labels(trials)
    found: dict[tuple[str, str], dict[str, list[Record]]] = {}
    kinds: dict[str, Kind] = {}
    for record in sorted(trials.records.values(), key=lambda record: (record.data, record.seed)):
        if kind := kind_of(record.quality):
            kinds[kind.main] = kind
            models = found.setdefault((record.data, kind.main), {})
            models.setdefault(names[record.config_hash], []).append(record)
    result: list[Group] = []
    for (data, main), every in found.items():
        models = {name: [record for record in some if learned(record)] or some for name, some in every.items()}
        sign = -kinds[main].metrics[main].sign
        means = {name: sign * np.mean([record.quality[main] for record in models[name]]) for name in models}
        several_kinds = sum(other == data for other, _ in found) > 1
        suffix = f"-{data}" * (len(found) > 1) + f"-{main}" * several_kinds
        ranked = sorted(models, key=lambda name: (means[name], name))
        if len(models) > MOST_MODELS:
            data += f" (the best {MOST_MODELS} of {len(models)})"
        shown = {name: models[name] for name in ranked[:MOST_MODELS]}
        dead = sum(len(every[name]) - len(found) for name, found in shown.items())
        result.append(Group(data, kinds[main], shown, {}, dead, _of_a_file(suffix)))
    looks = choose_looks([list(group.models)[: len(COLORS)] for group in result])
    return [replace(group, looks={name: looks[name] for name in list(group.models)[: len(COLORS)]}) for group in result]


def _of_a_file(suffix: str) -> str:
    """Return the end of a file's name, without spaces and signs; a long one is cut, and told apart by its hash."""
    name = re.sub(r"[^\w-]+", "_", suffix)
    return name if len(name) <= LONGEST else f"{name[:LONGEST]}-{hashlib.sha256(suffix.encode()).hexdigest()[:8]}"


def choose_looks(figures: Sequence[Sequence[str]]) -> dict[str, int]:
    """Give each model one look for all figures, and within a figure each another where there are enough.

    Args:
        figures: which models each shows, no more than there are looks.

    Returns:
        The index of its color, line and marker by model. Those that stand in most figures choose first, as in a greedy
        coloring of the graph of models that share a figure.
    """
    count = Counter(name for names in figures for name in names)
    looks: dict[str, int] = {}
    for name in sorted(count, key=lambda name: (-count[name], name)):
        taken = {looks[other] for names in figures if name in names for other in names if other in looks}
        looks[name] = next((i for i in range(len(COLORS)) if i not in taken), len(looks) % len(COLORS))
    return looks


def band(values: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the mean over seeds and the 95 % interval of that mean by Student's t.

    Args:
        values: ``(seeds, points)``, NaN where a seed has no value.

    Returns:
        Mean, low and high, each ``(points,)``; low and high are NaN where fewer than two seeds have a value.
    """
    n = (~np.isnan(values)).sum(0)
    total = np.where(n > 0, n, np.nan)
    mean = np.nansum(values, 0) / total
    degrees = np.where(n > 1, n - 1.0, np.nan)
    with np.errstate(over="ignore"):  # of numbers beyond 1e150, whose band is infinite
        std = np.sqrt(np.nansum((values - mean) ** 2, 0) / degrees)
    half = special.stdtrit(degrees, 0.975) * std / np.sqrt(total)
    return mean, mean - half, mean + half


def has_numbers(entry: Mapping[str, Any], *names: str) -> bool:
    """Tell whether ``entry`` has a number under each of the names."""
    return all(is_number(entry.get(name)) for name in names)
