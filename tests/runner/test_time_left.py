"""The time left of a sweep, before any trial has ended: by the steps of those that run."""

import time

import pytest

from headtohead.runner import process
from headtohead.runner import run as runner
from headtohead.runner.strategy import AsListed
from headtohead.runner.sweep_file import Trial


@pytest.mark.parametrize(
    ("line", "seconds"),
    [
        ("epoch 1/5 · step 3/9 · train_loss 0.5000 · 0:01:40 left", 100),
        ("epoch 1/5 · step 3/9 · 1 day, 2:00:01 left", 26 * 3600 + 1),
        ("epoch 1/5 · step 1/9", None),
        ("testing · step 4/40", None),
        ("3:00 left over", None),
    ],
)
def test_seconds_left_by_hand(line, seconds):
    assert runner._seconds_left(line) == seconds


def test_a_running_trial_tells_how_long_all_of_its_kind_take(tmp_path, monkeypatch):
    trials = [Trial(f"{model}-{seed}", {"model": model}, []) for model in ("A", "B") for seed in (0, 1, 2)]
    state = runner.Run("mine", AsListed(trials), tmp_path, jobs=1)
    first = state.waiting.pop(0)
    monkeypatch.setattr(time, "monotonic", lambda: 1000.0)
    state.running["a process"] = (first, 940.0)  # for a minute
    assert state._time_left() == "time left: known after the first steps"
    (tmp_path / first.name).mkdir()
    (tmp_path / first.name / process.LOG).write_text("epoch 1/2 · step 3/9 · 0:01:40 left\n")
    # 100 s of this one, 160 s of each of the two others, and the three of B are taken to last as long
    assert state._time_left() == "about 0:15:00 left"
    state.waiting = [trial for trial in state.waiting if trial.parameters["model"] == "A"]
    assert state._time_left() == "0:07:00 left"
    (tmp_path / first.name / process.LOG).write_text("testing · step 4/40\n")
    state.seconds[runner.kind_of(first)] = [70.0]
    assert state._time_left() == "0:02:30 left"  # 10 s of this one and 70 s of each of the others
