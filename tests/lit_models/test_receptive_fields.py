"""Layers of a network: output shapes, sizes and receptive fields against numbers worked out by hand."""

import re

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import lit_models
from lit_models.__main__ import main
from lit_models.facts import FACTS, default_facts, example_inputs
from lit_models.layers import layers, receptive_fields
from lit_models.operators import DepthwiseSeparableConv2d, Involution2d
from lit_models.sizes import size


def example(pixels=64, channels=1):
    return torch.zeros(1, channels, pixels, pixels)


def test_a_strided_dilated_and_pooled_chain():
    """Each layer adds (its extent - 1) times the product of the strides before it."""
    chain = [
        (nn.Conv2d(1, 2, 3), 3),  # 1 + 2
        (nn.Conv2d(2, 2, 3, stride=2, padding=1), 5),  # + 2
        (nn.MaxPool2d(2), 7),  # + 1 * 2
        (nn.Conv2d(2, 2, 3, dilation=2, padding=2), 23),  # + (5 - 1) * 4
        (nn.AvgPool2d(3, stride=1), 31),  # + 2 * 4
        (nn.BatchNorm2d(2), 31),
        (nn.Conv2d(2, 1, 1, stride=3), 31),
        (nn.Conv2d(1, 1, 2), 43),  # + 1 * 12
    ]
    model = nn.Sequential(*(layer for layer, _ in chain))
    found = receptive_fields(model, example())
    assert found == {str(index): (field, field) for index, (_, field) in enumerate(chain)}


def test_rows_and_columns_are_told_apart():
    model = nn.Sequential(nn.Conv2d(1, 1, (1, 5), padding=(0, 2)), nn.Conv2d(1, 1, (3, 1), stride=(2, 1)))
    assert receptive_fields(model, example()) == {"0": (1, 5), "1": (3, 5)}


class Outside(nn.Module):
    """Does outside of modules what no layer does: a shortcut with a stride, a mean over space."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(1, 1, 3, padding=1)
        self.second = nn.Conv2d(1, 1, 1)
        self.last = nn.Linear(1, 2)
        self.spare = nn.Linear(1, 1)
        self.scale = nn.Parameter(torch.ones(3))

    def forward(self, x):
        x = self.second(F.max_pool2d(self.first(x), 4) + x[..., ::4, ::4])
        return self.last(x.mean((2, 3)))


def test_what_is_computed_outside_of_modules_counts():
    # 4 pixels of the pooling and one on either side: 6; the mean sees all
    assert receptive_fields(Outside(), example(16)) == {"first": (3, 3), "second": (6, 6), "last": (16, 16)}
    assert [layer.name for layer in layers(Outside(), example(16))] == ["first", "second", "last"]  # one does not run


def test_global_and_dense_layers_see_the_whole_image():
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    assert list(receptive_fields(model, example(9)).values()) == [(3, 3), (9, 9), (9, 9), (9, 9)]


def test_layers_of_cnn_by_hand():
    """Document 003's network: shapes, parameters, products and fields worked out on paper."""
    model = lit_models.CNN()
    found = layers(model, example(32, 3))
    assert [(x.name, x.kind, x.shape, x.params, x.macs) for x in found if x.params] == [
        ("features.0", "Conv2d", (32, 32, 32), 3 * 32 * 9 + 32, 32**2 * 3 * 32 * 9),
        ("features.3", "Conv2d", (64, 16, 16), 32 * 64 * 9 + 64, 16**2 * 32 * 64 * 9),
        ("features.6", "Conv2d", (64, 8, 8), 64 * 64 * 9 + 64, 8**2 * 64 * 64 * 9),
        ("head.0", "Linear", (64,), 4096 * 64 + 64, 4096 * 64),
        ("head.2", "Linear", (10,), 64 * 10 + 10, 64 * 10),
    ]
    assert all(x.bytes == 4 * x.params for x in found)
    fields = receptive_fields(model, example(32, 3))
    # 3; pooled 4; + 2 * 2 = 8; pooled 10; + 2 * 4 = 18
    assert [fields[f"features.{i}"][0] for i in (0, 2, 3, 5, 6)] == [3, 4, 8, 10, 18]
    assert fields["head.0"] == (32, 32)


