"""The check of a GPU runs to its end on a CPU, where all that it checks is right; what is fast is no test."""

import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from benchmarks.gpu_check import findings
from benchmarks.gpu_check.__main__ import KEPT, LONGER, STAGES, Check, main, whole
from benchmarks.gpu_check.waits import MOST, judge
from lit_models.facts import takes_mask
from lit_models.tasks import classifier
from lit_models.tasks.inpainter import STROKES, _fixed_numbers
from tests.conftest import ROOT
from tests.trial.test_waits import Watch, batch_of, on_gpu

LONG = ["sweep", "real", "compiled-fits", "compiled-speed"]  # they start trials in new processes, or compile


def checked(stages, place):
    """Run stages in a process that has computed nothing: OpenMP's threads do not live on in those that it forks."""
    command = [sys.executable, "-m", "benchmarks.gpu_check", *stages, "--device=cpu", "--tiny", f"--out={place}"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    report = Path(place, "report.md").read_text()
    assert done.returncode == 0, [line for line in report.splitlines() if line.startswith("- wrong")]
    assert all(f"\n## {name}\n" in report for name in stages)
    assert done.stdout.count(" done\n") == len(stages)
    assert "No time was left" not in report
    return report


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_check_itself(tmp_path):
    report = checked([name for name in STAGES if name not in LONG], tmp_path)
    assert report.count("- right: ") > 30
    assert "| network | precision | batch | Trainer | bare loop | CUDA graph |" in report


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_stages_that_start_trials_or_compile(tmp_path):
    report = checked(LONG, tmp_path)
    for said in (
        "sweep.py, two trials at once: 2 records",
        "SimpleCNN: the record says that two ran at once",
        "train.py fit --compile, SimpleCNN, default",
    ):
        assert f"- right: {said}" in report
    assert "data/mnist.npz is not there" in report or "- right: 2 trials on MNIST" in report
    assert report.count("| SimpleCNN | default | 8 |") == 1  # images per second with --compile


def test_the_limits_of_the_stages_fit_into_the_whole(monkeypatch, tmp_path):
    """That of the whole is theirs, so that no stage is left out because others took all that they may."""
    assert whole(1) == sum(stage.seconds for stage in STAGES.values()) + KEPT
    alone = 20 + 35 + 30 + 55 + 80 + 80 + 75 + 15
    assert whole(8) == 100 + 90 + alone + KEPT  # the last of ten beside each other begins when the shortest two end
    assert whole(8) < 600
    ends = []
    monkeypatch.setattr(Check, "run", lambda check, *_, **__: ends.append(check.end - time.monotonic()))
    assert main(["--device=cpu", f"--out={tmp_path}"]) == 0
    assert ends == pytest.approx([LONGER * whole(1) - KEPT] * 2, abs=10)


@pytest.mark.parametrize("name", ["CNN", "ConvUNet"])
def test_an_evaluation_may_wait_for_what_it_sends_once(name, monkeypatch):
    monkeypatch.setattr(classifier, "ROTATION_SWEEP", (0, 15, 30))  # one angle waits as another does
    _fixed_numbers(STROKES)  # kept for other tests: real ones
    steps = {
        "validation": lambda task, batch: task.validation_step(batch, 1),
        "test": lambda task, batch: [task.test_step(batch, 1, loader) for loader in range(2)],
    }
    for what, step in steps.items():
        with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
            task, data, index = on_gpu(name)
            task.eval()
            data.trainer.training, task._evaluated = False, 0
            batch = batch_of(data, index)  # there before the step begins
            with Watch() as seen:
                step(task, batch)
        asked = takes_mask(task.net) and what == "test"  # of a first batch, in which range its images lie
        assert seen.waited.total() + asked == MOST[what, name]


def test_waits_are_judged(tmp_path):
    found = findings.Findings("waits", tmp_path / "findings.jsonl", torch.device("cpu"), True, 60)
    for count in (6, 7):
        judge(found, "a step", Counter({"a.py:1": count - 1, "b.py:2": 1}), steps=2, most=3)
    judge(found, "another", Counter(), steps=2, most=0)
    checks = [one for one in findings.read(found.path) if "check" in one]
    assert [(one["check"], one["right"], one["said"]) for one in checks] == [
        ("a step: at most 3 waits", True, "3.00 a step"),
        ("a step: at most 3 waits", False, "3.50 a step"),
        ("another: no wait", True, "0.00 a step"),
    ]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["speeed"], "STAGE: must be one of"),
        (["--device=tpu"], "--device: must be cuda or cpu: got tpu"),
    ],
)
def test_what_it_refuses(args, said, capsys):
    assert main(args) == 2
    assert said in capsys.readouterr().err
