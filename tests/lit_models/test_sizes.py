"""Sizes against counts by hand, and widths against the sizes of all widths."""

import math
from functools import partial

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import register_flop_formula

from lit_models import CNN, INN, P4CNN, Z2CNN, ConvMixer, EqCNN, ResNet, SimpleCNN
from lit_models.operators import (
    DepthwiseSeparableConv2d,
    Involution2d,
    P4ConvZ2,
    P4MConvP4,
    PartialConv2d,
)
from lit_models.sizes import match_width, size, width_like

DIGIT = torch.zeros(1, 1, 28, 28)


def test_size_by_hand():
    model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4 * 64, 5))
    measured = size(model, torch.zeros(1, 3, 8, 8))
    parameters = 4 * 3 * 9 + 4 + 2 * 4 + 4 * 64 * 5 + 5
    assert measured.params == parameters
    assert measured.macs == 4 * 3 * 9 * 64 + 4 * 64 * 5
    assert measured.bytes == 4 * parameters + 4 * 2 * 4 + 8  # running mean and variance, and their counter


def test_frozen_parameters_are_not_counted_but_weigh():
    model = nn.Linear(3, 2)
    model.bias.requires_grad_(False)
    measured = size(model, torch.zeros(1, 3))
    assert (measured.params, measured.bytes) == (6, 32)


def test_macs_of_the_pair():
    simple = 8 * 9 * 28**2 + 16 * 8 * 9 * 14**2 + 16 * 16 * 49 + 16 * 10
    trunk = 8 * 9 * 26**2 + 16 * 8 * 9 * 11**2 + 16 * 16 * 25
    assert size(SimpleCNN(), DIGIT).macs == simple
    assert size(EqCNN(), DIGIT).macs == 4 * trunk + 160


def test_macs_of_an_involution_by_hand():
    layer = Involution2d(6, kernel_size=5, groups=3, stride=2, reduction=2)
    # the kernel: 6 -> 3 -> 5 * 5 * 3 channels at 4x4; then 25 products for each of the 6 * 4 * 4 outputs
    assert size(layer, torch.zeros(1, 6, 8, 8)).macs == 16 * (6 * 3 + 3 * 75) + 25 * 6 * 16


@pytest.mark.parametrize(
    ("layer", "example", "macs"),
    [
        (P4ConvZ2(2, 3, 3), (torch.zeros(1, 2, 6, 6),), 4 * 3 * 16 * 2 * 9),
        (P4MConvP4(2, 3, 3), (torch.zeros(1, 2, 8, 6, 6),), 8 * 3 * 16 * 2 * 8 * 9),
        (DepthwiseSeparableConv2d(4, 5, 3), (torch.zeros(1, 4, 6, 6),), 36 * (4 * 9 + 4 * 5)),
        (PartialConv2d(2, 3, 3), (torch.zeros(1, 2, 6, 6), torch.ones(1, 1, 6, 6)), 3 * 16 * 2 * 9),
    ],
)
def test_macs_of_operators_made_of_convolutions(layer, example, macs):
    assert size(layer, *example).macs == macs


@torch.library.custom_op("test_sizes::shift", mutates_args=())
def shift(images: torch.Tensor) -> torch.Tensor:
    """What a user may write: nothing of it is known to the suite."""
    return images.roll(1, -1)


@shift.register_fake
def _(images):
    return torch.empty_like(images)


@register_flop_formula(torch.ops.test_sizes.shift)
def shift_flops(images, *_, **__):
    return 2 * 7 * math.prod(images)


def test_macs_of_anybodys_operator():
    class Theirs(nn.Module):
        def forward(self, image):
            return shift(image)

    assert size(Theirs(), DIGIT).macs == 7 * 28**2


def test_measuring_leaves_the_model_alone():
    model = ConvMixer(1, 28, width=4, depth=1).train()  # whose batch norms would keep what they see
    before = {name: value.clone() for name, value in model.state_dict().items()}
    size(model, DIGIT)
    assert model.training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def dense(width: int) -> nn.Module:
    return nn.Sequential(nn.Linear(5, width), nn.Linear(width, 3))  # 9 * width + 3 parameters, 8 * width MACs


