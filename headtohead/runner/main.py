"""Runs a W&B sweep file on this machine, without an account: ``python sweep.py sweeps/quick.yaml``.

It runs the same trials as ``wandb sweep`` and ``wandb agent`` would. Finished trials are skipped, interrupted ones
resume, a failed one does not stop the others; start it again and it goes on where it stopped. Several machines divide
a sweep over a directory that they share: ``--shard 1/8`` on the first of eight.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import timedelta
from multiprocessing.process import BaseProcess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.text import Text

from headtohead.cli.arguments import OneLineParser, is_address
from headtohead.cli.checkout import CHECKOUT
from headtohead.cli.errors import UsageError
from headtohead.cli.output import lasting_output
from headtohead.cli.slurm import forget_the_rank
from headtohead.records import files
from headtohead.records import record as records
from headtohead.records.metrics import in_words
from headtohead.runner import process as processes
from headtohead.runner.matched import matched_file
from headtohead.runner.strategy import AsListed, Strategy
from headtohead.runner.sweep_file import MODULE, SEED, Sweep, SweepError, Trial, read_sweep
from headtohead.trial.hardware import cores, gpus

if TYPE_CHECKING:
    from headtohead.runner.until_decided import UntilDecided

POLL = 0.2  # seconds between two looks at the running trials
REPORT = 60.0  # seconds between two lines on a running trial, where there is no terminal
MOST = 29  # seeds of a model, with --until-decided
BUSY_DELAY = 1.0  # seconds before a trial that another runner has is looked at again


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
    shard = _shard(options.shard)
    if shard is None:
        return _usage_error([f"--shard: must be one of 1/N to N/N, such as 1/8: got {options.shard}"])
    if options.per_gpu < 1:
        return _usage_error([f"--per-gpu: must be 1 or more: got {options.per_gpu}"])
    more = options.until_decided or options.next is not None
    for name, value, goes in (
        ("--like", options.like, options.match),
        ("--most", options.most, more),
        ("--margin", options.margin, more),
    ):
        if value is not None and not goes:
            return _usage_error([f"{name}: goes with {'--match' if name == '--like' else '--until-decided or --next'}"])
    try:
        sweep = read_sweep(options.file)
        if options.match:
            print(matched_file(options.file, options.match, options.like or "SimpleCNN"), end="")
            return 0
        slots = _slots(sweep, options.per_gpu)
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
        todo = [trial for trial in trials if not _is_finished(folder / trial.name)]
        strategy = _until_decided(sweep, options, jobs) if options.until_decided else None
        if options.dry_run or todo or strategy or options.next is not None:
            processes.start_server()
            _check(sweep, options.file, jobs)
            if not options.dry_run and options.next is None:
                folder.mkdir(parents=True, exist_ok=True)
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
        print(f"{sweep.name}: shard {options.shard} has {len(trials)} of {len(sweep.trials)} trials")
    if sweep.early_terminate:
        print(f"{options.file}: early_terminate is for W&B's server; here every trial runs to its end")
    try:
        run = Run(sweep.name, strategy or AsListed(trials), folder, jobs, slots[:jobs])
    except UsageError as error:
        return _usage_error([str(error)])
    if todo or strategy:
        for number in (signal.SIGINT, signal.SIGTERM):  # SIGINT too: shells start background jobs without it
            signal.signal(number, _interrupt)
        try:
            run.run()
        except KeyboardInterrupt:
            run.stop()
            print(f"\ninterrupted; the same command goes on with the {len(run.waiting) + len(run.running)} trials left")
            return 130
        except UsageError as error:
            run.stop()
            return _usage_error([str(error)])
        except OSError as error:  # the disk is full, or the folder has vanished: every other trial would fail too
            run.stop()
            print(f"sweep.py: {error.filename or folder}: {error.strerror}; the same command goes on", file=sys.stderr)
            return 1
    return run.summary()


@dataclass
class Run:
    """A sweep that is being run: which trials wait, run, failed, and what is shown of them.

    It asks its strategy for trials, at the start and whenever it has run all that it was given.
    """

    name: str
    strategy: Strategy
    folder: Path
    jobs: int
    slots: list[str] = field(default_factory=list)  # a GPU for each of the jobs; none where trials run on the CPU
    trials: list[Trial] = field(default_factory=list)  # all that it was given so far
    waiting: list[Trial] = field(default_factory=list)
    running: dict[BaseProcess, tuple[Trial, float]] = field(default_factory=dict)
    taken: dict[BaseProcess, str] = field(default_factory=dict)  # the slots of those that run
    failed: dict[str, str] = field(default_factory=dict)
    started: set[str] = field(default_factory=set)
    seconds: dict[str, list[float]] = field(default_factory=dict)  # of finished trials, by model and data

    def __post_init__(self) -> None:
        self.console = Console()
        self._ask()

    def run(self) -> None:
        """Run all that wait."""
        done = self.planned - len(self.waiting)
        print(f"{self.name}: {self.planned} trials, {done} finished, {len(self.waiting)} to run", flush=True)
        columns = BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[left]}")
        bar = Progress(TextColumn("{task.description}", markup=False), *columns)
        task = bar.add_task(self.name, total=self.planned, completed=done, left="")
        reported = time.monotonic()
        with Live(bar, console=self.console) if self.console.is_terminal else nullcontext() as live:
            while self.waiting or self.running or self._ask():
                while self.waiting and len(self.running) < self.jobs:
                    trial = self.waiting.pop(0)
                    if not _is_finished(self.folder / trial.name):  # else another runner was faster
                        self._start(trial)
                time.sleep(POLL)
                for process in [p for p in self.running if p.exitcode is not None]:
                    self._finish(process)
                done = self.planned - len(self.waiting) - len(self.running)
                if live is None and time.monotonic() - reported <= REPORT:
                    continue
                lines = [f"  {_label(t)}: {_last_line(self.folder / t.name)}" for t, _ in self.running.values()]
                left = self._time_left()
                if live is None:
                    reported = time.monotonic()
                    for line in lines:
                        print(f"{line} | {left}", flush=True)
                else:
                    bar.update(task, total=self.planned, completed=done, left=left)
                    live.update(Group(bar, *(Text(line, no_wrap=True, overflow="ellipsis") for line in lines)))

    def _ask(self) -> bool:
        """Take further trials from the strategy; tell whether any of them waits to be run."""
        while new := self.strategy.next_trials(self.folder):
            self.trials += new
            for trial in new:
                if _is_finished(self.folder / trial.name):
                    self._note_seconds(trial)
                else:
                    self.waiting.append(trial)
            if self.waiting:
                return True
        return False

    @property
    def planned(self) -> int:
        """How many trials it was given so far."""
        return len(self.trials)

    def stop(self) -> None:
        """End the running trials; their checkpoints stay."""
        for process in self.running:
            processes.stop(process)

    def summary(self) -> int:
        """Print how the sweep stands and return the exit code."""
        done = sum(_is_finished(self.folder / trial.name) for trial in self.trials)
        print(
            f"{self.name}: {done} of {self.planned} trials finished, {len(self.failed)} failed; "
            f"records in {self.folder}"
        )
        for name, reason in self.failed.items():
            print(f"  failed: {name}: {reason}\n          {self.folder / name / processes.LOG}")
        return 1 if self.failed else 0

    def _start(self, trial: Trial) -> None:
        folder = self.folder / trial.name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / records.FAILED).unlink(missing_ok=True)
        args = [*trial.args, f"--trainer.default_root_dir={folder}", "--ckpt_path=last"]
        environment = {"WANDB_RUN_GROUP": self.name, "WANDB_NAME": trial.name, "TRIALS_ON_MACHINE": str(self.jobs)}
        slot = self._free_slot()
        if slot:
            environment["CUDA_VISIBLE_DEVICES"] = slot
        environment["TRIALS_AT_ONCE"] = str(self.slots.count(slot) if slot else self.jobs)
        if not self.console.is_terminal and trial.name not in self.started:
            self.started.add(trial.name)
            print(f"start {_label(trial)}: trial {self.planned - len(self.waiting)} of {self.planned}", flush=True)
        process = processes.start(args, folder, environment)
        self.running[process] = (trial, time.monotonic())
        if slot:
            self.taken[process] = slot

    def _free_slot(self) -> str:
        """Return the GPU that fewest of the running trials have, of those with room; nothing where there is none."""
        busy = list(self.taken.values())
        free = [slot for slot in self.slots if busy.count(slot) < self.slots.count(slot)]
        return min(free, key=busy.count, default="")

    def _finish(self, process: BaseProcess) -> None:
        trial, started = self.running.pop(process)
        self.taken.pop(process, None)
        folder = self.folder / trial.name
        process.join()
        if process.exitcode == processes.BUSY:
            self.waiting.append(trial)  # another runner has it; should that one die, this one takes over
            time.sleep(BUSY_DELAY)
        elif process.exitcode == 0 and _is_finished(folder):
            self._note_seconds(trial)
            self.console.print(
                f"done  {_label(trial)}: {_result(folder)}, {time.monotonic() - started:.0f} s", highlight=False
            )
        else:
            code = process.exitcode or 0
            reason = _last_line(folder) if code >= 0 else f"ended by signal {-code}"
            self.failed[trial.name] = reason
            files.write_text(folder / records.FAILED, reason + "\n")
            self.console.print(f"failed {_label(trial)}: {reason}", highlight=False, markup=False)

    def _note_seconds(self, trial: Trial) -> None:
        total = records.read(self.folder / trial.name / records.FILE_NAME).cost.get("total_seconds")
        if isinstance(total, int | float):
            self.seconds.setdefault(_kind(trial), []).append(total)

    def _time_left(self) -> str:
        """Estimate from finished trials of the same model and data, else from the steps of one that runs.

        Of a model of which neither is known yet, a trial is taken to last as long as those of the others do.
        """
        # once for each kind, not for each of what may be thousands of trials
        expected = {kind: statistics.fmean(times) for kind, times in self.seconds.items()}
        now = time.monotonic()
        ahead = {trial.name: _seconds_left(_last_line(self.folder / trial.name)) for trial, _ in self.running.values()}
        for trial, started in self.running.values():
            if (left := ahead[trial.name]) is not None:
                expected.setdefault(_kind(trial), now - started + left)
        if not expected:
            return "time left: known after the first steps"
        usual = statistics.fmean(expected.values())
        total = sum(expected.get(_kind(trial), usual) for trial in self.waiting)
        for trial, started in self.running.values():
            left = ahead[trial.name]
            total += max(0.0, expected.get(_kind(trial), usual) - (now - started)) if left is None else left
        every = [*self.waiting, *(trial for trial, _ in self.running.values())]
        about = "" if all(_kind(trial) in expected for trial in every) else "about "
        return f"{about}{timedelta(seconds=round(total / self.jobs))} left"


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
    parser.add_argument("--per-gpu", type=int, default=1, help="trials that share a GPU (default: 1)")
    parser.add_argument(
        "--shard",
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
        type=float,
        help="with --until-decided: the difference that counts as none, in the units of the table (default: what the "
        "claim file says, else 0.2 points of accuracy on MNIST, 0.5 elsewhere)",
    )
    parser.add_argument(
        "--match",
        choices=["params", "macs"],
        help="print the file with every model at the width at which it is as large as that of --like, and stop",
    )
    parser.add_argument("--like", help="with --match: the model to equal (default: SimpleCNN)")
    parser.add_argument("--dry-run", action="store_true", help="check the file, list its trials and stop")
    return parser


def _until_decided(
    sweep: Sweep, options: argparse.Namespace, jobs: int = 1, say: Callable[[str], None] = print
) -> UntilDecided:
    """Return the strategy that runs further seeds where they are needed."""
    from headtohead.runner.until_decided import UntilDecided  # only here: it imports all that makes a table

    if sweep.method != "grid":
        raise UsageError(f"--until-decided: needs a sweep file with method: grid: got {sweep.method}")
    if options.margin is not None and not 0 < options.margin < math.inf:
        raise UsageError(f"--margin: must be a number above 0, such as 0.2: got {options.margin:g}")
    shard = _shard(options.shard) or (1, 1)
    share = None if shard == (1, 1) else lambda trials: _part(trials, *shard)
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
    trials = [trial.parameters for trial in (*sweep.trials, *sweep.corners)]
    if any(str(trial.get("trainer.devices", 1)) != "1" for trial in trials):
        return []
    if trials and all(trial.get("trainer.accelerator") in ("cpu", "mps") for trial in trials):
        return []
    return gpus() * per_gpu


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _shard(text: str) -> tuple[int, int] | None:
    """Return I and N of ``I/N``, or None if these are no part and number of parts."""
    index, slash, count = text.partition("/")
    if not (slash and index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count)):
        return None
    return int(index), int(count)


def _part(trials: Sequence[Trial], index: int, count: int) -> list[Trial]:
    """Return a shard: of trials that take equally long, every shard gets its share.

    Which are finished makes no difference, so that all machines agree on the division whenever they start.
    """
    dealt = {trial.name for trial in sorted(trials, key=_kind)[index - 1 :: count]}
    return [trial for trial in trials if trial.name in dealt]


def _check(sweep: Sweep, file: Path, jobs: int) -> None:
    """Let train.py's own parser judge the trials: first the ends of random ranges, which speak for what lies between.

    Raises:
        SweepError: with a line for each argument that it refuses.
    """
    print(f"{file}: checking {len(sweep.trials) or len(sweep.corners)} trials", flush=True)
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
        new = {(_kind(trial), key, repr(value)) for key, value in trial.parameters.items()} - seen
        if new:
            seen |= new
            chosen.append(trial)
    return chosen


def _label(trial: Trial) -> str:
    """Return a trial's name without the hash at its end."""
    return trial.name.rpartition("-")[0] or trial.name


def _kind(trial: Trial) -> str:
    """Return what trials have in common that take equally long."""
    return " ".join(str(trial.parameters.get(key)) for key in ("config", "model", "data"))


def _is_finished(folder: Path) -> bool:
    try:
        records.read(folder / records.FILE_NAME)
    except records.RecordError:
        return False
    return True


def _result(folder: Path) -> str:
    return in_words(records.read(folder / records.FILE_NAME).quality)


def _last_line(folder: Path) -> str:
    """Return the last line of a trial's log that is not empty."""
    try:
        with (folder / processes.LOG).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 4096))
            lines = file.read().decode(errors="replace").replace("\r", "\n").split("\n")
    except OSError:
        return "starting"
    return next((line.strip() for line in reversed(lines) if line.strip()), "starting")


def _seconds_left(line: str) -> float | None:
    """Return the seconds that a trial's progress line says are left, or None where it does not say."""
    found = re.search(r"(?:(\d+) days?, )?(\d+):(\d\d):(\d\d) left$", line)
    if found is None:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds).total_seconds()


def _usage_error(problems: Sequence[str]) -> int:
    for problem in problems:
        print(f"sweep.py: {problem}", file=sys.stderr)
    return 2
