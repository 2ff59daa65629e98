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
      - {source: "000", of: SimpleCNN, data: MNIST, number: test_acc, value: 97.3, margin: 0.5}
      - {source: "001", of: PConvUNet, data: CIFAR10, number: test_l1_hole, better_than: ConvUNet}
      - {source: "000", of: EqCNN, data: MNIST, number: macs, at_most: 4, times: SimpleCNN}
      - {of: PConvUNet, data: CIFAR10, number: test_l1_hole_40_50, no_worse_than: test_l1_hole_10_20}

    labels:                        # what tables and figures call a row; others are called by what sets them apart
      Equivariant: {model: EqCNN, model.width: 11}

A row is named by its model, or by arguments of its configuration where that is not enough; one that records leave out
at its default is ``default`` there. All pairs and numbers of a
question share one error rate of 5 %; each claim has 5 % of its own.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
import yaml
from pydantic import ConfigDict, Field, FiniteFloat, TypeAdapter, ValidationError, model_validator
from pydantic import dataclasses as checked

from headtohead.cli.checkout import CHECKOUT
from headtohead.cli.errors import UsageError
from headtohead.records.looks import Looks
from headtohead.records.metrics import COSTS, KINDS, Kind, Metric
from headtohead.records.record import Record
from headtohead.report.collect import Trials, collect, find_sweeps, runs_table
from headtohead.report.difference import half_of_paired
from headtohead.report.labels import label_rows, short
from headtohead.report.statistics import LEVEL, level_of_each_look, mean_interval
from headtohead.report.times import counted, ratio
from headtohead.report.verdicts import Samples, Verdict, compare, margin_of

