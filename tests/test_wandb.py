"""The stock ``wandb`` command line and client against a stand-in for their server, without a network."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import wandb
import yaml

from headtohead.records import record as records
from headtohead.report import from_wandb
from headtohead.report.main import main as make_tables
from headtohead.runner import process as processes
from headtohead.runner.sweep_checks import MODULE
from tests.conftest import ROOT
from tests.tiny import TINY
from tests.wandb_server import ENTITY

FIT = ["fit", *TINY, "--trainer.accelerator=cpu", "--trainer.max_epochs=2"]
SWEEP = {
    "name": "tiny",
    "program": str(ROOT / "train.py"),
    "method": "grid",
    "metric": {"name": "val_acc", "goal": "maximize"},
    "parameters": {
        "model": {"values": ["FCNet", {"class_path": "SimpleCNN", "init_args": {"width": 4}}]},
        "task.optimizer": {"value": "sgd"},
        "data": {"value": "tests.tiny.Tiny"},
        "data.val_size": {"value": 100},
        "data.normalize": {"value": False},
        "trainer.max_epochs": {"value": 2},
        "trainer.limit_val_batches": {"value": None},
        "trainer.callbacks": {"value": []},
    },
    "command": ["${env}", "${interpreter}", "${program}", "fit", "${args}"],
}

BROKEN = """
from lit_models import FCNet
class Broken(FCNet):
    def forward(self, images):
        if self.training and len(images) > 2:  # not on the two that it is tried on
            raise ArithmeticError("no loss today")
        return super().forward(images)
"""


def run_wandb(*args, **environment):
    done = subprocess.run(
        [sys.executable, "-m", "wandb", *map(str, args)],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def new_sweep(config, *args):
    with open("sweep.yaml", "w") as file:
        yaml.safe_dump(config, file, sort_keys=False)
    said = run_wandb("sweep", *args, "sweep.yaml")
    return said.rpartition("wandb agent ")[2].strip()


def start_agent(address, *args):
    with open("agent.txt", "a") as log:
        command = [sys.executable, "-m", "wandb", "agent", *args, address]
        return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)


def finish(*agents, timeout=120):
    assert [agent.wait(timeout) for agent in agents] == [0] * len(agents), Path("agent.txt").read_text()


def wait_for(what, timeout=60.0):
    end = time.monotonic() + timeout
    while not what():
        assert time.monotonic() < end
        time.sleep(0.1)


def start_trial(folder, *args, **environment):
    """Start a trial in a process that has imported all it needs."""
    processes.start_server()
    folder.mkdir(parents=True, exist_ok=True)
    # the server of processes has the environment of the first test that needed it
    mine = {name: value for name, value in os.environ.items() if name.startswith("WANDB_") or name == "HOME"}
    return processes.start([*FIT, f"--trainer.default_root_dir={folder}", *args], folder, {**mine, **environment})


def trial(folder, *args, **environment):
    """Run a trial; return its exit code and what it printed."""
    process = start_trial(folder, *args, **environment)
    process.join(120)
    return process.exitcode, (folder / processes.LOG).read_text()


def config_of(run):
    return {key: entry["value"] for key, entry in json.loads(run["config"]).items() if key != "_wandb"}


def read_tables(folder):
    return {path.name: path.read_text() for path in folder.iterdir() if path.suffix in (".csv", ".md")}


def check_logged(run, epochs):
    """Every epoch is logged once; that in which the signal came may have been kept, but not yet logged."""
    logged = [line["epoch"] for line in run["history"] if "train_loss" in line]
    assert len(logged) >= epochs - 1
    assert logged == sorted(set(logged))
    assert set(logged) <= set(range(epochs))


def check_tables(address, runs, name):
    """The server's table must be that of the local records, to the byte."""
    assert make_tables([address, "--out=theirs"]) == 0
    assert make_tables([str(runs), "--out=ours"]) == 0
    (ours,) = runs.parent.parent.glob("ours/*")
    assert read_tables(ours) == read_tables(runs.parent.parent / "theirs" / name)
    assert len(read_tables(ours)) == 2
    theirs = {path.name: path.read_bytes() for path in (runs.parent.parent / "theirs" / name / "records").iterdir()}
    assert theirs == {path.name: path.read_bytes() for path in (ours / "records").iterdir()}


