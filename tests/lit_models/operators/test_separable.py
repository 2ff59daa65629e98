"""Depthwise-separable convolution against its two factors."""

import pytest
import torch

from lit_models.operators import DepthwiseSeparableConv2d


def test_parameters_of_the_source():
    assert sum(p.numel() for p in DepthwiseSeparableConv2d(3, 4, 3).parameters()) == 39
    assert sum(p.numel() for p in DepthwiseSeparableConv2d(3, 4, 3, bias=True).parameters()) == 39 + 3 + 4


@pytest.mark.parametrize(("size", "stride", "padding"), [(3, 1, None), (5, 2, None), (3, 2, 0), (4, 1, 2)])
def test_equals_the_full_convolution_it_factors(size, stride, padding):
    torch.manual_seed(0)
    layer = DepthwiseSeparableConv2d(3, 4, size, stride, padding, bias=True).double()
    x = torch.randn(2, 3, 9, 8).double()
    depthwise, pointwise = layer.depthwise, layer.pointwise
    assert depthwise.bias is not None
    assert pointwise.bias is not None
    weight = pointwise.weight * depthwise.weight.transpose(0, 1)  # (4, 3, 1, 1) * (1, 3, K, K)
    bias = pointwise.weight.flatten(1) @ depthwise.bias + pointwise.bias
    pad = size // 2 if padding is None else padding
    expected = torch.nn.functional.conv2d(x, weight, bias, stride, pad)
    torch.testing.assert_close(layer(x), expected, rtol=1e-12, atol=1e-12)
