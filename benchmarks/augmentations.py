"""Eleven augmentations, ms per image: kornia on batches of 1, 32 and 128 against torchvision and albumentations.

Both peers change one image after another, as a loader has them do. The operations, and the numbers beside ours, are
those of a tutorial's table (document 002), which was taken on its author's GPU and does not say how large the images
were; ours are 32x32 in three channels, floats in [0, 1], and every image is changed.
"""

from __future__ import annotations

import importlib.util
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import kornia.augmentation as K
import torch
from torch import Tensor, nn
from torchvision.transforms import v2

from benchmarks.timing import Row, compare

SIZE, EDGE = 32, 24  # of the images, and of what crops leave
CROP = (EDGE, EDGE)
BATCHES = (1, 32, 128)
PEERS = ("torchvision", "albumentations")


@dataclass(frozen=True)
class Operation:
    """One operation in three libraries.

    Args:
        kornia: of a batch.
        torchvision: of one image.
        albumentations: name and arguments of its class.
        document: ms per image: torchvision's, albumentations', kornia's at each batch size.
    """

    kornia: nn.Module
    torchvision: nn.Module
    albumentations: tuple[str, dict[str, Any]]
    document: tuple[float, float, float, float, float]


OPERATIONS = {
    "RandomPerspective": Operation(
        K.RandomPerspective(0.5, p=1.0),
        v2.RandomPerspective(0.5, p=1.0),
        ("Perspective", {"scale": (0.05, 0.25)}),
        (4.88, 4.68, 4.74, 0.37, 0.20),
    ),
    "ColorJiggle": Operation(
        K.ColorJiggle(0.2, 0.2, 0.2, 0.05, p=1.0),
        v2.ColorJitter(0.2, 0.2, 0.2, 0.05),
        ("ColorJitter", {"brightness": 0.2, "contrast": 0.2, "saturation": 0.2, "hue": 0.05}),
        (4.40, 3.58, 4.14, 0.90, 0.83),
    ),
    "RandomAffine": Operation(
        K.RandomAffine(15.0, (0.1, 0.1), p=1.0),
        v2.RandomAffine(15, (0.1, 0.1)),
        ("Affine", {"rotate": (-15, 15), "translate_percent": (-0.1, 0.1)}),
        (3.12, 2.43, 3.01, 0.30, 0.18),
    ),
    "RandomVerticalFlip": Operation(
        K.RandomVerticalFlip(p=1.0), v2.RandomVerticalFlip(1.0), ("VerticalFlip", {}), (0.32, 0.34, 0.35, 0.02, 0.01)
    ),
    "RandomHorizontalFlip": Operation(
        K.RandomHorizontalFlip(p=1.0),
        v2.RandomHorizontalFlip(1.0),
        ("HorizontalFlip", {}),
        (0.32, 0.34, 0.31, 0.01, 0.01),
    ),
    "RandomRotate": Operation(
        K.RandomRotation(15.0, p=1.0), v2.RandomRotation(15), ("Rotate", {"limit": 15}), (1.82, 1.59, 1.58, 0.25, 0.17)
    ),
    "RandomCrop": Operation(
        K.RandomCrop(CROP),
        v2.RandomCrop(CROP),
        ("RandomCrop", {"height": EDGE, "width": EDGE}),
        (4.09, 4.03, 3.84, 0.16, 0.08),
    ),
    "RandomErasing": Operation(
        K.RandomErasing(p=1.0), v2.RandomErasing(1.0), ("Erasing", {}), (2.31, 1.89, 2.32, 0.44, 0.57)
    ),
    "RandomGrayscale": Operation(
        K.RandomGrayscale(p=1.0), v2.RandomGrayscale(1.0), ("ToGray", {}), (0.41, 0.43, 0.45, 0.03, 0.03)
    ),
    "RandomResizedCrop": Operation(
        K.RandomResizedCrop(CROP),
        v2.RandomResizedCrop(CROP, antialias=False),
        ("RandomResizedCrop", {"size": CROP}),
        (4.23, 3.80, 4.07, 0.23, 0.13),
    ),
    "RandomCenterCrop": Operation(
        K.CenterCrop(CROP),
        v2.CenterCrop(CROP),
        ("CenterCrop", {"height": EDGE, "width": EDGE}),
        (2.93, 2.81, 2.88, 0.13, 0.07),
    ),
}