@pytest.mark.slow
def test_two_agents_share_a_grid_and_its_table_is_that_of_the_local_records(server, workplace, monkeypatch):
    address = new_sweep(SWEEP, "--project=mine")
    assert address == f"{ENTITY}/mine/sweep000"
    finish(*(start_agent(address) for _ in range(2)))

    points = [command["args"]["model"]["value"] for command in server.commands]
    assert points == SWEEP["parameters"]["model"]["values"]  # each once
    assert len({command["agent"] for command in server.commands}) == 2
    assert [run["state"] for run in server.runs.values()] == ["finished", "finished"]

    run = next(run for run in server.runs.values() if "SimpleCNN" in run["tags"])
    assert run["displayName"] == f"SimpleCNN-Tiny-seed0-{run['name']}"
    assert (run["project"], set(run["tags"])) == ("mine", {"SimpleCNN", "Tiny"})
    folder = workplace / "runs" / "sweep000" / run["displayName"]
    record = records.read(folder / records.FILE_NAME)
    assert run["group"] == f"SimpleCNN-Tiny-{record.config_hash}"
    assert (record.config["model.width"], record.config["data.normalize"]) == (4, False)
    assert record.config["task.optimizer"] == "sgd"
    # the sweep's own keys keep the sweep's values; the others are those that the record has
    config = config_of(run)
    assert config["model"] == SWEEP["parameters"]["model"]["values"][1]
    assert config["trainer.limit_val_batches"] is None
    assert config["data.normalize"] is False
    assert config["seed_everything"] == 0
    assert all(config[key] == value for key, value in record.config.items() if key not in SWEEP["parameters"])

    summary = json.loads(run["summaryMetrics"])
    for numbers in (record.size, record.quality, record.cost):
        for name, value in numbers.items():
            assert not isinstance(value, int | float) or summary[name] == pytest.approx(value), name
    losses = {line["epoch"]: line["val_loss"] for line in run["history"] if "val_loss" in line}
    assert losses == pytest.approx({epoch["epoch"]: epoch["val_loss"] for epoch in record.history})
    assert "epoch 2/2" in run["log"]
    assert server.files[run["name"], records.FILE_NAME] == (folder / records.FILE_NAME).read_bytes()

    monkeypatch.setattr(from_wandb, "PER_PAGE", 1)
    server.asked.clear()
    check_tables(address, folder.parent, "tiny")
    assert server.asked.count("Runs") == 2


@pytest.mark.slow
def test_signal_ends_a_trial_which_resumes_as_the_same_run(server, workplace):
    server._UpsertSweep({"config": json.dumps(SWEEP), "projectName": "mine"})
    agent = {"WANDB_SWEEP_ID": "sweep000", "WANDB_RUN_ID": "run7", "WANDB_PROJECT": "mine"}
    args = ["--model=SimpleCNN", "--trainer.max_epochs=30", "--trainer.default_root_dir=null"]
    process = start_trial(workplace / "log", *args, **agent)
    wait_for(lambda: list(workplace.glob("runs/sweep000/SimpleCNN-Tiny-seed0-run7/checkpoints/last.ckpt")))
    for _ in range(3):  # as a scheduler and an agent may send it
        os.kill(process.pid, signal.SIGTERM)
        time.sleep(0.05)
    process.join(30)
    run = server.runs["run7"]
    assert (process.exitcode, run["exitcode"], run["preempting"]) == (143, 143, True)
    assert "ended by SIGTERM" in run["log"]

    process = start_trial(workplace / "log", *args, **agent)
    process.join(60)
    assert (process.exitcode, run["exitcode"], run["starts"], run["state"]) == (0, 0, 2, "finished")
    (path,) = workplace.glob(f"runs/*/*/{records.FILE_NAME}")
    assert [epoch["epoch"] for epoch in records.read(path).history] == list(range(30))
    check_logged(run, 30)
    assert list(server.runs) == ["run7"]


