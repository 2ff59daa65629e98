"""Timing of the forward pass."""

import torch

from headtohead.trial.speed import seconds_per_batch
from lit_models import SimpleCNN


def test_timing_leaves_the_model_alone():
    model = SimpleCNN().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert seconds_per_batch(model, torch.zeros(2, 1, 28, 28), budget=0.0) > 0
    assert model.training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
