"""Sweeps on this machine: every trial once, whatever happens, and wrong files refused before anything runs."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from headtohead.records import record as records
from headtohead.runner import main as sweep
from headtohead.runner.run import kind_of
from headtohead.runner.strategy import AsListed
from headtohead.runner.sweep_file import read_sweep
from headtohead.trial import main as train
from tests.cli.test_output import unread
from tests.conftest import ROOT
from tests.tiny import a_sweep

GRID = a_sweep(
    model="{values: [SimpleCNN, EqCNN]}", model__width="{value: 4}", data__batch_size="{value: 250}",
    trainer__max_epochs="{value: EPOCHS}", seed_everything="{values: [0, 1]}",
)  # fmt: skip


def write(folder: Path, epochs: int = 1, old: str = "", new: str = "") -> Path:
    path = folder / "tiny.yaml"
    assert old in GRID
    path.write_text(
        GRID.replace("EPOCHS", str(epochs)).replace(old, new, 1) if old else GRID.replace("EPOCHS", str(epochs))
    )
    return path


def run(*args, cwd=None, **environment) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, **environment}
    command = [sys.executable, ROOT / "sweep.py", *args]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env=env, cwd=cwd)


def contents(folder: Path) -> dict[str, dict]:
    found = {}
    for path in folder.glob(f"runs/tiny/*/{records.FILE_NAME}"):
        value = json.loads(path.read_text())
        for measured in ("cost", "contention"):  # of the machine, and of what else it did
            value.pop(measured)
        for epoch in value["history"]:
            epoch.pop("seconds")
        found[path.parent.name] = value
    return found


def test_a_sweep_runs_each_trial_once_and_then_none(workplace, offline, capfd):
    file = write(workplace, 1, "seed_everything: {values: [0, 1]}", "seed_everything: {values: [1]}")
    first = run(file)
    assert first.returncode == 0, first.stdout + first.stderr
    assert "2 of 2 trials finished, 0 failed" in first.stdout
    assert set(contents(workplace)) == {trial.name for trial in read_sweep(file).trials}
    assert {(r["model"], r["seed"]) for r in contents(workplace).values()} == {("SimpleCNN", 1), ("EqCNN", 1)}
    times = {path: path.stat().st_mtime_ns for path in workplace.glob("runs/tiny/*/record.json")}
    second = run(file, PYTHONPROFILEIMPORTTIME="1")
    imported = re.findall(r"\| +([\w.]+)$", second.stderr, re.MULTILINE)
    assert "torch" not in imported  # where nothing is left to do, that is said at once
    assert "headtohead.runner.main" in imported
    assert second.returncode == 0
    assert "start" not in second.stdout
    assert {path: path.stat().st_mtime_ns for path in workplace.glob("runs/tiny/*/record.json")} == times
    # each trial is a run of W&B, offline, in the sweep's group
    assert len(list(workplace.glob("runs/tiny/*/wandb/offline-run-*"))) == 2
    assert sweep.main([str(file), "--dry-run"]) == 0
    assert capfd.readouterr().out.count("finished ") == 2


def test_time_left_is_of_what_has_been_timed(workplace):
    """The mean of a model's finished trials for each of its own; a model without any is taken to last as long."""
    trials = read_sweep(write(workplace)).trials  # two of SimpleCNN, two of EqCNN
    state = sweep.Run("tiny", AsListed(trials), workplace, jobs=2)
    state._ask()
    assert state._time_left() == "time left: known after the first steps"
    state.seconds[kind_of(trials[0])] = [90.0, 110.0]
    assert state._time_left() == "about 0:03:20 left"
    state.seconds[kind_of(trials[-1])] = [10.0]
    assert state._time_left() == "0:01:50 left"


@pytest.mark.slow
def test_a_pager_that_is_quit_stops_no_trial(workplace):
    file = write(workplace, 1, "[SimpleCNN, EqCNN]", "[SimpleCNN]")
    for found, option in ((0, ["--dry-run"]), (2, [])):
        done = unread(ROOT / "sweep.py", file, *option)
        assert (done.returncode, done.stderr) == (0, "")
        assert len(contents(workplace)) == found


