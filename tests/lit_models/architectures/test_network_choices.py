"""Activation, pooling and dropout by name: the network is that of its source with these layers exchanged."""

import copy
import inspect
from typing import get_args

import numpy as np
import pytest
import torch
import torchvision
from torch import nn

import lit_models
from lit_models import VGG, EqCNN
from lit_models.architectures._choices import ACTIVATIONS, POOLINGS, Activation, Pooling

SMALL = {  # of each network with its source's activation, and its dropouts
    "SimpleCNN": (nn.SiLU, {}, {}),
    "EqCNN": (nn.SiLU, {}, {}),
    "FCNet": (nn.ReLU, {"width": 8}, {}),
    "ConvNet": (nn.ReLU, {"width": 4, "hidden": 8}, {"dropout": 1}),
    "CifarCNN": (nn.ReLU, {"width": 4, "hidden": 8}, {"dropout": 2, "channel_dropout": 1}),
    "CNN": (nn.ReLU, {"width": 4}, {}),
    "INN": (nn.ReLU, {}, {}),
    "ConvMixer": (nn.GELU, {"width": 8, "depth": 2}, {}),
    "VGG": (nn.ReLU, {"width": 4, "image_size": 32}, {}),
}


def exchanged(module, old, made):
    """A copy of a network in which the layers of one class are others; those within an operator stay."""
    module = copy.deepcopy(module)
    for name, child in module.named_children():
        if type(child) is old:
            setattr(module, name, made())
        elif "Involution" not in type(child).__name__:
            setattr(module, name, exchanged(child, old, made))
    return module


def built(name, **more):
    torch.manual_seed(0)
    return getattr(lit_models, name)(**{**SMALL[name][1], **more}).eval()


def images_for(network):
    parameters = inspect.signature(type(network)).parameters
    size = 32 if isinstance(network, VGG) else parameters["image_size"].default
    return torch.randn(2, parameters["in_channels"].default, size, size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", SMALL)
def test_an_activation_takes_the_place_of_the_sources(name):
    plain, images = built(name), images_for(built(name))
    for other, made in ACTIVATIONS.items():
        network, expected = built(name, activation=other), exchanged(plain, SMALL[name][0], made)
        with torch.no_grad():
            assert torch.equal(network(images), expected(images)), other
            assert torch.equal(network(images), plain(images)) == (made is SMALL[name][0]), other


@pytest.mark.parametrize("name", [name for name in SMALL if name not in ("FCNet", "ConvMixer")])
def test_a_pooling_takes_the_place_of_the_sources(name):
    plain, images = built(name), images_for(built(name))
    mean = exchanged(plain, nn.MaxPool2d, lambda: nn.AvgPool2d(2))
    with torch.no_grad():
        assert torch.equal(built(name, pooling="mean")(images), mean(images))
        assert torch.equal(built(name, pooling="max")(images), plain(images))
        assert not torch.equal(mean(images), plain(images))


@pytest.mark.parametrize(("name", "argument"), [(n, a) for n, (_, _, drops) in SMALL.items() for a in drops])
def test_a_dropout_is_set_where_the_source_has_one(name, argument):
    kinds = (nn.Dropout, nn.Dropout2d)
    shares = [layer.p for layer in built(name, **{argument: 0.25}).modules() if isinstance(layer, kinds)]
    assert shares.count(0.25) == SMALL[name][2][argument]
    assert len(shares) == sum(SMALL[name][2].values())
    with pytest.raises(ValueError, match=rf"^{argument} must lie in \[0, 1\): got 1; the source has 0\.\d+$"):
        built(name, **{argument: 1})


def test_dropout_of_vgg_is_that_of_its_large_head():
    with torch.device("meta"):
        head = VGG(dropout=0.25).classifier
    assert [layer.p for layer in head if isinstance(layer, nn.Dropout)] == [0.25, 0.25]
    with pytest.raises(ValueError, match="dropout is for head=imagenet, and changes"):
        built("VGG", dropout=0.25)


@pytest.mark.parametrize("name", SMALL)
def test_what_is_unknown_is_refused_by_name(name):
    parameters = inspect.signature(getattr(lit_models, name)).parameters
    for argument in {"activation", "pooling"} & set(parameters):
        with pytest.raises(ValueError, match=rf"^{argument} must be one of .*: got nope$"):
            built(name, **{argument: "nope"})


def test_the_types_have_every_name():
    assert get_args(Activation) == tuple(ACTIVATIONS)
    assert get_args(Pooling) == tuple(POOLINGS)


def test_means_keep_the_invariance():
    network = built("EqCNN", pooling="mean", activation="tanh")
    assert isinstance(network, EqCNN)
    images = images_for(network)
    with torch.no_grad():
        torch.testing.assert_close(network(images.rot90(1, (2, 3))), network(images), rtol=0, atol=1e-6)


def krizhevskys(channels):
    """Local response normalisation of one pixel, ``(C,)``, by section 3.3 of the paper."""
    made = np.zeros_like(channels)
    for i, value in enumerate(channels):
        near = channels[max(0, i - 2) : min(len(channels), i + 3)]
        made[i] = value / (2 + 1e-4 * (near**2).sum()) ** 0.75
    return made


def test_a_lrn_is_a_with_krizhevskys_normalisation_after_its_first_layer():
    torch.manual_seed(0)
    ours = VGG(3, 32, 10, "A-LRN", width=8).double().eval()
    plain = VGG(3, 32, 10, "A", width=8).double().eval()
    ours.load_state_dict(plain.state_dict())  # by name
    images = 20 * torch.rand(1, 3, 32, 32, dtype=torch.double)
    with torch.no_grad():
        first = plain.features[:2](images)
        normalised = torch.from_numpy(np.apply_along_axis(krizhevskys, 1, first.numpy()))
        torch.testing.assert_close(ours.features[:2](images), normalised, rtol=1e-12, atol=0)
        rest = plain.classifier(plain.avgpool(plain.features[2:](normalised)).flatten(1))
        torch.testing.assert_close(ours(images), rest, rtol=1e-12, atol=0)
        assert not torch.allclose(ours(images), plain(images))


def test_a_lrn_takes_the_weights_of_torchvisions_vgg11():
    with torch.device("meta"):
        ours, peer = VGG(configuration="A-LRN"), torchvision.models.vgg11(init_weights=False)
    assert {name: value.shape for name, value in ours.state_dict().items()} == {
        name: value.shape for name, value in peer.state_dict().items()
    }
    assert sum(p.numel() for p in ours.parameters()) == 132_863_336
