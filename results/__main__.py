"""``python -m results [RUNS]``: from the records of trials to tables and figures.

``python -m results figures CHECKPOINT`` draws a trained network.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from results import record as records
from results.collect import Trials, collect, find_sweeps, labels, runs_table
from results.figures import draw_all
from results.table import markdown, notes, summarize, terminal, update_readme


def main(args: Sequence[str] | None = None) -> int:
    """Write the tables of one sweep or of several.

    Args:
        args: command line, ``sys.argv[1:]`` by default.

    Returns:
        The exit code: 0, or 2 when there is nothing to make a table of.
    """
    args = sys.argv[1:] if args is None else args
    if args[:1] == ["figures"]:
        from results import checkpoint  # only here, because it imports torch

        return checkpoint.main(args[1:])
    parser = argparse.ArgumentParser("python -m results", description=__doc__, allow_abbrev=False)
    parser.add_argument(
        "runs",
        nargs="?",
        type=Path,
        default=Path("runs"),
        help="folder of a sweep or of several: runs, runs/quick, results/quick (default: runs)",
    )
    parser.add_argument(
        "--out", type=Path, default=Path("results"), help="tables are written to OUT/<sweep>/ (default: results)"
    )
    options = parser.parse_args(args)
    if not options.runs.is_dir():
        return _usage_error(f"RUNS: no folder {options.runs}; run a sweep first: python sweep.py sweeps/quick.yaml")
    folders = find_sweeps(options.runs)
    if not folders:
        return _usage_error(f"RUNS: no records in {options.runs}; run a sweep first: python sweep.py sweeps/quick.yaml")
    empty = 0
    for folder in folders:
        trials = collect(folder)
        for problem in trials.problems:
            print(f"left out: {problem}", file=sys.stderr)
        if trials.records:
            _write(trials, options.out / trials.name)
        else:
            empty += 1
            print(f"{folder}: no trial that can be used", file=sys.stderr)
    return 2 if empty == len(folders) else 0


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
        *(path for figure in draw_all(trials, folder) for path in (figure.svg, figure.png)),
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


def _usage_error(message: str) -> int:
    print(f"results: {message}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
