"""Metrics that add up on the device and never wait for it: torchmetrics' own look at their input, a wait per batch.

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
    """The share of images whose label is the likeliest class, or among the likeliest.

    Args:
        among: how many of the likeliest count.
    """

    right: Tensor
    images: Tensor

    def __init__(self, among: int = 1) -> None:
        super().__init__()
        self.among = among
        self.add_state("right", torch.tensor(0), dist_reduce_fx="sum")
        self.add_state("images", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Count logits ``(B, classes)`` against labels ``(B,)``."""
        found = preds.argmax(1, keepdim=True) if self.among == 1 else preds.topk(self.among, 1).indices
        self.right += (found == target.unsqueeze(1)).sum()  # no class is IGNORED
        self.images += (target != IGNORED).sum()

    def compute(self) -> Tensor:
        """Return the share; 0 of no image."""
        return self.right / self.images.clamp(min=1)


class Confusion(Metric):
    """How many images of each class, by row, were taken for each, by column.

    Args:
        num_classes: how many there are.
    """

    counts: Tensor

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.add_state("counts", torch.zeros(num_classes, num_classes, dtype=torch.long), dist_reduce_fx="sum")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Count logits ``(B, classes)`` against labels ``(B,)``."""
        place = target.clamp(min=0) * self.num_classes + preds.argmax(1)
        # add, not bincount, which waits for the largest number
        self.counts.view(-1).index_add_(0, place, (target != IGNORED).long())

    def compute(self) -> Tensor:
        """Return ``(classes, classes)``."""
        return self.counts


class Largest(Metric):
    """The largest of what it is given, none of which is negative; NaN if one is."""

    largest: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("largest", torch.tensor(0.0), dist_reduce_fx="max")

    def update(self, value: Tensor) -> None:
        """Look at more."""
        self.largest = torch.maximum(self.largest, value.max().float())

    def compute(self) -> Tensor:
        """Return it."""
        return self.largest
