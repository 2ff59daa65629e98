"""The time left of a sweep, before any trial has ended: by the steps of those that run."""

import io
import time
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
from rich.console import Console

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


@pytest.mark.parametrize(
    ("line", "share"),
    [
        ("epoch 1/5 · step 3/10 · loss 0.5000 · 0:01:40 left", 3 / 50),
        ("epoch 5/5 · step 10/10 · val_loss 0.5000", 1),
        ("testing · step 4/40", 1),
        ("epoch 3 · step 4/40", 0),  # without an end
        ("starting", 0),
    ],
)
def test_share_of_a_trial_by_hand(line, share):
    assert runner._share(line) == share


def test_a_line_names_a_trial_as_briefly_as_it_can(tmp_path):
    names = ["CNN-seed0-1a2b3c4d", "CNN-seed1-1a2b3c4d", "CNN-seed1-5e6f7a8b"]  # the last two of two recipes
    run = runner.Run("tiny", AsListed([Trial(name, {}, []) for name in names]), tmp_path, jobs=1)
    run._ask()
    assert [run._label(trial) for trial in run.trials] == ["CNN-seed0", *names[1:]]


@pytest.mark.parametrize("terminal", [False, True])
def test_what_is_said_of_an_ended_trial_is_not_broken_into_lines(tmp_path, monkeypatch, terminal):
    reason = "error: " + "a long reason with [brackets] " * 6
    state = runner.Run("mine", AsListed([]), tmp_path, jobs=1)
    state.console = Console(file=io.StringIO(), force_terminal=terminal, color_system=None, width=80)
    (tmp_path / "A-Data-seed0-hash").mkdir()
    (tmp_path / "A-Data-seed0-hash" / process.LOG).write_text(reason)
    ended = Mock(exitcode=2)
    state.running[ended] = (Trial("A-Data-seed0-hash", {}, []), 0.0)
    state._finish(ended)
    assert state.console.file.getvalue() == f"failed A-Data-seed0: {reason.strip()}\n"


class Endless:
    """Stands in for the process of a trial."""

    exitcode = None


def run_for(tmp_path, monkeypatch, seconds, terminal):
    """Run a sweep of two trials, of which the first does not end, for a time; return what its terminal shows."""
    trials = [Trial(f"{model}-Data-seed0-hash", {"model": model}, []) for model in ("A", "B")]
    state = runner.Run("mine", AsListed(trials), tmp_path, jobs=1)
    state.console = Console(file=io.StringIO(), force_terminal=terminal, width=100)
    now = [0.0]

    def sleep(_):
        now[0] += 5.0
        if now[0] > seconds:
            raise KeyboardInterrupt

    monkeypatch.setattr(runner, "time", SimpleNamespace(monotonic=lambda: now[0], sleep=sleep))
    monkeypatch.setattr(process, "start", lambda args, folder, environment: Endless())
    (tmp_path / trials[0].name).mkdir()
    line = "epoch 1/2 · step 3/10 · loss 0.5000 · val_acc 0.9000 · 0:01:40 left\n"
    (tmp_path / trials[0].name / process.LOG).write_text(line)
    with pytest.raises(KeyboardInterrupt):
        state.run()
    return state.console.file.getvalue()


def test_in_a_terminal_a_bar_and_a_line_for_each_that_runs(tmp_path, monkeypatch):
    seen = []
    update = runner.Progress.update
    monkeypatch.setattr(runner.Progress, "update", lambda self, task, **k: (seen.append(k), update(self, task, **k)))
    shown = run_for(tmp_path, monkeypatch, 20, terminal=True)
    first = seen[0]
    assert (first["done"], first["total"]) == (0, 2)
    assert first["completed"] == pytest.approx(3 / 20)  # of the first trial's steps
    assert first["left"] == "about 0:03:25 left"  # 100 s of it; the other is taken to last as long: 5 s so far and 100
    assert "A-Data-seed0: epoch 1/2 · step 3/10 · loss 0.5000 · val_acc 0.9000 · 0:01:40 left" in shown
    assert "0/2" in shown


@pytest.mark.parametrize(("seconds", "most"), [(150, 2), (24 * 3600, 110)])
def test_without_a_terminal_the_log_stays_short(tmp_path, monkeypatch, capsys, seconds, most):
    run_for(tmp_path, monkeypatch, seconds, terminal=False)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  A-Data-seed0: epoch 1/2")]
    assert most / 2 <= len(lines) <= most
    assert lines[0].endswith(" left | about 0:04:25 left")


def test_a_running_trial_tells_how_long_all_of_its_kind_take(tmp_path, monkeypatch):
    trials = [Trial(f"{model}-{seed}", {"model": model}, []) for model in ("A", "B") for seed in (0, 1, 2)]
    state = runner.Run("mine", AsListed(trials), tmp_path, jobs=1)
    state._ask()
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
    assert state._time_left() == "0:07:00 left"  # its test says nothing of all: what its training said still holds
    state.seconds[runner.kind_of(first)] = [70.0]
    assert state._time_left() == "0:02:30 left"  # 10 s of this one and 70 s of each of the others
