"""The heat maps drawn are sums of the involution's own kernels."""

import pytest
import torch
import torch.nn.functional as F

import lit_models
from headtohead.pictures.involutions import kernel_maps
from lit_models.operators import Involution2d
from tests.pictures.networks import image


def test_an_involution_is_seen_as_the_sum_of_its_kernels():
    torch.manual_seed(0)
    model = lit_models.ResNet(depth=8, operator="involution", width=32, image_size=8).eval()
    pixels = image(channels=3, size=8)
    maps = kernel_maps(model, (pixels,))
    first = next(module for module in model.modules() if isinstance(module, Involution2d))
    x = F.relu(model.norm(model.stem(pixels)))
    filters = first.span(F.relu(first.norm(first.reduce(x))))  # (1, G * K * K, H, W)
    (name, *_) = maps
    assert maps[name].shape == (2, 8, 8)
    for group in range(2):
        by_hand = sum(filters[0, 49 * group + tap] for tap in range(49))
        assert maps[name][group] == pytest.approx(by_hand.detach().numpy(), abs=1e-5)
