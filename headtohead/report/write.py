"""Writes all that is made of a sweep, and shows the most important of it."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from headtohead.report import claims
from headtohead.records import files
from headtohead.records import record as records
from headtohead.report.collect import LEFT_OUT, Trials
from headtohead.report.figures import draw_all
from headtohead.report.readme import update_readme
from headtohead.report.html import html
from headtohead.report.comparison import Sheet
from headtohead.report.table import Grid, latex, markdown
from headtohead.report.terminal import LEGEND, WIDTH, terminal


def write(sheet: Sheet, folder: Path) -> list[Path]:
    """Write the records, tables, figures and the report of a sweep.

    Args:
        sheet: of the sweep.
        folder: of its results; the sweep's verdicts in the README two folders above are brought up to date.

    Returns:
        The files, without the records.
    """
    _keep_records(sheet.trials, folder)
    table = markdown_of(sheet)
    figures = draw_all(sheet.shown, folder)
    reported = reported_of(sheet)
    paths = [
        files.write_text(folder / "runs.csv", sheet.csv),
        files.write_text(folder / "table.md", table),
        files.write_text(folder / "table.tex", latex_of(sheet)),
        files.write_text(folder / "report.html", html(sheet, figures, reported)),
        *(path for figure in figures for path in (figure.svg, figure.png)),
    ]
    if reported:
        paths.append(files.write_text(folder / "reported.md", markdown([reported], [], claims.NOTES)))
    readme = folder.resolve().parent.parent / "README.md"
    if update_readme(readme, sheet, reported):
        paths.append(readme)
    return paths


def markdown_of(sheet: Sheet) -> str:
    """Return the tables of a sweep, each model's verdict against the best, and the notes, in Markdown."""
    said = [line for part in sheet.parts for line in part.verdicts_against_best]
    return markdown([grid for part in sheet.parts for grid in part.grids], said, sheet.notes)


def latex_of(sheet: Sheet) -> str:
    """Return the tables and notes of a sweep in LaTeX."""
    return latex([grid for part in sheet.parts for grid in part.grids], sheet.notes)


def reported_of(sheet: Sheet) -> Grid | None:
    """Return the seeds' claims beside what was measured, if this is the sweep that repeats them."""
    return claims.reported(sheet.runs, claims.read()) if sheet.trials.name == claims.SWEEP else None


def show(sheet: Sheet, paths: list[Path]) -> None:
    """Print tables, verdicts and notes, and which files were written."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH)
    for shown in terminal(sheet.trials.name, sheet.summary):
        console.print(shown)
    said = [line for part in sheet.parts for line in part.verdicts_against_best]
    for line in (*said, LEGEND, *sheet.notes, *(f"wrote {path}" for path in paths)):
        console.print(line, highlight=False, markup=False, soft_wrap=line.startswith("wrote"))


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
    if trials.problems:
        files.write_text(folder / LEFT_OUT, "".join(f"{' '.join(problem.split())}\n" for problem in trials.problems))
    else:
        (folder / LEFT_OUT).unlink(missing_ok=True)