def params(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize(
    ("target", "width"),
    [
        (12, 1),
        (16, 1),
        (17, 2),
        (21, 2),
        (9 * 64 + 3, 64),
        (9 * 65 + 3, 65),
        (9 * 1000 + 6, 1000),
        (9 * 1000 + 8, 1001),
    ],
)
def test_nearest_by_parameters(target, width):
    assert match_width(dense, target, "params", torch.zeros(1, 5)) == width


@pytest.mark.parametrize("target", [8, 11, 12, 13, 800, 805])
def test_nearest_by_macs(target):
    expected = min(range(1, 200), key=lambda width: (abs(8 * width - target), width))
    assert match_width(dense, target, "macs", torch.zeros(1, 5)) == expected


def test_its_own_width_is_found_again():
    assert width_like(SimpleCNN, SimpleCNN) == 8
    assert width_like(P4CNN, partial(P4CNN, in_channels=3, image_size=32, width=13)) == 13
    assert width_like(SimpleCNN, SimpleCNN, "macs") == 8


@pytest.mark.parametrize(
    ("architecture", "partner", "width"),
    [(EqCNN, SimpleCNN, 11), (P4CNN, Z2CNN, 9), (Z2CNN, P4CNN, 21), (INN, CNN, 75)],
)
def test_pairs_of_the_suite(architecture, partner, width):
    assert width_like(architecture, partner) == width
    target = params(partner())
    off = {w: abs(params(architecture(width=w)) - target) for w in (width - 1, width, width + 1)}
    assert min(off, key=off.get) == width


def test_on_the_partners_data_with_further_arguments():
    partner = partial(ResNet, in_channels=1, image_size=28, num_classes=7, depth=8)
    found = width_like(ResNet, partner, operator="p4", depth=8)
    assert found == 8
    near = [abs(params(ResNet(1, 28, 7, 8, "p4", width)) - params(partner())) for width in (7, 8, 9)]
    assert min(near) == near[1]


def test_where_size_steps_back_the_neighbours_are_looked_at():
    partner = partial(ResNet, operator="involution", depth=8, width=37)
    found = width_like(ResNet, partner, operator="involution", depth=8)
    assert params(ResNet(operator="involution", depth=8, width=found)) == params(partner())


def test_nothing_is_allocated():
    devices = []

    def build(width: int) -> nn.Module:
        model = EqCNN(width=width)
        devices.append(next(model.parameters()).device.type)
        return model

    match_width(build, params(SimpleCNN()), "params", DIGIT)
    width_like(EqCNN, lambda: build(3))
    assert set(devices) == {"meta"}


class Rigid(nn.Linear):
    """Takes no width."""

    def __init__(self, in_channels: int = 1, image_size: int = 28, num_classes: int = 10):
        super().__init__(in_channels * image_size**2, num_classes)


@pytest.mark.parametrize(
    ("search", "said"),
    [
        (
            lambda: match_width(dense, 11, "params", torch.zeros(1, 5)),
            "target must be at least 12, the params at width 1: got 11",
        ),
        (
            lambda: match_width(lambda width: nn.Linear(5, 3), 100, "params", torch.zeros(1, 5)),
            "target must be at most 18, the params at width 16384: got 100",
        ),
        (lambda: match_width(dense, 100, "flops", torch.zeros(1, 5)), "measure must be one of params, macs: got flops"),
        (lambda: width_like(EqCNN, SimpleCNN, "bytes"), "measure must be one of params, macs: got bytes"),
        (lambda: width_like(Rigid, SimpleCNN), "architecture must take a width to be matched: Rigid takes none"),
    ],
)
def test_impossible_targets_are_refused(search, said):
    with pytest.raises(ValueError, match=f"^{said}$"):
        search()
