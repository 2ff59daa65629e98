"""The committed forms of ``sweeps/compare.yaml`` are what the command writes, and as large as they say."""

import math

import pytest
import torch
import yaml

from headtohead.runner.matched import matched_file
from lit_models import architectures
from lit_models.facts import example_inputs
from lit_models.sizes import size
from tests.conftest import ROOT

FACTS = {
    "MNIST": {"in_channels": 1, "image_size": 28, "num_classes": 10},
    "CIFAR10": {"in_channels": 3, "image_size": 32, "num_classes": 10},
}
MEASURES = ("params", "macs")


def read(name):
    return yaml.safe_load((ROOT / "sweeps" / f"{name}.yaml").read_text())


def sized(path, data, measure, **arguments):
    with torch.device("meta"):
        network = getattr(architectures, path)(**FACTS[data], **arguments)
    if measure == "params":
        return sum(math.prod(parameter.shape) for parameter in network.parameters())
    return size(network, *example_inputs(network, FACTS[data])).macs


@pytest.mark.parametrize("measure", MEASURES)
def test_every_model_is_as_large_as_cnn_or_the_file_says_that_it_is_not(measure):
    file, own = read(f"compare_{measure}"), read("compare")
    points = file["parameters"]["config"]["values"]
    assert len(points) == 30
    targets = {data: sized("CNN", data, measure) for data in FACTS}
    said = [line for line in (ROOT / "sweeps" / f"compare_{measure}.yaml").read_text().splitlines() if "width" in line]
    for point, line in zip(points, said, strict=False):
        model = point["model"]
        ratio = sized(model["class_path"], point["data"], measure, **model["init_args"]) / targets[point["data"]]
        assert line.startswith(f"#   {model['class_path']}")
        assert f"{ratio:.3g} x CNN" in line
        assert (abs(ratio - 1) <= 0.03) is ("the nearest" not in line)
    assert sum("the nearest" in line for line in said) <= 8
    kept = {name: spec for name, spec in own["parameters"].items() if name not in ("model", "data")}
    assert {name: spec for name, spec in file["parameters"].items() if name != "config"} == kept


@pytest.mark.slow
@pytest.mark.parametrize("measure", MEASURES)
def test_the_command_writes_them(measure, monkeypatch):
    monkeypatch.chdir(ROOT)
    path = (ROOT / "sweeps" / "compare.yaml").relative_to(ROOT)
    assert matched_file(path, measure, "CNN") == (ROOT / "sweeps" / f"compare_{measure}.yaml").read_text()
