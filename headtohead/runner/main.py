"""Runs a W&B sweep file on this machine, without an account: ``python sweep.py sweeps/quick.yaml``.

It runs the same trials as ``wandb sweep`` and ``wandb agent`` would. Finished trials are skipped, interrupted ones
resume, a failed one does not stop the others; start it again and it goes on where it stopped. Several machines divide
a sweep over a directory that they share: ``--shard 1/8`` on the first of eight. Where only the results were kept,
``--from results/quick`` goes on from their records.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from headtohead.cli.arguments import OneLineParser, is_address, positive
from headtohead.cli.checkout import CHECKOUT
from headtohead.cli.errors import UsageError
from headtohead.cli.output import counted, lasting_output
from headtohead.cli.slurm import forget_the_rank
from headtohead.records import files
from headtohead.records import record as records
from headtohead.records.looks import read_looks, write_looks
from headtohead.runner import process as processes
from headtohead.runner.matched import MEASURES, matched_file
from headtohead.runner.run import Run, is_finished, kind_of
from headtohead.runner.strategy import AsListed
from headtohead.runner.sweep_checks import MODULE
from headtohead.runner.sweep_file import SEED, Sweep, SweepError, Trial, read_sweep
from headtohead.trial.hardware import cores, gpus

if TYPE_CHECKING:
    from headtohead.runner.until_decided import UntilDecided

MOST = 29  # seeds of a model, with --until-decided


@lasting_output()
def main(args: Sequence[str] | None = None) -> int:
    """Run a sweep.

    Args:
        args: command line, ``sys.argv[1:]`` by default.

    Returns:
        The exit code: 0 when every trial has a record, 1 when one failed, 2 when the file or an argument is wrong,
        130 when it was interrupted.
    """
    forget_the_rank()  # several runners may be tasks of one job, each with trials of its own
    options = _parser().parse_args(args)
    shard = options.shard
    if options.per_gpu < 1:
        return _usage_error([f"--per-gpu: must be 1 or more: got {options.per_gpu}"])
    more = options.until_decided or options.next is not None
    for name, value, goes, beside in (
        ("--like", options.like, options.match, "--match"),
        ("--most", options.most, more, "--until-decided or --next"),
        ("--margin", options.margin, more, "--until-decided or --next"),
        ("--wandb", options.wandb or None, options.next is not None, "--next"),
    ):
        if value is not None and not goes:
            return _usage_error([f"{name}: goes with {beside}"])
    if options.dry_run and options.next is not None:
        return _usage_error(["--dry-run: --next runs no trial: leave one of them out"])
    try:
        sweep = read_sweep(options.file)
        if options.match:
            print(matched_file(options.file, options.match, options.like or "SimpleCNN"), end="")
            return 0
        slots = _slots(sweep, options.per_gpu)
        if options.per_gpu > 1 and not (slots or options.dry_run):
            raise SweepError(["--per-gpu: no trial of this sweep gets a GPU to itself on this machine: leave it out"])
        most, what = (len(slots), "GPUs times --per-gpu") if slots else (cores(), "the number of cores")
        jobs = (len(slots) or 1) if options.jobs is None else options.jobs
        if not 1 <= jobs <= most:
            raise SweepError([f"--jobs: must be 1 to {most}, {what}: got {jobs}"])
        if sweep.method == "bayes" and not options.dry_run:
            raise SweepError(
                [f"{options.file}: method: bayes needs W&B (wandb sweep {options.file}); random runs here"]
            )
        if said := _another_program(sweep):
            print(f"sweep.py: {options.file}: {said}", file=sys.stderr)
        trials = _part(sweep.trials, *shard)
        folder = options.runs / sweep.name
        kept = {} if options.source is None else _kept(options.source, folder)
        todo = [trial for trial in trials if trial.name not in kept and not is_finished(folder / trial.name)]
        strategy = _until_decided(sweep, options, jobs) if options.until_decided else None
        if options.dry_run or todo or strategy or options.next is not None:
            processes.start_server()
            _check(sweep, options.file, jobs)
            if not options.dry_run and options.next is None:
                folder.mkdir(parents=True, exist_ok=True)
        if kept and not options.dry_run:
            _take_over(kept, options.source, folder)
    except UsageError as error:
        return _usage_error([str(error)])
    except SweepError as error:
        return _usage_error(error.problems)
    except OSError as error:
        return _usage_error([f"--runs: {error.filename}: {error.strerror}"])
    if options.next is not None:
        return _next(sweep, options)
    if options.dry_run:
        for trial in trials:
            print("finished" if trial not in todo else "to run  ", trial.name, *trial.args)
        if sweep.method == "bayes":
            print(f"nothing is wrong with it; wandb sweep {options.file} can run it")
        return 0
    if shard != (1, 1):
        print(f"{sweep.name}: shard {shard[0]}/{shard[1]} has {len(trials)} of {counted(len(sweep.trials), 'trial')}")
    if sweep.early_terminate:
        print(f"{options.file}: early_terminate is for W&B's server; here every trial runs to its end")
    run = Run(sweep.name, strategy or AsListed(trials), folder, jobs, slots[:jobs])
    in_main = threading.current_thread() is threading.main_thread()  # no other may set them
    # SIGINT too: shells start background jobs without it
    for number in (signal.SIGINT, signal.SIGTERM) if in_main else ():
        signal.signal(number, signal.default_int_handler)
    try:
        run.run()
    except KeyboardInterrupt:
        run.stop()
        left = len(run.waiting) + len(run.running)  # none while it waits for another shard
        rest = f" with the {counted(left, 'trial')} left" if left else ""
        print(f"\ninterrupted; the same command goes on{rest}")
        return 130
    except UsageError as error:
        run.stop()
        return _usage_error([str(error)])
    except OSError as error:  # the disk is full, or the folder has vanished: every other trial would fail too
        run.stop()
        print(f"sweep.py: {error.filename or folder}: {error.strerror}; the same command goes on", file=sys.stderr)
        return 1
    return run.summary()


def _parser() -> OneLineParser:
    parser = OneLineParser(
        "sweep.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("file", type=Path, help="a W&B sweep file with method: grid or random")
    parser.add_argument(
        "--runs", type=Path, default=Path("runs"), help="trials are kept in RUNS/<sweep>/<trial> (default: runs)"
    )
    parser.add_argument(
        "--jobs", type=int, help="trials at once; they share the cores (default: one for each GPU, or 1)"
    )
    parser.add_argument(
        "--from",
        dest="source",
        type=Path,
        metavar="RESULTS",
        help="take over the finished trials whose records are kept in RESULTS, such as results/quick",
    )
    parser.add_argument("--per-gpu", type=int, default=1, help="trials that share a GPU (default: 1)")
    parser.add_argument(
        "--shard",
        type=_shard,
        default="1/1",
        metavar="I/N",
        help="run the I-th of N parts, the same on every machine (default: 1/1)",
    )
    parser.add_argument(
        "--until-decided",
        action="store_true",
        help="after the seeds of the file, run further ones of those models whose question (claims/FILE) is undecided",
    )
    parser.add_argument(
        "--next",
        nargs="?",
        const="",
        metavar="RECORDS",
        help="print the sweep file of the next round of --until-decided, for agents to run; RECORDS is the folder of "
        "the trials so far, or ENTITY/PROJECT on W&B's server (default: RUNS/<sweep>)",
    )
    parser.add_argument("--wandb", action="store_true", help="with --next: start that sweep on W&B's server")
    parser.add_argument("--most", type=int, help="with --until-decided: at most so many seeds of a model (default: 29)")
    parser.add_argument(
        "--margin",
        type=positive,
        help="with --until-decided: the difference that counts as none, in the units of the table (default: what the "
        "claim file says, else 0.2 points of accuracy on MNIST, 0.5 elsewhere)",
    )
    parser.add_argument(
        "--match",
        choices=MEASURES,
        help="print the file with every model at the width at which it is as large as that of --like, or takes as many "
        "seconds or as much memory for a training step, and stop; seconds are measured here",
    )
    parser.add_argument("--like", help="with --match: the model to equal (default: SimpleCNN)")
    parser.add_argument("--dry-run", action="store_true", help="check the file, list its trials and stop")
    return parser


def _kept(source: Path, folder: Path) -> dict[str, Path]:
    """Return the records in the results of a sweep, by the trials' names, of which the sweep's folder has none.

    Raises:
        UsageError: there are none, or one cannot be read.
    """
    found = {path.stem: path for path in sorted((source / "records").glob("*.json"))}
    if not found:
        raise UsageError(f"--from: must be a sweep's results, such as results/quick: no records/*.json in {source}")
    try:
        for path in found.values():
            records.read(path)
    except records.RecordError as error:
        raise UsageError(f"--from: {error}") from None
    return {name: path for name, path in found.items() if not is_finished(folder / name)}


def _take_over(kept: dict[str, Path], source: Path, folder: Path) -> None:
    """Copy records into the sweep's folder, with how often its questions were looked at."""
    for name, path in kept.items():
        files.write_bytes(folder / name / records.FILE_NAME, path.read_bytes())
    if (looks := read_looks(source)) and read_looks(folder) is None:
        write_looks(looks, folder)
    print(f"{folder.name}: {counted(len(kept), 'trial')} taken over from {source}", flush=True)


