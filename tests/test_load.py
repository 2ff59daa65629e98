"""A thousand trials and ten thousand records: neither memory nor time per trial may grow with their number.

The thousand trials are run by ``SUITE_LOAD_TRIALS=1000 python -m pytest -m nightly -s tests/test_load.py``; without
that variable a few stand for them.
"""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from headtohead.records import record as records
from tests.conftest import ROOT
from tests.tiny import a_sweep

TRIALS = int(os.environ.get("SUITE_LOAD_TRIALS", "16"))

pytestmark = [
    pytest.mark.nightly,
    pytest.mark.timeout(600 + 30 * TRIALS),
    pytest.mark.skipif(
        not Path("/proc/self/fd").is_dir(), reason="reads memory and descriptors in /proc, which Linux has"
    ),
]

SWEEP = a_sweep(
    model="{value: SimpleCNN}", data__batch_size="{value: 500}", trainer__limit_test_batches="{value: 1}",
    seed_everything="{min: 1, max: TRIALS}",
)  # fmt: skip


class Sample(NamedTuple):
    """What the runner has taken by the end of a trial: the time, its own and its server's memory and descriptors."""

    time: float
    cpu_seconds: float
    megabytes: float
    descriptors: int


def sample(runner: int) -> Sample:
    pids = [runner, *map(int, Path(f"/proc/{runner}/task/{runner}/children").read_text().split())]
    status = "".join(Path(f"/proc/{pid}/status").read_text() for pid in pids)
    ticks = Path(f"/proc/{runner}/stat").read_text().rpartition(")")[2].split()[11:13]
    return Sample(
        time.monotonic(),
        sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK"),
        sum(map(int, re.findall(r"VmRSS:\s+(\d+) kB", status))) / 1024,
        sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in pids),
    )


def test_a_sweep_of_many_trials_takes_no_more_for_the_last_than_for_the_first(workplace, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "disabled")  # the runner is measured here
    Path("many.yaml").write_text(SWEEP.replace("TRIALS", str(TRIALS)))
    command = [sys.executable, ROOT / "sweep.py", "many.yaml"]
    start, samples, printed = time.monotonic(), [], []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        for line in process.stdout:
            printed.append(line)
            if line.startswith("done "):
                samples.append(sample(process.pid))
                if len(samples) % 50 == 0:
                    print(f"{len(samples)} trials, {samples[-1].time - start:.0f} s: {samples[-1]}", flush=True)
    assert process.returncode == 0, printed[-5:]
    assert f"{TRIALS} of {TRIALS} trials finished, 0 failed" in printed[-1]
    assert len(list(workplace.glob("runs/many/*/record.json"))) == len(samples) == TRIALS
    half, last = samples[TRIALS // 2 - 1], samples[-1]
    first = samples[0]
    spans = [(half.time - first.time) / (TRIALS // 2 - 1), (last.time - half.time) / (TRIALS - TRIALS // 2)]
    own = [half.cpu_seconds - first.cpu_seconds, last.cpu_seconds - half.cpu_seconds]
    print(
        f"{TRIALS} trials in {last.time - start:.0f} s, the first of them after {first.time - start:.0f} s; "
        f"seconds per trial {spans[0]:.2f} in the first half, {spans[1]:.2f} in the second; "
        f"the runner's own CPU seconds {own[0]:.2f} and {own[1]:.2f}; "
        f"memory of runner and server {first.megabytes:.0f}, {half.megabytes:.0f}, {last.megabytes:.0f} MB; "
        f"descriptors {first.descriptors}, {half.descriptors}, {last.descriptors}"
    )
    # the next trial has started or not when the line of the last is read
    assert last.descriptors <= max(sample.descriptors for sample in samples[: TRIALS // 2])
    assert last.megabytes < half.megabytes + 5
    assert own[1] < 1.25 * own[0] + 0.5


def copies(folder: Path, configs: int, seeds: int) -> None:
    """Write records that differ from real ones in a learning rate, the seed and a little in accuracy."""
    kept = sorted((ROOT / "results" / "plain_vs_equivariant" / "records").glob("*.json"))
    real = [json.loads(path.read_text()) for path in (kept[0], kept[-1])]
    for config in range(configs):
        record = real[config % 2]
        record["config"]["task.lr"] = 1e-4 * (1 + config)
        record["config_hash"] = records.config_hash(record["config"])
        accuracy = record["quality"]["test_acc"]
        for seed in range(seeds):
            record["seed"] = seed
            quality = {**record["quality"], "test_acc": accuracy - 1e-5 * config - 1e-5 * (seed * 7919 % 97)}
            trial = folder / f"{record['model']}-{config}-{seed}"
            trial.mkdir(parents=True)
            (trial / records.FILE_NAME).write_text(json.dumps({**record, "quality": quality}, indent=1))


def measured(command: list[str], printed: Path) -> tuple[float, float]:
    """Run a command that must succeed; return its seconds on the CPU and the megabytes it had at most."""
    with printed.open("w") as out:
        process = subprocess.Popen(command, stdout=out)
    # ru_maxrss would be no less than the memory of this process, from which that one was forked; VmHWM is its own
    megabytes, ended = 0.0, 0
    while not ended:
        peak = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process.pid}/status").read_text())
        megabytes = int(peak[1]) / 1024 if peak else megabytes
        time.sleep(0.02)
        ended, status, used = os.wait4(process.pid, os.WNOHANG)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return used.ru_utime + used.ru_stime, megabytes


@pytest.mark.parametrize(("configs", "seeds"), [(10, 1_000), (10_000, 1)])
def test_results_of_ten_thousand_records(workplace, configs, seeds):
    copies(workplace / "runs" / "many", configs, seeds)
    out = workplace / "results" / "many"
    cpu, megabytes = measured([sys.executable, ROOT / "report.py", "runs/many"], workplace / "printed.txt")
    print(f"{configs} x {seeds} records: {cpu:.1f} s on the CPU, {megabytes:.0f} MB")
    assert cpu < 20  # not the clock's: other processes of the machine are in that
    assert megabytes < 1_000
    assert len(list((out / "records").glob("*.json"))) == 10_000
    assert (out / "runs.csv").read_text().count("\n") == 10_001
    assert (out / "report.html").stat().st_size < 10e6
    assert "which has all 10000" in (out / "report.html").read_text()
    few = "The best 120 of 10,000 rows are shown; runs.csv has every trial."
    assert (few in " ".join((workplace / "printed.txt").read_text().split())) == (configs > 120)
