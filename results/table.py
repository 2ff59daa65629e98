"""The comparison table: a row per model, means with their spread, the winner of each column marked."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import pandas as pd
from rich import box
from rich.markup import escape
from rich.table import Table
from scipy import stats

from results.kinds import KINDS, Kind
from results.record import write_text

RIG = ["device", "devices", "precision", "threads", "trials_at_once"]
TIMES = {"epoch_seconds": "s/epoch", "total_seconds": "s/trial"}


def summarize(runs: pd.DataFrame, labels: dict[str, str]) -> pd.DataFrame:
    """Group the trials by data and configuration.

    Args:
        runs: a row per trial, from :func:`results.collect.runs_table`.
        labels: what to call each ``config_hash``, from :func:`results.collect.labels`.

    Returns:
        A row per configuration, by data with the best first: ``data, model, n, params, macs, epochs``, then of each
        accuracy, or whatever this kind of trial is measured by, the mean, the standard deviation (``_std``) and half
        the width of the 95 % interval (``_ci``, Student's t), and mean times. A spread needs two trials, and times are
        averaged only over trials of one rig that had the machine to themselves: otherwise they are NaN.
    """
    rows: list[dict[str, Any]] = []
    for (data, key), group in runs.groupby(["data", "config_hash"], sort=False):
        n = len(group)
        row: dict[str, Any] = {
            "data": data,
            "model": labels[str(key)],
            "n": n,
            "params": group.params.iloc[0],
            "macs": group.macs.iloc[0],
        }
        row["epochs"] = group.epochs.iloc[0] if group.epochs.nunique() == 1 else float("nan")
        for name in (name for kind in KINDS for name in kind.shown if name in runs):
            row[name], row[f"{name}_std"] = group[name].mean(), group[name].std(ddof=1)
            row[f"{name}_ci"] = stats.t.ppf(0.975, n - 1) * row[f"{name}_std"] / n**0.5 if n > 1 else float("nan")
        one_rig = len(group[RIG].drop_duplicates()) == 1 and group.trials_at_once.iloc[0] == 1
        row["rig"] = (
            rig_name(group.iloc[0]) if one_rig else "several" if len(group[RIG].drop_duplicates()) > 1 else "shared"
        )
        for name in TIMES:
            row[name] = group[name].mean() if one_rig else float("nan")
        rows.append(row)
    rows.sort(key=_rank)
    return pd.DataFrame(rows)


def rig_name(run: pd.Series) -> str:
    """Return one line that says what a trial ran on."""
    threads = f", {run.threads} thread{'' if run.threads == 1 else 's'}" if str(run.device).endswith("cores)") else ""
    devices = f"{run.devices} × " if run.devices != 1 else ""
    return f"{devices}{run.device}{threads}, precision {run.precision}"


def markdown(summary: pd.DataFrame) -> str:
    """Return a Markdown table for each kind of trial, with notes on what it means and on what differs in it."""
    tables = []
    for kind, trials in _by_kind(summary):
        main = kind.shown[kind.main]
        rows = [
            {
                "data": row.data,
                "model": row.model,
                "n": row.n,
                "parameters": f"{row.params:,}",
                "MACs": _si(row.macs),
                **{s.head + s.unit: _spread(row[name], row[f"{name}_std"], s.digits) for name, s in kind.shown.items()},
                f"95 % interval, {main.head}": _interval(row[kind.main], row[f"{kind.main}_ci"], main.digits),
                **{head: _number(row[name]) for name, head in TIMES.items()},
            }
            for _, row in trials.iterrows()
        ]
        align = ["left", "left"] + ["right"] * (len(rows[0]) - 2)
        tables.append(pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True, colalign=align))
    return "\n\n".join(tables) + "\n\n" + "\n".join(f"{note}  " for note in notes(summary)) + "\n"


def notes(summary: pd.DataFrame) -> list[str]:
    """Return the sentences without which the table would mislead."""
    lines = [kind.note for kind, _ in _by_kind(summary)]
    if (summary.n == 1).any():
        lines.append("n = 1 shows no spread and proves nothing.")
    epochs = sorted({f"{value:.0f}" for value in summary.epochs.dropna()}, key=int)
    lines.append(f"Epochs: {', '.join(epochs)}. Rig: {'; '.join(dict.fromkeys(summary.rig))}.")
    if summary.rig.isin(["several", "shared"]).any():
        lines.append("Times are left out where trials ran on several rigs or shared a machine.")
    elif summary.rig.nunique() > 1:
        lines.append("The rows ran on different rigs: their times cannot be compared.")
    return lines


def terminal(name: str, summary: pd.DataFrame) -> list[Table]:
    """Return a table per data set and kind of trial for a terminal of 100 columns; the best of each column is bold."""
    groups = [(kind, data, rows) for kind, trials in _by_kind(summary) for data, rows in trials.groupby("data")]
    return [_terminal(f"{name}, {data}: {kind.title}", kind, rows) for kind, data, rows in groups]


def _terminal(title: str, kind: Kind, rows: pd.DataFrame) -> Table:
    shown = {name: column for name, column in kind.shown.items() if name not in kind.wide}
    goals = {name: column.goal for name, column in shown.items()}
    winners = {"params": "min", "macs": "min", **goals, "epoch_seconds": "min"}
    table = Table(title=escape(title), title_justify="left", box=box.SIMPLE)
    table.add_column("model", overflow="fold", min_width=10)
    heads = [column.head + ("" if kind.one_unit else column.unit) for column in shown.values()]
    for head in ("n", "params", "MACs", *heads, TIMES["epoch_seconds"]):
        table.add_column(head, justify="right", no_wrap=True)
    best = rows.agg(winners)
    for _, row in rows.iterrows():
        cells = {
            "params": f"{row.params:,}",
            "macs": _si(row.macs),
            **{name: _spread(row[name], row[f"{name}_std"], column.narrow) for name, column in shown.items()},
            "epoch_seconds": _number(row.epoch_seconds),
        }
        if len(rows) > 1:
            won = [column for column in winners if row[column] == best[column]]
            cells |= {column: f"[bold]{cells[column]}[/bold]" for column in won}
        table.add_row(escape(row.model), str(row.n), *cells.values())
    return table


def update_readme(readme: Path, name: str, table: str) -> bool:
    """Replace the table between ``<!-- table: name -->`` and ``<!-- /table -->`` in a Markdown file.

    Returns:
        Whether the file has such a place.
    """
    if not readme.is_file():
        return False
    text = readme.read_text(encoding="utf-8")
    place = re.compile(rf"(<!-- table: {re.escape(name)} -->\n).*?(<!-- /table -->)", re.DOTALL)
    if not place.search(text):
        return False
    changed = place.sub(lambda match: f"{match[1]}{table}{match[2]}", text)
    if changed != text:
        write_text(readme, changed)
    return True


def _by_kind(summary: pd.DataFrame) -> list[tuple[Kind, pd.DataFrame]]:
    """Split the rows of a summary by the kind of their trials; kinds without a row are left out."""
    parts = [(kind, summary[summary[kind.main].notna()]) for kind in KINDS if kind.main in summary]
    return [(kind, rows) for kind, rows in parts if len(rows)]


def _rank(row: dict[str, Any]) -> tuple[str, int, float]:
    """Return the key by which rows are sorted: data, kind, then the best first."""
    place, kind = next((i, kind) for i, kind in enumerate(KINDS) if not math.isnan(row.get(kind.main, math.nan)))
    sign = 1 if kind.shown[kind.main].goal == "min" else -1
    return row["data"], place, sign * row[kind.main]


def _spread(mean: float, std: float, digits: int = 2) -> str:
    if math.isnan(mean):
        return "–"
    return f"{mean:.{digits}f}" if math.isnan(std) else f"{mean:.{digits}f} ± {std:.{digits}f}"


def _interval(mean: float, half: float, digits: int) -> str:
    return "–" if math.isnan(half) else f"{mean - half:.{digits}f} to {mean + half:.{digits}f}"


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.1f}"


def _si(value: float) -> str:
    """Return 1,250,000 as 1.25 M."""
    for factor, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= factor:
            return f"{value / factor:.3g} {unit}"
    return f"{value:.0f}"
