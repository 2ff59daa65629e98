"""Compares the trials of a sweep: tables, verdicts and notes, whatever form they are written in."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import pandas as pd

from headtohead.records.looks import Looks
from headtohead.records.metrics import KINDS, Kind
from headtohead.report import claims, judge, learning, scaling, times, tuning
from headtohead.report.collect import Trials, labels, mixed_hardware, mixed_images, runs_table
from headtohead.report.ranks import Ranks, mean_ranks
from headtohead.report.sentences import sentences
from headtohead.report.summary import best_rows, by_kind, by_table, notes, summarize
from headtohead.report.table import Grid, closer, costs, never_learning, pairwise, quality, verdict_table
from headtohead.report.verdicts import Pair, Samples, compare, margin_of

MOST_ROWS = 120  # of a table
MOST_COMPARED = 30  # rows of a table of which every two are compared; of a longer one each is compared with the best
PAIR_NOTES = [
    "Verdicts: the intervals of one question hold the true differences at once with 95 %, over new seeds and, where "
    "the records keep every image's answer, new test images. Better or worse: the interval lies on one side of 0. "
    "Equal: it lies within the margin. Undecided: neither.",
    "± seeds, ± test set: half the interval if only the one varied; no number of seeds makes the second smaller. "
    "P(better): the share of all pairs of a run of each that the first wins, ties half, with its own 95 % interval "
    "(Newcombe); 0.75 is a common threshold.",
]


@dataclass(frozen=True)
class Asked:
    """A question and what the trials answer.

    Args:
        ask: the question; empty for all the pairs that nobody asked about, which are exploratory.
        data: the data set.
        kind: of the trials.
        rows: of the summary, of that kind and data.
        pairs: its comparisons, in the order of the claim file, or of the table.
        looks: how often they were looked at while seeds were drawn.
    """

    ask: str
    data: str
    kind: Kind
    rows: pd.DataFrame
    pairs: Sequence[Pair]
    looks: Looks | None = None

    @cached_property
    def sentences(self) -> list[str]:
        """A sentence for every pair and number."""
        return sentences(self.kind, self.rows, self.pairs, self.looks)

    @cached_property
    def grid(self) -> Grid:
        """The table of its pairs, with all numbers; nobody asked about a pair of which one seed says nothing."""
        shown = [pair for pair in self.pairs if self.ask or pair.difference is not None or any(pair.never)]
        title = self.ask or "pairs that no question names, of two seeds or more"
        return pairwise(self.kind, f"{self.data}, in numbers: {title}", shown)

    @cached_property
    def verdicts(self) -> Grid:
        """The table of its verdicts: who, by how much, at what cost; its title says where images are not counted."""
        without = [not pair.difference.counted for pair in self.pairs if pair.difference is not None]
        where = f" (test set not counted{'' if all(without) else ' in some'})" if any(without) else ""
        title = f"{self.data}: {self.ask or 'every two rows'}{where}"
        return verdict_table(self.kind, title, self.rows, self.pairs)


@dataclass(frozen=True)
class Part:
    """What trials of one kind on the same data say.

    Args:
        kind: of the trials.
        data: the data set.
        rows: of the summary.
        questions: those of the claim file.
        others: the pairs that no question is about: exploratory, a family of their own.
        extra: tables of what the sweep was made for beyond comparing its rows, such as the budgets of a search.
    """

    kind: Kind
    data: str
    rows: pd.DataFrame
    questions: Sequence[Asked]
    others: Asked
    extra: Sequence[Grid] = ()

    @cached_property
    def grids(self) -> list[Grid]:
        """The tables, without one of pairs if there is but one model."""
        tables = [quality(self.kind, self.data, self.rows), costs(self.data, self.rows)]
        if (never := never_learning(self.kind, self.data, self.rows)) is not None:
            tables.insert(1, never)
        if (near := closer(self.kind, self.data, self.rows)) is not None:
            tables.append(near)
        tables += [*self.extra, *(question.grid for question in self.questions)]
        return [*tables, self.others.grid] if self.others.grid.rows else tables

    @property
    def headline(self) -> Sequence[Asked]:
        """The stated questions; without any, all pairs if they are few."""
        few = 0 < len(self.others.pairs) <= 2 * len(self.kind.compared)
        return self.questions or ([self.others] if few else [])


@dataclass(frozen=True)
class Comparison:
    """A sweep in tables and words.

    Args:
        trials: its records.
        runs: a row per trial.
        shown: the trials of the rows in the summary: of very many rows, the best and those that questions are about.
        summary: a row per model and recipe.
        parts: of each kind and data set.
        notes: sentences without which the tables would mislead.
        judged: the claims about this sweep and what became of them.
        searches: what a search over recipes found for each architecture, if the sweep is one.
        curves: architectures over widths or shares of the data, where these vary.
        not_run: a line for each stated question of which a pair has not run, with the names of those pairs.
    """

    trials: Trials
    runs: pd.DataFrame
    shown: Trials
    summary: pd.DataFrame
    parts: list[Part]
    notes: list[str]
    judged: list[judge.Judged] = field(default_factory=list)
    searches: Sequence[tuning.Search] = ()
    curves: Sequence[scaling.Family] = ()
    not_run: Sequence[str] = ()

    @cached_property
    def csv(self) -> str:
        """Every trial, for other programs."""
        text: str = self.runs.to_csv(index=False, lineterminator="\n", float_format="%.6g")
        return text

    @property
    def headline(self) -> list[Asked]:
        """What the sweep is about."""
        return [asked for part in self.parts for asked in part.headline]

    @cached_property
    def ranks(self) -> list[Ranks]:
        """Mean ranks over data sets, of each kind of trial that has three or more."""
        found = [mean_ranks(kind, rows) for kind, rows in by_kind(self.summary)]
        return [ranks for ranks in found if ranks is not None]

    @cached_property
    def further(self) -> list[str]:
        """What is said beside the verdicts: what has not run yet, and what one curve needs to equal another."""
        return [*self.not_run, *(scaling.sentence(family, one) for family in self.curves for one in family.crossings)]

    @cached_property
    def verdicts(self) -> list[str]:
        """The sentences of what the sweep is about, each question before its own, and what is said beside them."""
        lines = []
        for asked in self.headline:
            lines += [asked.ask] if asked.ask else []
            lines += asked.sentences
        return [*lines, *self.further]


def make_comparison(
    trials: Trials,
    target: float | None = None,
    margin: float | None = None,
    price: float | None = None,
    begin: Callable[[Trials], object] | None = None,
) -> Comparison:
    """Compare the trials of a sweep.

    Args:
        trials: with at least one record.
        target: see :func:`headtohead.report.collect.runs_table`.
        margin: what counts as equal in every question, instead of what stands in the claim file.
        price: of an hour of the hardware, for the price of a trial and, where one is stated, of the target.
        begin: is given the trials that are shown, before anything is compared.

    Raises:
        UsageError: the sweep's claim file is wrong, or names a row that could be several.
    """
    runs = runs_table(trials, target)
    file = claims.read(trials.name)
    if trials.looks is None and file.looks is not None:
        trials = replace(trials, looks=file.looks)
    trials = replace(trials, named=claims.named_rows(file.labels, trials))
    asked = {key for question in file.questions for pair in find_pairs(trials, question) for key in pair}
    shown = best_rows(trials, runs, MOST_ROWS, asked)
    if begin is not None:
        begin(shown)
    summary = summarize(shown, runs)
    if price is not None:
        summary = summary.assign(price_per_hour=price)
    parts = [_part(trials, runs, kind, data, rows, file.questions, margin) for kind, data, rows in by_table(summary)]
    said = [
        *notes(summary),
        *_pair_notes(parts, trials.looks),
        *mixed_hardware(shown),
        *mixed_images(shown),
        *times.notes(shown),
    ]
    if (rows := runs.config_hash.nunique()) > len(summary):
        said.append(f"The best {len(summary):,} of {rows:,} rows are shown; runs.csv has every trial.")
    judged = judge.judge(file.claims, trials, judge.beside(trials)) if file.claims else []
    searches, curves = tuning.searches(trials), scaling.families(trials)
    parts = [_with_extra(part, searches, curves) for part in parts]
    said += tuning.notes(searches) + (judge.NOTES if judged else [])
    not_run = _not_run(trials, runs, file)
    if runs.target.isna().all():
        runs = runs.drop(columns=["target", "target_seconds"])
    return Comparison(trials, runs, shown, summary, parts, said, judged, searches, curves, not_run)


def _with_extra(part: Part, searches: Sequence[tuning.Search], curves: Sequence[scaling.Family]) -> Part:
    """Add the table of what searches cost, and of what was fitted to curves, to the part of their data set."""
    own = [search for search in searches if search.data == part.data and search.kind is part.kind]
    fitted = scaling.fits([family for family in curves if family.data == part.data and family.kind is part.kind])
    return replace(part, extra=[*([tuning.budgets(own)] if own else []), *([fitted] if fitted else [])])


def _part(
    trials: Trials,
    runs: pd.DataFrame,
    kind: Kind,
    data: str,
    rows: pd.DataFrame,
    questions: Sequence[claims.Question],
    margin: float | None,
) -> Part:
    keys = [str(key) for key in rows.config_hash]
    names = {str(key): str(name) for key, name in zip(rows.config_hash, rows.model, strict=True)}
    samples = Samples(trials, runs[runs.config_hash.isin(keys)], kind)
    asked: list[Asked] = []
    taken: set[tuple[frozenset[str], str]] = set()
    for question in questions:
        if question.data != data or question.kind is not kind:
            continue
        pairs = [pair for pair in find_pairs(trials, question) if set(pair) <= set(keys)]
        margins = question.margins() if margin is None else dict.fromkeys(question.numbers, margin)
        stated = len(question.pairs)
        found = compare(samples, pairs, question.numbers, margins, names, trials.looks, stated=stated)
        taken |= {(frozenset(pair), number) for pair in pairs for number in question.numbers}
        if found:
            asked.append(Asked(question.ask, data, kind, rows, found, trials.looks))
    every, chosen_among = list(itertools.combinations(keys, 2)), 0
    if len(keys) > MOST_COMPARED:  # with the best, which was found by its result: as if all had been compared
        every = [(keys[0], key) for key in keys[1:]]
        chosen_among = math.comb(runs[(runs.data == data) & runs[kind.main].notna()].config_hash.nunique(), 2)
    margins = {number: margin_of(kind, number, data) if margin is None else margin for number in kind.compared}
    rest = [(below, above) for above, below in every]  # the one that ranks lower is compared with the one above it
    others = compare(samples, rest, kind.compared, margins, names, trials.looks, taken, stated=chosen_among)
    return Part(kind, data, rows, asked, Asked("", data, kind, rows, others, trials.looks))


def find_pairs(trials: Trials, question: claims.Question) -> list[tuple[str, str]]:
    """Return the pairs of a question, as ``config_hash``, of which both rows ran."""
    records = list(trials.records.values())
    return [found for pair in question.pairs for found in claims.find_pair(records, pair, question.data)]


def _not_run(trials: Trials, runs: pd.DataFrame, file: claims.ClaimFile) -> list[str]:
    """Return a line for each question of which a pair has no result yet, and which pairs these are."""
    if not file.questions:
        return []
    records, names = list(trials.records.values()), labels(trials)
    numbers = [name for kind in KINDS for name in kind.shown if name in runs]
    measured = {name: set(runs.config_hash[runs[name].notna()]) for name in numbers}

    def called(row: claims.Selector, data: str) -> str:
        given = (name for name, one in file.labels.items() if one == row)
        return names.get(claims.find_row(records, row, data) or "") or next(given, claims.short_name(row))

    lines = []
    for question in file.questions:
        missing = []
        for pair in question.pairs:
            found = claims.find_pair(records, pair, question.data)
            if not all(any(set(keys) <= measured.get(name, set()) for keys in found) for name in question.numbers):
                missing.append(" against ".join(called(row, question.data) for row in pair))
        if missing:
            lines.append(f"{question.data}: {question.ask} Not run yet: {'; '.join(missing)}.")
    return lines


def _pair_notes(parts: Sequence[Part], looks: Looks | None) -> list[str]:
    pairs = [pair for part in parts for asked in (*part.questions, part.others) for pair in asked.pairs]
    if not pairs:
        return []
    lines = list(PAIR_NOTES)
    lines += _not_counted(parts)
    if any(any(pair.never) for pair in pairs):
        lines.append(learning.RULE)
    if looks is not None:
        lines.append(
            f"Seeds were added, with a look after {looks.first} to at most {looks.most} of each, until "
            "the questions were decided or the run was stopped: the intervals of verdicts are wide enough to hold at "
            "all looks at once; those of single means and of times are not."
        )
    if any(part.others.pairs and part.questions for part in parts):
        lines.append("Pairs that no question names are exploratory: a family of their own, to find what to ask next.")
    return lines


def _not_counted(parts: Sequence[Part]) -> list[str]:
    """Name the numbers in which the test set is not counted, and say why."""
    never: dict[str, None] = {}
    some: dict[str, None] = {}
    for part in parts:
        for pair in (pair for asked in (*part.questions, part.others) for pair in asked.pairs):
            if pair.difference is not None and not pair.difference.counted:
                metric = part.kind.metrics[pair.number]
                (some if metric.per_image else never)[metric.head] = None
    end = "the interval is over seeds alone (Welch) and too narrow for a claim about new images."
    lines = []
    if never:
        lines.append(f"Test set not counted in {', '.join(never)}: it is not kept of every image, so that {end}")
    if some:
        lines.append(
            f"Test set not counted in {', '.join(some)} of pairs without ± test set: not all their records keep the "
            f"answer to every image of one test set, so that {end}"
        )
    return lines