def _until_decided(
    sweep: Sweep, options: argparse.Namespace, jobs: int = 1, say: Callable[[str], None] = print
) -> UntilDecided:
    """Return the strategy that runs further seeds where they are needed."""
    from headtohead.runner.until_decided import UntilDecided  # only here: it imports all that makes a table

    if sweep.method != "grid":
        raise UsageError(f"--until-decided: needs a sweep file with method: grid: got {sweep.method}")
    share = None if options.shard == (1, 1) else lambda trials: _part(trials, *options.shard)
    return UntilDecided(sweep, MOST if options.most is None else options.most, options.margin, share, jobs, say)


def _next(sweep: Sweep, options: argparse.Namespace) -> int:
    """Print, or start, the sweep file of the next round; return the exit code, 3 when there is nothing left to run."""
    from headtohead.report.collect import collect

    one_each: dict[str, Trial] = {}  # a trial of each row
    for trial in sweep.trials:
        rest = {name: value for name, value in trial.parameters.items() if name != SEED}
        one_each.setdefault(json.dumps(rest, sort_keys=True), trial)
    rows = {}
    for trial, resolved in zip(
        one_each.values(), processes.check([trial.args for trial in one_each.values()], 1), strict=True
    ):
        if isinstance(resolved, str):
            return _usage_error([resolved])
        config = {name: value for name, value in resolved.items() if name != SEED}
        rows[records.config_hash(config)] = trial.parameters
    try:
        strategy = _until_decided(sweep, options, say=lambda line: print(line, file=sys.stderr))
        if is_address(options.next):
            from headtohead.report import from_wandb

            with TemporaryDirectory() as downloaded:
                found = replace(from_wandb.fetch(options.next, Path(downloaded)), name=sweep.name)
        else:
            found = replace(collect(Path(options.next or options.runs / sweep.name)), name=sweep.name)
        text = strategy.next_file(options.file, found, rows)
    except UsageError as error:
        return _usage_error([str(error)])
    if text is None:
        return 3
    if not options.wandb:
        print(text, end="")
        return 0
    path = files.write_text(options.runs / sweep.name / "next.yaml", text)
    return subprocess.run([sys.executable, "-m", "wandb", "sweep", str(path)], check=False).returncode


