"""A sweep file with all models as large as one: widths by value, and what cannot be matched."""

import pytest
import yaml

from headtohead.runner import main as sweep
from lit_models import architectures
from lit_models.facts import example_inputs
from lit_models.sizes import size, width_like
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
def matched(workplace, capsys):
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


@pytest.mark.parametrize("measure", ["params", pytest.param("macs", marks=pytest.mark.slow)])
def test_every_classifier_is_as_large_as_cnn_or_says_how_far_off_it_is(matched, measure):
    names = [name for name in architectures.__all__ if "UNet" not in name]
    text, file = matched(f"[{', '.join(names)}]", f"--match={measure}", "--like=CNN", data="{value: CIFAR10}")
    facts = {"in_channels": 3, "image_size": 32, "num_classes": 10}
    target = getattr(size(architectures.CNN(), *example_inputs(architectures.CNN(), facts)), measure)
    lines = dict(zip(names, text.splitlines()[2:], strict=False))
    for model in file["parameters"]["model"]["values"]:
        network = getattr(architectures, model["class_path"])(**facts, **model["init_args"])
        found = getattr(size(network, *example_inputs(network, facts)), measure)
        assert f"{found:,} {measure}" in lines[model["class_path"]]
        assert (abs(found / target - 1) <= 0.03) is ("the nearest" not in lines[model["class_path"]])
    assert sum("the nearest" in line for line in lines.values()) < len(lines) / 2


def test_the_file_that_it_writes_is_a_sweep_that_runs(matched, workplace, capsys):
    text, _ = matched("[CNN, torchvision.models.resnet18]", "--match=params", data="{value: CIFAR10}")
    assert "#   resnet18, which has no width: 11,1" in text
    (workplace / "matched.yaml").write_text(text)
    assert sweep.main(["matched.yaml", "--dry-run"]) == 0
    assert capsys.readouterr().out.count("to run") == 4


@pytest.mark.parametrize(
    ("models", "args", "data", "said"),
    [
        (
            "[EqCNN]",
            ["--like=SimpelCNN"],
            "{value: MNIST}",
            "--like: nothing is named 'SimpelCNN'; did you mean SimpleCNN?",
        ),
        ("[{init_args: {width: 3}}]", [], "{value: MNIST}", "parameters.model: must be a name, or class_path with"),
        ("[3]", [], "{value: MNIST}", "parameters.model: must be a name, or class_path with init_args: got 3"),
        (
            "[ResNet]",
            [],
            "{value: CIFAR10}\n  model.operator: {value: involution}",
            "--match: parameters.model.operator:",
        ),
        ("[EqCN]", [], "{value: MNIST}", "parameters.model: nothing is named 'EqCN'; did you mean EqCNN?"),
        ("[nowhere.Net]", [], "{value: MNIST}", "parameters.model: nothing is named 'nowhere.Net' (No module named"),
        (
            "[EqCNN]",
            [],
            "{values: [MNIST, CIFAR10]}\n  config: {value: a.yaml}",
            "--match: parameters.config: widths differ between data sets whose images do",
        ),
        (
            "[EqCNN]",
            ["--match=seconds"],
            "{value: MNIST}\n  data.batch_size: {values: [32, 64]}",
            "--match: parameters.data.batch_size: a step must be of one size: got [32, 64]",
        ),
    ],
)
def test_what_cannot_be_matched_is_one_line(matched, models, args, data, said):
    code, error = matched(models, "--match=params", *args, data=data)
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
