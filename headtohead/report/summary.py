"""Averages trials: a row per model and recipe, means with their spread, and what differs between the rows."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pandas as pd

from headtohead.records.metrics import KINDS, Kind, kind_of, sizes
from headtohead.records.metrics import times as times_of_trials
from headtohead.records.record import HARDWARE, Record
from headtohead.report.collect import Trials, alone, hardware_name, hardware_parts, labels
from headtohead.report.labels import values_of
from headtohead.report.statistics import mean_interval, sampling_error, too_high
from headtohead.report.times import costs_again, counted, measured_again, spread

UNTIMED = ("different", "shared")  # in place of a hardware, of rows whose times do not count
LEFT_OUT_OF_TIMES = "Times are left out where trials ran on different hardware, shared a machine or were contended."


def best_rows(trials: Trials, runs: pd.DataFrame, most: int, asked: Iterable[str] = ()) -> Trials:
    """Return the trials of as many rows of each table, the best, or all trials if there are no more rows.

    Args:
        trials: of a sweep.
        runs: a row for each, from :func:`headtohead.report.collect.runs_table`.
        most: rows of a table.
        asked: rows, as ``config_hash``, that stay however they rank.
    """
    kept = set(asked)
    for kind in KINDS:
        if kind.main in runs:
            measured = runs.dropna(subset=kind.main)
            means = measured.groupby(["data", "config_hash"], sort=False)[[kind.main]].mean().reset_index()
            ranked = means.sort_values(kind.main, ascending=kind.shown[kind.main].goal == "min", kind="stable")
            kept |= set(ranked.groupby("data").head(most).config_hash)
    found = {name: record for name, record in trials.records.items() if record.config_hash in kept}
    return replace(trials, records=found)


def summarize(trials: Trials, runs: pd.DataFrame) -> pd.DataFrame:
    """Group the trials of a sweep by data and configuration.

    Args:
        trials: of a sweep.
        runs: from :func:`headtohead.report.collect.runs_table`, with a row for each of them; others are not looked at.

    Returns:
        A row per configuration, by data and kind with the best first: ``data, model, n, learned`` (trials that
        learnt), ``epochs, hardware, setting, target, reached`` (trials that reached it), the sizes, then of each metric
        the mean of those that learnt, the standard deviation (``_std``), half the width of the 95 % interval (``_ci``)
        and the mean of all (``_all``), the sampling error of the test set (``test_set``), and of each time the
        median, the least (``_low``) and the largest (``_high``). A spread needs two trials. Times are those of the
        ``timed`` trials, which had the machine to themselves: they are NaN where there is none, and where those ran on
        different hardware. ``training_seconds`` has all epochs of each.
    """
    names, settings, again = labels(trials), differences(trials), measured_again(trials)
    rows = []
    runs = runs[runs.config_hash.isin(set(names))]
    for (data, key), group in runs.groupby(["data", "config_hash"], sort=False):
        row = {"data": data, "model": names[str(key)], "config_hash": key, "setting": settings[str(key)]}
        rows.append(row | _numbers(group) | _costs(group) | costs_again(again.get(str(key))))
    rows.sort(key=_rank)
    return pd.DataFrame(rows)


def by_kind(summary: pd.DataFrame) -> list[tuple[Kind, pd.DataFrame]]:
    """Split the rows of a summary by the kind of their trials; kinds without a row are left out."""
    parts = [(kind, summary[summary[kind.main].notna()]) for kind in KINDS if kind.main in summary]
    return [(kind, rows) for kind, rows in parts if len(rows)]


def by_table(summary: pd.DataFrame) -> list[tuple[Kind, str, pd.DataFrame]]:
    """Split the rows of a summary into those of one table each: of one kind and the same data."""
    return [
        (kind, str(data), rows) for kind, trials in by_kind(summary) for data, rows in trials.groupby("data", sort=True)
    ]


def differences(trials: Trials) -> dict[str, str]:
    """Say for each ``config_hash`` in what its recipe and hardware differ from other rows of the same table.

    The arguments of a model are part of the architecture: where they tell two rows apart, the label has them.
    """
    tables: dict[tuple[str, str], dict[str, Record]] = {}
    seeds: dict[str, list[Record]] = {}
    for record in trials.records.values():
        kind = kind_of(record.quality)
        tables.setdefault((record.data, kind.main if kind else ""), {})[record.config_hash] = record
        seeds.setdefault(record.config_hash, []).append(record)
    # of those whose times count: trials at once have fewer threads each, which is told of them elsewhere
    used = {key: {tuple(hardware_parts(one.hardware)) for one in alone(found) or found} for key, found in seeds.items()}
    result = {}
    for rows in tables.values():
        values = values_of(rows.values())
        recipe = [
            name
            for name in dict.fromkeys(name for record in rows.values() for name in record.config)
            if len(values[name]) > 1
            and name.partition(".")[0] != "model"
            and name != "trainer.precision"  # the hardware's name has that
        ]
        several = len({frozenset(used[key]) for key in rows}) > 1
        alike = set.intersection(*(set(parts) for key in rows for parts in used[key]))
        for key, record in rows.items():
            said = [f"{name.partition('.')[2] or name}={record.config.get(name, 'default')}" for name in recipe]
            # what all have alike would hide it: a device's whole name in every row
            ran = [", ".join(part for part in parts if part not in alike) or parts[0] for parts in sorted(used[key])]
            result[key] = ", ".join([*said, *([" or ".join(ran)] if several else [])])
    return result


def notes(summary: pd.DataFrame) -> list[str]:
    """Return the sentences without which the tables would mislead."""
    lines = [kind.note for kind, _ in by_kind(summary)]
    if (summary.n == 1).any():
        lines.append("n = 1 shows no spread and proves nothing.")
    for kind, data, rows in by_table(summary):
        best, main = rows.iloc[0], kind.shown[kind.main]
        if len(rows) > 2 and best[f"{kind.main}_std"] > 0:
            bias = too_high(len(rows)) * best[f"{kind.main}_std"] / math.sqrt(best.learned or best.n)
            lines.append(
                f"The first of {len(rows)} rows on {data} was found by its result: if all were alike, its mean would "
                f"look about {bias:.{main.digits}f} {kind.unit} better than it is."
            )
    if (errors := summary.test_set.dropna()).size:
        low, high = (f"{value:.2f}" for value in (errors.min(), errors.max()))
        lines.append(
            f"The test set is a sample too: the standard error of one seed's accuracy on it (binomial SE) is "
            f"{low}{'' if low == high else f' to {high}'} points. The images are the same for every model and seed, so "
            "that seeds make only a part of it smaller."
        )
    if summary.setting.any():
        lines.append(
            "The rows do not all have one recipe: what differs stands beside them in table.md and report.html."
        )
    epochs = sorted({f"{value:.0f}" for value in summary.epochs.dropna()}, key=int)
    untimed = summary.hardware.isin(UNTIMED)
    ran = "; ".join(dict.fromkeys(summary.hardware[~untimed]))
    lines.append(
        f"Epochs: {', '.join(epochs) or 'differ between trials'}. {f'Hardware: {ran}. ' if ran else ''}"
        "MACs for one image; latency of a batch of 1."
    )
    for kind, data, rows in by_table(summary):
        if not math.isnan(rows.target.iloc[0]):
            level = kind.level.format(rows.target.iloc[0])
            lines.append(f"Seconds to {level} on {data}: of training, up to the end of the epoch that reached it.")
    if untimed.any():
        lines.append(LEFT_OUT_OF_TIMES)
    if len(part := summary[~untimed & (summary.timed < summary.n)]):
        said = [
            f"{timed} of {n}{' each' if len(rows) > 1 else ''} for {' and '.join(rows.model)} on {data}"
            for (data, timed, n), rows in part.groupby(["data", "timed", "n"], sort=False)
        ]
        lines.append(f"Times are those of trials that had the machine to themselves: {'; '.join(said)}.")
    if summary.hardware[~untimed].nunique() > 1:
        lines.append("The rows ran on different hardware: their times cannot be compared.")
    return lines


def _numbers(group: pd.DataFrame) -> dict[str, Any]:
    """Return the means and spreads of what the trials of a row were measured by: of those that learnt, if any did."""
    row: dict[str, Any] = {"n": len(group), "learned": int(group.learned.sum())}
    learnt = group[group.learned] if row["learned"] else group
    for name in (name for kind in KINDS for name in kind.shown if name in group):
        values = learnt[name].to_numpy(dtype=float)
        low, high = mean_interval(values)
        row[name], row[f"{name}_std"] = values.mean(), values.std(ddof=1) if len(values) > 1 else math.nan
        row[f"{name}_ci"], row[f"{name}_all"] = float(high - low) / 2, group[name].mean()
    if "test_acc" in row:
        row["test_set"] = 100 * sampling_error(row["test_acc"] / 100, float(group.test_images.iloc[0] or math.nan))
    return {"test_set": math.nan, **row}


def _costs(group: pd.DataFrame) -> dict[str, Any]:
    """Return the sizes, the hardware, and the times of the trials that had the same hardware to themselves."""
    alone = counted(group)
    machines = len(alone[HARDWARE].drop_duplicates())
    row: dict[str, Any] = {name: group[name].iloc[0] for name in sizes()}
    row["epochs"] = group.epochs.iloc[0] if group.epochs.nunique() == 1 else math.nan
    row["hardware"] = hardware_name(alone.iloc[0]) if machines == 1 else "different" if machines else "shared"
    row["timed"] = len(alone) if machines == 1 else 0
    row["target"], row["reached"] = group.target.iloc[0], int(group.target_seconds.notna().sum())
    for name in times_of_trials():
        row |= spread(name, alone[name].astype(float) if machines == 1 else ())
    row["training_seconds"] = tuple((alone.epochs * alone.epoch_seconds).astype(float)) if machines == 1 else ()
    return row


def _rank(row: dict[str, Any]) -> tuple[str, int, float]:
    """Return the key by which rows are sorted: data, kind, then the best first."""
    place, kind = next((i, kind) for i, kind in enumerate(KINDS) if not math.isnan(row.get(kind.main, math.nan)))
    return row["data"], place, -kind.shown[kind.main].sign * row[kind.main]
