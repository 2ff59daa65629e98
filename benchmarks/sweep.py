"""Seconds of a sweep's trial outside of fit, test and measuring: the local runner against a process per trial."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.timing import Row, compare
from headtohead.records import record as records

ROOT = Path(__file__).resolve().parents[1]
SWEEP = """\
program: train.py
method: grid
metric: {{name: val_acc, goal: maximize}}
parameters:
  model: {{value: SimpleCNN}}
  data: {{value: benchmarks.train.Grey}}
  data.val_size: {{value: 100}}
  trainer.max_epochs: {{value: 1}}
  trainer.limit_train_batches: {{value: {steps}}}
  seed_everything: {{values: {seeds}}}
command: ["${{env}}", "${{interpreter}}", "${{program}}", fit, "${{args}}"]
"""
TARGET = 1.0  # seconds


def runner(folder: Path, trials: int, steps: int) -> tuple[float, list[records.Record]]:
    """Run a sweep with the local runner and return its seconds and records."""
    file = folder / f"of_{trials}.yaml"
    file.write_text(SWEEP.format(steps=steps, seeds=list(range(trials))))
    seconds = _run(["sweep.py", str(file), f"--runs={folder}"], folder)
    return seconds, [records.read(path) for path in sorted(folder.glob(f"of_{trials}/*/record.json"))]


def process(folder: Path, seed: int, steps: int) -> tuple[float, records.Record]:
    """Run one trial in a process of its own, as W&B's agent does, and return its seconds and record."""
    arguments = ["--model=SimpleCNN", "--data=benchmarks.train.Grey", "--data.val_size=100", "--trainer.max_epochs=1"]
    arguments += [f"--trainer.limit_train_batches={steps}", f"--seed_everything={seed}"]
    trial = folder / f"process{seed}"
    seconds = _run(["train.py", "fit", *arguments, f"--trainer.default_root_dir={trial}"], folder)
    return seconds, records.read(trial / "record.json")


def run(tiny: bool = False) -> list[Row]:
    """Measure: the runner's cost per trial is what a longer sweep takes more than a short one."""
    trials, steps = (2, 2) if tiny else (6, 20)
    with TemporaryDirectory() as name:
        folder = Path(name)
        one, first = runner(folder, 1, steps)
        many, finished = runner(folder, trials, steps)
        ours = ((many - _inside(finished)) - (one - _inside(first))) / (trials - 1)
        alone = [process(folder, seed, steps) for seed in range(1 if tiny else 2)]
    peers = [seconds - _inside([record]) for seconds, record in alone]
    row = compare("per trial", "s", [ours] * len(peers), peers, "less", note="start, imports, parsing, W&B offline")
    return [Row(**{**vars(row), "target": f"at most {TARGET:g} s", "met": ours <= TARGET})]


def check() -> None:
    """Assert that a trial gives the same result either way."""
    with TemporaryDirectory() as name:
        _, (ours,) = runner(Path(name), 1, 2)
        _, theirs = process(Path(name), 0, 2)
    assert (ours.config, ours.config_hash) == (theirs.config, theirs.config_hash)
    assert ours.quality == theirs.quality


def _inside(finished: list[records.Record]) -> float:
    return sum(record.cost["total_seconds"] for record in finished)


def _run(arguments: list[str], folder: Path) -> float:
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path, "WANDB_MODE": "offline", "WANDB_SILENT": "true"}
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, str(ROOT / arguments[0]), *arguments[1:]],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{arguments[0]} failed:\n{done.stdout}{done.stderr}")
    return time.perf_counter() - start
