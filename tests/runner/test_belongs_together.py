"""Parameters that belong together, as mappings of the parameter ``config``: checked, named, and run by both runners."""

import copy
import json

import pytest
import yaml

from headtohead.records import record as records
from headtohead.runner import main as sweep
from headtohead.runner.sweep_file import SweepError, read_sweep
from headtohead.trial.main import resolve
from tests.conftest import ROOT

EQ = {"model": {"class_path": "EqCNN", "init_args": {"width": 2}}, "task": {"class_path": "Classifier"}}
EQ["task"]["init_args"] = {"lr": 0.02}
TOGETHER = [{"model": "FCNet", "task": {"class_path": "Classifier", "init_args": {"lr": 0.003}}}, EQ]
SWEEP = {
    "program": str(ROOT / "train.py"),
    "method": "grid",
    "metric": {"name": "val_acc", "goal": "maximize"},
    "parameters": {
        "config": {"values": TOGETHER},
        "seed_everything": {"value": 3},
        "data": {"value": "tests.tiny.Tiny"},
        "data.val_size": {"value": 100},
        "trainer.max_epochs": {"value": 1},
        "trainer.accelerator": {"value": "cpu"},
    },
    "command": ["${env}", "${interpreter}", "${program}", "fit", "${args}"],
}


def write(folder, **parameters):
    config = copy.deepcopy(SWEEP)
    config["parameters"] |= parameters
    (folder / "together.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    return folder / "together.yaml"


def check(found):
    """Fail unless the records are those of the two mappings."""
    learnt = {record.model: (record.config.get("model.width"), record.config["task.lr"]) for record in found}
    assert learnt == {"FCNet": (200, 0.003), "EqCNN": (2, 0.02)}


def test_a_mapping_is_what_a_file_of_it_would_be(workplace):
    first, second = read_sweep(write(workplace, data={"value": "MNIST"})).trials
    assert first.name.startswith("FCNet-MNIST-seed3-")
    assert second.name.startswith("EqCNN-MNIST-seed3-")
    (workplace / "eq.yaml").write_text(yaml.safe_dump(EQ))
    found = resolve(second.args)
    assert (found["model"], found["model.width"], found["task.lr"]) == ("EqCNN", 2, 0.02)
    of_file = ["--config=eq.yaml" if arg.startswith("--config=") else arg for arg in second.args]
    assert resolve(of_file) == found


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (
            {"model": "EqCNN", "model.width": 3},
            "parameters.config: model.width cannot stand in a mapping: write model: {class_path: …, init_args: "
            "{width: …}}",
        ),
        ([1], "parameters.config: must be a file, or a mapping of the form of one: got [1]"),
        ({"model": "EqCNN", "task": {"lr": float("nan")}}, "parameters.config.values: must be finite"),
    ],
)
def test_what_is_wrong_with_a_mapping_is_one_line(workplace, value, said):
    with pytest.raises(SweepError) as refused:
        read_sweep(write(workplace, config={"values": [*TOGETHER, value]}))
    (problem,) = refused.value.problems
    assert said in problem


@pytest.mark.slow
def test_what_a_mapping_comes_to_is_checked_before_anything_runs(workplace, capsys):
    wrong = [{"modle": "FCNet"}, {"model": "FCNet", "task": {"class_path": "Classifier", "init_args": {"lrr": 1}}}]
    path = write(workplace, config={"values": [*TOGETHER, *wrong]})
    assert sweep.main([str(path), "--dry-run"]) == 2
    said = capsys.readouterr().err
    assert "parameters.modle: no such argument; did you mean --model?" in said
    assert "parameters.task.lrr: Classifier has no such argument; did you mean --task.lr?" in said


@pytest.mark.slow
def test_the_runner_of_this_machine_runs_them(workplace):
    path = write(workplace)
    assert sweep.main([str(path), "--runs=mine"]) == 0
    check([records.read(path) for path in workplace.glob(f"mine/together/*/{records.FILE_NAME}")])


@pytest.mark.slow
def test_an_agent_of_wandb_runs_them(server, workplace):
    from tests.test_wandb import finish, new_sweep, start_agent

    address = new_sweep(yaml.safe_load(write(workplace).read_text()), "--project=mine")
    finish(start_agent(address), timeout=300)
    assert [command["args"]["config"]["value"] for command in server.commands] == TOGETHER
    check([records.read(path) for path in workplace.glob(f"runs/sweep000/*/{records.FILE_NAME}")])
    assert {json.loads(run["config"])["config"]["value"]["model"] == "FCNet" for run in server.runs.values()} == {
        True,
        False,
    }
