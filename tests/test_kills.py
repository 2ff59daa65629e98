"""A sweep and its tables are killed at random moments, and end as if nothing had happened.

``SUITE_KILLS=25 python -m pytest -m nightly -s tests/test_kills.py`` is a shorter look than the hundred kills of
``make test-nightly``.
"""

import csv
import io
import itertools
import os
import random
import re
import signal
import subprocess
import sys
import time
import zipfile
from collections import Counter
from pathlib import Path

import pytest
import torch
from PIL import Image

from headtohead.records import record as records
from headtohead.records.contention import RULE
from headtohead.records.metrics import times
from headtohead.runner.process import LOG
from tests.conftest import ROOT
from tests.test_sweep import GRID, contents

KILLS = int(os.environ.get("SUITE_KILLS", "100"))
IN_A_SWEEP, OF_ITS_TABLES = 20, 6  # kills at most; then all is compared, and another sweep begins
TRIALS = 4
TIMES = times()
SWEEP = [sys.executable, str(ROOT / "sweep.py"), "tiny.yaml"]
RESULTS = [sys.executable, str(ROOT / "report.py"), "runs/tiny"]

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/task").is_dir(), reason="finds the processes of a trial in /proc, which Linux has"
)


def children(pid: int) -> list[int]:
    try:
        return [int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in _children_of(task)]
    except OSError:
        return []


def _children_of(task: Path) -> list[str]:
    return (task / "children").read_text().split()


def descendants(pid: int) -> list[int]:
    found = children(pid)
    return [*found, *(other for child in found for other in descendants(child))]


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


class Victim:
    """A place in which a sweep is run, killed and started again, with what must hold at every moment."""

    def __init__(self, folder: Path, mode: str) -> None:
        self.folder = folder
        folder.mkdir()
        grid = GRID.replace("EPOCHS", "3").replace("tests.tiny.Tiny", "tests.slow.Fetched")
        (folder / "tiny.yaml").write_text(grid)
        self.environment = {**os.environ, "WANDB_MODE": mode}
        self.finished: dict[Path, bytes] = {}

    def start(self, command: list[str]) -> subprocess.Popen[bytes]:
        with (self.folder / "out.txt").open("ab") as out:
            return subprocess.Popen(
                command, cwd=self.folder, env=self.environment, stdout=out, stderr=out, start_new_session=True
            )

    def wait(self, process: subprocess.Popen[bytes], seconds: float, until=lambda: False) -> None:
        """Wait until the time is over or the process, and look at the records all the while."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and process.poll() is None and not until():
            self.look()
            time.sleep(0.01)

    def look(self) -> None:
        """No record is half-written, changed or lost."""
        for path in self.folder.glob(f"runs/tiny/*/{records.FILE_NAME}"):
            records.read(path)
            assert self.finished.setdefault(path, path.read_bytes()) == path.read_bytes()
        assert all(path.exists() for path in self.finished)

    def check(self) -> None:
        """Every file that is there is whole."""
        self.look()
        for path in self.folder.glob("runs/tiny/*/checkpoints/*.ckpt"):
            assert torch.load(path, weights_only=True)["state_dict"]
        for path in self.folder.glob("data/*.npz"):
            assert zipfile.ZipFile(path).testzip() is None
        tables = self.folder / "results" / "tiny"
        for path in tables.glob("records/*.json"):
            records.read(path)
        for path in tables.glob("*.png"):
            Image.open(path).load()
        for name, end in (("report.html", "</html>\n"), ("runs.csv", "\n"), ("table.md", "\n"), ("table.tex", "\n")):
            assert not (tables / name).exists() or (tables / name).read_text().endswith(end)

    def trials(self, runner: int) -> list[int]:
        """The trials that run: those children of the runner's server that have a group of their own."""
        found = [child for server in children(runner) for child in children(server)]
        return [pid for pid in found if is_alive(pid) and _group(pid) == pid]

    def phase(self, runner: int, since: float) -> str:
        """What the sweep is doing."""
        if not self.trials(runner):
            return "between trials" if any(p.stat().st_mtime > since for p in self._logs()) else "start"
        if not (self.folder / "data" / "mnist.npz").exists():
            return "data"
        log = max(self._logs(), key=lambda path: path.stat().st_mtime, default=None)
        if log is None or log.stat().st_mtime < since:
            return "start of a trial"
        new = [path.name for path in log.parent.rglob(".*") if path.is_file() and path.stat().st_mtime > since]
        if any(name.endswith(".ckpt.tmp") for name in new):
            return "checkpoint"
        if any(name.startswith(f".{records.FILE_NAME}.") for name in new):
            return "record"
        if (log.parent / records.FILE_NAME).exists():
            return "end of a trial"
        last = log.read_text().rsplit("epoch", 1)[-1]
        return "test" if "testing" in last else "training"

    def _logs(self) -> list[Path]:
        return list(self.folder.glob(f"runs/tiny/*/{LOG}"))

    def tables(self) -> tuple[list[dict[str, str]], str]:
        """Return ``runs.csv`` and ``table.md`` without times, and without who else used the processor meanwhile."""
        folder = self.folder / "results" / "tiny"
        rows = list(csv.DictReader(io.StringIO((folder / "runs.csv").read_text())))
        kept = [{name: value for name, value in row.items() if name not in (*TIMES, "contended")} for row in rows]
        text = (folder / "table.md").read_text()
        text = re.sub(r"[\d.e+]+ × the time of training", "some of the time", text)
        text = re.sub(rf"(?m)^({re.escape(RULE)}|Contention|Times).*\n|Hardware: [^.]*\.", "", text)
        quality, costs = text.split("what it costs\n")
        table, rest = costs.lstrip().split("\n\n", 1)
        assert len(table.splitlines()) == 4
        sizes = [
            [cell.strip() for cell in line.split("|")[1:5]] for line in table.splitlines()[:1] + table.splitlines()[2:]
        ]
        return kept, f"{quality}{sizes}{rest}"


