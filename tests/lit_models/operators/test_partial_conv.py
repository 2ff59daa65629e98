"""Partial convolution against the paper's formula, and what may never leak out of a hole."""

import re

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from lit_models.operators import PartialConv2d, partial_conv2d


def by_definition(x, mask, weight, bias, stride, padding):
    """Equations 1 and 2 of Liu et al. 2018, window by window."""
    batch, channels, _, _ = x.shape
    out_channels, _, size, _ = weight.shape
    x, mask = (F.pad(t, [padding] * 4) for t in (x, mask.expand_as(x)))
    h_out, w_out = ((n - size) // stride + 1 for n in x.shape[2:])
    out = torch.zeros(batch, out_channels, h_out, w_out, dtype=x.dtype)
    new_mask = torch.zeros(batch, 1, h_out, w_out, dtype=mask.dtype)
    for b in range(batch):
        for i in range(h_out):
            for j in range(w_out):
                rows, columns = slice(i * stride, i * stride + size), slice(j * stride, j * stride + size)
                values, valid = x[b, :, rows, columns], mask[b, :, rows, columns]
                if valid.sum() == 0:
                    continue
                new_mask[b, 0, i, j] = 1
                for o in range(out_channels):
                    total = (weight[o] * values)[valid == 1].sum() * channels * size * size / valid.sum()
                    out[b, o, i, j] = total + (0 if bias is None else bias[o])
    return out, new_mask


def example(channels, size, height, width, mask_channels):
    """Input, mask, weight and bias in float64; the mask has a large hole and scattered ones."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, channels, height, width, generator=generator).double()
    mask = (torch.rand(2, mask_channels, height, width, generator=generator) > 0.5).double()
    mask[..., : height // 2, : width // 2] = 0
    weight = torch.randn(3, channels, size, size, generator=generator).double()
    return [x, mask, weight, torch.randn(3, generator=generator).double()]


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    channels=st.integers(1, 3),
    size=st.sampled_from([1, 2, 3, 5]),
    height=st.integers(5, 8),
    width=st.integers(5, 8),
    stride=st.integers(1, 3),
    padding=st.integers(0, 3),
    shared_mask=st.booleans(),
    with_bias=st.booleans(),
)
def test_equals_the_definition(channels, size, height, width, stride, padding, shared_mask, with_bias):
    x, mask, weight, bias = example(channels, size, height, width, 1 if shared_mask else channels)
    chosen = bias if with_bias else None
    out, new_mask = partial_conv2d(x, mask, weight, chosen, stride, padding)
    expected, expected_mask = by_definition(x, mask, weight, chosen, stride, padding)
    torch.testing.assert_close(out, expected, rtol=1e-12, atol=1e-12)
    assert torch.equal(new_mask, expected_mask)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("mask_channels", [1, 2])
def test_gradcheck(stride, mask_channels):
    x, mask, weight, bias = example(2, 3, 5, 6, mask_channels)
    leaves = tuple(t.requires_grad_() for t in (x, weight, bias))
    assert torch.autograd.gradcheck(lambda x, w, b: partial_conv2d(x, mask, w, b, stride, 1)[0], leaves)


def test_without_holes_it_is_conv2d():
    x, _, weight, bias = example(2, 3, 7, 6, 1)
    out, new_mask = partial_conv2d(x, torch.ones(2, 1, 7, 6), weight, bias)
    torch.testing.assert_close(out, F.conv2d(x, weight, bias), rtol=1e-12, atol=1e-12)
    assert new_mask.all()


@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
@pytest.mark.parametrize("mask_channels", [1, 2])
def test_nothing_leaks_from_a_hole(poison, mask_channels):
    x, mask, weight, bias = example(2, 3, 8, 8, mask_channels)
    clean, clean_mask = partial_conv2d(x, mask, weight, bias, padding=1)
    poisoned = x.masked_fill(mask == 0, poison).requires_grad_()
    weight.requires_grad_()
    out, new_mask = partial_conv2d(poisoned, mask, weight, bias, padding=1)
    assert torch.equal(out, clean)
    assert torch.equal(new_mask, clean_mask)
    assert not new_mask.all()  # The large hole is not closed by one layer, and there the output is 0 without bias.
    assert (out[(new_mask == 0).expand_as(out)] == 0).all()
    torch.autograd.backward(out.sum())
    assert poisoned.grad is not None
    assert weight.grad is not None
    assert weight.grad.isfinite().all()
    assert (poisoned.grad[(mask == 0).expand_as(x)] == 0).all()


@pytest.mark.parametrize("dtype", [torch.bool, torch.float32, torch.uint8])
def test_mask_keeps_its_dtype(dtype):
    x, mask, weight, bias = example(2, 3, 6, 6, 1)
    out, new_mask = partial_conv2d(x, mask.to(dtype), weight, bias)
    assert new_mask.dtype == dtype
    assert new_mask.shape == (2, 1, 4, 4)
    assert torch.equal(out, partial_conv2d(x, mask, weight, bias)[0])


@pytest.mark.parametrize("mask_dtype", [torch.float32, torch.bfloat16, torch.bool])
@pytest.mark.parametrize("autocast", [False, True])
def test_mask_sums_are_exact_in_bfloat16(autocast, mask_dtype):
    # The weight looks at one channel of ones, so the output is the scale itself, rounded once. bfloat16 has
    # no number between 260 and 262: counted in it, 261 would give 1152 / 260, which rounds to 4.4375.
    dtype = torch.float32 if autocast else torch.bfloat16
    x, weight = torch.ones(1, 128, 3, 3, dtype=dtype), torch.zeros(1, 128, 3, 3, dtype=dtype)
    weight[:, 0, 0, 0] = 1
    mask = torch.zeros(1, 1152)
    mask[:, :261] = 1
    mask = mask.view(1, 128, 3, 3).to(mask_dtype)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        out, new_mask = partial_conv2d(x, mask, weight)
    assert out.dtype == torch.bfloat16
    assert out.item() == torch.tensor(1152 / 261).bfloat16().item() == 4.40625
    assert new_mask.dtype == mask_dtype


def test_layer_is_the_function():
    torch.manual_seed(0)
    layer = PartialConv2d(2, 3, 3, stride=2, padding=1).double()
    x, mask, _, _ = example(2, 3, 8, 7, 1)
    out, new_mask = layer(x, mask)
    expected, expected_mask = by_definition(x, mask, layer.conv.weight, layer.conv.bias, 2, 1)
    torch.testing.assert_close(out, expected, rtol=1e-12, atol=1e-12)
    assert torch.equal(new_mask, expected_mask)
    assert sum(p.numel() for p in layer.parameters()) == 2 * 3 * 9 + 3
    assert sum(p.numel() for p in PartialConv2d(2, 3, 3, bias=False).parameters()) == 2 * 3 * 9


def test_a_stack_fills_the_hole():
    layer = PartialConv2d(1, 1, 3, padding=1)
    x, mask = torch.randn(1, 1, 9, 9), torch.ones(1, 1, 9, 9)
    mask[..., 1:8, 1:8] = 0
    sizes = []
    for _ in range(4):
        x, mask = layer(x, mask)
        sizes.append(int((mask == 0).sum()))
    assert sizes == [25, 9, 1, 0]


def test_refuses_tensors_that_do_not_fit():
    x, mask, weight, bias = example(3, 3, 6, 6, 1)
    with pytest.raises(
        ValueError, match="^" + re.escape("mask must be (2, 1, 6, 6) or (2, 3, 6, 6): got (2, 2, 6, 6)") + "$"
    ):
        partial_conv2d(x, mask.expand(2, 2, 6, 6), weight, bias)
    with pytest.raises(ValueError, match=r"x must be \(B, C, H, W\): got \(3, 6, 6\)"):
        partial_conv2d(x[0], mask, weight, bias)
    with pytest.raises(ValueError, match=r"weight must have a square kernel: got \(3, 3, 2, 3\)"):
        partial_conv2d(x, mask, weight[:, :, :2], bias)
