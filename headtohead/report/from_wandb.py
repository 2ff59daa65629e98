"""Reads the records of a sweep or a project back from W&B, and logs tables and figures there."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
import wandb
from rich.console import Console
from rich.progress import track

from headtohead.cli.errors import UsageError
from headtohead.records import looks
from headtohead.records.record import FILE_NAME
from headtohead.report.collect import Trials, collect

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


def push(address: str, name: str, folder: Path, runs: pd.DataFrame) -> str:
    """Log the table of trials, the figures and the report to the project, as a run of their own.

    Args:
        address: as :func:`fetch` takes it.
        name: of the sweep.
        folder: where the tables and figures have been written.
        runs: a row per trial.

    Returns:
        The run's address.

    Raises:
        UsageError: the server did not take them.
    """
    entity, project = address.split("/")[:2]
    try:
        _log_in()
        settings = wandb.Settings(silent=True, console="off", finish_timeout=300, finish_timeout_raises=True)
        arguments: Any = {"entity": entity, "project": project, "group": name, "job_type": JOB_TYPE}
        with tempfile.TemporaryDirectory() as scratch:
            run = wandb.init(name=f"{name}: results", dir=scratch, settings=settings, **arguments)
            try:
                logged: dict[str, Any] = {"runs": wandb.Table(dataframe=runs)}
                logged |= {
                    figure.stem: wandb.Image(str(figure))
                    for figure in sorted(folder.glob("*.png"))
                    if not figure.stem.startswith("report-")
                }
                if (report := folder / "report.html").is_file():
                    logged["report"] = wandb.Html(str(report), inject=False)
                run.log(logged)
            finally:
                run.finish()
            return str(run.url)
    except UsageError:
        raise
    except Exception as error:
        raise UsageError(f"RUNS: {address}: {' '.join(str(error).split())}") from error


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
        filters = {"group": sweep}  # what ran without an agent has its sweep's name as its group
        if not len(api.runs(address.rpartition("/")[0], filters=filters)):
            raise
        return sweep, filters


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