def _slots(sweep: Sweep, per_gpu: int) -> list[str]:
    """Return the GPU of each trial that can run at once, each GPU once before any comes again.

    There is none where every trial runs on the CPU, nor where one asks for several devices: it then has them all.
    """
    trials = [*sweep.trials, *sweep.corners]
    if any(str(trial.of_the_trainer("devices") or 1) != "1" for trial in trials):
        return []
    if trials and all(trial.of_the_trainer("accelerator") in ("cpu", "mps") for trial in trials):
        return []
    return gpus() * per_gpu


def _shard(text: str) -> tuple[int, int]:
    """Return I and N of ``I/N``.

    Raises:
        ArgumentTypeError: these are no part and number of parts.
    """
    index, slash, count = text.partition("/")
    if not (slash and index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count)):
        raise argparse.ArgumentTypeError(f"must be one of 1/N to N/N, such as 1/8: got {text}")
    return int(index), int(count)


def _part(trials: Sequence[Trial], index: int, count: int) -> list[Trial]:
    """Return a shard: of trials that take equally long, every shard gets its share.

    Which are finished makes no difference, so that all machines agree on the division whenever they start.
    """
    dealt = {trial.name for trial in sorted(trials, key=kind_of)[index - 1 :: count]}
    return [trial for trial in trials if trial.name in dealt]


