"""What a training step costs: bytes by hand, ratios of known seconds, and widths at which they agree."""

import pytest
import torch
from torch import nn

from headtohead.trial import matching
from headtohead.trial.matching import match
from headtohead.trial.training_cost import Steps, beside, training_bytes
from lit_models import architectures
from lit_models.facts import example_inputs
from lit_models.sizes import size


def test_bytes_of_a_step_by_hand():
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.BatchNorm1d(3, affine=False, track_running_stats=False))
    image = torch.zeros(1, 1, 2, 2)
    # 15 weights with gradient and two moments; of an image 4 pixels for the weights' gradient, 3 outputs for the batch
    # norm's, 3 of its own for the square's; of the batch norm 3 means and 3 deviations, which are taken as of 2 images
    assert training_bytes(network, (image,), 10) == 4 * (4 * 15 + 10 * (4 + 3 + 3) + 5 * 6)
    network[1].bias.requires_grad_(False)
    assert training_bytes(network, (image,), 10) == 4 * (4 * 12 + 3 + 10 * (4 + 3 + 3) + 5 * 6)


def test_what_slows_a_turn_slows_both_and_changes_no_ratio():
    slowed = iter(range(1, 100))
    now = [1.0]

    def other():
        return 0.1 * now[0]

    def one():
        now[0] = next(slowed)
        return 0.25 * now[0]

    found = beside(one, other, 5, 0.0)
    assert (found.ratio, found.low, found.high) == pytest.approx((2.5, 2.5, 2.5))
    assert next(slowed) == 8  # two turns that do not count, and five that do


def test_a_step_trains():
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    steps = Steps(network, (torch.zeros(1, 1, 2, 2),), 8)
    before = network[1].weight.detach().clone()
    assert steps.seconds() > 0
    assert not torch.equal(network[1].weight, before)


class Counted:
    """Takes as long as it has parameters."""

    def __init__(self, network, example, batch):
        self.params = size(network, *example).params

    def seconds(self):
        return float(self.params)


def test_widths_by_seconds_are_those_of_the_known_seconds(monkeypatch):
    monkeypatch.setattr(matching, "Steps", Counted)
    (found,) = match(["EqCNN"], "SimpleCNN", ["MNIST"], "seconds")
    assert found.model == {"class_path": "EqCNN", "init_args": {"width": 11}}
    assert found.ratio == pytest.approx(14_662 / 13_978)
    said = "EqCNN at width 11: 1.05 x SimpleCNN in seconds of a step (1.05 to 1.05: the middle half of the turns)"
    assert found.in_words == f"{said}, the nearest: 4.9% off"


def test_widths_by_memory_are_the_nearest():
    (found,) = match(["EqCNN"], "SimpleCNN", ["MNIST"], "memory", 32)
    facts = {"in_channels": 1, "image_size": 28, "num_classes": 10}
    image = example_inputs(architectures.SimpleCNN(), facts)
    target = training_bytes(architectures.SimpleCNN(), image, 32)
    ratios = {width: training_bytes(architectures.EqCNN(width=width), image, 32) / target for width in range(1, 6)}
    assert found.width == min(ratios, key=lambda width: abs(ratios[width] - 1)) == 3
    assert found.ratio == pytest.approx(ratios[3])