@pytest.mark.slow
def test_a_failing_trial_stops_nothing_and_is_tried_again(workplace):
    (workplace / "mine.py").write_text(
        "from lit_models import SimpleCNN\n"
        "class Fragile(SimpleCNN):\n"
        "    def forward(self, images):\n"
        "        import pathlib\n"
        "        if self.training and len(images) > 2 and not pathlib.Path('mended').exists():\n"
        "            raise ArithmeticError('broken on purpose')\n"
        "        return super().forward(images)\n"
    )
    file = write(workplace, 1, "[SimpleCNN, EqCNN]", "[mine.Fragile, EqCNN]")
    file.write_text(file.read_text().replace("[0, 1]", "[0]"))
    done = run(file)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "1 of 2 trials finished, 1 failed" in done.stdout
    assert "ArithmeticError: broken on purpose" in done.stdout
    assert len(contents(workplace)) == 1
    (reason,) = workplace.glob("runs/tiny/Fragile*/failed.txt")
    assert reason.read_text() == "ArithmeticError: broken on purpose\n"
    (workplace / "mended").touch()
    again = run(file)
    assert again.returncode == 0, again.stdout
    assert again.stdout.count("start ") == 1
    assert len(contents(workplace)) == 2
    assert not list(workplace.glob("runs/tiny/*/failed.txt"))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """What a sweep finds that nobody disturbs."""
    folder = tmp_path_factory.mktemp("undisturbed")
    assert run(write(folder, 6), cwd=folder, PYTHONPATH=str(ROOT)).returncode == 0
    return contents(folder)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_killed_sweep_ends_with_the_records_of_an_undisturbed_one(workplace, undisturbed, number):
    file = write(workplace, 6)
    process = subprocess.Popen(
        [sys.executable, ROOT / "sweep.py", file], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and len(list(workplace.glob("runs/tiny/*/checkpoints/last.ckpt"))) < 2:
        time.sleep(0.05)
    process.send_signal(number)
    assert process.wait(60) == (130 if number != signal.SIGKILL else -9)
    time.sleep(1)  # nothing that it started outlives it
    logs = {path: path.stat().st_size for path in workplace.glob("runs/tiny/*/log.txt")}
    time.sleep(1)
    assert {path: path.stat().st_size for path in workplace.glob("runs/tiny/*/log.txt")} == logs
    assert len(contents(workplace)) < 4
    done = run(file)
    assert done.returncode == 0, done.stdout
    assert contents(workplace) == undisturbed


@pytest.mark.slow
def test_two_runners_share_a_sweep(workplace):
    file = write(workplace, 3)
    command = [sys.executable, ROOT / "sweep.py", file]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = [process.communicate(timeout=300)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert len(contents(workplace)) == 4
    # a trial that both took on was run by one of them
    assert sum(output.count("done ") for output in outputs) >= 4
    assert all(
        path.read_text().count("testing the best checkpoint") == 1 for path in workplace.glob("runs/tiny/*/log.txt")
    )


@pytest.mark.slow
@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="needs two cores")
def test_trials_at_once_share_the_cores_and_the_records_say_so(workplace, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert run(write(workplace), "--jobs", "2").returncode == 0
    hardware = [record["hardware"] for record in contents(workplace).values()]
    assert len(hardware) == 4
    assert {one["trials_at_once"] for one in hardware} == {2}
    assert {one["threads"] for one in hardware} == {max(1, (os.cpu_count() or 1) // 2)}


def test_what_train_refuses_is_refused_before_anything_runs(workplace, capfd):
    text = write(workplace).read_text().replace("[SimpleCNN, EqCNN]", "[SimpleCNN, EqCN]")
    text = text.replace("{value: 250}", "{values: [0, 50, many]}").replace("trainer.max_epochs", "trainer.max_epoch")
    (workplace / "tiny.yaml").write_text(text)
    assert sweep.main(["tiny.yaml"]) == 2
    printed = capfd.readouterr().err
    for said in (
        "parameters.model: no model is named 'EqCN'; did you mean EqCNN?",
        "parameters.data.batch_size: must be int: got many",
        "parameters.trainer.max_epoch: no such argument; did you mean --trainer.max_epochs?",
    ):
        assert f"sweep.py: tiny.yaml: {said}" in printed
    assert "Traceback" not in printed
    assert all(line.startswith("sweep.py: ") for line in printed.splitlines())
    assert not list(workplace.rglob("log.txt"))


@pytest.mark.parametrize("shard", ["0/2", "3/2", "1/0", "-1/2", "1", "/", "a/b", "1/2/3", "1.0/2", ""])
def test_a_wrong_shard_is_told_in_one_line(workplace, capsys, shard):
    write(workplace)
    with pytest.raises(SystemExit) as ended:
        sweep.main(["tiny.yaml", f"--shard={shard}"])
    assert ended.value.code == 2
    assert f"--shard: must be one of 1/N to N/N, such as 1/8: got {shard}\n" in capsys.readouterr().err


SEEN: set[str] = set()  # a value that is in two files is tried once
LARGE = ("scaling", "compare_params", "compare_macs")  # whose every point is a value of its own


def one_sweep(path: Path):
    return pytest.param(path, id=path.stem, marks=[pytest.mark.slow] if path.stem in LARGE else [])


@pytest.mark.parametrize("points", ["each value once", pytest.param("all", marks=pytest.mark.nightly)])
@pytest.mark.parametrize("file", [one_sweep(path) for path in sorted((ROOT / "sweeps").glob("*.yaml"))])
def test_every_point_of_our_sweeps_is_accepted_by_train(file, points, monkeypatch):
    """Of random files also the corners: what W&B may draw lies between them."""
    monkeypatch.chdir(ROOT)
    read = read_sweep(file)
    for trial in [*read.corners, *read.trials]:
        values = {f"{key}={value}" for key, value in trial.parameters.items() if key != "seed_everything"}
        if points == "all" or (values - SEEN and (trial in read.corners or read.method == "grid")):
            SEEN.update(values)
            assert isinstance(train.resolve(trial.args), dict), trial.args


RANDOM = a_sweep(
    model="{value: SimpleCNN}", task__lr="{distribution: log_uniform_values, min: 1.0e-4, max: 1.0e-1}"
).replace(
    "method: grid",
    "method: random\nrun_cap: 2\nmetric: {name: val_acc, goal: maximize}\n"
    "early_terminate: {type: hyperband, min_iter: 3}",
)


@pytest.mark.slow
def test_a_random_sweep_runs_here_and_goes_on_when_its_cap_is_raised(workplace):
    (workplace / "tiny.yaml").write_text(RANDOM)
    first = run("tiny.yaml")
    assert first.returncode == 0, first.stdout + first.stderr
    assert "2 of 2 trials finished, 0 failed" in first.stdout
    assert "early_terminate is for W&B's server; here every trial runs to its end" in first.stdout
    rates = {name: record["config"]["task.lr"] for name, record in contents(workplace).items()}
    assert rates == {trial.name: trial.parameters["task.lr"] for trial in read_sweep(Path("tiny.yaml")).trials}
    (workplace / "tiny.yaml").write_text(RANDOM.replace("run_cap: 2", "run_cap: 3"))
    again = run("tiny.yaml")
    assert "3 trials, 2 finished, 1 to run" in again.stdout
    assert contents(workplace).keys() > rates.keys()


@pytest.mark.slow
def test_a_range_that_reaches_what_train_refuses_is_refused(workplace, capfd):
    (workplace / "tiny.yaml").write_text(RANDOM.replace("log_uniform_values, min: 1.0e-4, max: 1.0e-1", "normal"))
    assert sweep.main(["tiny.yaml"]) == 2
    printed = capfd.readouterr().err
    assert printed.count("\n") == 1
    assert "lr must be a positive number: got -3.09" in printed


def test_bayes_is_left_to_wandb_in_one_line(workplace, capsys):
    (workplace / "tiny.yaml").write_text(RANDOM.replace("method: random", "method: bayes"))
    assert sweep.main(["tiny.yaml"]) == 2
    said = "sweep.py: tiny.yaml: method: bayes needs W&B (wandb sweep tiny.yaml); random runs here\n"
    assert capsys.readouterr().err == said
    assert not (workplace / "runs").exists()


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7, 40])
def test_shards_are_disjoint_complete_and_alike(count):
    trials = read_sweep(ROOT / "sweeps" / "conv_vs_involution.yaml").trials  # 7 models, 6 seeds
    shards = [sweep._part(trials, index, count) for index in range(1, count + 1)]
    assert sorted(trial.name for shard in shards for trial in shard) == sorted(trial.name for trial in trials)
    assert {len(shard) for shard in shards} <= {42 // count, -(-42 // count)}
    for recipe in {trial.parameters["config"] for trial in trials}:
        of_one = [sum(trial.parameters["config"] == recipe for trial in shard) for shard in shards]
        assert max(of_one) - min(of_one) <= 1  # each gets its share of the slow and of the fast ones


@pytest.mark.slow
def test_two_shards_finish_a_sweep_in_a_shared_directory(workplace):
    command = [sys.executable, ROOT / "sweep.py", write(workplace)]
    processes = [
        subprocess.Popen([*command, f"--shard={part}/2"], stdout=subprocess.PIPE, text=True) for part in (1, 2)
    ]
    outputs = [process.communicate(timeout=300)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    for part, output in enumerate(outputs, 1):
        assert f"tiny: shard {part}/2 has 2 of 4 trials" in output
        assert "2 of 2 trials finished, 0 failed" in output
        assert output.count("done ") == 2
    assert len(contents(workplace)) == 4
    assert run("tiny.yaml").stdout.startswith("tiny: 4 of 4 trials finished")