@pytest.mark.parametrize(
    "build", [lit_models.EqCNN, lit_models.INN, lit_models.P4CNN, lambda: lit_models.PConvUNet(width=2)]
)
def test_layers_add_up_to_the_network(build):
    model = build()
    inputs = example_inputs(model, FACTS | (default_facts(build) if isinstance(build, type) else {}))
    whole, found = size(model, *inputs), layers(model, *inputs)
    assert sum(x.params for x in found) == whole.params
    assert sum(x.macs for x in found) == whole.macs
    assert sum(x.bytes for x in found) == whole.bytes


def test_a_network_without_parts_is_one_layer():
    (found,) = layers(nn.Conv2d(3, 4, 3), example(8, 3))
    assert (found.params, found.macs) == (112, 6 * 6 * 4 * 27)


def test_a_layer_in_two_places_has_the_macs_of_both():
    """Of 8x8 pixels, 3 channels each and 27 weights; the other layers have none."""
    shared = nn.Conv2d(3, 3, 3, padding=1)
    model = nn.Sequential(nn.Sequential(shared, nn.ReLU()), nn.Sequential(shared, nn.ReLU()))
    assert [layer.macs for layer in layers(model, example(8, 3))] == [2 * 8 * 8 * 3 * 27, 0, 0]


def test_operators_are_layers_and_what_they_are_made_of_is_not():
    found = layers(nn.Sequential(Involution2d(4, 7, groups=2, stride=2), nn.ReLU()), example(32, 4))
    assert [(x.name, x.kind, x.shape) for x in found] == [
        ("0", "Involution2d", (4, 16, 16)),
        ("1", "ReLU", (4, 16, 16)),
    ]
    assert receptive_fields(Involution2d(1, 7).eval(), example(32)) == {"": (7, 7)}


def test_weights_of_a_convolution_and_of_a_separable_one():
    """Document 004: 108 against 39."""
    both = nn.Conv2d(3, 4, 3, bias=False), DepthwiseSeparableConv2d(3, 4, 3)
    assert [layers(nn.Sequential(layer), example(5, 3))[0].params for layer in both] == [108, 39]


def test_a_network_is_left_as_it_was():
    torch.manual_seed(0)
    model = lit_models.CifarCNN(width=2, hidden=4).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    layers(model, example(32, 3)), receptive_fields(model, example(32, 3))
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())


def test_the_command_prints_a_row_for_each_layer(capsys):
    assert main(["CNN", "--model.width=16"]) == 0
    rows = [re.split(r"  +", line.strip()) for line in capsys.readouterr().out.splitlines()]
    assert rows[0] == ["CNN, input 3×32×32"]
    assert ["features.3", "Conv2d", "32×16×16", "4,640", "1,179,648", "18,560", "8×8"] in rows
    assert ["head.2", "Linear", "10", "650", "640", "2,600", "whole image"] in rows
    assert rows[-1] == ["all", "146,122", "2,343,552", "584,488"]


def test_facts_are_arguments_too_and_dotted_names_are_found(capsys):
    assert main(["CNN", "--model.image_size=28", "--model.in_channels=1"]) == 0
    assert "CNN, input 1×28×28" in capsys.readouterr().out
    assert main(["torch.nn.Conv2d", "--model.in_channels=3", "--model.out_channels=2", "--model.kernel_size=5"]) == 0
    out = capsys.readouterr().out
    assert "2×28×28" in out
    assert "152" in out  # 2 * (3 * 25 + 1)
    assert "5×5" in out


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["CCN"], "MODEL: no architecture is named 'CCN'; there are CNN, CifarCNN"),
        (["CNN", "--model.width=0"], "--model: CNN: width must be at least 1: got 0"),
        (["CNN", "--model.width=2026-13-01"], "--model.width: not a value: got 2026-13-01"),
        (["CNN", "--model.wdth=1"], "--model: CNN: CNN.__init__() got an unexpected keyword argument 'wdth'"),
        (["CNN", "--width=1"], "--width=1: arguments are those of the network, such as --model.width=16"),
        (["--model.width=1"], "MODEL: must be named before its arguments"),
        (["no.such"], "MODEL: no.such: No module named 'no'"),
        (["math.sqrt", "--model.x=1"], "--model: math.sqrt: math.sqrt() takes no keyword arguments"),
        (["torch.nn.Linear", "--model.in_features=5", "--model.out_features=2"], "torch.nn.Linear cannot take images"),
    ],
)
def test_what_cannot_be_shown_is_told_in_a_line(args, said, capsys):
    assert main(args) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"lit_models: {said}")
    assert error.count("\n") == 1
