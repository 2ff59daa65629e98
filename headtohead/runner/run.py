"""A sweep that is being run: which trials wait, run or failed, a process for each, and what is shown of them."""

from __future__ import annotations

import os
import re
import statistics
import time
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import timedelta
from multiprocessing.process import BaseProcess
from pathlib import Path

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn
from rich.text import Text

from headtohead.cli.output import counted
from headtohead.records import files
from headtohead.records import record as records
from headtohead.records.metrics import in_words
from headtohead.runner import process as processes
from headtohead.runner.strategy import Strategy
from headtohead.runner.sweep_file import Trial

POLL = 0.2  # seconds between two looks at the running trials
REPORT = 60.0  # seconds between two lines on a running trial, where there is no terminal
SPARSE = 20  # or this part of the time since the start, where that is longer: the log of days stays short
BUSY_DELAY = 1.0  # seconds before a trial that another runner has is looked at again


@dataclass
class Run:
    """A sweep that is being run: which trials wait, run, failed, and what is shown of them.

    It asks its strategy for trials when it is run, and again whenever it has run all that it was given.
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
    forecasts: dict[str, float] = field(default_factory=dict)  # of running ones, which in their test say nothing more

    def __post_init__(self) -> None:
        self.console = Console()

    def run(self) -> None:
        """Run all that its strategy gives it and that is not finished."""
        if not self._ask():
            return
        done = self.planned - len(self.waiting)
        print(f"{self.name}: {counted(self.planned, 'trial')}, {done} finished, {len(self.waiting)} to run", flush=True)
        columns = BarColumn(), TextColumn("{task.fields[done]}/{task.total:.0f}"), TextColumn("{task.fields[left]}")
        bar = Progress(TextColumn("{task.description}", markup=False), *columns)
        task = bar.add_task(self.name, total=self.planned, completed=done, done=done, left="")
        begun = reported = time.monotonic()
        with Live(bar, console=self.console) if self.console.is_terminal else nullcontext() as live:
            while self.waiting or self.running or self._ask():
                while self.waiting and len(self.running) < self.jobs:
                    trial = self.waiting.pop(0)
                    if not is_finished(self.folder / trial.name):  # else another runner was faster
                        self._start(trial)
                time.sleep(POLL)
                for process in [p for p in self.running if p.exitcode is not None]:
                    self._finish(process)
                done = self.planned - len(self.waiting) - len(self.running)
                now = time.monotonic()
                if live is None and now - reported <= max(REPORT, (now - begun) / SPARSE):
                    continue
                lines = [f"  {self._label(t)}: {_last_line(self.folder / t.name)}" for t, _ in self.running.values()]
                left = self._time_left()
                if live is None:
                    reported = now
                    for line in lines:
                        print(f"{line} | {left}", flush=True)
                else:
                    share = sum(_share(_last_line(self.folder / trial.name)) for trial, _ in self.running.values())
                    bar.update(task, total=self.planned, completed=done + share, done=done, left=left)
                    live.update(Group(bar, *(Text(line, no_wrap=True, overflow="ellipsis") for line in lines)))

    def _ask(self) -> bool:
        """Take further trials from the strategy; tell whether any of them waits to be run."""
        while new := self.strategy.next_trials(self.folder):
            self.trials += new
            for trial in new:
                if is_finished(self.folder / trial.name):
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
        done = sum(is_finished(self.folder / trial.name) for trial in self.trials)
        print(
            f"{self.name}: {done} of {counted(self.planned, 'trial')} finished, {len(self.failed)} failed; "
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
        environment = {"SWEEP_NAME": self.name, "WANDB_NAME": trial.name, "TRIALS_ON_MACHINE": str(self.jobs)}
        slot = self._free_slot()
        if slot:
            environment["CUDA_VISIBLE_DEVICES"] = slot
        environment["TRIALS_AT_ONCE"] = str(self.slots.count(slot) if slot else self.jobs)
        if not self.console.is_terminal and trial.name not in self.started:
            self.started.add(trial.name)
            print(f"start {self._label(trial)}: trial {self.planned - len(self.waiting)} of {self.planned}", flush=True)
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
        elif process.exitcode == 0 and is_finished(folder):
            self._note_seconds(trial)
            result = in_words(records.read(folder / records.FILE_NAME).quality)
            self._say(f"done  {self._label(trial)}: {result}, {time.monotonic() - started:.0f} s")
        else:
            code = process.exitcode or 0
            reason = _last_line(folder) if code >= 0 else f"ended by signal {-code}"
            self.failed[trial.name] = reason
            files.write_text(folder / records.FAILED, reason + "\n")
            self._say(f"failed {self._label(trial)}: {reason}")

    def _say(self, line: str) -> None:
        """Print a line as it is, above the bar where there is one; a log's lines are not broken at 80 columns."""
        self.console.print(line, highlight=False, markup=False, soft_wrap=True)

    def _label(self, trial: Trial) -> str:
        """Return a trial's name, without the hash at its end where no other trial of the sweep is named so."""
        short = _short(trial)
        return short if sum(_short(other) == short for other in self.trials) < 2 else trial.name

    def _note_seconds(self, trial: Trial) -> None:
        total = records.read(self.folder / trial.name / records.FILE_NAME).cost.get("total_seconds")
        if isinstance(total, int | float):
            self.seconds.setdefault(kind_of(trial), []).append(total)

    def _time_left(self) -> str:
        """Estimate from finished trials of the same model and data, else from the steps of one that runs.

        Of a model of which neither is known yet, a trial is taken to last as long as those of the others do.
        """
        # once for each kind, not for each of what may be thousands of trials
        measured = {kind: statistics.fmean(times) for kind, times in self.seconds.items()}
        now = time.monotonic()
        ahead = {trial.name: _seconds_left(_last_line(self.folder / trial.name)) for trial, _ in self.running.values()}
        for trial, started in self.running.values():
            if (left := ahead[trial.name]) is not None:
                self.forecasts[kind_of(trial)] = now - started + left
        expected = {**self.forecasts, **measured}
        if not expected:
            return "time left: known after the first steps"
        usual = statistics.fmean(expected.values())
        total = sum(expected.get(kind_of(trial), usual) for trial in self.waiting)
        for trial, started in self.running.values():
            left = ahead[trial.name]
            total += max(0.0, expected.get(kind_of(trial), usual) - (now - started)) if left is None else left
        every = [*self.waiting, *(trial for trial, _ in self.running.values())]
        about = "" if all(kind_of(trial) in expected for trial in every) else "about "
        return f"{about}{timedelta(seconds=round(total / self.jobs))} left"


