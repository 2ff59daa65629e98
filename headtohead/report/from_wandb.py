"""Reads the records of a sweep or a project back from W&B, and logs tables and figures there."""

from __future__ import annotations

import hashlib
import importlib
import re
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import wandb
from rich.console import Console
from rich.progress import track

from headtohead.cli.errors import UsageError
from headtohead.records import looks
from headtohead.records.record import FILE_NAME
from headtohead.report.collect import Trials, collect
from headtohead.report.comparison import Comparison
from headtohead.report.html import lead
from headtohead.report.table import markdown

PER_PAGE = 100  # runs in an answer of the server
LARGEST = 20_000_000  # bytes of a record; the usual one has some 10,000
JOB_TYPE = "results"  # of the runs that hold tables and figures, which are no trials


def fetch(address: str, folder: Path) -> Trials:
    """Collect the records of the finished runs as :func:`headtohead.report.collect.collect` does from a folder.

    Runs that failed, crashed or are still running are left out and listed in ``problems`` with their state. What comes
    from the server is trusted as little as any file: names are made harmless, records are validated.

    Args:
        address: ``ENTITY/PROJECT/SWEEP`` or ``ENTITY/PROJECT``. A sweep is W&B's, by its id, or one that ran elsewhere
            and was uploaded, by its name.
        folder: into which the records are downloaded.

    Raises:
        UsageError: nobody is logged in, there is no such project or sweep, or the server does not answer.
    """
    try:
        _log_in()
        api: Any = wandb.Api(timeout=30)
        entity, project, *sweep = address.split("/")
        title, filters = _sweep(api, address, sweep[0]) if sweep else (project, {})
        runs = api.runs(f"{entity}/{project}", filters=filters, order="+created_at", per_page=PER_PAGE)
        return _collect(runs, folder / _harmless(title))
    except UsageError:
        raise
    except Exception as error:  # wandb raises whatever its layers raise
        raise UsageError(f"RUNS: {address}: {' '.join(str(error).split())}") from error


def push(address: str, comparison: Comparison, folder: Path) -> list[str]:
    """Log verdicts, trials, figures and the report to the project, as one run that a later call brings up to date.

    Where ``wandb-workspaces`` is installed, the same becomes a report of W&B's too, a new one at each call.

    Args:
        address: as :func:`fetch` takes it.
        comparison: of the runs.
        folder: where tables and figures have been written.

    Returns:
        The addresses of the run and of the report.

    Raises:
        UsageError: the server did not take them.
    """
    entity, project = address.split("/")[:2]
    name = comparison.trials.name
    figures = [path for path in sorted(folder.glob("*.png")) if not path.stem.startswith("report-")]
    try:
        _log_in()
        settings = wandb.Settings(silent=True, console="off", finish_timeout=300, finish_timeout_raises=True)
        arguments: Any = {"entity": entity, "project": project, "group": name, "job_type": JOB_TYPE}
        digest = hashlib.sha256(name.encode()).hexdigest()[:8]
        arguments |= {"id": f"comparison-{digest}", "resume": "allow", "notes": "\n".join(comparison.verdicts)}
        with tempfile.TemporaryDirectory() as scratch:
            run = wandb.init(name=f"{name}: comparison", dir=scratch, settings=settings, **arguments)
            try:
                logged: dict[str, Any] = {"runs": wandb.Table(dataframe=comparison.runs)}
                if (verdicts := _verdicts(comparison)) is not None:
                    logged["verdict_table"] = verdicts
                logged |= {figure.stem: wandb.Image(str(figure)) for figure in figures}
                if (report := folder / "report.html").is_file():
                    logged["report"] = wandb.Html(str(report), inject=False)
                run.log(logged)
            finally:
                run.finish()
        shown = _report(entity, project, comparison, figures)
        return [str(run.url), *([shown] if shown else [])]
    except UsageError:
        raise
    except Exception as error:
        raise UsageError(f"RUNS: {address}: {' '.join(str(error).split())}") from error


def _verdicts(comparison: Comparison) -> wandb.Table | None:
    """Return the table of verdicts, what was asked before each; None without a pair."""
    grids = [asked.verdicts for asked in comparison.headline]
    if not grids:
        return None
    rows: list[Iterable[Any]] = [[grid.title, *(cell.text for cell in row)] for grid in grids for row in grid.rows]
    return wandb.Table(columns=["question", *(column.head for column in grids[0].columns)], data=rows)