FOLDER = "claims"
DEFAULT = "default"  # of an argument that a record does not have
Selector = str | Annotated[dict[str, Any], Field(min_length=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Label = Annotated[str, Field(pattern=r"^\S(.{0,38}\S)?$")]
Outcome = Literal["holds", "refuted", "undecided", "not run"]
NOTES = [
    "A value holds if the 95 % interval of the mean over seeds (of those that learnt) lies within its margin, is "
    "refuted if it lies outside, and is undecided otherwise, however wide. The value is of the same test images, so "
    "the interval is over seeds. Better than another: by the interval of the difference. Each claim has an error rate "
    "of 5 % of its own. No worse than another number of the same row: by the interval of their difference, paired over "
    "seeds, over new images too where every image's error is kept; it holds if all of it is better than the margin is "
    "worse, and is refuted if all is worse. Parameters, MACs and bytes are exact.",
    "Here the validation split comes from the training set and the best checkpoint on it is tested once; most sources "
    "train on all training images and test the last state.",
]
IF_SAID_TO_BE_BETTER: dict[Verdict, Outcome] = {
    "better": "holds",
    "worse": "refuted",
    "equal": "refuted",
    "undecided": "undecided",
}
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
            if _metric(self.number).goal != _metric(self.no_worse_than).goal:
                raise ValueError(f"no_worse_than: {self.no_worse_than}: of {self.number} the other way is better")
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
            return f"no worse than {_metric(self.no_worse_than).head or self.no_worse_than}"
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


@dataclass(frozen=True)
class Judged:
    """A claim and what became of it.

    Args:
        claim: the claim.
        sweep: whose file it stands in.
        of: what its row is called.
        said: the claim in words.
        measured: the number found, in words.
        interval: its 95 % interval, in words.
        outcome: what follows.
        n: seeds.
    """

    claim: Claim
    sweep: str
    of: str
    said: str
    measured: str = "–"
    interval: str = "–"
    outcome: Outcome = "not run"
    n: str = "0"


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


def check_labels(trials: Trials) -> None:
    """Check that every name in the claim file of a sweep is that of a row.

    Raises:
        UsageError: one fits no row.
    """
    names = read(trials.name).labels
    used = named_rows(names, trials).values()
    for name in names:
        if name not in used:
            rows = ", ".join(dict.fromkeys(label_rows(trials.records.values(), {}).values()))
            said = f"no row of {trials.name} is {name_of(names[name])}: its rows are {rows}"
            raise UsageError(f"claims: labels: {name}: {said}")


def find_row(records: Iterable[Record], row: Selector, data: str) -> str | None:
    """Return the ``config_hash`` of a row, or None if it did not run.

    Raises:
        UsageError: several configurations fit.
    """
    wanted = {"model": row} if isinstance(row, str) else dict(row)
    found: dict[str, Record] = {}
    for record in records:
        has = {**record.config, "model": record.model}
        if record.data == data and all(has.get(name, DEFAULT) == value for name, value in wanted.items()):
            found[record.config_hash] = record
    if len(found) > 1:
        differing = sorted(
            {name for record in found.values() for name in record.config}
            - {
                name
                for name in next(iter(found.values())).config
                if len({repr(record.config.get(name)) for record in found.values()}) == 1
            }
        )
        raise UsageError(
            f"claims: {name_of(row)} on {data} is {len(found)} rows, which differ in {', '.join(differing)}: name those"
        )
    return next(iter(found), None)


def judge_all(folder: Path) -> list[Judged]:
    """Judge the claims of all files by the records of ``folder/<sweep>``.

    Records of the same configuration count whichever sweep they are from.

    Args:
        folder: of results or of runs.
    """
    sweeps = {path.name: collect(path) for path in find_sweeps(folder)} if folder.is_dir() else {}
    pool = [record for trials in sweeps.values() for record in trials.records.values()]
    judged = []
    for sweep in files():
        file, trials = read(sweep), sweeps.get(sweep, Trials(sweep))
        trials = replace(trials, looks=trials.looks or file.looks)
        judged += judge(file.claims, replace(trials, named=named_rows(file.labels, trials)), pool)
    return judged


def beside(trials: Trials) -> list[Record]:
    """Return the records of the sweeps whose folders lie beside that of a sweep, and its own."""
    found = next(iter(trials.paths.values()), None)
    if found is None or not (folder := found.parents[2]).is_dir():
        return []
    return [record for path in find_sweeps(folder) for record in collect(path).records.values()]


def judge(claims: Iterable[Claim], trials: Trials, pool: Iterable[Record] = ()) -> list[Judged]:
    """Judge claims by the trials of their sweep, and by others of the same configuration.

    Args:
        claims: of the sweep.
        trials: of the sweep.
        pool: further records.
    """
    wanted = {record.config_hash for record in trials.records.values()}
    seen = {(record.config_hash, record.seed) for record in trials.records.values()}
    records = dict(trials.records)
    for index, record in enumerate(pool):
        key = record.config_hash, record.seed
        if record.config_hash in wanted and key not in seen:
            seen.add(key)
            records[f"pool-{index}"] = record
    every = replace(trials, records=records)
    runs = runs_table(every)
    return [_judge(claim, every, runs) for claim in claims]


def in_words(found: Iterable[Judged]) -> str:
    """Return in a sentence how many of the claims ended in what."""
    outcomes = Counter(line.outcome for line in found)
    return f"{outcomes.total()} claims: {', '.join(f'{n} × {said}' for said, n in outcomes.most_common())}."


def _judge(claim: Claim, trials: Trials, runs: pd.DataFrame) -> Judged:
    one = find_row(trials.records.values(), claim.of, claim.data)
    other = find_row(trials.records.values(), claim.other, claim.data) if claim.other is not None else None
    rows = (one, claim.of), (other, claim.other)
    of, than = (trials.named.get(key or "") or name_of(row or "") for key, row in rows)
    blank = Judged(claim, trials.name, of, claim.in_words(than))
    if one is None or (claim.other is not None and other is None):
        return blank
    mine = runs[runs.config_hash == one]
    if claim.value is not None:
        return _value(blank, trials, mine)
    if claim.no_worse_than is not None:
        return _in_one_row(blank, trials, mine)
    theirs = runs[runs.config_hash == other]
    if claim.times is not None:
        return _multiple(blank, trials, mine, theirs)
    return _against(blank, Samples(trials, runs, _kind(claim)), str(one), str(other))


def _kind(claim: Claim) -> Kind:
    return next(kind for kind in KINDS if claim.number in kind.metrics)


def _metric(number: str) -> Metric:
    return next(kind.metrics[number] for kind in KINDS if number in kind.metrics)


def _level(trials: Trials, n: int) -> float:
    """Return the level of an interval over ``n`` seeds: the smaller one of each look where looks said how many."""
    looks = trials.looks
    return LEVEL if looks is None else level_of_each_look(LEVEL, looks.first, max(looks.most, n))


def _value(blank: Judged, trials: Trials, runs: pd.DataFrame) -> Judged:
    claim = blank.claim
    wanted, margin = float(claim.value or 0), claim.margin
    if claim.number in COSTS and COSTS[claim.number].size:
        found = float(runs[claim.number].iloc[0])
        holds = abs(found - wanted) <= (margin or 0)
        return replace(blank, measured=f"{found:,.0f}", n=str(len(runs)), outcome="holds" if holds else "refuted")
    if margin is None:
        margin = margin_of(_kind(claim), claim.number, claim.data)
    if claim.number in COSTS:
        runs = counted(runs)
    values = runs[claim.number][runs.learned].dropna().to_numpy(dtype=float)
    if not len(values):
        return blank
    low, high = map(float, mean_interval(values, _level(trials, len(values))))
    outcome: Outcome = "undecided"
    if low >= wanted - margin and high <= wanted + margin:
        outcome = "holds"
    elif high < wanted - margin or low > wanted + margin:
        outcome = "refuted"
    form = ".3g" if claim.number in COSTS else ".2f"  # a latency is of some 0.001 seconds
    interval = "–" if math.isnan(low) else f"{low:{form}} to {high:{form}}"
    measured = f"{values.mean():{form}}"
    return replace(blank, measured=measured, interval=interval, outcome=outcome, n=_learnt(len(values), runs))


def _learnt(n: int, runs: pd.DataFrame) -> str:
    return str(n) if n == len(runs) else f"{n} of {len(runs)} that learnt"


def _multiple(blank: Judged, trials: Trials, mine: pd.DataFrame, theirs: pd.DataFrame) -> Judged:
    """Compare a cost with a multiple of another's: exact for sizes, for times by Welch's interval of the log ratio."""
    claim = blank.claim
    factor = float(claim.at_most if claim.at_most is not None else claim.at_least or 0)
    size = COSTS[claim.number].size
    if not size:
        mine, theirs = counted(mine), counted(theirs)
    found = [rows[claim.number].dropna().to_numpy(dtype=float) for rows in (mine, theirs)]
    values = [numbers[numbers > 0] for numbers in found]  # 0 MACs are those of a network of which none are known
    if not all(map(len, values)):
        return blank
    if size:
        low = high = middle = float(values[0][0] / values[1][0])
    else:
        found_ratio = ratio(values[0], values[1], _level(trials, max(map(len, values))))
        middle, low, high = found_ratio.value, 0.0, math.inf
        if min(map(len, values)) > 1 and mine.device.nunique() == 1 and set(mine.device) == set(theirs.device):
            low, high = (found_ratio.low, found_ratio.high) if math.isfinite(found_ratio.low) else (low, high)
    inside = (high <= factor, low > factor) if claim.at_most is not None else (low >= factor, high < factor)
    interval = f"{low:.3g} to {high:.3g} ×" if math.isfinite(high) and low < high else "–"
    outcome: Outcome = "holds" if inside[0] else "refuted" if inside[1] else "undecided"
    n = str(min(map(len, values)))
    return replace(blank, measured=f"{middle:.3g} ×", interval=interval, outcome=outcome, n=n)


def _in_one_row(blank: Judged, trials: Trials, mine: pd.DataFrame) -> Judged:
    """Compare two numbers of the same trials: paired over seeds, and of two sets of images where both are kept."""
    claim, both = blank.claim, (blank.claim.number, str(blank.claim.no_worse_than))
    if not set(both) <= set(mine):
        return blank
    rows = mine[mine.learned].dropna(subset=list(both))
    if rows.empty:
        return blank
    metrics = [_metric(number) for number in both]
    margin = margin_of(_kind(claim), claim.number, claim.data) if claim.margin is None else claim.margin
    values = rows[list(both)].to_numpy(dtype=float).T
    value = float(values[0].mean() - values[1].mean())
    n, digits = _learnt(len(rows), mine), metrics[0].digits
    blank = replace(blank, measured=f"{value:+.{digits}f}", outcome="undecided", n=n)
    if len(rows) < 2:
        return blank
    one, other = (_images(trials, list(rows.trial), metric) for metric in metrics)
    tables = [] if one is None or other is None else [one, other]
    half = float(half_of_paired(values[0] - values[1], tables, _level(trials, len(rows))))
    if not math.isfinite(half):
        return blank
    worse = value if metrics[0].goal == "min" else -value
    outcome: Outcome = "holds" if worse + half <= margin else "refuted" if worse - half > margin else "undecided"
    return replace(blank, interval=f"{value - half:.{digits}f} to {value + half:.{digits}f}", outcome=outcome)


def _images(trials: Trials, names: Iterable[str], metric: Metric) -> np.ndarray | None:
    """Return what the seeds of a row made of each image of a number, (seeds, images), in the number's unit."""
    found = [trials.records[name].per_image for name in names]
    values = [kept.values(metric.per_image) if kept is not None and metric.per_image else None for kept in found]
    sets = {kept.images_of(metric.per_image) for kept in found if kept is not None}
    known = [x for x in values if x is not None and len(x) > 1 and np.isfinite(x).all()]
    if len(known) < len(values) or len(sets) != 1:
        return None
    return np.stack([np.asarray(x, dtype=float) for x in known]) * (100 if metric.share else 1)


def _against(blank: Judged, samples: Samples, one: str, other: str) -> Judged:
    claim = blank.claim
    kind = samples.kind
    margin = margin_of(kind, claim.number, claim.data) if claim.margin is None else claim.margin
    names = {one: blank.of, other: ""}
    pairs = compare(samples, [(one, other)], [claim.number], {claim.number: margin}, names, samples.trials.looks)
    if not pairs:
        return blank
    pair, digits = pairs[0], kind.metrics[claim.number].digits
    n = "–".join(map(str, dict.fromkeys(pair.n)))
    measured = f"{pair.value:+.{digits}f}"
    if pair.difference is None or not math.isfinite(pair.half):
        return replace(blank, measured=measured, outcome="undecided", n=n)
    outcome: Outcome = "undecided"
    if claim.better_than is not None:
        outcome = IF_SAID_TO_BE_BETTER[pair.verdict]
    elif pair.verdict == "equal":
        outcome = "holds"
    elif abs(pair.value) - pair.half > margin:
        outcome = "refuted"
    interval = f"{pair.value - pair.half:.{digits}f} to {pair.value + pair.half:.{digits}f}"
    return replace(blank, measured=measured, interval=interval, outcome=outcome, n=n)