def _short(trial: Trial) -> str:
    """Return a trial's name without the hash at its end."""
    return trial.name.rpartition("-")[0] or trial.name


def kind_of(trial: Trial) -> str:
    """Return what trials have in common that take equally long."""
    return " ".join(str(trial.parameters.get(key)) for key in ("config", "model", "data"))


def is_finished(folder: Path) -> bool:
    """Tell whether a trial has a record that can be read."""
    try:
        records.read(folder / records.FILE_NAME)
    except records.RecordError:
        return False
    return True


def _last_line(folder: Path) -> str:
    """Return the last line of a trial's log that is not empty."""
    try:
        with (folder / processes.LOG).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 4096))
            lines = file.read().decode(errors="replace").replace("\r", "\n").split("\n")
    except OSError:
        return "starting"
    return next((line.strip() for line in reversed(lines) if line.strip()), "starting")


def _share(line: str) -> float:
    """Return which share of a trial's steps is done, by its progress line: it moves the bar of the sweep."""
    found = re.match(r"epoch (\d+)/(\d+) · step (\d+)/(\d+)", line)
    if found is None:
        return 1.0 if line.startswith("testing") else 0.0
    epoch, epochs, step, steps = map(int, found.groups())
    return ((epoch - 1) * steps + step) / max(epochs * steps, 1)


def _seconds_left(line: str) -> float | None:
    """Return the seconds that a trial's progress line says are left, or None where it does not say."""
    found = re.search(r"(?:(\d+) days?, )?(\d+):(\d\d):(\d\d) left$", line)
    if found is None:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds).total_seconds()
