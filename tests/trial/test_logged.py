"""What a trial leaves on W&B's server: how often its sweep is looked at, and a run of its own under Slurm."""

import json
import os
import subprocess
import sys

import pytest

from headtohead.records import looks
from headtohead.records import record as records
from headtohead.report import from_wandb
from headtohead.report.collect import collect
from headtohead.trial import tracking
from tests.conftest import ROOT
from tests.records.examples import make
from tests.tiny import TINY
from tests.wandb_server import ENTITY


def upload(folder, record):
    """Upload a record as a trial does when it has ended."""
    path = records.write(record, folder)
    logger = tracking.TrialLogger(folder, record.seed, record.config, resumes=False)
    logger.attach(path, {"test_acc": record.quality["test_acc"]})
    name = logger.experiment.id
    tracking.finish(0)
    return name


def test_how_often_a_sweep_is_looked_at_comes_back_with_its_records(server, workplace, monkeypatch):
    """The intervals of verdicts depend on it. Its runs are found by its name, and grouped by all but their seeds."""
    monkeypatch.setenv(tracking.SWEEP, "mine")
    given = looks.Looks(2, 12, 3)
    sweep = workplace / "runs" / "mine"
    looks.write_looks(given, sweep)
    name = upload(sweep / "one", make(seed=7))
    assert json.loads(server.files[name, looks.FILE_NAME]) == {"first": 2, "most": 12, "at_once": 3}
    monkeypatch.delenv(tracking.SWEEP)
    alone = upload(workplace / "runs" / "train" / "alone", make(seed=8))  # whose sweep, if any, was not looked at
    assert (alone, looks.FILE_NAME) not in server.files
    tags = [server.runs[one]["tags"] for one in (name, alone)]
    assert tags == [["EqCNN", "MNIST", "mine"], ["EqCNN", "MNIST"]]
    groups = {server.runs[one]["group"] for one in (name, alone)}
    assert groups == {f"EqCNN-MNIST-{make().config_hash}"}  # of both, which differ in nothing but the seed
    assert list(from_wandb.fetch(f"{ENTITY}/architectures/mine", workplace / "of_the_sweep").records) == ["one"]
    back = from_wandb.fetch(f"{ENTITY}/architectures", workplace / "theirs")
    assert (back.problems, back.looks) == ([], given)
    assert {trial: record.seed for trial, record in back.records.items()} == {"one": 7, "alone": 8}
    assert collect(sweep).looks == given
    del server.runs[name]
    assert from_wandb.fetch(f"{ENTITY}/architectures", workplace / "others").looks is None


@pytest.mark.slow
def test_an_agent_that_is_the_fourth_task_of_a_job_logs_its_trials(server, workplace):
    """Lightning takes ``srun``'s tasks for the ranks of one trial, of which only the first, 0, would log and write."""
    slurm = {"JOB_ID": "77", "JOB_NAME": "agents", "NTASKS": "8", "PROCID": "3", "LOCALID": "3", "NODEID": "0"}
    environment = {
        **os.environ,
        **{f"SLURM_{name}": value for name, value in slurm.items()},
        **{"WANDB_SWEEP_ID": "sweep000", "WANDB_RUN_ID": "run3", "WANDB_PROJECT": "mine"},
    }
    server._UpsertSweep({"config": "{name: tiny, program: train.py, parameters: {}}", "projectName": "mine"})
    fit = ["fit", "--model=FCNet", *TINY, "--trainer.max_epochs=1", "--trainer.accelerator=cpu"]
    command = [sys.executable, ROOT / "train.py", *fit]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    run = server.runs["run3"]
    assert (run["state"], run["exitcode"]) == ("finished", 0)
    assert [line["epoch"] for line in run["history"] if "train_loss" in line] == [0]
    (path,) = workplace.glob(f"runs/sweep000/FCNet-Tiny-seed0-run3/{records.FILE_NAME}")
    assert server.files["run3", records.FILE_NAME] == path.read_bytes()
    assert records.read(path).hardware["devices"] == 1