@pytest.mark.slow
def test_what_wandb_stopped_is_not_put_back_into_the_queue(server, workplace):
    process = start_trial(workplace / "here", "--model=SimpleCNN", "--trainer.max_epochs=9999", WANDB_RUN_ID="run8")
    wait_for(lambda: "run8" in server.runs and server.runs["run8"]["history"])
    server.runs["run8"]["stopped"] = True
    os.kill(process.pid, signal.SIGTERM)
    process.join(30)
    assert (process.exitcode, server.runs["run8"]["preempting"], server.runs["run8"]["state"]) == (143, False, "failed")


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"WANDB_API_KEY": "f" * 40}, "W&B: the API key is not accepted"),
        pytest.param({"WANDB_API_KEY": "short"}, "W&B: WANDB_API_KEY invalid", marks=pytest.mark.slow),
        pytest.param({"WANDB_BASE_URL": "http://127.0.0.1:9"}, "W&B: the server does not", marks=pytest.mark.slow),
    ],
)
def test_a_trial_without_its_server_trains_on(server, workplace, environment, said):
    code, printed = trial(workplace / "here", "--model=FCNet", **environment)
    assert code == 0
    assert records.read(workplace / "here" / records.FILE_NAME).model == "FCNet"
    (line,) = [line for line in printed.splitlines() if line.startswith("W&B: ")]
    assert line.startswith(said)
    assert "nothing of this trial is uploaded" in line
    assert not server.runs
    # the command that the line names sends it all
    command = line.partition("Later: wandb ")[2].split()
    assert command[0] == "sync"
    run_wandb(*command)
    (run,) = server.runs.values()
    assert (run["state"], run["displayName"]) == ("finished", "here")
    assert server.files[run["name"], records.FILE_NAME] == (workplace / "here" / records.FILE_NAME).read_bytes()


@pytest.mark.slow
def test_a_server_that_breaks_down_does_not_hold_a_trial(server, workplace):
    args = ["--model=SimpleCNN", "--trainer.max_epochs=300"]
    process = start_trial(workplace / "here", *args, WANDB_FINISH_TIMEOUT="2")
    wait_for(lambda: any(run["history"] for run in server.runs.values()))
    server.broken = True
    process.join(120)
    assert process.exitcode == 0
    assert records.read(workplace / "here" / records.FILE_NAME).quality["test_images"] == 200
    (line,) = [line for line in (workplace / "here" / processes.LOG).read_text().splitlines() if "uploaded" in line]
    server.broken = False
    run_wandb(*line.partition("Later: wandb ")[2].split())
    (run,) = server.runs.values()
    assert run["state"] == "finished"
    assert (run["name"], records.FILE_NAME) in server.files


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        pytest.param(["--model=SimpelCNN"], 2, "no model is named 'SimpelCNN'", marks=pytest.mark.slow),
        (["--model=mine_broken.Broken"], 1, "ArithmeticError: no loss today"),
    ],
)
def test_a_failing_trial_is_a_failed_run_with_its_error_in_the_log(server, workplace, args, code, said):
    server._UpsertSweep({"config": json.dumps(SWEEP), "projectName": "mine"})
    environment = {"WANDB_SWEEP_ID": "sweep000", "WANDB_RUN_ID": "run1", "WANDB_PROJECT": "mine"}
    Path("mine_broken.py").write_text(BROKEN)
    assert trial(workplace / "here", *args, **environment)[0] == code
    run = server.runs["run1"]
    assert (run["state"], run["exitcode"]) == ("failed", code)
    assert said in run["log"]


@pytest.mark.slow
def test_a_sweep_that_ran_here_is_uploaded_by_one_command(server, workplace):
    with open("local.yaml", "w") as file:
        yaml.safe_dump(SWEEP, file, sort_keys=False)
    command = [sys.executable, ROOT / "sweep.py", "local.yaml"]
    assert subprocess.run(command, env={**os.environ, "WANDB_MODE": "offline"}, timeout=120).returncode == 0
    assert not server.runs
    run_wandb("sync", *workplace.glob("runs/local/*/wandb/offline-run-*"))
    assert all("local" in run["tags"] for run in server.runs.values())
    for run in server.runs.values():
        record = records.read(workplace / "runs" / "local" / run["displayName"] / records.FILE_NAME)
        assert json.loads(run["summaryMetrics"])["test_acc"] == pytest.approx(record.quality["test_acc"])
        assert config_of(run)["task.lr"] == record.config["task.lr"]
        assert len([line for line in run["history"] if "val_loss" in line]) == 2
    check_tables(f"{ENTITY}/architectures/local", workplace / "runs" / "local", "local")