def _report(entity: str, project: str, comparison: Comparison, figures: Sequence[Path]) -> str | None:
    """Write a report of W&B's, of verdicts, tables, the runs by configuration, and figures; return its address."""
    try:
        blocks: Any = importlib.import_module("wandb_workspaces.reports.v2")
    except ImportError:
        return None
    name = comparison.trials.name
    report = blocks.Report(entity=entity, project=project, title=f"{name}: comparison", description=lead(comparison))
    tables = [grid for part in comparison.parts for grid in part.grids if not grid.folded]
    verdicts = [asked.verdicts for asked in comparison.headline]
    results = blocks.Runset(entity=entity, project=project, name="comparison", query=f"{name}: comparison")
    trials = blocks.Runset(entity=entity, project=project, name="trials", groupby=["group"])
    report.blocks = [
        blocks.MarkdownBlock(text=markdown(verdicts, comparison.verdicts, [])),
        blocks.PanelGrid(runsets=[results], panels=[blocks.MediaBrowser(media_keys=[path.stem for path in figures])]),
        blocks.MarkdownBlock(text=markdown(tables, [], comparison.notes)),
        blocks.PanelGrid(runsets=[trials], panels=[blocks.LinePlot(x="epoch", y=["val_loss", "train_loss"])]),
    ]
    report.save()
    return str(report.url)


def _log_in() -> None:
    # silent: else wandb tells of its credentials; online: WANDB_MODE=offline is meant for trials
    wandb.setup(wandb.Settings(silent=True, mode="online"))
    if not wandb.login(prompt=False, verify=False):
        raise UsageError("RUNS: not logged in to W&B: run wandb login, or set WANDB_API_KEY")


def _sweep(api: Any, address: str, sweep: str) -> tuple[str, dict[str, Any]]:
    """Return a sweep's name and the filter that finds its runs."""
    try:
        return api.sweep(address).name, {"sweep": sweep}
    except wandb.errors.CommError:  # there is none with that id
        # what ran without an agent has its sweep's name as a tag; runs of an earlier version as their group
        for filters in ({"tags": sweep}, {"group": sweep}):
            if len(api.runs(address.rpartition("/")[0], filters=filters)):
                return sweep, filters
        raise


def _collect(runs: Any, folder: Path) -> Trials:
    """Lay the records out as a sweep on this machine does, and collect them from there."""
    problems = []
    for run in track(runs, "reading records", len(runs), console=Console(stderr=True), transient=True):
        if run.job_type == JOB_TYPE:
            continue
        name = _harmless(run.name or run.id)
        if (folder / name).exists():
            name = f"{name}-{_harmless(run.id)}"
        (folder / name).mkdir(parents=True)
        if run.state != "finished":
            problems.append(f"{name}: {_harmless(run.state)}: {run.url}")
        elif wrong := _download(run, folder / name):
            problems.append(f"{name}: {wrong}: {run.url}")
    folder.mkdir(parents=True, exist_ok=True)
    trials = collect(folder)
    trials.problems = [problem.removeprefix(f"{folder}/") for problem in trials.problems] + problems
    return trials


def _download(run: Any, folder: Path) -> str | None:
    """Download the record of a run, and how often its sweep is looked at; return what is wrong, if something is."""
    files = {file.name: file for file in run.files(names=[FILE_NAME, looks.FILE_NAME])}
    if FILE_NAME not in files:
        return f"finished, but has no {FILE_NAME}"
    if files[FILE_NAME].size > LARGEST:
        return f"its {FILE_NAME} has {files[FILE_NAME].size:,} bytes, too many for a record"
    files[FILE_NAME].download(root=str(folder)).close()
    if looks.FILE_NAME in files and files[looks.FILE_NAME].size <= LARGEST:
        files[looks.FILE_NAME].download(root=str(folder.parent), exist_ok=True).close()
    return None


def _harmless(name: str) -> str:
    """Return a name that is no path, for files and folders."""
    return re.sub(r"[^\w+-]|^-", "_", name, flags=re.ASCII)[:100] or "_"
