"""Arguments of the layers that cannot be: each is refused by its name, with what would work."""

import re

import pytest

from lit_models.operators import (
    DepthwiseSeparableConv2d,
    GroupMaxPool2d,
    Involution2d,
    P4ConvP4,
    P4ConvZ2,
    P4MConvP4,
    P4MConvZ2,
    PartialConv2d,
)

CONVOLUTION = {"in_channels": 2, "out_channels": 3, "kernel_size": 3, "stride": 1}
PADDED = [P4ConvZ2, P4ConvP4, P4MConvZ2, P4MConvP4, PartialConv2d, DepthwiseSeparableConv2d]
LEAST = [(layer, CONVOLUTION, name) for layer in PADDED for name in CONVOLUTION if name != "kernel_size"]
LEAST += [(layer, CONVOLUTION, "kernel_size") for layer in PADDED[:-1]]
INVOLUTION = {"channels": 10, "kernel_size": 3}
LEAST += [(Involution2d, INVOLUTION, name) for name in ("channels", "kernel_size", "stride", "groups", "reduction")]
LEAST += [(GroupMaxPool2d, {"kernel_size": 2}, name) for name in ("kernel_size", "stride")]


@pytest.mark.parametrize(("layer", "good", "name"), LEAST)
def test_less_than_one_is_refused(layer, good, name):
    layer(**good)
    with pytest.raises(ValueError, match=f"^{name} must be at least 1: got 0"):
        layer(**(good | {name: 0}))


@pytest.mark.parametrize(
    ("layer", "arguments", "said"),
    [
        *((layer, CONVOLUTION | {"padding": -1}, "padding must be at least 0: got -1") for layer in PADDED),
        (DepthwiseSeparableConv2d, CONVOLUTION | {"kernel_size": 2}, "kernel_size must be odd to have a centre: got 2"),
        (Involution2d, INVOLUTION | {"kernel_size": 4}, "kernel_size must be odd to have a centre: got 4; use 3 or 5"),
        (Involution2d, INVOLUTION | {"groups": 4}, "groups must divide channels=10: got 4; use 1, 2, 5 or 10"),
    ],
)
def test_what_does_not_fit_is_refused(layer, arguments, said):
    with pytest.raises(ValueError, match="^" + re.escape(said)):
        layer(**arguments)
