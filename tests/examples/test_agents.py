"""The example that starts an agent for each GPU, without GPU and W&B: stubs note how they are started and ended."""

import os
import signal
import subprocess
import time

import pytest

from tests.conftest import ROOT

SCRIPT = ROOT / "examples" / "agents.sh"
AGENT = """#!/usr/bin/env bash
trap 'echo "$CUDA_VISIBLE_DEVICES ended" >> calls.txt; exit 143' TERM
echo "$CUDA_VISIBLE_DEVICES $*" >> calls.txt
for _ in $(seq SECONDS); do sleep 0.1; done
exit $((CUDA_VISIBLE_DEVICES == 3))
"""


@pytest.fixture
def start(workplace, monkeypatch):
    """Return a function that starts the script, with agents that take some seconds, on a machine with GPUs 0 and 1."""
    monkeypatch.setenv("PATH", f"{workplace}:{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def start(seconds, **environment):
        for name, text in {"agent": AGENT, "nvidia-smi": "#!/bin/sh\nprintf '0\\n1\\n'\n"}.items():
            (workplace / name).write_text(text.replace("SECONDS", str(round(10 * seconds))))
            (workplace / name).chmod(0o755)
        known = {**os.environ, "WANDB": str(workplace / "agent"), **environment}
        return subprocess.Popen(["bash", SCRIPT, "me/mine/abc"], env=known)

    return start


@pytest.mark.parametrize(
    ("environment", "gpus", "code"),
    [({}, "01", 0), ({"CUDA_VISIBLE_DEVICES": "2,5"}, "25", 0), ({"CUDA_VISIBLE_DEVICES": "3,4"}, "34", 1)],
)
def test_an_agent_for_each_gpu(start, workplace, environment, gpus, code):
    assert start(0.1, **environment).wait(20) == code
    calls = sorted((workplace / "calls.txt").read_text().splitlines())
    assert calls == [f"{gpu} agent --forward-signals me/mine/abc" for gpu in gpus]


def test_a_signal_reaches_every_agent(start, workplace):
    process = start(20)
    calls = workplace / "calls.txt"
    while not calls.exists() or len(calls.read_text().splitlines()) < 2:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 143
    assert sorted(calls.read_text().splitlines())[1::2] == ["0 ended", "1 ended"]


def test_without_a_gpu_it_says_so(workplace, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    done = subprocess.run(["bash", SCRIPT, "me/mine/abc"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "nvidia-smi" in done.stderr
