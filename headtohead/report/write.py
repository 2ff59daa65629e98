"""Writes the files of a comparison, and prints its tables and verdicts."""

from __future__ import annotations

import textwrap
from pathlib import Path

from rich.console import Console

from headtohead.cli.output import counted
from headtohead.records import files
from headtohead.records.looks import FILE_NAME as LOOKS
from headtohead.records.looks import write_looks
from headtohead.report import judge, times
from headtohead.report.collect import LEFT_OUT, Trials
from headtohead.report.comparison import Comparison
from headtohead.report.figures import Drawing
from headtohead.report.html import html
from headtohead.report.summary import LEFT_OUT_OF_TIMES, UNTIMED
from headtohead.report.table import claimed, latex, markdown
from headtohead.report.terminal import LEGEND, WIDTH, terminal


def write(comparison: Comparison, folder: Path, drawing: Drawing | None = None) -> list[Path]:
    """Write the records, tables, figures and the report of a sweep.

    Args:
        comparison: of the sweep.
        folder: of its results.
        drawing: of its figures, if that has begun.

    Returns:
        The files, without the records.
    """
    _keep_records(comparison.trials, folder)
    tables = [
        files.write_text(folder / "runs.csv", comparison.csv),
        files.write_text(folder / "table.md", markdown_of(comparison)),
        files.write_text(folder / "table.tex", latex_of(comparison)),
    ]
    figures = (drawing or Drawing(folder)).finish(comparison)
    report = files.write_text(folder / "report.html", html(comparison, figures))
    return [*tables, report, *(figure.png for figure in figures)]


def markdown_of(comparison: Comparison) -> str:
    """Return a sweep in Markdown: what it is about, the tables, the notes; last the tables that a report folds away."""
    grids = [grid for part in comparison.parts for grid in part.grids]
    if comparison.judged:
        grids.append(claimed(comparison.judged))
    parts = [
        markdown([asked.verdicts for asked in comparison.headline], comparison.verdicts, []),
        markdown([grid for grid in grids if not grid.folded], [], comparison.notes),
        markdown([grid for grid in grids if grid.folded], [], []),
    ]
    return "\n".join(part for part in parts if part.strip())


def latex_of(comparison: Comparison) -> str:
    """Return the tables and notes of a sweep in LaTeX."""
    return latex([grid for part in comparison.parts for grid in part.grids], comparison.notes)


def show(comparison: Comparison, paths: list[Path]) -> None:
    """Print what the sweep decides, a table of each data set, and where the report is, in no more than 100 columns."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH)
    alone = "There is one model only: nothing to compare."
    unasked = "No claim file asks a question of this sweep: choose two rows in its report."
    lines = comparison.verdicts or [alone if len(comparison.summary) == 1 else unasked]
    if comparison.judged:
        lines = [judge.in_words(comparison.judged), *lines]
    questions = {*(asked.ask for asked in comparison.headline), *comparison.not_run}
    for line in lines:
        indent = "" if line in questions else "  "
        print(textwrap.fill(line, min(WIDTH, console.width), initial_indent=indent, subsequent_indent=2 * indent))
    print()
    for shown in terminal(comparison.trials.name, comparison.summary):
        console.print(shown)
    print(LEGEND)
    if comparison.summary.hardware.isin(UNTIMED).any():
        print(textwrap.fill(f"{LEFT_OUT_OF_TIMES} runs.csv says which.", min(WIDTH, console.width)))
    for path in paths:
        if path.name == "report.html":
            count = len(paths) + len(comparison.trials.records)
            print(f"{counted(count, 'file')} in {path.parent}; open {path}")


def _keep_records(trials: Trials, folder: Path) -> None:
    """Write the records beside the tables, and remove those of trials that are no longer in the sweep."""
    kept = folder / "records"
    there = {path.name for path in kept.glob("*.json")}
    for name in trials.records:
        path, content = kept / f"{name}.json", trials.paths[name].read_bytes()
        if path.name not in there or path.read_bytes() != content:
            files.write_bytes(path, content, durable=False)
    for stale in there - {f"{name}.json" for name in trials.records}:
        (kept / stale).unlink()
    if trials.looks:
        write_looks(trials.looks, folder)
    else:
        (folder / LOOKS).unlink(missing_ok=True)  # of other trials, which would widen the intervals of these
    source, copy = next(iter(trials.paths.values())).parents[1] / times.FILE, folder / times.FILE
    if source.resolve() != copy.resolve():
        copy.unlink(missing_ok=True)
        if trials.again:
            files.write_bytes(copy, source.read_bytes(), durable=False)
    if trials.problems:
        files.write_text(folder / LEFT_OUT, "".join(f"{' '.join(problem.split())}\n" for problem in trials.problems))
    else:
        (folder / LEFT_OUT).unlink(missing_ok=True)
