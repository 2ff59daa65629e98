"""Class and arguments of networks and data that somebody has built: right, or refused, never guessed."""

import functools

import pytest
import torch
import torchvision
from kornia import augmentation as K
from torch import nn

import datamodules
import lit_models
from headtohead.cli.errors import UsageError
from headtohead.trial.describe import describe_data, describe_network, parameter
from tests.tiny import Tiny

MNIST = {"in_channels": 1, "image_size": 28, "num_classes": 10}


class Scaled(nn.Module):
    """What it does is told by no layer of it: ``power`` alone, which it does not keep under that name."""

    def __init__(self, in_channels, image_size, num_classes, power: float = 1.0):
        super().__init__()
        self.layer, self._exponent = nn.Linear(in_channels * image_size**2, num_classes), power

    def forward(self, images):
        return self.layer(images.flatten(1) ** self._exponent)


class Hidden(Scaled):
    """The same, and the number is kept where nobody can see it."""

    def __init__(self, in_channels, image_size, num_classes, power: float = 1.0):
        super().__init__(in_channels, image_size, num_classes)
        self._of = [object(), power]

    def forward(self, images):
        return super().forward(images ** self._of[1])


class Kept(Scaled):
    def __init__(self, in_channels, image_size, num_classes, power: float = 1.0):
        super().__init__(in_channels, image_size, num_classes, power)
        self.power = power


@pytest.mark.parametrize(
    ("given", "description"),
    [
        (lit_models.SimpleCNN(), "SimpleCNN"),
        (lit_models.EqCNN(width=3), {"class_path": "EqCNN", "init_args": {"width": 3}}),
        (lit_models.EqCNN(in_channels=3, image_size=32), None),  # other images than the data's, nor the default's
        (lit_models.ConvUNet(), "ConvUNet"),  # built for the data's channels, whatever its own
        (lit_models.SimpleCNN, "SimpleCNN"),
        ("EqCNN", "EqCNN"),
        (functools.partial(lit_models.EqCNN, width=3), {"class_path": "EqCNN", "init_args": {"width": 3}}),
        ({"class_path": "EqCNN", "init_args": {"width": 3}}, {"class_path": "EqCNN", "init_args": {"width": 3}}),
        (torchvision.models.resnet18, "torchvision.models.resnet.resnet18"),
        (Scaled(1, 28, 10), f"{__name__}.Scaled"),
        (Scaled(1, 28, 10, power=0.5), None),
        (Hidden(1, 28, 10), f"{__name__}.Hidden"),
        (Hidden(1, 28, 10, power=0.5), None),  # its output alone is not that of the default
        (Kept(1, 28, 10, 0.5), {"class_path": f"{__name__}.Kept", "init_args": {"power": 0.5}}),
    ],
)
def test_networks(given, description):
    if description is None:
        with pytest.raises(
            UsageError, match=r"^networks\[1\]: the arguments of \w+ cannot be told .*partial\(\w+, \w+=…\)"
        ):
            describe_network(given, "networks[1]", MNIST)
    else:
        assert describe_network(given, "networks[1]", MNIST) == description


@pytest.mark.slow
def test_a_network_of_torchvision_is_told_by_the_function_that_makes_it():
    found = describe_network(torchvision.models.resnet34(num_classes=10), "n", MNIST)
    assert found == "torchvision.models.resnet.resnet34"


def test_describing_leaves_network_and_random_numbers_as_they_were():
    network = lit_models.Z2CNN(width=4).train()  # whose batch norms would keep what they see
    before = {name: weight.clone() for name, weight in network.state_dict().items()}
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    assert describe_network(network, "n", MNIST) == {"class_path": "Z2CNN", "init_args": {"width": 4}}
    assert torch.equal(torch.rand(1), expected)
    assert network.training
    assert all(torch.equal(weight, before[name]) for name, weight in network.state_dict().items())


def local():
    class Local(nn.Module):
        pass

    return Local


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("SimpelCNN", "networks[0]: nothing is named 'SimpelCNN'; did you mean SimpleCNN?"),
        ("torchvision.models.resnet19", "networks[0]: nothing is named 'torchvision.models.resnet19'"),
        (3, "networks[0]: must be a network, its class, a function that makes it, or its dotted name: got a int"),
        (lambda: nn.Linear(1, 1), "networks[0]: <lambda> is defined where no other process finds it: write it into"),
        (local(), "networks[0]: Local is defined where no other process finds it: write it into a file"),
        (functools.partial(lit_models.CNN, width=nn.ReLU()), "networks[0]: width must be a number, a name or a list"),
        ({"class_path": "CNN", "width": 4}, "networks[0]: must be a network"),
    ],
)
def test_what_cannot_be_described_is_refused_in_one_line(given, said):
    with pytest.raises(UsageError) as caught:
        describe_network(given, "networks[0]", MNIST)
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


def test_a_class_of_a_notebook_is_refused(monkeypatch):
    monkeypatch.setattr(Scaled, "__module__", "__main__")
    with pytest.raises(UsageError, match=r"Scaled is defined where no other process finds it: .* such as mine.py"):
        describe_network(Scaled, "networks[0]", MNIST)


@pytest.mark.parametrize(
    ("given", "description"),
    [
        (datamodules.MNIST(), "MNIST"),
        (datamodules.MNIST, "MNIST"),
        ("MNIST", "MNIST"),
        (
            datamodules.MNIST(batch_size=8, augment="shift"),
            {"class_path": "MNIST", "init_args": {"batch_size": 8, "augment": "shift"}},
        ),
        (Tiny(val_size=100), {"class_path": "tests.tiny.Tiny", "init_args": {"val_size": 100}}),
        (datamodules.MNIST(augment=K.RandomErasing(p=0.25)), None),
    ],
)
def test_data(given, description):
    if description is None:
        with pytest.raises(UsageError, match=r"^data: the arguments of MNIST cannot be told from it"):
            describe_data(given)
    else:
        assert describe_data(given) == (description, MNIST)


def test_arguments_by_their_command_line_names():
    assert [parameter(name, 1) for name in ("lr", "holes", "max_epochs", "batch_size")] == [
        "task.lr",
        "task.holes",
        "trainer.max_epochs",
        "data.batch_size",
    ]
    with pytest.raises(UsageError, match=r"^max_epoch: no such argument of task, Trainer or data; did you mean max_ep"):
        parameter("max_epoch", 1)
    with pytest.raises(UsageError, match=r"^lr: must be a number, a name or a list of these: got a Linear"):
        parameter("lr", nn.Linear(1, 1))
