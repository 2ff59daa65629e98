"""Dropout: by the shares and values that are known, and by PyTorch's where PyTorch's is what runs."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from lit_models import architectures
from lit_models.operators import Dropout

COUNT = 200_001  # no multiple of four


def _kept(p: float, x: Tensor, seed: int = 0) -> Tensor:
    torch.manual_seed(seed)
    return Dropout(p)(x) != 0


@pytest.mark.parametrize("p", [0.05, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_share_and_the_scale(p: float, dtype: torch.dtype) -> None:
    x = torch.linspace(0.5, 3, COUNT).to(dtype)
    kept = _kept(p, x)
    assert abs(kept.double().mean() - (1 - p)) < 5 * math.sqrt(p * (1 - p) / COUNT)
    torch.manual_seed(0)
    scaled = Dropout(p)(x)
    assert scaled.dtype == dtype
    tolerance = 2**-7 if dtype == torch.bfloat16 else 1e-4  # of two roundings; of a share of so many 65,536ths
    torch.testing.assert_close(scaled[kept], x[kept] / (1 - p), rtol=tolerance, atol=0)


def test_each_of_the_four_values_of_a_draw_is_kept_as_often_and_independently() -> None:
    p, x = 0.3, torch.ones(4 * 100_000)
    lanes = _kept(p, x).double().view(-1, 4)
    assert ((lanes.mean(0) - (1 - p)).abs() < 5 * math.sqrt(p * (1 - p) / len(lanes))).all()
    centred = (lanes - (1 - p)) / math.sqrt(p * (1 - p))
    for lag in range(1, 9):
        flat = centred.flatten()
        assert abs((flat[lag:] * flat[:-lag]).mean()) < 5 / math.sqrt(len(flat))


def test_the_gradient_is_of_the_same_values() -> None:
    x = torch.rand(3, 5, 7, 7).add_(0.1).requires_grad_()
    output = Dropout(0.4)(x)
    output.sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad, (output != 0).float() / 0.6, rtol=1e-4, atol=0)


@pytest.mark.parametrize(
    "layout",
    [
        lambda x: x,
        lambda x: x.contiguous(memory_format=torch.channels_last),
        lambda x: x[:, ::2],
        lambda x: x[:1, :1, :1, :1],
        lambda x: x[:0],
        lambda x: x[:1].expand_as(x),
    ],
    ids=["contiguous", "channels last", "every second", "one", "none", "expanded"],
)
def test_any_layout(layout: Callable[[Tensor], Tensor]) -> None:
    x = layout(torch.rand(6, 8, 9, 11).add_(0.1))
    before = x.clone()
    output = Dropout(0.5)(x)
    assert output.shape == x.shape
    assert torch.equal(x, before)
    if x.is_contiguous(memory_format=torch.channels_last):
        assert output.is_contiguous(memory_format=torch.channels_last)
    kept = output != 0
    assert torch.equal(output[kept], 2 * x[kept])
    if x.numel() > 100:
        assert 0.4 < kept.double().mean() < 0.6
        assert not torch.equal(kept[0], kept[1])  # an image of an expanded batch has draws of its own


def test_a_seed_repeats_and_another_differs() -> None:
    x = torch.ones(1000)
    assert torch.equal(_kept(0.3, x, 1), _kept(0.3, x, 1))
    assert not torch.equal(_kept(0.3, x, 1), _kept(0.3, x, 2))


@pytest.mark.parametrize(
    "change",
    [
        lambda drop, x: (drop.eval(), x),
        lambda drop, x: (drop, x.double()),
        lambda drop, x: (type(drop)(0.0), x),
        lambda drop, x: (type(drop)(1.0), x),
        lambda drop, x: (type(drop)(1e-6), x),
        lambda drop, x: (type(drop)(0.3, inplace=True), x),
    ],
    ids=["evaluation", "float64", "nothing", "all", "next to nothing", "in place"],
)
def test_elsewhere_it_is_pytorchs(change: Callable[[nn.Module, Tensor], tuple[nn.Module, Tensor]]) -> None:
    results = []
    for kind in (Dropout, nn.Dropout):
        drop, x = change(kind(0.3), torch.linspace(1, 2, 999))
        torch.manual_seed(5)
        results.append((drop(x), torch.rand(1)))  # and as many numbers drawn
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])


def test_under_a_transform_of_torch_func() -> None:
    drop = Dropout(0.5)
    x = torch.ones(64)
    each = torch.func.vmap(drop, randomness="different")(x.expand(8, 64))
    assert set(each.unique().tolist()) == {0.0, 2.0}
    assert len({tuple(row.tolist()) for row in each}) == 8
    gradient = torch.func.grad(lambda x: drop(x).sum())(x)
    assert set(gradient.unique().tolist()) == {0.0, 2.0}


@pytest.mark.parametrize("name", ["CifarCNN", "ConvNet", "Z2CNN", "P4CNN"])
def test_the_networks_use_it(name: str) -> None:
    parts = [part for part in getattr(architectures, name)().modules() if isinstance(part, nn.Dropout)]
    assert parts
    assert all(type(part) is Dropout for part in parts)