@pytest.mark.slow
def test_an_interrupted_offline_trial_is_one_run_on_the_server(server, workplace):
    offline = {"WANDB_MODE": "offline"}
    constant = ["--model=FCNet", "--task.schedule=constant"]  # with it a longer trial is the same up to there
    assert trial(workplace / "here", *constant, "--trainer.max_epochs=1", **offline)[0] == 0
    again = [*constant, "--trainer.max_epochs=3", "--ckpt_path=last"]
    assert trial(workplace / "here", *again, **offline)[0] == 0
    folders = sorted(workplace.glob("here/wandb/offline-run-*"))
    assert len(folders) == 2
    run_wandb("sync", *folders)
    (run,) = server.runs.values()
    assert [line["epoch"] for line in run["history"] if "train_loss" in line] == [0, 1, 2]
    assert server.files[run["name"], records.FILE_NAME] == (workplace / "here" / records.FILE_NAME).read_bytes()


@pytest.mark.nightly
def test_an_agent_that_is_preempted_leaves_its_trial_to_the_next(server, workplace):
    # more epochs than fit in before W&B first uploads, on a fast machine too
    long = {**SWEEP["parameters"], "model": {"value": "SimpleCNN"}, "trainer.max_epochs": {"value": 1000}}
    # the installed suite, in a folder that has a train.py of its own
    Path("train.py").write_text("raise SystemExit('not this one')")
    address = new_sweep({**SWEEP, "program": "train.py", "command": MODULE, "parameters": long})
    agent = start_agent(address, "--forward-signals")
    wait_for(lambda: any(run["history"] for run in server.runs.values()))
    agent.terminate()
    agent.wait(60)
    (run,) = server.runs.values()
    assert (run["exitcode"], run["preempting"], run["state"]) == (143, True, "pending")
    finish(start_agent(address), timeout=300)
    assert [command["type"] for command in server.commands] == ["run", "resume"]
    assert list(server.runs) == [run["name"]]
    assert (run["state"], run["starts"]) == ("finished", 2)
    (path,) = workplace.glob(f"runs/*/*/{records.FILE_NAME}")
    assert len(records.read(path).history) == 1000
    check_logged(run, 1000)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Read the `app_url` setting:DeprecationWarning")  # of W&B, by W&B
def test_a_sweep_file_makes_a_sweep_as_it_stands(server, monkeypatch):
    monkeypatch.chdir(ROOT)
    said = run_wandb("sweep", "sweeps/quick.yaml")
    assert re.search(rf"wandb agent {ENTITY}/\S+/sweep000\n$", said)  # wandb names the project after the repository
    files = [path for path in sorted((ROOT / "sweeps").glob("*.yaml")) if path.stem != "quick"]
    for path in files:  # without a process for each
        wandb.sweep(yaml.safe_load(path.read_text()), project="mine")
    names = [yaml.safe_load(sweep["config"])["name"] for sweep in server.sweeps.values()]
    assert names == ["quick", *(path.stem for path in files)]


@pytest.mark.nightly
@pytest.mark.data
@pytest.mark.timeout(3600)
def test_the_first_sweep_of_the_readme(server, workplace, real_data, monkeypatch):
    """``sweeps/quick.yaml`` as it stands, but for a program that trains and tests on a few batches."""
    limits = [f"--trainer.limit_{part}_batches=4" for part in ("train", "val", "test")]
    (workplace / "train.py").write_text(
        f"import sys\nsys.path.insert(0, {str(ROOT)!r})\nsys.argv += {limits!r}\n"
        f"from runpy import run_path\nrun_path({str(ROOT / 'train.py')!r}, run_name='__main__')\n"
    )
    (workplace / "recipes").symlink_to(ROOT / "recipes")
    monkeypatch.setenv("SUITE_DATA_DIR", real_data)
    text = (ROOT / "sweeps" / "quick.yaml").read_text()
    address = new_sweep(yaml.safe_load(text))
    finish(*(start_agent(address) for _ in range(2)), timeout=1800)
    assert {run["state"] for run in server.runs.values()} == {"finished"}
    assert len(server.runs) == server.sweeps["sweep000"]["count"] > 1
    check_tables(address, workplace / "runs" / "sweep000", "quick")
