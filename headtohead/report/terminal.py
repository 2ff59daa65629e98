"""The tables in a terminal of 100 columns."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
from rich import box
from rich.console import Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from headtohead.report.summary import by_table
from headtohead.report.table import Cell, Grid, costs, quality

WIDTH = 100
LEGEND = "* the best of its column; no test stands behind it"


def terminal(name: str, summary: pd.DataFrame) -> Iterator[Group]:
    """Yield two tables per data set and kind of trial: what was measured, and what it costs."""
    for kind, data, rows in by_table(summary):
        for grid in (quality(kind, data, rows, narrow=True), costs(kind, data, rows, narrow=True)):
            yield _table(f"{name}, {grid.title}", grid)


def _table(title: str, grid: Grid) -> Group:
    table = Table(box=box.SIMPLE, padding=(0, 0), pad_edge=False)
    for column in grid.columns:
        if column.words:
            table.add_column(escape(column.head), overflow="fold", min_width=10)
        else:
            table.add_column(escape(column.head), justify="right", overflow="fold")
    marked = [any(cell.best for cell in column.cells) for column in grid.columns]
    for row in grid.rows:
        table.add_row(*(_cell(cell, room) for cell, room in zip(row, marked, strict=True)))
    return Group(Text(title, style="italic"), table)


def _cell(cell: Cell, room: bool) -> str:
    # a star too: bold is lost in a file and on some screens
    return f"[bold]{escape(cell.text)}*[/bold]" if cell.best else escape(cell.text) + " " * room
