"""Nothing that is given on a command line, or in a sweep file, is ignored or overwritten without a word."""

from pathlib import Path

import pytest

from headtohead.runner import main as sweep
from headtohead.trial import main as train
from tests.tiny import TINY

FIT = ["fit", "--model=EqCNN", *TINY, "--trainer.accelerator=cpu"]


@pytest.fixture(autouse=True)
def _place(workplace, asked_here):
    Path("recipe.yaml").write_text("task: {class_path: Classifier, init_args: {lr: 0.03}}\nmodel: EqCNN\n")
    Path("other.yaml").write_text("task: {class_path: Classifier, init_args: {lr: 0.04, weight_decay: 0.5}}\n")


def resolved(*args):
    found = train.resolve([*FIT, *args])
    assert isinstance(found, dict), found
    return found


@pytest.mark.parametrize(
    "args",
    [
        ["--config=recipe.yaml", "--task.lr=0.5"],
        ["--task.lr=0.5", "--config=recipe.yaml"],
        ["--task.lr=0.5", "--config", "recipe.yaml"],
        ["--task.lr=0.5", "-c", "recipe.yaml", "--config=other.yaml"],
    ],
)
def test_what_is_given_comes_before_a_file_wherever_the_file_stands(args):
    assert resolved(*args)["task.lr"] == 0.5


def test_of_two_files_the_later_is_read_last():
    assert resolved("--config=other.yaml", "--config=recipe.yaml")["task.lr"] == 0.03
    found = resolved("--config=recipe.yaml", "--config=other.yaml")
    assert (found["task.lr"], found["task.weight_decay"]) == (0.04, 0.5)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--model={'class_path': 'EqCNN', 'init_args': {'width': None}}"], "--model.width: must "),
        (["--model.width=None"], "--model.width: must "),
        (["--task={'class_path': 'Classifier', 'init_args': {'lr': None}}"], "--task.lr: must not be null"),
    ],
)
def test_null_within_a_value_is_read_and_refused_by_name(args, said):
    found = train.resolve([*FIT, *args])
    assert isinstance(found, str)
    assert found.startswith(said), found
    assert "\n" not in found


def test_null_within_a_value_is_what_it_says_where_it_may_be():
    own = {"class_path": "EarlyStopping", "init_args": {"monitor": "val_loss", "stopping_threshold": None}}
    found = resolved(f"--trainer.callbacks={[own]}")
    assert found["trainer.callbacks"] == '[{"class_path": "EarlyStopping", "init_args": {"monitor": "val_loss"}}]'


def test_what_an_agent_tells_a_run_that_was_preempted_is_no_argument():
    assert resolved("--_wandb={'resume': 'x'}") == resolved()


SWEEP = """program: train.py
method: grid
metric: {name: val_acc, goal: maximize}
parameters:
  model: {value: EqCNN}
  data: {value: tests.tiny.Tiny}
  data.val_size: {value: 100}
  PARAMETER
command: ["${env}", "${interpreter}", "${program}", fit, "${args}"]
"""


def checked(capfd, parameter, **replaced):
    text = SWEEP.replace("PARAMETER", parameter)
    for old, new in replaced.items():
        text = text.replace({"metric": "val_acc", "command": '"${args}"'}[old], new)
    Path("mine.yaml").write_text(text)
    capfd.readouterr()
    code = sweep.main(["mine.yaml", "--dry-run"])
    out, err = capfd.readouterr()
    return code, out, err


@pytest.mark.parametrize(
    ("parameter", "said"),
    [
        ("data.augment: {values: [none, default]}", "data.augment=none and data.augment=default"),
        ("task.lr: {values: [1, 1.0]}", "task.lr=1 and task.lr=1.0"),
        ("trainer.precision: {values: [32, 32-true]}", "trainer.precision=32 and trainer.precision=32-true"),
        ("trainer.logger: {values: [true, false]}", "trainer.logger=True and trainer.logger=False"),
    ],
)
def test_points_that_resolve_alike_are_refused_by_name(capfd, parameter, said):
    code, _, err = checked(capfd, parameter)
    assert code == 2
    assert err == f"sweep.py: mine.yaml: parameters: {said} are one and the same trial\n"


def test_a_file_in_a_sweep_does_not_overwrite_the_points(capfd):
    code, out, err = checked(capfd, "task.lr: {values: [0.1, 0.2]}\n  config: {value: recipe.yaml}")
    assert (code, err) == (0, "")
    lines = [line for line in out.splitlines() if line.startswith("to run")]
    found = [train.resolve(line.split()[3:]) for line in lines]
    assert [one["task.lr"] for one in found] == [0.1, 0.2]


def test_a_metric_that_no_task_logs_is_refused(capfd):
    code, _, err = checked(capfd, "", metric="val_accuracy")
    assert code == 2
    assert err.startswith("sweep.py: mine.yaml: metric.name: no task logs 'val_accuracy'; did you mean ")
    code, _, err = checked(capfd, "task: {value: mine.Task}", metric="val_accuracy")
    assert "metric" not in err


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (
            '"${args_json_file}"',
            "command: ${args_json_file} gives the parameters in a form that train.py does not read",
        ),
        (
            '"${args}", "--seed_everything=${envvar:NOWHERE}"',
            "command: ${envvar:NOWHERE}: the environment has no NOWHERE",
        ),
    ],
)
def test_macros_that_do_not_work_are_refused(capfd, command, said):
    code, _, err = checked(capfd, "", command=command)
    assert code == 2
    assert said in err


def test_variables_of_the_environment_are_read(capfd, monkeypatch):
    monkeypatch.setenv("MY_SEED", "7")
    code, out, err = checked(capfd, "", command='"${args}", "--seed_everything=${envvar:MY_SEED}"')
    assert (code, err) == (0, "")
    assert "--seed_everything=7" in out
