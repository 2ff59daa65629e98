"""Metrics that are summed on the device; torchmetrics' own validate their input, which waits for it at every batch.

All take part in torchmetrics' gathering over processes, and pass over images labelled ``IGNORED``.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import Metric

from lit_models.tasks.task import IGNORED


class Mean(Metric):
    """The weighted mean of what it is given; of nothing it is NaN."""

    total: Tensor
    weights: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("weights", torch.tensor(0.0), dist_reduce_fx="sum")

    def update(self, value: Tensor, weight: Tensor) -> None:
        """Add values with their weights; where the weight is 0 the value may be anything finite."""
        self.total += (value.float() * weight).sum()
        self.weights += weight.sum()

    def compute(self) -> Tensor:
        """Return the mean."""
        return self.total / self.weights


class Accuracy(Metric):
    """The share of images classified correctly, top-1."""

    right: Tensor
    images: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("right", torch.tensor(0), dist_reduce_fx="sum")
        self.add_state("images", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Count logits ``(B, classes)`` against labels ``(B,)``."""
        self.right += (preds.argmax(1) == target).sum()  # no class is IGNORED
        self.images += (target != IGNORED).sum()

    def compute(self) -> Tensor:
        """Return the share; 0 of no image."""
        return self.right / self.images.clamp(min=1)
