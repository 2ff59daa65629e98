"""``python -m results [RUNS]``: from the records of trials to tables and figures."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from results import record as records
from results import server
from results.collect import Trials, collect, find_sweeps, labels, runs_table
from results.figures import rotation_curves
from results.table import markdown, notes, summarize, terminal, update_readme


def main(args: Sequence[str] | None = None) -> int:
    """Write the tables of one sweep or of several.

    Args:
        args: command line, ``sys.argv[1:]`` by default.

    Returns:
        The exit code: 0, or 2 when there is nothing to make a table of.
    """
    parser = argparse.ArgumentParser("python -m results", description=__doc__, allow_abbrev=False)
    parser.add_argument(
        "runs",
        nargs="?",
        default="runs",
        help="folder of a sweep or of several: runs, runs/quick, results/quick (default: runs); "
        "or, on W&B's server, ENTITY/PROJECT/SWEEP or ENTITY/PROJECT",
    )
    parser.add_argument(
        "--out", type=Path, default=Path("results"), help="tables are written to OUT/<sweep>/ (default: results)"
    )
    parser.add_argument(
        "--push", action="store_true", help="log table, figures and report to the project that the runs are read from"
    )
    options = parser.parse_args(args)
    remote = server.is_address(options.runs)
    try:
        if options.push and not remote:
            raise NothingToShowError(f"--push: RUNS must be ENTITY/PROJECT or ENTITY/PROJECT/SWEEP: got {options.runs}")
        sweeps = [server.fetch(options.runs)] if remote else _collect(Path(options.runs))
        for trials in sweeps:
            for problem in trials.problems:
                print(f"left out: {problem}", file=sys.stderr)
            if not trials.records:
                print(f"{trials.name}: no trial that can be used", file=sys.stderr)
                continue
            folder = options.out / trials.name
            _write(trials, folder)
            if options.push:
                print(f"pushed to {server.push(options.runs, trials.name, folder, runs_table(trials))}")
    except (NothingToShowError, server.ServerError) as error:
        print(f"results: {error}", file=sys.stderr)
        return 2
    return 0 if any(trials.records for trials in sweeps) else 2


class NothingToShowError(Exception):
    """There is nothing to make a table of; the message is one line."""


def _collect(path: Path) -> list[Trials]:
    """Collect the records of the sweeps in a folder."""
    again = "run a sweep first: python sweep.py sweeps/quick.yaml"
    if not path.is_dir():
        raise NothingToShowError(f"RUNS: no folder {path}; {again}")
    folders = find_sweeps(path)
    if not folders:
        raise NothingToShowError(f"RUNS: no records in {path}; {again}")
    return [collect(folder) for folder in folders]


def _write(trials: Trials, folder: Path) -> None:
    """Write the records, tables and figures of a sweep, and show the table."""
    runs = runs_table(trials)
    summary = summarize(runs, labels(trials))
    table = markdown(summary)
    kept = folder / "records"
    for name, record in trials.records.items():
        records.write_text(kept / f"{name}.json", records.dumps(record))
    for stale in set(kept.glob("*.json")) - {kept / f"{name}.json" for name in trials.records}:
        stale.unlink()  # of a trial that is no longer in the sweep: tables and records agree
    paths = [
        records.write_text(folder / "runs.csv", runs.to_csv(index=False, lineterminator="\n", float_format="%.6g")),
        records.write_text(folder / "table.md", table),
        *rotation_curves(trials, folder),
    ]
    readme = folder.resolve().parent.parent / "README.md"
    if update_readme(readme, trials.name, table):
        paths.append(readme)
    console = Console()
    if not console.is_terminal:
        console = Console(width=100)
    for shown in terminal(trials.name, summary):
        console.print(shown)
    for line in (*notes(summary), *(f"wrote {path}" for path in paths)):
        console.print(line, highlight=False, markup=False, soft_wrap=line.startswith("wrote"))


if __name__ == "__main__":
    sys.exit(main())
