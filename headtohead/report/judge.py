"""Judges claims by the records of their sweeps: each holds, is refuted or undecided, by a test of its own."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from headtohead.cli.output import counted as numbered
from headtohead.records.looks import Looks
from headtohead.records.metrics import COSTS, KINDS, Kind, Metric
from headtohead.records.record import HARDWARE, Record
from headtohead.report.claims import Claim, Outcome, files, find_pair, find_row, metric_of, name_of, named_rows, read
from headtohead.report.collect import Trials, collect, find_sweeps, hardware_name, precision_of, recipe_of, runs_table
from headtohead.report.difference import half_of_paired
from headtohead.report.statistics import LEVEL, level_of_each_look, mean_interval
from headtohead.report.times import counted, ratio
from headtohead.report.verdicts import Samples, Verdict, compare, margin_of

NOTES = [
    "Claims: a value holds if the 95 % interval of the mean over seeds (of those that learnt) lies within its margin, "
    "is refuted if it lies outside, and is undecided otherwise, however wide. The value is of the same test images, so "
    "the interval is over seeds.",
    "Better than another: by the interval of the difference, over new seeds and, where every image's answer is kept "
    "(of accuracy at 0° and 90° and of L1 in holes), new test images; one within the margin shows neither that it is "
    "better nor that it is not.",
    "No worse than another number of the same row: by the interval of their difference, paired over seeds, over new "
    "images too where every image's error is kept; it holds if all of the interval is worse by no more than the "
    "margin, and is refuted if all of it is worse by more.",
    "Parameters, MACs and bytes are exact. Times decide nothing where trials ran on different hardware, or where some "
    "never reached the target. Each claim has an error rate of 5 % of its own.",
    "Here the validation split comes from the training set and the best checkpoint on it is tested once; most sources "
    "train on all training images and test the last state.",
]
# "equal" refutes nothing: a difference within the margin may be one all the same
IF_SAID_TO_BE_BETTER: dict[Verdict, Outcome] = {"better": "holds", "worse": "refuted"}


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


def judge_all(folder: Path) -> list[Judged]:
    """Judge the claims of all files by the records of ``folder/<sweep>``.

    Records of the same configuration count whichever sweep they are from.

    Args:
        folder: of results or of runs.
    """
    sweeps = {trials.name: trials for trials in _sweeps(folder)} if folder.is_dir() else {}
    judged = []
    for sweep in files():
        file, trials = read(sweep), sweeps.get(sweep, Trials(sweep))
        judged += judge(file.claims, replace(trials, named=named_rows(file.labels, trials)), sweeps.values())
    return judged


def beside(trials: Trials) -> list[Trials]:
    """Return the sweeps whose folders lie beside that of a sweep, and itself."""
    found = next(iter(trials.paths.values()), None)
    return [] if found is None or not (folder := found.parents[2]).is_dir() else _sweeps(folder)


def _sweeps(folder: Path) -> list[Trials]:
    """Return the sweeps of a folder, each with its looks wherever those are written."""
    found = map(collect, find_sweeps(folder))
    return [replace(trials, looks=trials.looks or read(trials.name).looks) for trials in found]


def judge(claims: Iterable[Claim], trials: Trials, pool: Iterable[Trials] = ()) -> list[Judged]:
    """Judge claims by the trials of their sweep, and by those of other sweeps with the same recipe and precision.

    Where another sweep drew seeds until its questions were decided, how many a row has depends on how they ended, so
    its looks count for the rows that have seeds of it.

    Args:
        claims: of the sweep.
        trials: of the sweep.
        pool: further sweeps.
    """
    rows = {_alike(record): record for record in trials.records.values()}
    seen = {(record.config_hash, record.seed) for record in trials.records.values()}
    records = dict(trials.records)
    looks = {record.config_hash: [trials.looks] if trials.looks else [] for record in rows.values()}
    for other in pool:
        for record in other.records.values():
            row = rows.get(_alike(record))
            if row is not None and (row.config_hash, record.seed) not in seen:
                seen.add((row.config_hash, record.seed))
                same = replace(record, config=row.config, config_hash=row.config_hash)
                records[f"pool-{len(records)}"] = same
                looks[row.config_hash] += [other.looks] if other.looks else []
    every = replace(trials, records=records)
    runs = runs_table(every)
    return [_judge(claim, every, runs, looks) for claim in claims]


def _alike(record: Record) -> tuple[str, str]:
    """Return what the trials of a row have in common: the recipe and the precision, as far as that is known."""
    known = record.hardware.get("precision") is not None
    return (recipe_of(record), precision_of(record)) if known else (record.config_hash, "")


def in_words(found: Iterable[Judged]) -> str:
    """Return in a sentence how many of the claims ended in what."""
    outcomes = Counter(line.outcome for line in found)
    said = ", ".join(f"{n} × {outcome}" for outcome, n in outcomes.most_common())
    return f"{numbered(outcomes.total(), 'claim')}: {said}."


def _judge(claim: Claim, trials: Trials, runs: pd.DataFrame, looks: Mapping[str, Sequence[Looks]]) -> Judged:
    found = list(trials.records.values())
    one, other = find_row(found, claim.of, claim.data), None
    if claim.other is not None:
        other = find_row(found, claim.other, claim.data)
        if one is not None and other is not None:
            one, other = next(iter(find_pair(found, (claim.of, claim.other), claim.data)), (one, None))
    rows = (one, claim.of), (other, claim.other)
    of, than = (trials.named.get(key or "") or name_of(row or "") for key, row in rows)
    blank = Judged(claim, trials.name, of, claim.in_words(than))
    if one is None or (claim.other is not None and other is None):
        return blank
    taken = [*looks[one], *(looks[other] if other is not None else ())]
    most = Looks(min(x.first for x in taken), max(x.most for x in taken)) if taken else None
    trials = replace(trials, looks=most)
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


def _level(trials: Trials, n: int) -> float:
    """Return the level of an interval over ``n`` seeds: the smaller one of each look where looks said how many."""
    looks = trials.looks
    return LEVEL if looks is None else level_of_each_look(LEVEL, looks.first, max(looks.most, n))


def _value(blank: Judged, trials: Trials, runs: pd.DataFrame) -> Judged:
    claim = blank.claim
    wanted, margin = float(claim.value or 0), claim.margin
    if claim.number in COSTS and COSTS[claim.number].size:
        found = float(runs[claim.number].iloc[0])
        if not found > 0:  # 0 MACs are those of a network of which none are known
            return blank
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
    if claim.number in COSTS and not _comparable(claim.number, runs):
        low = high = math.nan
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
        if _comparable(claim.number, mine, theirs) and math.isfinite(found_ratio.low):
            low, high = found_ratio.low, found_ratio.high
    inside = (high <= factor, low > factor) if claim.at_most is not None else (low >= factor, high < factor)
    interval = f"{low:.3g} to {high:.3g} ×" if math.isfinite(high) and low < high else "–"
    outcome: Outcome = "holds" if inside[0] else "refuted" if inside[1] else "undecided"
    n = str(min(map(len, values)))
    return replace(blank, measured=f"{middle:.3g} ×", interval=interval, outcome=outcome, n=n)


def _comparable(number: str, *rows: pd.DataFrame) -> bool:
    """Tell whether times are all there and of one hardware: a target that some seeds never reach has no mean time."""
    together = pd.concat(rows)
    return bool(together[number].notna().all()) and together[HARDWARE].apply(hardware_name, axis=1).nunique() == 1


def _in_one_row(blank: Judged, trials: Trials, mine: pd.DataFrame) -> Judged:
    """Compare two numbers of the same trials: paired over seeds, and of two sets of images where both are kept."""
    claim, both = blank.claim, (blank.claim.number, str(blank.claim.no_worse_than))
    if not set(both) <= set(mine):
        return blank
    rows = mine[mine.learned].dropna(subset=list(both))
    if rows.empty:
        return blank
    metrics = [metric_of(number) for number in both]
    margin = margin_of(_kind(claim), claim.number, claim.data) if claim.margin is None else claim.margin
    values = rows[list(both)].to_numpy(dtype=float).T
    value = float(values[0].mean() - values[1].mean())
    n, digits = _learnt(len(rows), mine), metrics[0].digits
    blank = replace(blank, measured=f"{value:+.{digits}f}", outcome="undecided", n=n)
    if len(rows) < 2:
        return blank
    (these, one), (those, other) = (_images(trials, list(rows.trial), metric) for metric in metrics)
    tables = [] if one is None or other is None else [one - other] if these == those else [one, other]
    half = float(half_of_paired(values[0] - values[1], tables, _level(trials, len(rows))))
    if half == 0:  # on no image: a difference on this share of them may have gone unseen, as all seeds may err alike
        half = 100 * (1 - _level(trials, len(rows)) ** (1 / tables[0].shape[-1]))
    if not math.isfinite(half):
        return blank
    worse = -metrics[0].sign * value
    outcome: Outcome = "holds" if worse + half <= margin else "refuted" if worse - half > margin else "undecided"
    return replace(blank, interval=f"{value - half:.{digits}f} to {value + half:.{digits}f}", outcome=outcome)


def _images(trials: Trials, names: Iterable[str], metric: Metric) -> tuple[str, np.ndarray | None]:
    """Return which images a number is of, and what the seeds of a row made of each, (seeds, images), in its unit."""
    found = [trials.records[name].per_image for name in names]
    values = [kept.values(metric.per_image) if kept is not None and metric.per_image else None for kept in found]
    sets = {kept.images_of(metric.per_image) for kept in found if kept is not None}
    known = [x for x in values if x is not None and len(x) > 1 and np.isfinite(x).all()]
    if len(known) < len(values) or len(sets) != 1:
        return "", None
    return sets.pop(), np.stack([np.asarray(x, dtype=float) for x in known]) * (100 if metric.share else 1)


def _against(blank: Judged, samples: Samples, one: str, other: str) -> Judged:
    claim = blank.claim
    kind = samples.kind
    margin = margin_of(kind, claim.number, claim.data) if claim.margin is None else claim.margin
    names = {one: blank.of, other: ""}
    pairs = compare(samples, [(one, other)], [claim.number], {claim.number: margin}, names, samples.trials.looks)
    if not pairs:
        return blank
    pair, digits = pairs[0], kind.metrics[claim.number].digits
    sides = zip(pair.n, pair.never, strict=True)
    n = "–".join(dict.fromkeys(f"{n} of {n + never} that learnt" if never else str(n) for n, never in sides))
    measured = "–" if math.isnan(pair.value) else f"{pair.value:+.{digits}f}"
    outcome: Outcome = "undecided"
    if claim.better_than is not None:  # by the seeds that learnt and by all: where these say the opposite, by neither
        said = {IF_SAID_TO_BE_BETTER.get(verdict, outcome) for verdict in (pair.verdict, pair.verdict_of_all)}
        said -= {outcome}
        outcome = said.pop() if len(said) == 1 else outcome
    elif pair.verdict == "equal":
        outcome = "holds"
    elif abs(pair.value) - pair.half > margin:
        outcome = "refuted"
    ends = (f"{end:.{digits}f}" for end in (pair.value - pair.half, pair.value + pair.half))
    interval = " to ".join(ends) if math.isfinite(pair.half) else "–"
    return replace(blank, measured=measured, interval=interval, outcome=outcome, n=n)
