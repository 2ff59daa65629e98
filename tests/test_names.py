"""The commands in a folder whose own files have the suite's names: each runs the suite's, and finds the user's."""

import os
import subprocess
import sys

import pytest

from headtohead.records import record as records
from headtohead.runner import main as sweep
from tests.conftest import ROOT
from tests.tiny import COMMAND, a_sweep

# what the first edition installed under these names, or a user may well call a file of his own
TAKEN = ("train", "sweep", "results", "report", "trial", "datamodules", "records", "runner", "benchmarks")
MINE = """
from torch import nn

class Linear(nn.Module):
    def __init__(self, in_channels: int, image_size: int, num_classes: int):
        super().__init__()
        self.layer = nn.Linear(in_channels * image_size**2, num_classes)

    def forward(self, images):
        return self.layer(images.flatten(1))
"""
SWEEP = a_sweep(model="{value: mine.Linear}")
MODULE = '["${env}", "${interpreter}", "-m", headtohead, train, fit, "${args}"]'
# tests.tiny is a module of the checkout, as a user's own data set would be one of his folder
FIT = ["fit", "--model=mine.Linear", "--data=tests.tiny.Tiny", "--data.val_size=100", "--trainer.max_epochs=1"]
FIT += ["--trainer.accelerator=cpu"]


@pytest.fixture(scope="module")
def taken(tmp_path_factory):
    """A folder that holds all these files, each of which fails where it is imported or run, and a user's mine.py."""
    folder = tmp_path_factory.mktemp("taken")
    for name in TAKEN:
        (folder / f"{name}.py").write_text(f"raise SystemExit('{name}.py of the folder was imported')\n")
    (folder / "mine.py").write_text(MINE)
    (folder / "tiny.yaml").write_text(SWEEP)
    return folder


def run(folder, *command, **environment):
    path = {"PYTHONPATH": str(ROOT)} if command[0] == "-m" else {}
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    env = {**kept, **path, **environment}
    done = subprocess.run([sys.executable, *command], cwd=folder, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.mark.slow
def test_the_commands_of_a_checkout(taken):
    done = run(taken, ROOT / "sweep.py", "tiny.yaml", "--runs=one")  # through the server of processes
    (path,) = taken.glob(f"one/tiny/*/{records.FILE_NAME}")
    assert records.read(path).config["model"] == "mine.Linear"
    said = (
        "sweep.py: tiny.yaml: program: train.py is not the suite's: here the suite's is run, but wandb agent would run "
    )
    assert done.stderr.startswith(said)
    assert len(done.stderr.splitlines()) == 1
    assert "Linear" in run(taken, ROOT / "report.py", "one/tiny", "--out=tables").stdout
    assert (taken / "tables" / "tiny" / "report.html").is_file()


@pytest.mark.slow
def test_the_other_commands_of_a_checkout(taken):
    listed = run(taken, ROOT / "sweep.py", "tiny.yaml", "--runs=none", "--dry-run").stdout
    assert "to run   Linear-Tiny-" in listed
    run(taken, ROOT / "train.py", *FIT, "--trainer.default_root_dir=alone")  # by its path alone, without a PYTHONPATH
    assert records.read(taken / "alone" / records.FILE_NAME).model == "Linear"


@pytest.mark.slow
def test_the_commands_of_an_installed_suite(taken):
    text = SWEEP.replace("program: train.py\n", "").replace(COMMAND, MODULE)
    (taken / "installed.yaml").write_text(text)
    done = run(taken, "-m", "headtohead", "sweep", "installed.yaml", "--runs=two")
    assert done.stderr == ""
    (path,) = taken.glob(f"two/installed/*/{records.FILE_NAME}")
    assert records.read(path).config["model"] == "mine.Linear"
    assert "Linear" in run(taken, "-m", "headtohead", "report", "two/installed", "--out=tables").stdout


@pytest.mark.slow
def test_the_command_by_which_an_agent_starts_a_trial(taken):
    agent = {"WANDB_SWEEP_ID": "sweep000", "WANDB_RUN_ID": "run7"}
    run(taken, "-m", "headtohead", "train", *FIT, **agent)
    (path,) = taken.glob(f"runs/sweep000/Linear-Tiny-seed0-run7/{records.FILE_NAME}")
    assert records.read(path).quality["test_images"] == 200


@pytest.mark.parametrize(
    ("program", "warned"),
    [("train.py", True), ("./train.py", True), (str(ROOT / "train.py"), False), ("gone/train.py", False)],
)
def test_a_warning_where_an_agent_would_run_another_program(taken, monkeypatch, capsys, program, warned):
    monkeypatch.chdir(taken)
    (taken / "other.yaml").write_text(SWEEP.replace("train.py", program))
    said = sweep._another_program(sweep.read_sweep(taken / "other.yaml"))
    assert (said is not None) == warned
    if said:
        assert said.startswith("program: train.py is not the suite's")
        assert '"-m", "headtohead", "train", "fit", "${args}"]' in said
