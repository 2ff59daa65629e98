"""The filters drawn are the network's own weights."""

import numpy as np
import pytest
import torch

import lit_models
from headtohead.pictures.kernels import depthwise, first_filters, kernel_pictures
from tests.pictures.networks import Mine


def test_first_filters_are_the_weights():
    torch.manual_seed(0)
    mixer = lit_models.ConvMixer(width=6, depth=1)
    name, filters = first_filters(mixer)
    assert name == "stem.0"
    assert filters.shape == (6, 2, 2, 3)
    assert filters[4, 1, 0, 2] == mixer.stem[0].weight[4, 2, 1, 0].item()
    group = lit_models.P4CNN(width=2)
    _, filters = first_filters(group)
    weight = group.features[0].weight.detach()
    for channel in range(2):
        for turns in range(4):
            assert filters[4 * channel + turns, ..., 0] == pytest.approx(weight[channel, 0].rot90(turns).numpy())
    partial = lit_models.PConvUNet(width=4)
    assert first_filters(partial)[1].shape == (4, 7, 7, 3)
    assert first_filters(lit_models.INN()) is None  # an involution has no fixed filters


def test_depthwise_kernels_are_the_weights():
    model = lit_models.ConvMixer(width=6, depth=2)
    kernels = depthwise(model)
    assert list(kernels) == ["blocks.0.space.0", "blocks.1.space.0"]
    assert kernels["blocks.1.space.0"][5].tolist() == model.blocks[1].space[0].weight[5, 0].tolist()
    assert list(depthwise(Mine())) == ["body.1.depthwise"]
    assert depthwise(lit_models.EqCNN()) == {}  # one channel in one group is no depthwise convolution


def test_depthwise_kernels_of_the_chosen_layer():
    model = lit_models.ConvMixer(1, 28, width=4, depth=3).eval()
    for layer, drawn in ((None, 1), ("blocks.2.space.0", 2), ("stem.0", 1)):
        _, picture = kernel_pictures(model, layer)
        assert picture.title == f"Depthwise kernels of ConvMixer, blocks.{drawn}.space.0"


def test_the_first_layer_as_drawn():
    torch.manual_seed(0)
    model = lit_models.EqCNN()
    (picture,) = kernel_pictures(model, None)
    (axes,) = picture.canvas.axes
    weight = model.features[0].weight.detach()
    drawn = np.asarray(axes.images[0].get_array())
    assert drawn[1:4, 1:4, 0] == pytest.approx(0.5 + 0.5 * (weight[0, 0] / weight.abs().max()).numpy())