def _group(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return 0


def run_through(place: Victim) -> dict[str, float]:
    """Run a sweep and its tables without a kill; return when the first trial began, and what each part took."""
    start = time.monotonic()
    runner = place.start(SWEEP)
    place.wait(runner, 300, until=lambda: bool(place._logs()))
    began = time.monotonic()
    place.wait(runner, 300)
    ended = time.monotonic()
    assert runner.wait() == 0, (place.folder / "out.txt").read_text()
    tables = place.start(RESULTS)
    place.wait(tables, 300)
    assert tables.wait() == 0, (place.folder / "out.txt").read_text()
    return {"start": began - start, "trial": (ended - began) / TRIALS, "tables": time.monotonic() - ended}


@pytest.mark.nightly
@pytest.mark.timeout(3600)
def test_kills_lose_nothing(workplace):
    undisturbed = Victim(workplace / "undisturbed", "disabled")
    seconds = run_through(undisturbed)
    expected, tables = contents(undisturbed.folder), undisturbed.tables()
    assert len(expected) == TRIALS
    chance, begin = random.Random(0), time.monotonic()
    signals = itertools.cycle([signal.SIGKILL, signal.SIGTERM])
    hit: Counter[str] = Counter()
    starts = sweeps = 0
    while hit.total() < KILLS:
        # with W&B's own processes every third time: they take as long as all the rest
        place = Victim(workplace / f"sweep{sweeps}", "disabled" if sweeps % 3 else "offline")
        left = IN_A_SWEEP
        while True:
            starts += 1
            left, code = kill_a_sweep(place, min(left, KILLS - hit.total()), chance, signals, seconds, hit)
            place.check()
            if code == 0:
                break
        for _ in range(OF_ITS_TABLES):
            if hit.total() < KILLS:
                starts += 1
                process, number = place.start(RESULTS), next(signals)
                place.wait(process, chance.uniform(0, seconds["tables"]))
                sent = time.time()
                process.send_signal(number)
                code = process.wait(60)
                assert code in (0, -number)
                if code:
                    hit[f"{number.name} of the tables"] += 1
                else:  # it had ended, or no longer took signals because it was about to: all had been written
                    assert all(path.stat().st_mtime <= sent for path in place.folder.glob("results/**/*"))
                place.check()
        run_through(place)
        place.check()
        assert contents(place.folder) == expected
        assert place.tables() == tables
        sweeps += 1
    print(
        f"{hit.total()} kills, {starts} starts, {time.monotonic() - begin:.0f} s; {sweeps} sweeps of {TRIALS} trials, "
        f"each with the records and tables of the undisturbed one; killed: {dict(sorted(hit.items()))}"
    )


def kill_a_sweep(place, left, chance, signals, seconds, hit) -> tuple[int, int | None]:
    """Start a sweep, kill its trials until it ends or is killed itself; return the kills left, and its code."""
    since = time.time()
    runner = place.start(SWEEP)
    if left and chance.random() < 0.15:
        place.wait(runner, chance.uniform(0, seconds["start"]))
    else:
        place.wait(runner, 120, until=lambda: bool(place.trials(runner.pid)))
        place.wait(runner, chance.uniform(0, seconds["trial"]))
    while left and runner.poll() is None:
        if chance.random() < 0.3:  # what is short is seldom hit by chance
            wanted = chance.choice(["data", "checkpoint", "record"])
            place.wait(runner, 2 * seconds["trial"], until=lambda phase=wanted: place.phase(runner.pid, since) == phase)
        number, phase = next(signals), place.phase(runner.pid, since)
        trials, family = place.trials(runner.pid), descendants(runner.pid)
        # mostly a trial alone: after the others PyTorch is imported anew, which takes longer than all the rest
        victim = chance.choice(["trial"] * 5 * len(trials) + ["runner", "group"])
        hit[f"{number.name} of the {victim}, {phase}"] += 1
        left -= 1
        if victim == "trial":
            os.kill(trials[0], number)
            place.wait(runner, 30, until=lambda gone=trials[0]: not is_alive(gone))
            assert not is_alive(trials[0])
            place.check()
            place.wait(runner, chance.uniform(0, seconds["trial"]))
            continue
        (runner.send_signal if victim == "runner" else lambda n: os.killpg(runner.pid, n))(number)
        runner.wait(60)
        end = time.monotonic() + 30
        while any(map(is_alive, family)) and time.monotonic() < end:
            place.look()
            time.sleep(0.01)
        outlived = [Path(f"/proc/{pid}/cmdline").read_text() for pid in family if is_alive(pid)]
        assert not outlived, outlived
        return left, None
    place.wait(runner, 600)
    return left, runner.wait()