def _check(sweep: Sweep, file: Path, jobs: int) -> None:
    """Let train.py's own parser judge the trials: first the ends of random ranges, which speak for what lies between.

    Raises:
        SweepError: with a line for each argument that it refuses.
    """
    print(f"{file}: checking {counted(len(sweep.trials) or len(sweep.corners), 'trial')}", flush=True)
    for trials in (sweep.corners, sweep.trials):
        asked = _different(trials)
        answers = processes.check([trial.args for trial in asked], jobs) if trials else []
        problems = dict.fromkeys(answer.removeprefix("--") for answer in answers if isinstance(answer, str))
        if problems:
            raise SweepError(f"{file}: parameters.{problem}" for problem in problems)
        if alike := _alike(asked, [answer for answer in answers if not isinstance(answer, str)]):
            raise SweepError(f"{file}: parameters: {said}" for said in alike)


def _alike(trials: Sequence[Trial], resolved: Sequence[dict[str, Any]]) -> list[str]:
    """Say which trials would be the same one, because what sets them apart changes nothing or stands for the same."""
    said: list[str] = []
    first: dict[str, Trial] = {}
    for trial, answer in zip(trials, resolved, strict=True):
        other = first.setdefault(json.dumps(answer, sort_keys=True), trial)
        if other is not trial:
            names = dict.fromkeys([*other.parameters, *trial.parameters])
            differ = [name for name in names if repr(other.parameters.get(name)) != repr(trial.parameters.get(name))]
            values = (", ".join(f"{name}={of.parameters.get(name)}" for name in differ) for of in (other, trial))
            said.append(" and ".join(values) + " are one and the same trial")
    return said


def _another_program(sweep: Sweep) -> str | None:
    """Say so if W&B's agent, started in this folder, would run somebody else's ``train.py``; here ours is run."""
    program = Path(sweep.program or "")
    if not program.is_file() or (CHECKOUT and program.samefile(CHECKOUT / "train.py")):
        return None
    return (
        f"program: {program} is not the suite's: here the suite's is run, but wandb agent would run it; "
        f"for both, write command: {json.dumps(MODULE)}"
    )


def _different(trials: Sequence[Trial]) -> list[Trial]:
    """Return a trial for each combination of model, data and one other value."""
    seen: set[tuple[str, str, str]] = set()
    chosen: list[Trial] = []
    for trial in trials:
        new = {(kind_of(trial), key, repr(value)) for key, value in trial.parameters.items()} - seen
        if new:
            seen |= new
            chosen.append(trial)
    return chosen


def _usage_error(problems: Sequence[str]) -> int:
    for problem in problems:
        print(f"sweep.py: {problem}", file=sys.stderr)
    return 2
