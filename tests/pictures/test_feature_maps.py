"""The feature maps drawn are the network's own, and what turning the image does to them is found."""

import numpy as np
import pytest
import torch

import lit_models
from headtohead.pictures.feature_maps import map_pictures, moves, outputs
from headtohead.trial.opening import load
from tests.pictures.networks import Mine, image, sample


def test_the_maps_of_eqcnn_change_places_when_the_image_is_turned(trained):
    model, _ = load(trained)
    before, after = (outputs(model, (turned,)) for turned in (image(), image().rot90(1, (2, 3))))
    for layer in ("features.0", "features.3", "features.7"):
        assert len(before[layer]) == 4
        assert after[layer] == pytest.approx(before[layer][[1, 2, 3, 0]], abs=1e-5)
    found = moves(before["features.0"], after["features.0"])
    assert [(move.source, move.turns) for move in found] == [(1, 0), (2, 0), (3, 0), (0, 0)]
    assert max(move.difference for move in found) < 1e-5


def test_the_maps_of_a_group_convolution_change_places_and_turn():
    torch.manual_seed(0)
    model = lit_models.P4CNN(width=2).eval()
    before, after = (outputs(model, (turned,))["features.0"] for turned in (image(), image().rot90(1, (2, 3))))
    assert before.shape == (4, 2, 26, 26)
    assert [(move.source, move.turns) for move in moves(before, after)] == [(3, 1), (0, 1), (1, 1), (2, 1)]


def test_the_maps_of_a_plain_network_are_others():
    torch.manual_seed(0)
    model = lit_models.SimpleCNN().eval()
    before, after = (outputs(model, (turned,))["features.0"] for turned in (image(), image().rot90(1, (2, 3))))
    (move,) = moves(before, after)
    assert move.difference > 0.1 * np.abs(before).max()
    *_, picture = map_pictures(model, sample(image()), "features.0", "")
    assert picture.name == "turned"
    assert "changes the maps" in picture.caption


def test_outputs_are_those_of_each_layer_before_the_next_one_works_in_place():
    torch.manual_seed(0)
    model = Mine().eval()
    found = outputs(model, (image(),))
    assert list(found) == ["body.0", "body.1.depthwise", "body.1.pointwise", "body.2", "body.3"]
    patches = model.body[0](image())
    mixed = model.body[1](patches)
    assert found["body.0"] == pytest.approx(patches.detach().numpy())
    assert found["body.1.pointwise"] == pytest.approx(mixed.detach().numpy())
    assert found["body.1.pointwise"].min() < 0
    assert found["body.2"] == pytest.approx(mixed.relu().detach().numpy())
    assert not any(module._forward_hooks for module in model.modules())


def shown(axes):
    return np.asarray(axes.images[0].get_array())


def test_maps_as_drawn(trained):
    model, _ = load(trained)
    named = {picture.name: picture for picture in map_pictures(model, sample(image()), "features.0", "")}
    before = outputs(model, (image(),))
    panels = {axes.get_title().split("\n")[0]: axes for axes in named["layers"].canvas.axes}
    assert panels["features.0"].get_title() == "features.0\nConv2d\n8×26×26"
    assert shown(panels["features.3"]) == pytest.approx(before["features.3"][0].mean(0))
    assert "features.7" not in panels  # a single pixel is no map
    axes = named["turned"].canvas.axes
    titles = [panel.get_title() for panel in axes]
    assert titles == [
        "image",
        "map 1",
        "map 2",
        "map 3",
        "map 4",
        "turned by 90°",
        *(f"= map {i}" for i in (2, 3, 4, 1)),
    ]
    assert shown(axes[6]) == pytest.approx(shown(axes[2]), abs=1e-5)
    assert "map 1 is the former map 2" in named["turned"].caption
