"""``python -m benchmarks.gpu_check``: every stage, or those that are named, within a number of seconds."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch

from benchmarks.gpu_check import findings, involutions, right, speed, trials, waits
from benchmarks.gpu_check.findings import Findings
from benchmarks.timing import quiet
from headtohead.cli.arguments import OneLineParser, positive
from headtohead.cli.output import lasting_output
from headtohead.records.files import write_text
from headtohead.trial.hardware import cores

KEPT = 5.0  # seconds of the limit that are kept for the report
LONGER = 4  # times as long: a CPU, which may be busy, only tries the check


@dataclass(frozen=True)
class Stage:
    """A function that checks, the seconds it may take, and whether it takes times and so must run alone."""

    run: Callable[[Findings], None]
    seconds: float
    alone: bool = False


STAGES = {
    "environment": Stage(speed.environment, 40),
    "imports": Stage(trials.imports, 100),
    "involution": Stage(right.involution, 100),
    "operators": Stage(right.operators, 90),
    "networks": Stage(right.networks, 120),
    "repeats": Stage(right.repeats, 120),
    "waits": Stage(waits.waits, 110),
    "fits": Stage(trials.fits, 130),
    "sweep": Stage(trials.sweep, 120),
    "compiled-fits": Stage(trials.compiled, 150),
    "ceilings": Stage(speed.ceilings, 20, alone=True),
    "involution-speed": Stage(involutions.involution, 35, alone=True),
    "involution-blocks": Stage(involutions.involution_blocks, 30, alone=True),
    "whole-steps": Stage(speed.whole_steps, 55, alone=True),
    "speed": Stage(speed.training, 80, alone=True),
    "real": Stage(trials.real, 80, alone=True),
    "compiled-speed": Stage(speed.compiled, 75, alone=True),
    "augmentations": Stage(speed.augmentations, 15, alone=True),
}


def whole(at_once: int) -> float:
    """Return the seconds that all stages take where each takes all that it may, and so many run side by side."""
    ends = [0.0] * at_once
    for name in _longest_first(STAGES):
        ends[ends.index(min(ends))] += STAGES[name].seconds  # the first that is free takes it
    return max(ends) + sum(stage.seconds for stage in STAGES.values() if stage.alone) + KEPT


def _longest_first(names: Iterable[str]) -> list[str]:
    """Return those that run side by side; the long ones are not to begin last."""
    return sorted((name for name in names if not STAGES[name].alone), key=lambda name: -STAGES[name].seconds)


@lasting_output()
def main(args: Sequence[str] | None = None) -> int:
    """Run stages and write the report.

    Args:
        args: command line, ``sys.argv[1:]`` by default.

    Returns:
        The exit code: 0 when all that was checked is right, 1 when something is not or a stage failed, 2 when an
        argument is wrong.
    """
    begun = time.monotonic()
    parser = OneLineParser("python -m benchmarks.gpu_check", description=__doc__, allow_abbrev=False)
    parser.add_argument("stages", nargs="*", metavar="STAGE", help=f"all by default: {', '.join(STAGES)}")
    parser.add_argument("--device", default="cuda", help="cuda, or cpu to try the check itself (default: cuda)")
    parser.add_argument("--tiny", action="store_true", help="sizes that prove nothing but that the check works")
    parser.add_argument("--limit", type=positive, help="seconds that all may take (default: what their own come to)")
    parser.add_argument("--out", type=Path, default=Path("runs/gpu-check"), help="folder (default: runs/gpu-check)")
    options = parser.parse_args(args)
    for name in options.stages:
        if name not in STAGES:
            return _refuse(f"STAGE: must be one of {', '.join(STAGES)}: got {name}")
    if options.device not in ("cuda", "cpu"):
        return _refuse(f"--device: must be cuda or cpu: got {options.device}")
    if options.device == "cuda" and not torch.backends.cuda.is_built():  # type: ignore[no-untyped-call]  # PyTorch gives it no types
        return _refuse("--device: this PyTorch is built without CUDA; --device=cpu tries the check itself")
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    for old in ("findings.jsonl", "log.txt"):
        (out / old).unlink(missing_ok=True)
    names = [name for name in STAGES if name in (options.stages or STAGES)]
    at_once = max(1, cores() // 2) if options.device == "cuda" else 1
    limit = options.limit or whole(at_once) * (1 if options.device == "cuda" else LONGER)
    check = Check(out, torch.device(options.device), options.tiny, begun + limit - KEPT)
    check.run(_longest_first(names), at_once)
    check.run([name for name in names if STAGES[name].alone], at_once=1)
    return check.report()


@dataclass
class Check:
    """Runs stages in processes of their own, and reports after each.

    Args:
        out: folder.
        device: that is checked.
        tiny: whether sizes prove nothing.
        end: of all, by ``time.monotonic()``.
    """

    out: Path
    device: torch.device
    tiny: bool
    end: float

    @property
    def path(self) -> Path:
        """The file of findings."""
        return self.out / "findings.jsonl"

    def run(self, names: Sequence[str], at_once: int) -> None:
        """Run stages, so many at once."""
        waiting, running = list(names), dict[str, tuple[BaseProcess, float]]()
        while waiting or running:
            while waiting and len(running) < at_once:
                name = waiting.pop(0)
                longer = 1 if self.device.type == "cuda" else LONGER
                seconds = min(longer * STAGES[name].seconds, self.end - time.monotonic())
                if seconds < 5:
                    self._findings(name, 0).note("Left out: no time was left.")
                    continue
                process: BaseProcess = multiprocessing.get_context("fork").Process(
                    target=_stage, args=(name, self._findings(name, seconds), max(1, cores() // at_once))
                )
                process.start()
                running[name] = process, time.monotonic() + seconds
            time.sleep(0.1)
            for name, (process, end) in list(running.items()):
                late = time.monotonic() > end + 2
                if late and process.pid:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.join()
                    self._findings(name, 0).right("ended in time", False, f"ended after {STAGES[name].seconds:.0f} s")
                if late or process.exitcode is not None:
                    running.pop(name)
                    print(f"== {name} done", flush=True)
                    self.report(quietly=True)

    def _findings(self, name: str, seconds: float) -> Findings:
        return Findings(name, self.path, self.device, self.tiny, seconds)

    def report(self, quietly: bool = False) -> int:
        """Write the report; return the exit code."""
        found = findings.read(self.path)
        found.sort(key=lambda finding: list(STAGES).index(finding["stage"]))
        card = next((f["note"].split(",")[0] for f in found if f["stage"] == "environment" and "note" in f), "")
        title = f"What the suite does on {card if self.device.type == 'cuda' else 'a CPU, to try the check itself'}"
        path = write_text(self.out / "report.md", findings.markdown(title, found))
        wrong = [f for f in found if f.get("right") is False]
        if not quietly:
            for finding in wrong:
                print(f"wrong: {finding['stage']}: {finding['check']}: {finding['said'][:300]}")
            print(f"{len(wrong)} wrong of {sum('check' in f for f in found)} checks; {path}", flush=True)
        return 1 if wrong else 0


def _stage(name: str, found: Findings, threads: int) -> None:
    """Run one stage in this process, which was forked for it."""
    os.setpgid(0, 0)  # a group of its own: it is ended with what it starts
    log = os.open(found.path.with_name("log.txt"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (1, 2):
        os.dup2(log, stream)
    print(f"== {name}", flush=True)
    quiet()
    torch.set_num_threads(threads)
    torch.manual_seed(time.time_ns() % 2**32)  # fresh numbers for each check
    try:
        STAGES[name].run(found)
    except Exception as error:
        traceback.print_exc()
        found.right("ended well", False, f"{type(error).__name__}: {error}"[:500])


def _refuse(message: str) -> int:
    print(f"python -m benchmarks.gpu_check: {message}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
