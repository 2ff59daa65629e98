"""A sweep file with all models as large as one: widths by value, and what cannot be matched."""

import pytest
import yaml

from headtohead.runner import main as sweep
from lit_models import architectures
from lit_models.sizes import width_like
from tests.conftest import ROOT

FILE = """
program: train.py
method: grid
parameters:
  model: {values: MODELS}
  data: {value: MNIST}
  seed_everything: {values: [0, 1]}
  task.lr: {value: 0.01}
command: ["${env}", "${interpreter}", "${program}", fit, "${args}"]
"""


@pytest.fixture
def matched(workplace, asked_here, capsys):
    """Return a function that matches the models of a file, and returns its text and what it parses to."""

    def matched(models, *args, data="{value: MNIST}"):
        (workplace / "mine.yaml").write_text(FILE.replace("MODELS", models).replace("{value: MNIST}", data))
        code = sweep.main(["mine.yaml", *args])
        out, err = capsys.readouterr()
        return (out, yaml.safe_load(out)) if code == 0 else (code, err)

    return matched


def test_widths_are_those_of_width_like_and_the_rest_stays(matched):
    text, file = matched(
        "[SimpleCNN, EqCNN, {class_path: ResNet, init_args: {depth: 8, operator: conv}}]", "--match=params"
    )
    simple, eq, resnet = file["parameters"]["model"]["values"]
    assert simple == {"class_path": "SimpleCNN", "init_args": {"width": 8}}
    assert eq["init_args"]["width"] == width_like(architectures.EqCNN, architectures.SimpleCNN) == 11
    assert resnet["init_args"] | {"width": 0} == {"depth": 8, "operator": "conv", "width": 0}
    assert file["parameters"]["task.lr"] == {"value": 0.01}
    assert file["command"][-1] == "${args}"
    first, how = text.splitlines()[:2]
    assert (
        first == "# mine.yaml with every model as large as SimpleCNN, by params. Written, and to be written again, by"
    )
    assert how == "#   python sweep.py mine.yaml --match params --like SimpleCNN"
    assert file["name"] == "mine_params"
    assert "#   EqCNN at width 11: 14,662 params, 1.05 x SimpleCNN, the nearest: 4.9% off" in text


def test_the_file_that_it_writes_is_a_sweep_that_runs(matched, workplace, capsys):
    text, _ = matched("[CNN, torchvision.models.resnet18]", "--match=params", data="{value: CIFAR10}")
    assert "#   resnet18, which has no width: 11,1" in text
    (workplace / "matched.yaml").write_text(text)
    assert sweep.main(["matched.yaml", "--dry-run"]) == 0
    assert capsys.readouterr().out.count("to run") == 4


@pytest.mark.parametrize(
    ("models", "more", "said"),
    [
        ("[EqCNN]", "--like=SimpelCNN", "--like: nothing is named 'SimpelCNN'; did you mean SimpleCNN?"),
        ("[{init_args: {width: 3}}]", "", "parameters.model: must be a name, or class_path with"),
        ("[3]", "", "parameters.model: must be a name, or class_path with init_args: got 3"),
        ("[ResNet]", "model.operator: {value: involution}", "--match: parameters.model.operator:"),
        ("[EqCN]", "", "parameters.model: nothing is named 'EqCN'; did you mean EqCNN?"),
        ("[nowhere.Net]", "", "parameters.model: nothing is named 'nowhere.Net' (No module named"),
        ("[EqCNN]", "config: {value: a.yaml}", "--match: parameters.config: widths differ between data sets whose"),
        ("[EqCNN]", "--match=seconds", "--match: parameters.data.batch_size: a step must be of one size: got [32, 64]"),
    ],
)
def test_what_cannot_be_matched_is_one_line(matched, models, more, said):
    """More is an argument, or a parameter of the file."""
    args, line = ([more], "data.batch_size: {values: [32, 64]}") if more.startswith("--") else ([], more)
    code, error = matched(models, "--match=params", *args, data=f"{{values: [MNIST, CIFAR10]}}\n  {line}")
    assert code == 2
    assert error.startswith(f"sweep.py: {said}")
    assert error.count("\n") == 1


def test_recipes_are_refused(workplace, capsys):
    assert sweep.main([str(ROOT / "sweeps" / "quick.yaml"), "--match=params"]) == 2
    assert "must name its models and data in parameters.model and parameters.data" in capsys.readouterr().err


def test_how_often_a_model_is_drawn_stays(workplace, capsys):
    text = FILE.replace("method: grid", "method: random\nrun_cap: 2").replace("MODELS", "[CNN, EqCNN]")
    text = text.replace("[CNN, EqCNN]}", "[CNN, EqCNN], probabilities: [0.75, 0.25]}").replace("MNIST", "CIFAR10")
    (workplace / "mine.yaml").write_text(text)
    assert sweep.main(["mine.yaml", "--match=params"]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["parameters"]["model"]["probabilities"] == [0.75, 0.25]
