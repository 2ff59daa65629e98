"""Any network joins by its name: what it is told of the data, what its record says, what is refused beforehand."""

import sys
from pathlib import Path

import pytest
import torch

from headtohead.records import record as records
from headtohead.trial import main as train
from headtohead.trial.networks import facts_of
from tests.tiny import Few

NETWORKS = '''
import torch
from torch import nn


class Plain(nn.Module):
    """Takes two of the facts: one without a default, and none that it has no argument for."""

    def __init__(self, num_classes: int, in_channels: int = 1, width: int = 4):
        super().__init__()
        self.given = (num_classes, in_channels, width)
        self.layer = nn.Linear(in_channels * width, num_classes)

    def forward(self, images):
        return self.layer(images.mean(3)[:, :, : self.given[2]].flatten(1))


class Fixed(nn.Module):
    """Takes no fact at all."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 10)

    def forward(self, images):
        return self.layer(images.mean((2, 3)))


class Views(nn.Module):
    """Flattens by view, which images laid out channels last do not fit."""

    def __init__(self, in_channels: int, num_classes: int):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, 4, 3, stride=4)
        self.layer = nn.Linear(4 * 8 * 8, num_classes)

    def forward(self, images):
        images = self.conv(images)
        return self.layer(images.view(images.size(0), -1))


def make(num_classes: int, depth: int = 1) -> nn.Module:
    """A function that returns a network."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), *[nn.ReLU()] * depth, nn.Linear(3, num_classes))


class Wide(Fixed):
    def forward(self, images):
        return super().forward(images)[:, :9]


class Flat(Fixed):
    def forward(self, images):
        return super().forward(images).flatten()


class NotFinite(Fixed):
    def forward(self, images):
        return super().forward(images) / 0


class Pair(Fixed):
    def forward(self, images):
        return super().forward(images), images


class Grey(Fixed):
    """Made for one channel, and told of no other."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 3)

    def forward(self, images):
        return super().forward(self.conv(images))


class Small(Fixed):
    def __init__(self, num_classes: int, image_size: int):
        super().__init__()
        if image_size > 28:
            raise ValueError(f"images of at most 28 pixels: got {image_size}")
'''
FIT = ["fit", "--data=tests.tiny.Few", "--data.val_size=20", "--data.batch_size=20", "--trainer.accelerator=cpu"]
FIT += ["--trainer.max_epochs=1", "--trainer.default_root_dir=here"]
MODULE = "own_networks"


@pytest.fixture
def mine(workplace, monkeypatch):
    (workplace / f"{MODULE}.py").write_text(NETWORKS)
    monkeypatch.syspath_prepend(workplace)
    monkeypatch.delitem(sys.modules, MODULE, raising=False)
    return workplace


def weights_of(folder):
    state = torch.load(Path(folder, "checkpoints", "best.ckpt"), weights_only=True)["state_dict"]
    return {name.removeprefix("net."): tuple(value.shape) for name, value in state.items() if name.startswith("net.")}


def trained(*args):
    assert train.main([*FIT, *args]) == 0
    return records.read(Path("here") / records.FILE_NAME)


def test_the_data_state_their_facts():
    assert facts_of(Few()) == {"in_channels": 3, "image_size": 32, "num_classes": 10}


@pytest.mark.parametrize(
    ("args", "name", "own", "shape"),
    [
        (["Plain"], "Plain", {"width": 4}, (10, 3 * 4)),
        (["Plain", "--model.width=6"], "Plain", {"width": 6}, (10, 3 * 6)),
        (["Fixed"], "Fixed", {}, (10, 3)),
        (["make", "--model.depth=2"], "make", {"depth": 2}, (10, 3)),
    ],
)
def test_a_module_or_function_gets_the_facts_it_has_arguments_for(mine, args, name, own, shape):
    record = trained(f"--model={MODULE}.{args[0]}", *args[1:])
    assert (record.model, record.config["model"]) == (name, f"{MODULE}.{name}")
    assert {key: value for key, value in record.config.items() if key.startswith("model.")} == {
        f"model.{key}": value for key, value in own.items()
    }  # what comes from the data is no choice of anybody's
    assert [weight for weight in weights_of("here").values() if len(weight) == 2] == [shape]
    assert record.size["params"] == shape[0] * shape[1] + 10
    assert record.hardware["memory_format"] == "channels_last"


def test_a_network_that_flattens_by_view_gets_images_that_it_can_take(mine):
    record = trained(f"--model={MODULE}.Views")
    assert record.hardware["memory_format"] == "contiguous"
    assert record.quality["test_images"] == 20
    assert "data.memory_format" not in record.config


@pytest.mark.parametrize(
    ("args", "name", "said"),
    [
        (["torchvision.models.resnet18"], "resnet18", {}),
        (
            ["timm.create_model", "--model.model_name=resnet18", "--model.drop_rate=0.1"],
            "resnet18",
            {"model.model_name": "resnet18", "model.drop_rate": 0.1},
        ),
    ],
    ids=["torchvision", "timm"],
)
def test_a_network_of_another_library_is_trained(workplace, args, name, said):
    record = trained(f"--model={args[0]}", *args[1:])
    assert (record.model, record.config["model"]) == (name, args[0])
    assert said.items() <= record.config.items()
    shapes = weights_of("here")
    assert shapes["conv1.weight"] == (64, 3, 7, 7)
    assert shapes["fc.weight"] == (10, 512)
    assert record.size["params"] == 11_181_642  # those of ResNet-18 for ten classes


def test_timm_is_told_the_channels_too(workplace):
    """In the one channel of the other data set; it calls them in_chans."""
    args = ["fit", "--model=timm.create_model", "--model.model_name=resnet18", "--data=tests.tiny.Tiny"]
    assert train.check([*args, "--data.val_size=100", "--trainer.accelerator=cpu"]) is None
    wrong = train.check([*args, "--data.val_size=100", "--trainer.accelerator=cpu", "--model.nonsense=1"])
    assert wrong == "--model.nonsense: ResNet.__init__() got an unexpected keyword argument 'nonsense'"


@pytest.mark.parametrize(
    ("network", "said"),
    [
        ("Wide", "--model: Wide must return logits of shape (2, 10) (images, classes): got (2, 9)"),
        ("Flat", "--model: Flat must return logits of shape (2, 10) (images, classes): got (20,)"),
        ("NotFinite", "--model: NotFinite returns logits that are not finite before it is trained"),
        ("Pair", "--model: Pair must return logits of shape (2, 10): got a tuple"),
        ("Grey", "--model: Grey cannot take images of shape (2, 3, 32, 32): Given groups=1, weight of size [3, 1, 3"),
        ("Small", "--model: Small: images of at most 28 pixels: got 32"),
        ("Nope", f"--model: no model is named '{MODULE}.Nope'"),
    ],
)
def test_what_cannot_be_trained_is_refused_in_one_line_before_it_is(mine, capfd, network, said):
    before = sorted(mine.rglob("*.*"))
    assert train.main([*FIT, f"--model={MODULE}.{network}"]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith(f"train.py: {said}")
    assert [path for path in sorted(mine.rglob("*.*")) if path.suffix != ".pyc"] == before
    assert not (mine / "here").exists()
