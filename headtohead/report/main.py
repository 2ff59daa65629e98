"""Turns the records of trials into tables, verdicts, figures and a report: ``python report.py [RUNS]``."""

from __future__ import annotations

import gc
import sys
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from headtohead.cli.arguments import OneLineParser, is_address, positive
from headtohead.cli.errors import UsageError
from headtohead.cli.output import counted, lasting_output
from headtohead.records import files
from headtohead.records.looks import read_looks
from headtohead.report import beside, claims, judge, tuning
from headtohead.report.collect import Trials, collect, find_sweeps
from headtohead.report.comparison import make_comparison
from headtohead.report.figures import Drawing
from headtohead.report.index import write_index
from headtohead.report.table import claimed, markdown
from headtohead.report.time_again import grid, time_again
from headtohead.report.times import read_again
from headtohead.report.write import show, write

USAGE = "python report.py [RUNS] [--out OUT] [--target TARGET] [--margin MARGIN] [--price-per-hour PRICE] "
USAGE += "[--claims | --index | --time-again | --best | --beside OTHER] [--push]"
# what else is read with those that do something other than write the results of a sweep
READ_WITH: dict[str, tuple[str, ...]] = {"claims": (), "index": ("target", "margin"), "best": (), "beside": ("margin",)}


@lasting_output()
def main(args: Sequence[str] | None = None) -> int:
    """Write the results of one sweep or of several.

    Args:
        args: command line, ``sys.argv[1:]`` by default.

    Returns:
        The exit code: 0; 1 when the disk is full or cannot be read or written; 2 when there is nothing to make a table
        of, or an argument is wrong.
    """
    try:
        return _run(_parser().parse_args(args))
    except UsageError as error:
        print(f"report.py: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"report.py: {error.filename or '--out'}: {error.strerror}", file=sys.stderr)
        return 2 if isinstance(error, NotADirectoryError | FileExistsError) else 1


def _parser() -> OneLineParser:
    parser = OneLineParser("report.py", usage=USAGE, description=__doc__, allow_abbrev=False)
    parser.add_argument(
        "runs",
        nargs="?",
        help="folder of a sweep or of several: runs, runs/quick, results/quick (default: runs); "
        "or, on W&B's server, ENTITY/PROJECT/SWEEP or ENTITY/PROJECT",
    )
    parser.add_argument("--out", type=Path, help="tables are written to OUT/<sweep>/ (default: results)")
    parser.add_argument(
        "--target",
        type=float,
        help="share that validation must reach, such as 0.95: the table of costs says in how many seconds of training "
        "it did (default: metric.target of the sweep's file; without either there is no such column)",
    )
    parser.add_argument(
        "--margin",
        type=positive,
        help="difference that counts as none, in the units of the table (default: what the sweep's claim file says, "
        "else 0.2 points of accuracy on MNIST, 0.5 elsewhere)",
    )
    parser.add_argument(
        "--price-per-hour",
        type=positive,
        metavar="PRICE",
        help="of the hardware, in any currency: the table of costs says the price of a trial, and of a target",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--claims",
        action="store_true",
        help="judge the claims of all claim files by the records in RUNS (default here: results)",
    )
    what.add_argument(
        "--index",
        action="store_true",
        help="list all sweeps in RUNS with their verdicts, in RUNS/index.html and RUNS/README.md (default here: "
        "results)",
    )
    what.add_argument(
        "--time-again",
        action="store_true",
        help="measure latency and throughput of the rows again, in turn, from their checkpoints on this machine",
    )
    what.add_argument(
        "--best",
        action="store_true",
        help="print a sweep file of the best point of each architecture by validation, with new seeds, and stop",
    )
    what.add_argument(
        "--beside",
        type=Path,
        metavar="OTHER",
        help="print how the order and the verdicts of the architectures that RUNS and the folder OTHER have in common "
        "differ, such as of a tuned and an untuned sweep, and stop",
    )
    parser.add_argument(
        "--push", action="store_true", help="log table, figures and report to the project that the runs are read from"
    )
    return parser


def _run(options: Namespace) -> int:
    """Do what the options ask for; return the exit code."""
    _refuse(options)
    remote = options.runs is not None and is_address(options.runs)
    folder = Path(options.runs or ("results" if options.claims or options.index else "runs"))
    options.out = options.out or Path("results")
    if options.claims:
        return _judge(folder)
    if options.index:
        return _list(folder, options)
    if options.beside:
        return _beside(folder, options.beside, options.margin)
    if not remote:
        return _best(_collect(folder)) if options.best else _write_all(_collect(folder), options)
    from headtohead.report import from_wandb  # only here, because it imports wandb

    with TemporaryDirectory() as downloaded:
        sweeps = [from_wandb.fetch(options.runs, Path(downloaded))]
        return _best(sweeps) if options.best else _write_all(sweeps, options)


def _refuse(options: Namespace) -> None:
    """Raise a ``UsageError`` where options do not go together."""
    if options.target is not None and not 0 < options.target < 1:
        raise UsageError(f"--target: must be a share between 0 and 1, such as 0.95: got {options.target:g}")
    mode = next((name for name in READ_WITH if getattr(options, name)), None)
    for name in ("out", "target", "margin", "price_per_hour", "push") if mode else ():
        if getattr(options, name) not in (None, False) and name not in READ_WITH[str(mode)]:
            raise UsageError(f"--{name.replace('_', '-')}: changes nothing with --{mode}: leave it out")
    remote = options.runs is not None and is_address(options.runs)
    if options.push and not remote:
        raise UsageError(f"--push: RUNS must be ENTITY/PROJECT or ENTITY/PROJECT/SWEEP: got {options.runs}")
    for name, what in (
        ("claims", "a folder of sweeps"),
        ("index", "a folder of sweeps"),
        ("time_again", "a folder of sweeps, with checkpoints"),
        ("beside", "the folder of a sweep"),
    ):
        if remote and getattr(options, name):
            raise UsageError(f"--{name.replace('_', '-')}: RUNS must be {what}: got {options.runs}")
    if remote and options.runs.partition("/")[0] in ("runs", "results"):  # where ours are
        raise UsageError(f"RUNS: there is no folder {options.runs}")


def _write_all(sweeps: list[Trials], options: Namespace) -> int:
    """Write the results of sweeps; return the exit code."""
    for trials in sweeps:
        for problem in trials.problems:
            print(f"{trials.name}: left out: {problem}", file=sys.stderr)
        if not trials.records:
            print(f"{trials.name}: no trial that can be used", file=sys.stderr)
            continue
        if unused := claims.unused_labels(trials):
            print(f"report.py: {unused}", file=sys.stderr)
        folder = options.out / trials.name
        trials = _with_looks(trials, folder)
        if options.time_again:
            trials = replace(trials, again=read_again(time_again(trials).parent))
        drawing = Drawing(folder)
        try:
            comparison = make_comparison(trials, options.target, options.margin, options.price_per_hour, drawing.begin)
            paths = write(comparison, folder, drawing)
        finally:
            drawing.stop()
        show(comparison, paths)
        if options.time_again and (table := grid(comparison)):
            print(markdown([table], [], []))
        if options.push:
            from headtohead.report import from_wandb

            print(f"pushed to {' and '.join(from_wandb.push(options.runs, comparison, folder))}")
    return 0 if any(trials.records for trials in sweeps) else 2


def _with_looks(trials: Trials, folder: Path) -> Trials:
    """Add how often a sweep was looked at, where ``folder`` says so of records that came here without that note."""
    if trials.looks or not (looks := read_looks(folder)):
        return trials
    kept = {path.stem: path for path in (folder / "records").glob("*.json")}
    # to the byte: a run of the same sweep by somebody else was not looked at so
    if not any(trials.paths[name].read_bytes() == kept[name].read_bytes() for name in trials.records if name in kept):
        return trials
    print(f"{trials.name}: some of its records are those of {folder}, which were looked at as they came: so are these")
    return replace(trials, looks=looks)


def _best(sweeps: list[Trials]) -> int:
    """Print the sweep file of what a search found."""
    print(tuning.tuned_file(_only(sweeps, "--best: RUNS")), end="")
    return 0


def _beside(path: Path, other: Path, margin: float | None) -> int:
    """Print how two sweeps differ in the architectures that both have."""
    here = _only(_collect(path), "--beside: RUNS")
    there = _only(_collect(other, "--beside"), "--beside: OTHER")
    names = (here.name, there.name) if here.name != there.name else (str(path), str(other))
    print(beside.in_words(beside.beside(here, there, margin), *names), end="")
    return 0


def _only(sweeps: list[Trials], argument: str) -> Trials:
    """Return the one sweep of a folder, and say what of it cannot be used."""
    if len(sweeps) != 1:
        raise UsageError(f"{argument} must be the folder of one sweep: got {len(sweeps)} sweeps")
    for problem in sweeps[0].problems:
        print(f"{sweeps[0].name}: left out: {problem}", file=sys.stderr)
    return sweeps[0]


def _list(folder: Path, options: Namespace) -> int:
    """Write the list of all sweeps in a folder."""
    if folder.is_dir() and find_sweeps(folder) == [folder]:
        raise UsageError(f"--index: RUNS must be a folder of sweeps, such as results: got {folder}, which is one sweep")
    sweeps = [trials for trials in _collect(folder) if trials.records]
    if missing := [trials.name for trials in sweeps if not (folder / trials.name / "report.html").is_file()]:
        print(
            f"report.py: {folder} has no report of {', '.join(missing)}, to which the list links: write it by "
            f"python report.py {folder} --out {folder}",
            file=sys.stderr,
        )
    paths = write_index([make_comparison(trials, options.target, options.margin) for trials in sweeps], folder)
    print(f"{counted(len(sweeps), 'sweep')} in {' and '.join(map(str, paths))}")
    return 0


def _judge(folder: Path) -> int:
    """Print what becomes of every claim, and write it as a table."""
    if not folder.is_dir():
        raise UsageError(f"RUNS: no folder {folder}; with --claims it holds sweeps, as results does")
    judged = judge.judge_all(folder)
    if not judged:
        raise UsageError("--claims: there is no claim: claims/<sweep>.yaml in this folder or in the suite's holds them")
    for line in judged:
        claim = line.claim
        what = f"{claim.source + ': ' if claim.source else ''}{line.of} on {claim.data}, {claim.number}"
        measured = f"measured {line.measured} ({line.interval}), n = {line.n}"
        print(f"{line.outcome:9}  {what}: claimed {line.said}; {measured}")
    print(judge.in_words(judged))
    print(f"wrote {files.write_text(folder / 'claims.md', markdown([claimed(judged)], [], judge.NOTES))}")
    return 0


def _collect(path: Path, argument: str = "RUNS") -> list[Trials]:
    """Collect the records of the sweeps in a folder."""
    again = "run a sweep first: python sweep.py sweeps/quick.yaml"
    if not path.is_dir():
        raise UsageError(f"{argument}: no folder {path}; {again}")
    folders = find_sweeps(path)
    if not folders:
        raise UsageError(f"{argument}: no records in {path}; {again}")
    gc.disable()  # thousands of records are there to stay: to look through them again and again costs 2 s in 20
    try:
        return [collect(folder) for folder in folders]
    finally:
        gc.freeze()
        gc.enable()
