"""Matching widths, against the sizes of all widths."""

import pytest
import torch
from torch import nn

from lit_models import CNN, INN, P4CNN, Z2CNN, Classifier, EqCNN, ResNet, SimpleCNN
from lit_models.matching import match_width, width_like
from lit_models.sizes import size


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
    assert match_width(dense, target, example=torch.zeros(1, 5)) == width


@pytest.mark.parametrize("target", [8, 11, 12, 13, 800, 805])
def test_nearest_by_macs(target):
    expected = min(range(1, 200), key=lambda width: (abs(8 * width - target), width))
    assert match_width(dense, target, "macs", torch.zeros(1, 5)) == expected


def test_eq_cnn_matches_simple_cnn_at_11():
    assert params(SimpleCNN()) == 13_978
    assert [params(EqCNN(width=width)) for width in (10, 11)] == [12_150, 14_662]
    assert match_width(lambda width: EqCNN(width=width), 13_978) == 11
    assert width_like(EqCNN, SimpleCNN) == 11
    assert width_like(EqCNN, SimpleCNN()) == 11


def test_its_own_width_is_found_again():
    assert width_like(SimpleCNN, SimpleCNN) == 8
    assert width_like(P4CNN, P4CNN(3, 32, width=13)) == 13
    assert width_like(SimpleCNN, SimpleCNN, "macs") == 8


@pytest.mark.parametrize(("architecture", "partner", "width"), [(P4CNN, Z2CNN, 9), (Z2CNN, P4CNN, 21), (INN, CNN, 75)])
def test_pairs_of_the_suite(architecture, partner, width):
    assert width_like(architecture, partner) == width
    target = params(partner())
    off = {w: abs(params(architecture(width=w)) - target) for w in (width - 1, width, width + 1)}
    assert min(off, key=off.get) == width


def test_on_the_partners_data_with_further_arguments():
    partner = ResNet(1, 28, num_classes=7, depth=8)
    found = width_like(ResNet, partner, operator="p4", depth=8)
    assert found == 8
    near = [abs(params(ResNet(1, 28, 7, 8, "p4", width)) - params(partner)) for width in (7, 8, 9)]
    assert min(near) == near[1]


def test_where_size_steps_back_the_neighbours_are_looked_at():
    target = params(ResNet(operator="involution", depth=8, width=37))
    found = width_like(ResNet, ResNet(operator="involution", depth=8, width=37), operator="involution", depth=8)
    assert params(ResNet(operator="involution", depth=8, width=found)) == target


def test_nothing_is_allocated_and_the_partner_is_left_alone():
    devices = []

    def build(width: int) -> nn.Module:
        model = EqCNN(width=width)
        devices.append(next(model.parameters()).device.type)
        return model

    partner = SimpleCNN().train()
    before = [p.clone() for p in partner.parameters()]
    match_width(build, size(partner, partner.example_images).params)
    width_like(EqCNN, partner)
    assert set(devices) == {"meta"}
    assert partner.training
    assert all(torch.equal(a, b) for a, b in zip(before, partner.parameters(), strict=True))


class Rigid(Classifier):
    """Takes no width."""

    def __init__(self, in_channels: int = 1, image_size: int = 28, num_classes: int = 10, **recipe):
        super().__init__(in_channels, image_size, num_classes, **recipe)
        self.layer = nn.Linear(in_channels * image_size**2, num_classes)

    def forward(self, images):
        return self.layer(images.flatten(1))


@pytest.mark.parametrize(
    ("search", "said"),
    [
        (
            lambda: match_width(dense, 11, example=torch.zeros(1, 5)),
            "target must be at least 12, the params at width 1: got 11",
        ),
        (
            lambda: match_width(lambda width: nn.Linear(5, 3), 100, example=torch.zeros(1, 5)),
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
