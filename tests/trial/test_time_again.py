"""Several networks are timed in turn from their checkpoints, by ``report.py RUNS --time-again``."""

import io
import json
import re
import subprocess
import sys

import pytest
import torch

from headtohead.report import times
from headtohead.report.main import main
from headtohead.trial import time_again
from tests.tiny import TINY
from tests.trials import fitted


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Two rows of a sweep with their checkpoints, and a second seed of one."""
    sweep = tmp_path_factory.mktemp("trials") / "it"
    for model, seed in (("SimpleCNN", 0), ("SimpleCNN", 1), ("FCNet", 0)):
        args = ["fit", f"--model={model}", "--model.width=2", *TINY, "--trainer.accelerator=cpu"]
        args += ["--trainer.logger=false", "--trainer.max_epochs=1", f"--seed_everything={seed}"]
        fitted(*args, folder=sweep / f"{model}-{seed}")
    return sweep


def test_they_are_timed_in_turn():
    calls = []

    class Row:
        def __init__(self, name):
            self.name, self.one, self.many, self.batch = name, ("one",), ("many",), 256

        def seconds(self, batch):
            calls.append((self.name, batch))
            return {"one": 0.25, "many": 2.0}[batch]

    found = time_again.in_turn({"A": Row("A"), "B": Row("B")}, 2)
    assert [name for name, _ in calls] == ["A", "A", "B", "B", "A", "A", "B", "B"]
    row = {"latency_seconds": [0.25, 0.25], "inference_images_per_second": [128.0, 128.0]}
    assert found == {"A": row, "B": row}


@pytest.mark.filterwarnings("ignore")
def test_a_row_of_a_sweep_each_is_timed_and_the_ratio_printed(workplace, trained, monkeypatch, capsys):
    def here(command, input, stdout, text, cwd):  # what the process would do, quickly
        assert command[1:] == ["-m", "headtohead.trial.time_again"]
        answer = io.StringIO()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdin", io.StringIO(input))
            patch.setattr(sys, "stdout", answer)
            patch.setattr(time_again, "BATCH", 4)
            patch.setattr(time_again, "TURNS", 3)
            patch.setattr(time_again, "SECONDS", 0.0)
            patch.setattr(time_again, "cores", lambda: 1)
            code = time_again.main()
        return subprocess.CompletedProcess(command, code, answer.getvalue())

    monkeypatch.setattr(subprocess, "run", here)
    assert main([str(trained), "--time-again"]) == 0
    kept = json.loads((trained / times.FILE).read_text())
    assert sorted(kept["rows"]) == ["FCNet-0", "SimpleCNN-0"]  # a trial of each row
    assert all(len(row[name]) == 3 for row in kept["rows"].values() for name in times.AGAIN)
    assert (kept["left_out"], set(kept["contention"])) == ({}, {"load", "others", "stolen", "cpus"})
    out = capsys.readouterr().out
    said = f"on {re.escape(kept['hardware'])} on {kept['date']}(, while others .*)?: ratios with 95 % intervals"
    assert re.search(said, out)
    rows = [kept["rows"][name]["latency_seconds"] for name in ("SimpleCNN-0", "FCNet-0")]
    both = times.ratio_in_turn(*rows).in_words(), times.ratio_in_turn(*rows[::-1]).in_words()
    assert any(said in out for said in both)


@pytest.mark.filterwarnings("ignore")
def test_each_is_timed_in_the_precision_of_its_trial(trained):
    how = {"checkpoint": str(trained / "FCNet-0" / "checkpoints" / "best.ckpt"), "memory_format": "channels_last"}
    device = torch.device("cpu")
    seen = []
    for precision in ("32-true", "bf16-true", "bf16-mixed", "64-true"):
        row = time_again.Timed({**how, "precision": precision}, device)
        row.network.register_forward_hook(lambda _, given, answer: seen.append((given[0].dtype, answer.dtype)))
        row.seconds(*row.one)
        assert row.many[0].stride(1) == 1  # channels last, which of one channel is told by the strides alone
        assert len(row.many[0]) == time_again.BATCH
    single, half, double = torch.float32, torch.bfloat16, torch.float64
    assert list(dict.fromkeys(seen)) == [(single, single), (half, half), (single, half), (double, double)]
