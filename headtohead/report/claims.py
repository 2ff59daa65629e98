"""Claim files: the questions that a sweep is to decide, and what others claim: it holds, is refuted or undecided.

``claims/<sweep>.yaml`` is written before the sweep is run:

    questions:
      - ask: Is invariance to quarter turns free, at equal parameters?
        data: MNIST
        numbers: [test_acc]        # columns of runs.csv
        margin: 0.2                # less than that is no difference; without it the metric's own
        pairs:
          - [{model: EqCNN, model.width: 11}, SimpleCNN]
    claims:
      - {source: document 000, of: SimpleCNN, data: MNIST, number: test_acc, value: 97.3, margin: 0.5}
      - {source: document 001, of: PConvUNet, data: CIFAR10, number: test_l1_hole, better_than: ConvUNet}
      - {source: document 000, of: EqCNN, data: MNIST, number: macs, at_most: 4, times: SimpleCNN}
      - {of: PConvUNet, data: CIFAR10, number: test_l1_hole_40_50, no_worse_than: test_l1_hole_10_20}

    labels:                        # what tables and figures call a row; others are called by what sets them apart
      Equivariant: {model: EqCNN, model.width: 11}

A row is named by its model, or by arguments of its configuration where that is not enough; one that records leave out
at its default is ``default`` there. All pairs and numbers of a
question share one error rate of 5 %; each claim has 5 % of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import ConfigDict, Field, FiniteFloat, TypeAdapter, ValidationError, model_validator
from pydantic import dataclasses as checked

from headtohead.cli.checkout import CHECKOUT
from headtohead.cli.errors import UsageError
from headtohead.records.looks import Looks
from headtohead.records.metrics import COSTS, KINDS, Kind, Metric
from headtohead.records.record import Record
from headtohead.report.collect import Trials, precision_of
from headtohead.report.labels import label_rows, short, values_of
from headtohead.report.verdicts import margin_of

FOLDER = "claims"
DEFAULT = "default"  # of an argument that a record does not have
Selector = str | Annotated[dict[str, Any], Field(min_length=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Label = Annotated[str, Field(pattern=r"^\S(.{0,38}\S)?$")]
Outcome = Literal["holds", "refuted", "undecided", "not run"]
_STRICT = ConfigDict(extra="forbid")


@checked.dataclass(frozen=True, config=_STRICT)
class Question:
    """Which pairs of a sweep are compared, in which numbers.

    Args:
        ask: the question.
        pairs: rows, two each; the first is said to be better, worse or equal.
        numbers: columns of ``runs.csv``.
        data: the data set.
        margin: what counts as equal; by default the metric's own.
        source: the document that raises it.
    """

    ask: str
    pairs: Annotated[list[tuple[Selector, Selector]], Field(min_length=1)]
    numbers: Annotated[list[str], Field(min_length=1)]
    data: str
    margin: Positive | None = None
    source: str = ""

    @model_validator(mode="after")
    def _known(self) -> Question:
        known = [name for kind in KINDS for name in kind.shown]
        for number in self.numbers:
            if number not in known:
                raise ValueError(f"numbers: {number}: there are {', '.join(known)}")
            if number not in self.kind.shown:
                raise ValueError(f"numbers: {number}: not of the same trials as {self.numbers[0]}")
        for one, other in self.pairs:
            if one == other:
                raise ValueError(f"pairs: {name_of(one)}: is compared with itself")
        return self

    @property
    def kind(self) -> Kind:
        """The kind of trials that it is about."""
        return next(kind for kind in KINDS if self.numbers[0] in kind.shown)

    def margins(self) -> dict[str, float]:
        """Return what counts as equal, by number."""
        own = {number: margin_of(self.kind, number, self.data) for number in self.numbers}
        return own if self.margin is None else dict.fromkeys(own, self.margin)


@checked.dataclass(frozen=True, config=_STRICT)
class Claim:
    """What somebody claims of a row of a sweep.

    Args:
        of: the row.
        data: the data set.
        number: a column of ``runs.csv``.
        source: the document.
        value: the number that it claims, accuracies in per cent.
        margin: how far from the value, or from no difference, still holds.
        better_than: the row than which this one is said to be better.
        equal_to: the row that this one is said to equal within ``margin``.
        no_worse_than: another number of the same row, than which this one is said to be no worse, within ``margin``.
        at_most: this many times the number of ``times``.
        at_least: this many times the number of ``times``.
        times: the row of which the number is a multiple.
        note: where the document errs, or ours deviates.
    """

    of: Selector
    data: str
    number: str
    source: str = ""
    value: FiniteFloat | None = None
    margin: Positive | None = None
    better_than: Selector | None = None
    equal_to: Selector | None = None
    no_worse_than: str | None = None
    at_most: Positive | None = None
    at_least: Positive | None = None
    times: Selector | None = None
    note: str = ""

    @model_validator(mode="after")
    def _one_claim(self) -> Claim:
        said = [self.value, self.better_than, self.equal_to, self.no_worse_than, self.at_most, self.at_least]
        if sum(item is not None for item in said) != 1:
            raise ValueError("one of value, better_than, equal_to, no_worse_than, at_most, at_least")
        if (self.times is None) != (self.at_most is None and self.at_least is None):
            raise ValueError("at_most and at_least need times: the row of which it is a multiple")
        known = [*COSTS, *(name for kind in KINDS for name in kind.metrics)]
        if self.number not in known:
            raise ValueError(f"number: {self.number}: there are {', '.join(known)}")
        if self.no_worse_than is not None:
            alike = [name for kind in KINDS for name in kind.metrics if self.number in kind.metrics]
            if self.no_worse_than not in alike or self.no_worse_than == self.number:
                raise ValueError(f"no_worse_than: {self.no_worse_than}: no other number of the trials of {self.number}")
            one, other = metric_of(self.number), metric_of(self.no_worse_than)
            if one.goal != other.goal:
                raise ValueError(f"no_worse_than: {self.no_worse_than}: of {self.number} the other way is better")
            if (one.share, one.unit) != (other.share, other.unit):
                raise ValueError(f"no_worse_than: {self.no_worse_than}: {self.number} has another unit")
        size = self.number in COSTS and COSTS[self.number].size
        if self.number in COSTS and (self.better_than is not None or self.equal_to is not None):
            raise ValueError(f"number: {self.number}: is a cost: compare it by at_most or at_least and times")
        if self.number in COSTS and not size and self.value is not None and self.margin is None:
            raise ValueError(f"margin: missing: {self.number} is measured, and has none of its own")
        if self.times is not None and self.number not in COSTS:
            raise ValueError(f"number: {self.number}: multiples are of costs: {', '.join(COSTS)}")
        if self.other == self.of:
            raise ValueError(f"of: {name_of(self.of)}: is compared with itself")
        return self

    @property
    def other(self) -> Selector | None:
        """The row that it is compared with."""
        return next((row for row in (self.better_than, self.equal_to, self.times) if row is not None), None)

    def in_words(self, other: str) -> str:
        """Return what it says, where the row that it is compared with is called ``other``."""
        if self.value is not None:
            exact = self.number in COSTS and COSTS[self.number].size
            within = f" ± {self.margin:,g}" if self.margin else ""
            return (f"{self.value:,.0f}" if exact else f"{self.value:,g}") + within
        if self.better_than is not None:
            return f"better than {other}"
        if self.equal_to is not None:
            return f"equal to {other}"
        if self.no_worse_than is not None:
            return f"no worse than {metric_of(self.no_worse_than).head or self.no_worse_than}"
        bound, factor = ("at most", self.at_most) if self.at_most is not None else ("at least", self.at_least)
        return f"{bound} {factor:g} × {other}"


@checked.dataclass(frozen=True, config=_STRICT)
class ClaimFile:
    """The questions and claims of a sweep.

    Args:
        questions: that it is to decide.
        claims: that it tests.
        looks: how often the verdicts are looked at while seeds are added, where agents run the sweep; a runner keeps it
            beside the records.
        labels: rows by the names that tables and figures are to give them.
    """

    questions: list[Question] = Field(default_factory=list)
    claims: list[Claim] = Field(default_factory=list)
    looks: Looks | None = None
    labels: dict[Label, Selector] = Field(default_factory=dict)


_FILE = TypeAdapter(ClaimFile)


class _Plain(yaml.SafeLoader):
    """YAML's safe loader without aliases, which may stand for a thousand million values, or for themselves."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.composer.ComposerError(None, None, "aliases are not read here: write it out")
        return super().compose_node(parent, index)


