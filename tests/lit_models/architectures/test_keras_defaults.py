"""CNN and INN start as Keras would start them."""

import math

import pytest
import torch
from torch import nn

from lit_models import CNN, INN
from lit_models.architectures.keras_defaults import keras_defaults


def test_weights_are_uniform_within_glorots_limit_and_biases_zero():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(32, 64, 3), nn.Flatten(), nn.Linear(400, 200))
    keras_defaults(network)
    # fans of the convolution: 3 * 3 * 32 = 288 in, 3 * 3 * 64 = 576 out
    for layer, limit in ((network[0], math.sqrt(6 / 864)), (network[2], math.sqrt(6 / 600))):
        weights = layer.weight.detach()
        assert weights.abs().max() <= limit
        assert weights.abs().max() > 0.99 * limit
        assert weights.std() == pytest.approx(limit / math.sqrt(3), rel=0.02)  # of a uniform distribution
        assert not layer.bias.any()


def test_batch_norm_moves_by_a_hundredth_and_adds_a_thousandth():
    norm = nn.BatchNorm2d(1)
    keras_defaults(norm)
    images = torch.tensor([0.0, 2.0]).reshape(1, 1, 1, 2)  # mean 1, variance 1, unbiased variance 2
    assert norm(images).flatten().tolist() == pytest.approx([-1 / math.sqrt(1.001), 1 / math.sqrt(1.001)])
    assert norm.running_mean.item() == pytest.approx(0.01)
    assert norm.running_var.item() == pytest.approx(0.99 + 0.01 * 2)


@pytest.mark.parametrize("kind", [CNN, INN])
def test_the_networks_of_the_keras_example_start_so(kind):
    network = kind()
    layers = [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    assert len(layers) > 4
    assert not any(layer.bias.any() for layer in layers)
    head = layers[-2].weight.detach()
    assert head.std() == pytest.approx(math.sqrt(2 / sum(head.shape)), rel=0.05)
    assert {module.momentum for module in network.modules() if isinstance(module, nn.BatchNorm2d)} <= {0.01}
