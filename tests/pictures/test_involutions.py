"""The heat maps drawn are sums of the involution's own kernels."""

import pytest
import torch
import torch.nn.functional as F

import lit_models
from headtohead.pictures.involutions import heat_maps, kernel_maps
from headtohead.pictures.panels import MAPS
from lit_models.operators import Involution2d
from tests.pictures.networks import image, sample


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


def test_a_row_of_heat_maps_per_image():
    torch.manual_seed(0)
    model = lit_models.ResNet(depth=8, operator="involution", width=32, image_size=8).eval()
    samples = [sample(image(seed, 3, 8)) for seed in range(3)]
    maps = [kernel_maps(model, one.inputs) for one in samples]
    count = MAPS // 3  # of the 22 groups, in all layers
    (picture,) = heat_maps(model, samples)
    panels = [axes for axes in picture.canvas.axes if axes.images]
    assert len(panels) == 3 * (1 + count)
    for row, found in enumerate(maps):
        drawn = [axes.images[0].get_array() for axes in panels[row * (1 + count) + 1 :][:count]]
        every = [group.tolist() for groups in found.values() for group in groups]
        assert [x.tolist() for x in drawn] == every[:count]
    last = list(maps[0])[-1]
    (picture,) = heat_maps(model, samples[:1], last)
    assert len([axes for axes in picture.canvas.axes if axes.images]) == 1 + len(maps[0][last])