def files() -> dict[str, Path]:
    """Return the claim files by sweep: those of the current folder before those of the suite."""
    folders = [*([CHECKOUT / FOLDER] if CHECKOUT else []), Path(FOLDER)]
    return {path.stem: path for folder in folders for path in sorted(folder.glob("*.yaml"))}


def read(sweep: str) -> ClaimFile:
    """Read the claim file of a sweep; an empty one where there is none.

    Raises:
        UsageError: it is not a claim file.
    """
    path = files().get(sweep)
    if path is None:
        return ClaimFile()
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Plain)  # noqa: S506  # a subclass of SafeLoader
        return ClaimFile() if content is None else _FILE.validate_python(content)
    except UnicodeDecodeError:
        raise UsageError(f"{path}: not a text file") from None
    except (yaml.YAMLError, RecursionError) as error:
        raise UsageError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        said = " ".join(first["msg"].removeprefix("Value error, ").split())
        raise UsageError(f"{path}: {where + ': ' if where else ''}{said}") from None


def name_of(row: Selector) -> str:
    """Return a row's name in words, as tables have it."""
    if isinstance(row, str):
        return row
    return short(str(row.get("model", "")), {key: value for key, value in row.items() if key != "model"})


def short_name(row: Selector) -> str:
    """Return a row's name in words without the arguments that it leaves at their default."""
    return name_of(row if isinstance(row, str) else {name: value for name, value in row.items() if value != DEFAULT})