def run(tiny: bool = False, device: str = "cpu") -> list[Row]:
    """Measure ms per image; the note has the spread over the rounds and the document's numbers.

    Args:
        tiny: try it, and measure little.
        device: of kornia's batches; the peers work where loaders do, on the CPU.
    """
    rounds = 2 if tiny else 30
    rows = []
    for name, operation in OPERATIONS.items():
        for batch, document in zip(BATCHES, operation.document[2:], strict=True):
            images = torch.rand(batch, 3, SIZE, SIZE)
            sides: dict[str, Callable[[], Any]] = {"kornia": partial(operation.kornia, images.to(device))}
            sides |= {peer: partial(change, images) for peer, change in peers(operation).items()}
            times: dict[str, list[float]] = {side: [] for side in sides}
            for _ in range(1 + rounds):
                for side, work in sides.items():
                    times[side].append(1e3 * seconds(work, device) / batch)
            times = {side: found[1:] for side, found in times.items()}  # the first warms up
            for peer, theirs in zip(PEERS, operation.document, strict=False):
                if peer in times:
                    spread = f"± {statistics.stdev(times['kornia']):.3f} and ± {statistics.stdev(times[peer]):.3f}"
                    note = f"{spread}; the document has {document:.2f} and {theirs:.2f}"
                    case = f"{name}, batch {batch}, {peer}" + f", kornia on {device}" * (device != "cpu")
                    rows.append(compare(case, "ms/image", times["kornia"], times[peer], "less", note=note))
    return rows


def page(rows: list[Row], hardware: str) -> str:
    """Return the rows as the document's table: ms per image, the document's own number in brackets."""
    found = {tuple(row.case.split(", ")[:3]): row for row in rows}
    where = "".join({f", {rest}" for row in rows if (rest := ", ".join(row.case.split(", ")[3:]))})
    shown = [peer for peer in PEERS if any(peer in case for case in found)]
    lines = [
        f"# Augmentations: ms per image on {hardware}{where}",
        "",
        "Median over 30 rounds; in brackets what document 002 has, taken on its author's GPU, of images of another",
        "size. torchvision and albumentations change one image after another. Ratio: torchvision's time over kornia's",
        f"at batch 128. `python -m benchmarks augmentations` makes this table; images of {SIZE}x{SIZE} here.",
        "",
        f"| operation | {' | '.join(shown)} | kornia, batch 1 | 32 | 128 | ratio |",
        "|:--|" + "--:|" * (len(shown) + 4),
    ]
    for name, operation in OPERATIONS.items():
        numbers = [found[name, f"batch {BATCHES[0]}", peer].peer for peer in shown]
        numbers += [found[name, f"batch {batch}", shown[0]].ours for batch in BATCHES]
        documents = [operation.document[PEERS.index(peer)] for peer in shown] + [*operation.document[2:]]
        cells = [f"{number:.3g} ({document:g})" for number, document in zip(numbers, documents, strict=True)]
        ratios = f"{numbers[0] / numbers[-1]:.3g} ({documents[0] / documents[-1]:.3g})"
        lines.append(f"| {name} | {' | '.join(cells)} | {ratios} |")
    return "\n".join([*lines, ""])


def peers(operation: Operation) -> dict[str, Callable[[Tensor], Any]]:
    """Return by the name of a library what changes a batch one image after another."""
    found: dict[str, Callable[[Tensor], Any]] = {"torchvision": one_by_one(operation.torchvision)}
    if importlib.util.find_spec("albumentations"):
        os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # it would ask a server for a newer version
        import albumentations

        name, arguments = operation.albumentations
        change = getattr(albumentations, name)(**arguments, p=1.0)
        found["albumentations"] = lambda images: [change(image=image)["image"] for image in as_pixels(images)]
    return found


def as_pixels(images: Tensor) -> Any:
    """Return images ``(B, C, H, W)`` as albumentations takes them, ``(B, H, W, C)``."""
    return images.permute(0, 2, 3, 1).contiguous().numpy()


def one_by_one(transform: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Return what a loader does: each image alone, so that each is changed in its own way."""
    return lambda images: torch.stack([transform(image) for image in images])


def seconds(work: Callable[[], Any], device: str = "cpu") -> float:
    """Return how long something takes, to the end of what it leaves to a device."""
    start = time.perf_counter()
    work()
    if device != "cpu":
        torch.accelerator.synchronize()
    return time.perf_counter() - start


def check() -> None:
    """Assert that all give the same shapes, and the same pixels where nothing is drawn."""
    torch.manual_seed(0)
    images = torch.rand(4, 3, SIZE, SIZE)
    fixed = ("RandomVerticalFlip", "RandomHorizontalFlip", "RandomCenterCrop", "RandomGrayscale")
    for name, operation in OPERATIONS.items():
        ours = operation.kornia(images)
        assert name in fixed or not torch.equal(operation.kornia(images), ours), name
        for peer, change in peers(operation).items():
            theirs = change(images)
            if isinstance(theirs, list):
                theirs = torch.stack([torch.from_numpy(image).permute(2, 0, 1) for image in theirs])
            assert ours.shape == theirs.shape, (name, peer)
            # their weights of grey have three digits
            assert name not in fixed or (ours - theirs).abs().max() < 2e-3, (name, peer)
