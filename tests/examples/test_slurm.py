"""The Slurm example, without Slurm: a stub notes how it is started and asked to end."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.conftest import ROOT

SCRIPT = ROOT / "examples" / "slurm.sh"
# plays both python and scontrol: notes its arguments, and as python runs for a while or until SIGTERM
STUB = """#!/usr/bin/env bash
echo "$(basename "$0") $*" >> calls.txt
if [[ $(basename "$0") == python ]]; then
    trap 'exit 130' TERM
    touch started
    for _ in $(seq SECONDS); do sleep 0.1; done
    exit CODE
fi
"""


@pytest.fixture
def slurm(workplace, monkeypatch):
    """Return a function that starts array task 2 of 4 with stubs for python and scontrol."""
    monkeypatch.setenv("PATH", f"{workplace}:{os.environ['PATH']}")
    for name, value in {"ARRAY_TASK_ID": "2", "ARRAY_TASK_COUNT": "4", "ARRAY_JOB_ID": "77"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)

    def start(seconds: float, code: int) -> subprocess.Popen[bytes]:
        for name in ("python", "scontrol"):
            (workplace / name).write_text(STUB.replace("SECONDS", str(round(10 * seconds))).replace("CODE", str(code)))
            (workplace / name).chmod(0o755)
        environment = {**os.environ, "PYTHON": str(workplace / "python")}
        return subprocess.Popen(["bash", SCRIPT, "sweeps/quick.yaml"], env=environment)

    return start


def test_it_is_bash():
    subprocess.run(["bash", "-n", SCRIPT], check=True)
    assert os.access(SCRIPT, os.X_OK)


@pytest.mark.parametrize("code", [0, 1, 2])
def test_a_task_runs_its_shard_and_says_how_it_went(slurm, workplace, code):
    assert slurm(0.1, code).wait(20) == code
    assert (workplace / "calls.txt").read_text().splitlines() == ["python sweep.py sweeps/quick.yaml --shard 2/4"]


def test_a_task_of_one_job_runs_its_shard_too(slurm, workplace, monkeypatch):
    for name in ("ARRAY_TASK_ID", "ARRAY_TASK_COUNT", "ARRAY_JOB_ID"):
        monkeypatch.delenv(f"SLURM_{name}")
    monkeypatch.setenv("SLURM_PROCID", "0")
    monkeypatch.setenv("SLURM_NTASKS", "8")
    process = slurm(20, 0)
    while not Path("started").exists():
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 130
    # it is no job of an array, which alone can be queued again
    assert (workplace / "calls.txt").read_text().splitlines() == ["python sweep.py sweeps/quick.yaml --shard 1/8"]


def test_a_task_whose_time_is_up_is_queued_again(slurm, workplace):
    process = slurm(20, 0)
    while not Path("started").exists():
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 130
    assert (workplace / "calls.txt").read_text().splitlines()[1:] == ["scontrol requeue 77_2"]