def named_rows(labels: Mapping[str, Selector], trials: Trials) -> dict[str, str]:
    """Return the names that a claim file gives to rows, by ``config_hash``, without those of rows that did not run.

    Raises:
        UsageError: one fits several rows of a data set, or two fit the same.
    """
    found: dict[str, str] = {}
    data = dict.fromkeys(record.data for record in trials.records.values()) if labels else {}
    for name, row in labels.items():
        for key in filter(None, (find_row(trials.records.values(), row, where) for where in data)):
            if key in found:
                raise UsageError(f"claims: labels: {found[key]} and {name} are the same row")
            found[key] = name
    return found


def unused_labels(trials: Trials) -> str:
    """Say which names in the claim file of a sweep are of no row: not run yet, or misspelt; nothing where all are."""
    names = read(trials.name).labels
    used = named_rows(names, trials).values()
    if not (unused := [f"{name} ({name_of(names[name])})" for name in names if name not in used]):
        return ""
    rows = ", ".join(dict.fromkeys(label_rows(trials.records.values(), {}).values()))
    more = f" (and {len(unused) - 3} more)" if len(unused) > 3 else ""
    return f"claims: labels: no row of {trials.name} is {', '.join(unused[:3])}{more}: its rows are {rows}"


def find_rows(records: Iterable[Record], row: Selector, data: str) -> dict[str, str]:
    """Return the ``config_hash`` of a row by the precision that it ran in; nothing if it did not run.

    It has several where some trials ran in one precision and some in another, most seeds first.

    Raises:
        UsageError: several configurations fit.
    """
    wanted = {"model": row} if isinstance(row, str) else dict(row)
    found: dict[str, Record] = {}
    seeds: Counter[tuple[str, str]] = Counter()
    for record in records:
        has = {**record.config, "model": record.model}
        if record.data == data and all(has.get(name, DEFAULT) == value for name, value in wanted.items()):
            found[record.config_hash] = record
            seeds[precision_of(record), record.config_hash] += 1
    differing = sorted(name for name, values in values_of(found.values()).items() if len(values) > 1)
    if len(found) > 1 and (
        differing != ["trainer.precision"] or len({precision for precision, _ in seeds}) < len(found)
    ):
        raise UsageError(
            f"claims: {name_of(row)} on {data} fits {len(found)} rows: name one by its {', '.join(differing)}, such as "
            f"{{model: …, {differing[0]}: …}}"
        )
    return {precision: key for (precision, key), _ in seeds.most_common()}


def find_row(records: Iterable[Record], row: Selector, data: str) -> str | None:
    """Return the ``config_hash`` of a row, of that with most seeds if it ran in two precisions; None if it did not run.

    Raises:
        UsageError: several configurations fit.
    """
    return next(iter(find_rows(records, row, data).values()), None)


def find_pair(records: Sequence[Record], pair: tuple[Selector, Selector], data: str) -> list[tuple[str, str]]:
    """Return the ``config_hash`` of two rows: once for each precision that both ran in, that of most seeds first.

    Two rows of one precision each are a pair whatever these are.

    Raises:
        UsageError: several configurations fit.
    """
    one, other = (find_rows(records, row, data) for row in pair)
    if len(one) == len(other) == 1:
        found = [(*one.values(), *other.values())]
    else:
        found = [(one[precision], other[precision]) for precision in one if precision in other]
    seeds = Counter(record.config_hash for record in records)
    found.sort(key=lambda both: -min(seeds[key] for key in both))
    return [(a, b) for a, b in found if a != b]


def metric_of(number: str) -> Metric:
    """Return the metric of a column of ``runs.csv``."""
    return next(kind.metrics[number] for kind in KINDS if number in kind.metrics)
