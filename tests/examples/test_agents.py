"""The example that starts an agent for each GPU, without GPU and W&B: stubs note how they are started and ended."""

import os
import shlex
import signal
import subprocess
import sys
import time

import pytest

from tests.conftest import ROOT

SCRIPT = ROOT / "examples" / "agents.sh"
AGENT = """#!/usr/bin/env bash
trap 'echo "$CUDA_VISIBLE_DEVICES ended" >> calls.txt; exit 143' TERM
echo "$CUDA_VISIBLE_DEVICES of $TRIALS_ON_MACHINE: $*" >> calls.txt
for _ in $(seq SECONDS); do sleep 0.1; done
[[ $CUDA_VISIBLE_DEVICES != 3 ]]
"""
LISTED = "GPU 0: A (UUID: GPU-a)\nGPU 1: B (UUID: GPU-b)\n  MIG 1g.5gb Device 0: (UUID: MIG-c)\n"


@pytest.fixture
def bin_folder(workplace, monkeypatch):
    """A folder with the suite's Python, and nothing of a GPU; the variables name none."""
    (workplace / "python").write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
    (workplace / "python").chmod(0o755)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return workplace


@pytest.fixture
def start(bin_folder, monkeypatch):
    """Return a function that starts the script, with agents that take some seconds, on a machine with two GPUs."""
    monkeypatch.setenv("PATH", f"{bin_folder}:{os.environ['PATH']}")

    def start(seconds, **environment):
        for name, text in {"wandb": AGENT, "nvidia-smi": f"#!/bin/sh\nprintf '{LISTED}'\n"}.items():
            (bin_folder / name).write_text(text.replace("SECONDS", str(round(10 * seconds))))
            (bin_folder / name).chmod(0o755)
        known = {**os.environ, "BIN": str(bin_folder), **environment}
        return subprocess.Popen(["bash", SCRIPT, "me/mine/abc"], env=known)

    return start


@pytest.mark.parametrize(
    ("environment", "gpus", "code"),
    [
        ({}, ["GPU-a", "MIG-c"], 0),
        ({"CUDA_VISIBLE_DEVICES": "2,5"}, ["2", "5"], 0),
        ({"CUDA_VISIBLE_DEVICES": "3,4,5"}, ["3", "4", "5"], 1),
    ],
)
def test_an_agent_for_each_gpu(start, workplace, environment, gpus, code):
    assert start(0.1, **environment).wait(20) == code
    calls = sorted((workplace / "calls.txt").read_text().splitlines())
    assert calls == [f"{gpu} of {len(gpus)}: agent --forward-signals me/mine/abc" for gpu in gpus]


def test_a_signal_reaches_every_agent(start, workplace):
    process = start(20)
    calls = workplace / "calls.txt"
    while not calls.exists() or len(calls.read_text().splitlines()) < 2:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 143
    assert sorted(calls.read_text().splitlines())[0::2] == ["GPU-a ended", "MIG-c ended"]


@pytest.mark.parametrize("given", [None, "", "-1"])
def test_without_a_gpu_it_says_so(bin_folder, monkeypatch, given):
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    known = {**os.environ, "BIN": str(bin_folder)} | ({} if given is None else {"CUDA_VISIBLE_DEVICES": given})
    done = subprocess.run(["bash", SCRIPT, "me/mine/abc"], capture_output=True, text=True, check=False, env=known)
    assert done.returncode == 2
    assert "name no GPU" in done.stderr
