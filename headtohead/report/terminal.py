"""The tables in a terminal of 100 columns: of each data set one, with the columns that matter most."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
from rich import box
from rich.cells import cell_len
from rich.console import Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from headtohead.records.metrics import COSTS, Kind
from headtohead.report.summary import by_table
from headtohead.report.table import Cell, Column, costs, quality

WIDTH = 100
LONGEST = 36  # of a name in one line
LEGEND = "* the best of its column; no test stands behind it"


def terminal(name: str, summary: pd.DataFrame) -> Iterator[Group]:
    """Yield a table per data set and kind of trial: what was measured and what it costs.

    What all rows have alike is no column, but for the main metric, and ``n`` stands in the title; further columns are
    left out from the least important on, until the table is not wider than 100.
    """
    for kind, data, rows in by_table(summary):
        measured, paid = quality(kind, data, rows, narrow=True), costs(data, rows, narrow=True)
        title = f"{name}, {measured.title}"
        alike = [column for column in measured.columns[1:] + paid.columns[1:] if _alike(column)]
        if measured.columns[1] in alike:
            title += f", n = {rows.n.iloc[0]}"
        columns = measured.columns + paid.columns[1:]
        shown: list[Column] = []
        for column in sorted(columns, key=lambda column: _importance(column, kind, columns)):
            wider = [other for other in columns if other in [*shown, column]]
            if (column not in alike or column.head.startswith(kind.shown[kind.main].head)) and _width(wider) <= WIDTH:
                shown = wider
        yield Group(Text(title, style="italic"), _table(shown or columns[:1]))


def _alike(column: Column) -> bool:
    return len(column.cells) > 1 and len({cell.text for cell in column.cells}) == 1


def _importance(column: Column, kind: Kind, columns: list[Column]) -> tuple[int, int]:
    """Return a key: the row, how many seeds, the compared numbers, sizes and time; then what else was measured."""
    first = ["model", "n", *(kind.metrics[name].head for name in kind.compared)]
    first += [COSTS[name].narrow for name in ("params", "macs", "epoch_seconds")]
    place = next((i for i, head in enumerate(first) if column.head.startswith(head)), len(first))
    return place, columns.index(column)


def _table(columns: list[Column]) -> Table:
    table = Table(box=box.SIMPLE, padding=(0, 0), pad_edge=False)
    for column in columns:
        if column.words:
            table.add_column(escape(column.head), overflow="fold", max_width=LONGEST)
        else:
            table.add_column(escape(column.head), justify="right", overflow="fold")
    marked = [any(cell.best for cell in column.cells) for column in columns]
    for row in zip(*(column.cells for column in columns), strict=True):
        table.add_row(*(_cell(cell, room) for cell, room in zip(row, marked, strict=True)))
    return table


def _width(columns: list[Column]) -> int:
    """Return how wide a table of these columns is: each with a space, and one at its left."""
    whole = 1
    for column in columns:
        star = any(cell.best for cell in column.cells)
        width = max(cell_len(column.head), *(cell_len(cell.text) + star for cell in column.cells))
        whole += 1 + (min(width, LONGEST) if column.words else width)
    return whole


def _cell(cell: Cell, room: bool) -> str:
    # a star too: bold is lost in a file and on some screens
    return f"[bold]{escape(cell.text)}*[/bold]" if cell.best else escape(cell.text) + " " * room
