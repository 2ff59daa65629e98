"""Eleven augmentations, ms per image: kornia on batches of 1, 32 and 128 against torchvision one by one.

The operations and the numbers beside ours are those of a tutorial's table, which was taken on its author's GPU and does
not say how large the images were; ours are 32x32 in three channels, floats in [0, 1], and every image is changed.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import kornia.augmentation as K
import torch
from torch import Tensor, nn
from torchvision.transforms import v2

from benchmarks.timing import Row, compare

SIZE = 32
CROP = (24, 24)
BATCHES = (1, 32, 128)
# kornia's, torchvision's, and the document's ms per image: of torchvision, and of kornia at the three batch sizes
OPERATIONS: dict[str, tuple[nn.Module, nn.Module, tuple[float, ...]]] = {
    "RandomPerspective": (K.RandomPerspective(0.5, p=1.0), v2.RandomPerspective(0.5, p=1.0), (4.88, 4.74, 0.37, 0.20)),
    "ColorJiggle": (
        K.ColorJiggle(0.2, 0.2, 0.2, 0.05, p=1.0),
        v2.ColorJitter(0.2, 0.2, 0.2, 0.05),
        (4.40, 4.14, 0.90, 0.83),
    ),
    "RandomAffine": (
        K.RandomAffine(15.0, (0.1, 0.1), p=1.0),
        v2.RandomAffine(15, (0.1, 0.1)),
        (3.12, 3.01, 0.30, 0.18),
    ),
    "RandomVerticalFlip": (K.RandomVerticalFlip(p=1.0), v2.RandomVerticalFlip(1.0), (0.32, 0.35, 0.02, 0.01)),
    "RandomHorizontalFlip": (K.RandomHorizontalFlip(p=1.0), v2.RandomHorizontalFlip(1.0), (0.32, 0.31, 0.01, 0.01)),
    "RandomRotate": (K.RandomRotation(15.0, p=1.0), v2.RandomRotation(15), (1.82, 1.58, 0.25, 0.17)),
    "RandomCrop": (K.RandomCrop(CROP), v2.RandomCrop(CROP), (4.09, 3.84, 0.16, 0.08)),
    "RandomErasing": (K.RandomErasing(p=1.0), v2.RandomErasing(1.0), (2.31, 2.32, 0.44, 0.57)),
    "RandomGrayscale": (K.RandomGrayscale(p=1.0), v2.RandomGrayscale(1.0), (0.41, 0.45, 0.03, 0.03)),
    "RandomResizedCrop": (
        K.RandomResizedCrop(CROP),
        v2.RandomResizedCrop(CROP, antialias=False),
        (4.23, 4.07, 0.23, 0.13),
    ),
    "RandomCenterCrop": (K.CenterCrop(CROP), v2.CenterCrop(CROP), (2.93, 2.88, 0.13, 0.07)),
}


def run(tiny: bool = False) -> list[Row]:
    """Measure ms per image; the note has the spread over the rounds and the document's numbers."""
    rounds = 2 if tiny else 30
    rows = []
    for name, (kornias, torchvisions, (theirs, *documents)) in OPERATIONS.items():
        for batch, document in zip(BATCHES, documents, strict=True):
            images = torch.rand(batch, 3, SIZE, SIZE)
            ours, peer = [], []
            for _ in range(1 + rounds):
                ours.append(1e3 * seconds(kornias, images) / batch)
                peer.append(1e3 * seconds(one_by_one(torchvisions), images) / batch)
            ours, peer = ours[1:], peer[1:]  # the first warms up
            spread = f"± {statistics.stdev(ours):.3f} and ± {statistics.stdev(peer):.3f}"
            note = f"{spread}; the document has {document:.2f} and {theirs:.2f}"
            rows.append(compare(f"{name}, batch {batch}", "ms/image", ours, peer, "less", note=note))
    return rows


def one_by_one(transform: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Return what a loader does: each image alone, so that each is changed in its own way."""
    return lambda images: torch.stack([transform(image) for image in images])


def seconds(transform: Callable[[Tensor], Tensor], images: Tensor) -> float:
    """Return how long one batch takes."""
    start = time.perf_counter()
    transform(images)
    return time.perf_counter() - start


def check() -> None:
    """Assert that both give the same shapes, and the same pixels where nothing is drawn."""
    torch.manual_seed(0)
    images = torch.rand(4, 3, SIZE, SIZE)
    fixed = ("RandomVerticalFlip", "RandomHorizontalFlip", "RandomCenterCrop", "RandomGrayscale")
    for name, (kornias, torchvisions, _) in OPERATIONS.items():
        ours, peer = kornias(images), one_by_one(torchvisions)(images)
        assert ours.shape == peer.shape, name
        assert name not in fixed or (ours - peer).abs().max() < 2e-3, name  # their weights of grey have three digits
        assert name in fixed or not torch.equal(kornias(images), ours), name
