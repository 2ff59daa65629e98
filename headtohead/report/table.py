"""Makes the tables of a comparison, and writes them as Markdown and as LaTeX, the best of each column marked."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from headtohead.records.metrics import COSTS, Kind
from headtohead.report.pairs import Pair, p_value


@dataclass(frozen=True)
class Cell:
    """What stands in a table: its text, the value by which it is sorted, and whether it is the best of its column."""

    text: str
    value: float | str
    best: bool = False


@dataclass(frozen=True)
class Column:
    """A column of a table: its head, its cells, whether they are words or numbers."""

    head: str
    cells: list[Cell]
    words: bool = False

    @cached_property
    def long(self) -> bool:
        """Whether its words need lines of their own."""
        return self.words and any(len(cell.text) > 24 for cell in self.cells)


@dataclass(frozen=True)
class Grid:
    """A table: a title and columns of one length."""

    title: str
    columns: list[Column]

    @property
    def rows(self) -> list[tuple[Cell, ...]]:
        """Cells by row."""
        return list(zip(*(column.cells for column in self.columns), strict=True))


def quality(kind: Kind, data: str, rows: pd.DataFrame, narrow: bool = False) -> Grid:
    """Return the table of what the trials of one kind and data set were measured by.

    Args:
        kind: of the trials.
        data: name of the data set.
        rows: of a summary, of that kind and data.
        narrow: for 100 columns.
    """
    columns = [_words("model", rows.model), _numbers("n", rows.n, "{:.0f}")]
    if rows.setting.any() and not narrow:
        columns.append(_words("differs in", rows.setting))
    for name, metric in kind.shown.items():
        if not (narrow and metric.wide):
            digits = metric.narrow if narrow else metric.digits
            texts = [_spread(row[name], row[f"{name}_std"], digits) for _, row in rows.iterrows()]
            head = metric.head + ("" if narrow and kind.one_unit else metric.unit)
            columns.append(_column(head, texts, rows[name], metric.goal))
    if not narrow:
        main = kind.shown[kind.main]
        intervals = [_interval(row[kind.main], row[f"{kind.main}_ci"], main.digits) for _, row in rows.iterrows()]
        columns.append(_column(f"95 % interval, {main.head}", intervals, rows[kind.main] - rows[f"{kind.main}_ci"]))
        if rows.test_set.notna().any():
            columns.append(_numbers(f"test set ±, {main.head}", rows.test_set, "{:.2f}"))
    return Grid(f"{data}: {kind.title}", columns)


def costs(kind: Kind, data: str, rows: pd.DataFrame, narrow: bool = False) -> Grid:
    """Return the table of what the same rows cost; arguments as for :func:`quality`."""
    columns = [_words("model", rows.model)]
    for name, cost in COSTS.items():
        if narrow and not cost.narrow:
            continue
        texts = [_cost(name, row, narrow) for _, row in rows.iterrows()]
        head = cost.narrow if narrow else cost.head
        if name == "target_seconds" and not math.isnan(rows.target.iloc[0]):
            head = f"s to {rows.target.iloc[0]:.4g} %"
        comparable = cost.size or rows.hardware.nunique() == 1  # no model wins by a faster machine
        columns.append(_column(head, texts, rows[name], cost.goal if comparable else None))
    return Grid(f"{data}: what it costs", columns)


def pairwise(kind: Kind, data: str, pairs: Sequence[Pair]) -> Grid | None:
    """Return the table of every two models of a table against each other; None if there are no two."""
    if not pairs:
        return None
    forms = [f"{{:+.{kind.shown[pair.number].digits}f}}" for pair in pairs]
    halves = [_spread(pair.half, math.nan, kind.shown[pair.number].digits) for pair in pairs]
    columns = [
        _words("model", [pair.model for pair in pairs]),
        _words("against", [pair.other for pair in pairs]),
        _words("in", [kind.shown[pair.number].head for pair in pairs]),
        _numbers("n", [pair.n for pair in pairs], "{:.0f}"),
        _column(
            f"difference, {kind.unit}",
            [form.format(pair.difference).replace("-", "−") for form, pair in zip(forms, pairs, strict=True)],
            [pair.difference for pair in pairs],
        ),
        _column("± (95 %)", halves, [pair.half for pair in pairs]),
        _numbers("P(better)", [pair.better for pair in pairs], "{:.2f}"),
        _column("p, Holm", [p_value(pair, pairs) for pair in pairs], [pair.adjusted for pair in pairs]),
    ]
    return Grid(f"{data}: pairs", columns)


def markdown(grids: Sequence[Grid], verdicts: Sequence[str], notes: Sequence[str]) -> str:
    """Return tables in Markdown, then what they say in words, then the notes without which they would mislead."""
    parts = []
    for grid in grids:
        texts = [[_marked(cell) for cell in row] for row in grid.rows]
        frame = pd.DataFrame(texts, columns=[_plain(column.head) for column in grid.columns])
        align = ["left" if column.words else "right" for column in grid.columns]
        parts += [_plain(grid.title), frame.to_markdown(index=False, disable_numparse=True, colalign=align)]
    if verdicts:
        parts.append("\n".join(f"- {_plain(line)}" for line in verdicts))
    return "\n\n".join([*parts, "\n".join(f"{_plain(line)}  " for line in notes)]) + "\n"


def latex(grids: Sequence[Grid], notes: Sequence[str]) -> str:
    r"""Return tables for ``\input`` in LaTeX; they need the package booktabs."""
    parts = [r"% needs \usepackage{booktabs}"]
    for grid in grids:
        frame = pd.DataFrame(
            [[cell.text for cell in row] for row in grid.rows], columns=[column.head for column in grid.columns]
        )
        bold = pd.DataFrame(
            [["textbf:--rwrap" if cell.best else "" for cell in row] for row in grid.rows], columns=frame.columns
        )
        style = frame.style.hide(axis="index").format(escape="latex").format_index(escape="latex", axis=1)
        align = "".join("l" if column.words else "r" for column in grid.columns)
        text = style.apply(lambda _, bold=bold: bold, axis=None).to_latex(hrules=True, column_format=align)
        parts.append(f"% {_line(grid.title)}\n{text.replace('−', '$-$').strip()}")
    return "\n\n".join([*parts, "\n".join(f"% {_line(note)}" for note in notes)]) + "\n"


def _words(head: str, texts: Iterable[str]) -> Column:
    return Column(head, [Cell(text, text) for text in texts], words=True)


def _numbers(head: str, values: Iterable[float], form: str) -> Column:
    return Column(head, [Cell("–" if math.isnan(value) else form.format(value), float(value)) for value in values])


def _column(head: str, texts: Iterable[str], values: Iterable[float], goal: str | None = None) -> Column:
    """Return a column of numbers; with a ``goal`` its best is marked, if they are not all the same."""
    numbers = [float(value) for value in values]
    known = {value for value in numbers if not math.isnan(value)}
    best = (max if goal == "max" else min)(known) if goal and len(known) > 1 else math.nan
    return Column(head, [Cell(text, value, value == best) for text, value in zip(texts, numbers, strict=True)])


def _marked(cell: Cell) -> str:
    return f"**{_plain(cell.text)}**" if cell.best else _plain(cell.text)


def _line(text: str) -> str:
    return " ".join(text.split())


def _plain(text: str) -> str:
    """Return text in one line that Markdown does not take for a table's edge or for HTML."""
    return _line(text).replace("|", "\\|").replace("<", "&lt;")


def _spread(mean: float, std: float, digits: int = 2) -> str:
    if math.isnan(mean):
        return "–"
    return f"{mean:.{digits}f}" if math.isnan(std) else f"{mean:.{digits}f} ± {std:.{digits}f}"


def _interval(mean: float, half: float, digits: int) -> str:
    return "–" if math.isnan(half) else f"{mean - half:.{digits}f} to {mean + half:.{digits}f}"


def _cost(name: str, row: pd.Series, narrow: bool) -> str:
    """Return a cost of a row of a summary."""
    cost, value = COSTS[name], float(row[name]) * COSTS[name].factor
    if name == "target_seconds" and row.reached < row.n and not math.isnan(row.target):
        return f"{row.reached} of {row.n}" + ("" if narrow else " reach it")
    if math.isnan(value):
        return "–"
    if cost.form == "prefix":
        return _si(value) + cost.unit
    # three digits, or as many as are before the point
    return (f"{value:,.0f}" if cost.form == "all" or abs(value) >= 100 else f"{value:#.3g}") + cost.unit


def _si(value: float) -> str:
    """Return 1,250,000 as 1.25 M."""
    for factor, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= factor:
            return f"{value / factor:.3g} {unit}"
    return f"{value:.0f} "
