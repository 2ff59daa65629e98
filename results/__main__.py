"""``python -m results [RUNS]``: from the records of trials to tables and figures."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from results.collect import collect, find_sweeps
from results.sheet import make
from results.write import show, write


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
        type=Path,
        default=Path("runs"),
        help="folder of a sweep or of several: runs, runs/quick, results/quick (default: runs)",
    )
    parser.add_argument(
        "--out", type=Path, default=Path("results"), help="tables are written to OUT/<sweep>/ (default: results)"
    )
    parser.add_argument(
        "--target",
        type=_share,
        help="share that validation must reach for the time to a target, such as 0.95 (default: the best whole "
        "per cent that all trials on the same data reach)",
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
            print(f"{trials.name}: left out: {problem}", file=sys.stderr)
        if trials.records:
            sheet = make(trials, options.target)
            paths = write(sheet, options.out / trials.name)
            show(sheet, paths)
        else:
            empty += 1
            print(f"{folder}: no trial that can be used", file=sys.stderr)
    return 2 if empty == len(folders) else 0


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"must be a share between 0 and 1, such as 0.95: got {text}")
    return value


def _usage_error(message: str) -> int:
    print(f"results: {message}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
