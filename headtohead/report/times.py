"""Times of trials: which of them count, and the ratio of two models' times with its interval."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from headtohead.records.contention import RULE, SHARE, contended, in_words, taken
from headtohead.report.difference import difference, side
from headtohead.report.statistics import LEVEL, mean_interval

if TYPE_CHECKING:
    from headtohead.report.collect import Trials

FILE = "times_again.json"  # beside the records of a sweep
AGAIN = ("latency_seconds", "inference_images_per_second")
NAMED = 10  # trials, of those that a note leaves out


@dataclass(frozen=True)
class Ratio:
    """A ratio of two times and the ends of its 95 % interval, NaN where one was measured once or nothing varied."""

    value: float
    low: float = math.nan
    high: float = math.nan

    def in_words(self) -> str:
        """Return it with its interval, if it has one."""
        return f"{self.value:.3g} ×" + ("" if math.isnan(self.low) else f" ({self.low:.3g} to {self.high:.3g})")


@dataclass(frozen=True)
class Again:
    """What was measured again, of all rows in turn and in one process.

    Args:
        date: on which.
        hardware: on which, in words.
        rows: by trial and cost, a value for each turn.
        taken: the share of the CPU time that others took meanwhile, None where it is not known.
    """

    date: str
    hardware: str
    rows: dict[str, dict[str, list[float]]]
    taken: float | None

    @property
    def disturbed(self) -> str:
        """What others took of the CPU time meanwhile, in words; nothing where that is little or not known."""
        return f", while others took {self.taken:.0%} of the CPU time" if (self.taken or 0) > SHARE else ""


def counted(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the trials whose times count: those that had their machine to themselves, as far as that is known."""
    return runs[(runs.trials_at_once == 1) & ~runs.contended.eq(True)]


def ratio(mine: npt.ArrayLike, theirs: npt.ArrayLike, level: float = LEVEL) -> Ratio:
    """Return the ratio of the geometric means of two models' times, with Welch's interval of the logarithms.

    Logarithms, because times differ by factors: the interval of the inverse ratio is then the inverse interval.

    Args:
        mine: positive times, one per trial.
        theirs: of the other.
        level: of the interval.
    """
    logs = [np.log(np.asarray(values, dtype=float)) for values in (mine, theirs)]
    value = float(logs[0].mean() - logs[1].mean())
    if min(map(len, logs)) < 2:
        return Ratio(math.exp(value))
    half = float(difference(side(logs[0]), side(logs[1])).half(level))
    return (
        Ratio(math.exp(value), math.exp(value - half), math.exp(value + half)) if half < 700 else Ratio(math.exp(value))
    )


def ratio_in_turn(mine: npt.ArrayLike, theirs: npt.ArrayLike) -> Ratio:
    """Return the same of times that were measured in turn: what slows one turn slows both, so the turns are paired."""
    logs = np.log(np.asarray(mine, dtype=float)) - np.log(np.asarray(theirs, dtype=float))
    low, high = mean_interval(logs)
    return Ratio(math.exp(logs.mean()), float(np.exp(low)), float(np.exp(high)))


def read_again(folder: Path) -> Again | None:
    """Return what was measured again of a sweep, or None where that is not in its folder."""
    try:
        kept = json.loads((folder / FILE).read_text(encoding="utf-8"))
        rows = {
            str(trial): {name: [float(value) for value in row[name]] for name in AGAIN}
            for trial, row in kept["rows"].items()
        }
        share = taken(kept["contention"])
        return Again(str(kept["date"]), str(kept["hardware"]), rows, share) if rows else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def measured_again(trials: Trials) -> dict[str, dict[str, list[float]]]:
    """Return by ``config_hash`` what was measured again, of the data sets of which all rows were."""
    if trials.again is None:
        return {}
    found = {trials.records[name].config_hash: row for name, row in trials.again.rows.items() if name in trials.records}
    missing = {record.data for record in trials.records.values() if record.config_hash not in found}
    return {r.config_hash: found[r.config_hash] for r in trials.records.values() if r.data not in missing}


def costs_again(rows: dict[str, list[float]] | None) -> dict[str, Any]:
    """Return the columns of a summary that a row's second measurement gives."""
    return {} if rows is None else {key: value for name in AGAIN for key, value in spread(name, rows[name]).items()}


def spread(name: str, values: Iterable[float]) -> dict[str, float]:
    """Return the median of a column, its least (``_low``) and its largest value (``_high``); NaN if one is missing."""
    found = np.asarray([*values], dtype=float)
    if not found.size or np.isnan(found).any():
        return dict.fromkeys((name, f"{name}_low", f"{name}_high"), math.nan)
    return {name: float(np.median(found)), f"{name}_low": float(found.min()), f"{name}_high": float(found.max())}


def notes(trials: Trials) -> list[str]:
    """Say which trials' times do not count because others used their processor, by name, and what is not known."""
    alone = {name: record for name, record in trials.records.items() if record.hardware.get("trials_at_once") == 1}
    said = {name: contended(record) for name, record in alone.items()}
    lines = []
    if left_out := [f"{name} ({in_words(alone[name])})" for name, yes in said.items() if yes]:
        more = f" and {len(left_out) - NAMED} more, which runs.csv has as contended" if len(left_out) > NAMED else ""
        lines.append(f"{RULE}. Left out of the times: {', '.join(left_out[:NAMED])}{more}.")
    if unknown := sum(yes is None for yes in said.values()):
        lines.append(
            f"Contention unknown: {unknown} of {len(alone)} timed records do not say whether other processes used "
            "their processor meanwhile."
        )
    if measured_again(trials) and (again := trials.again):
        lines.append(
            f"Latency and throughput of inference were measured again on {again.date}, of all rows in turn, on "
            f"{again.hardware}{again.disturbed}."
        )
    if alone:
        lines.append(
            "Times: median (least to largest) over trials. Ratios of times: of geometric means, with Welch's 95 % "
            "interval of their logarithms."
        )
    return lines
