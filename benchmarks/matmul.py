"""The share of the machine's bf16 matrix-product rate that a training of CifarCNN reaches."""

from __future__ import annotations

import time

import torch

from benchmarks.timing import Row, compare, training_step
from headtohead.trial.hardware import best_precision
from lit_models import CifarCNN
from lit_models.sizes import size

PASSES = 3  # matrix products of the forward pass, of the gradient of the inputs, of that of the weights


def product_rate(dtype: torch.dtype, side: int = 2048, rounds: int = 5) -> float:
    """Return the best GFLOP/s of a product of square matrices."""
    one, other = (torch.randn(side, side).to(dtype) for _ in range(2))
    best = float("inf")
    for _ in range(rounds + 1):
        start = time.perf_counter()
        one @ other
        best = min(best, time.perf_counter() - start)
    return 2 * side**3 / best / 1e9


def flops_per_image() -> int:
    """Return the floating-point operations of a training step for one image, by torch's counter of the forward."""
    model = CifarCNN()
    return 2 * PASSES * size(model, torch.zeros(1, 3, 32, 32)).macs


def run(tiny: bool = False) -> list[Row]:
    """Measure the training, then the products."""
    batch = 4 if tiny else 128
    images = torch.rand(batch, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    precision = best_precision("cpu")
    step = training_step(CifarCNN(), images, torch.arange(batch) % 10, precision)
    side = 128 if tiny else 2048
    flops = batch * flops_per_image()
    reached, possible, single = [], [], []
    for _ in range(2 if tiny else 6):
        start = time.perf_counter()
        step()
        reached.append(flops / (time.perf_counter() - start) / 1e9)
        possible.append(product_rate(torch.bfloat16, side, 2))
        single.append(product_rate(torch.float32, side, 2))
    note = f"training in {precision}; products in float32 reach {max(single):.0f} GFLOP/s"
    return [compare("training step of CifarCNN", "GFLOP/s", reached[1:], possible[1:], "more", note=note)]


def check() -> None:
    """Assert the count of a step against one by hand."""
    widths = [(3, 32, 32), (32, 64, 32), (64, 128, 16), (128, 128, 16), (128, 256, 8), (256, 256, 8)]
    by_hand = sum(9 * before * after * pixels**2 for before, after, pixels in widths)
    by_hand += 4096 * 1024 + 1024 * 512 + 512 * 10
    assert flops_per_image() == 6 * by_hand, (flops_per_image(), 6 * by_hand)
