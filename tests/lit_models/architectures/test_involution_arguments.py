"""Kernel size, groups and reduction of the involution networks: sizes by hand, and the sources' values as defaults."""

import inspect

import pytest
import torch

from lit_models import INN, ResNet
from lit_models.operators import Involution2d, involution2d


def parameters(model):
    return sum(p.numel() for p in model.parameters())


def involutions(model):
    return [module for module in model.modules() if isinstance(module, Involution2d)]


def generator(channels, hidden, kernel_size, groups):
    """Two 1x1 convolutions with biases and a batch norm between them."""
    return channels * hidden + hidden + 2 * hidden + hidden * groups * kernel_size**2 + groups * kernel_size**2


def test_the_documents_third_layer():
    """Involution(channel=16, reduction_ratio=2) of 3 channels: a hidden layer of 8, and 3 channels again."""
    torch.manual_seed(0)
    layer = Involution2d(3, kernel_size=5, hidden=16 // 2).eval()
    assert parameters(layer) == generator(3, 8, 5, 1)
    x = torch.randn(2, 3, 9, 7)
    assert layer(x).shape == x.shape
    hidden = torch.einsum("hc,bcij->bhij", layer.reduce.weight[:, :, 0, 0], x) + layer.reduce.bias.view(1, -1, 1, 1)
    hidden = (hidden / (1 + layer.norm.eps) ** 0.5).relu()
    kernel = torch.einsum("kh,bhij->bkij", layer.span.weight[:, :, 0, 0], hidden) + layer.span.bias.view(1, -1, 1, 1)
    torch.testing.assert_close(layer(x), involution2d(x, kernel.unsqueeze(1)))
    with pytest.raises(ValueError, match="hidden must be at least 1: got 0"):
        Involution2d(3, 5, hidden=0)


@pytest.mark.parametrize(
    ("given", "hidden"),
    [({}, 1), ({"kernel_size": 7}, 1), ({"groups": 3}, 1), ({"reduction": 1}, 3), ({"width": 8, "reduction": 4}, 2)],
)
def test_sizes_of_inn_by_hand(given, hidden):
    model = INN(**given)
    channels, kernel, groups = given.get("width", 3), given.get("kernel_size", 3), given.get("groups", 1)
    stem = 3 * channels + channels if "width" in given else 0
    head = channels * 64 * 64 + 64 + 64 * 10 + 10
    assert parameters(model) == stem + 3 * generator(channels, hidden, kernel, groups) + head
    assert [(m.kernel_size, m.groups) for m in involutions(model)] == [(kernel, groups)] * 3


@pytest.mark.parametrize(
    ("given", "groups"),
    [({}, [1, 1, 1, 2, 2, 4]), ({"group_channels": 4}, [4, 4, 4, 8, 8, 16]), ({"group_channels": 64}, [1] * 6)],
)
def test_groups_of_a_residual_network(given, groups):
    model = ResNet(depth=8, operator="involution", **given)
    channels = [16, 16, 16, 32, 32, 64]
    assert [(m.channels, m.groups, m.kernel_size) for m in involutions(model)] == [
        (c, g, 7) for c, g in zip(channels, groups, strict=True)
    ]


def test_sizes_of_a_residual_network_by_hand():
    usual = ResNet(depth=8, operator="involution")
    other = ResNet(depth=8, operator="involution", kernel_size=3, reduction=2)
    channels, groups = [16, 16, 16, 32, 32, 64], [1, 1, 1, 2, 2, 4]
    apart = sum(generator(c, c // 4, 7, g) - generator(c, c // 2, 3, g) for c, g in zip(channels, groups, strict=True))
    assert parameters(usual) - parameters(other) == apart


def test_defaults_are_the_sources():
    of = {
        name: {k: p.default for k, p in inspect.signature(a).parameters.items()}
        for name, a in (("i", INN), ("r", ResNet))
    }
    assert [of["i"][name] for name in ("kernel_size", "groups", "reduction")] == [3, 1, 2]
    assert [of["r"][name] for name in ("kernel_size", "group_channels", "reduction")] == [7, 16, 4]
