"""Size against counts by hand."""

import torch
from torch import nn

from headtohead.trial.speed import seconds_per_batch
from lit_models import EqCNN, SimpleCNN
from lit_models.operators import Involution2d
from lit_models.sizes import size


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
    assert size(SimpleCNN(), torch.zeros(1, 1, 28, 28)).macs == simple
    assert size(EqCNN(), torch.zeros(1, 1, 28, 28)).macs == 4 * trunk + 160


def test_macs_of_an_involution_by_hand():
    layer = Involution2d(6, kernel_size=5, groups=3, stride=2, reduction=2)
    # the kernel: 6 -> 3 -> 5 * 5 * 3 channels at 4x4; then 25 products for each of the 6 * 4 * 4 outputs
    assert size(layer, torch.zeros(1, 6, 8, 8)).macs == 16 * (6 * 3 + 3 * 75) + 25 * 6 * 16


def test_measuring_leaves_the_model_alone():
    model = SimpleCNN().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    size(model, torch.zeros(1, 1, 28, 28))
    assert seconds_per_batch(model, torch.zeros(2, 1, 28, 28), budget=0.0) > 0
    assert model.training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
