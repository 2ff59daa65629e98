"""Eleven augmentations, ms per image: kornia on batches of 1, 32 and 128 against torchvision and albumentations.

Both peers change one image after another, as a loader has them do. The operations, and the numbers beside ours, are
those of a tutorial's table (document 002), which was taken on its author's GPU and does not say how large the images
were; ours are 32x32 in three channels, floats in [0, 1], and every image is changed.
"""

from __future__ import annotations

import importlib.util
import os
import re
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
_BATCHES = [f"batch {batch}" for batch in BATCHES]
PEERS = ("torchvision", "albumentations")
Spread = tuple[float, float]  # a number and its deviation


@dataclass(frozen=True)
class Operation:
    """One operation in three libraries.

    Args:
        kornia: of a batch.
        torchvision: of one image.
        albumentations: name and arguments of its class.
        document: ms per image and what stands after ±: torchvision's, albumentations', kornia's at each batch size.
    """

    kornia: nn.Module
    torchvision: nn.Module
    albumentations: tuple[str, dict[str, Any]]
    document: tuple[Spread, Spread, Spread, Spread, Spread]


OPERATIONS = {
    "RandomPerspective": Operation(
        K.RandomPerspective(0.5, p=1.0),
        v2.RandomPerspective(0.5, p=1.0),
        ("Perspective", {"scale": (0.05, 0.25)}),
        ((4.88, 1.82), (4.68, 3.60), (4.74, 2.84), (0.37, 2.67), (0.20, 27.00)),
    ),
    "ColorJiggle": Operation(
        K.ColorJiggle(0.2, 0.2, 0.2, 0.05, p=1.0),
        v2.ColorJitter(0.2, 0.2, 0.2, 0.05),
        ("ColorJitter", {"brightness": 0.2, "contrast": 0.2, "saturation": 0.2, "hue": 0.05}),
        ((4.40, 2.88), (3.58, 3.66), (4.14, 3.85), (0.90, 24.68), (0.83, 12.96)),
    ),
    "RandomAffine": Operation(
        K.RandomAffine(15.0, (0.1, 0.1), p=1.0),
        v2.RandomAffine(15, (0.1, 0.1)),
        ("Affine", {"rotate": (-15, 15), "translate_percent": (-0.1, 0.1)}),
        ((3.12, 5.80), (2.43, 7.11), (3.01, 7.80), (0.30, 4.39), (0.18, 6.30)),
    ),
    "RandomVerticalFlip": Operation(
        K.RandomVerticalFlip(p=1.0),
        v2.RandomVerticalFlip(1.0),
        ("VerticalFlip", {}),
        ((0.32, 0.08), (0.34, 0.16), (0.35, 0.82), (0.02, 0.13), (0.01, 0.35)),
    ),
    "RandomHorizontalFlip": Operation(
        K.RandomHorizontalFlip(p=1.0),
        v2.RandomHorizontalFlip(1.0),
        ("HorizontalFlip", {}),
        ((0.32, 0.08), (0.34, 0.18), (0.31, 0.59), (0.01, 0.26), (0.01, 0.37)),
    ),
    "RandomRotate": Operation(
        K.RandomRotation(15.0, p=1.0),
        v2.RandomRotation(15),
        ("Rotate", {"limit": 15}),
        ((1.82, 4.70), (1.59, 4.33), (1.58, 4.44), (0.25, 2.09), (0.17, 5.69)),
    ),
    "RandomCrop": Operation(
        K.RandomCrop(CROP),
        v2.RandomCrop(CROP),
        ("RandomCrop", {"height": EDGE, "width": EDGE}),
        ((4.09, 3.41), (4.03, 4.94), (3.84, 3.07), (0.16, 1.17), (0.08, 9.42)),
    ),
    "RandomErasing": Operation(
        K.RandomErasing(p=1.0),
        v2.RandomErasing(1.0),
        ("Erasing", {}),
        ((2.31, 1.47), (1.89, 1.08), (2.32, 3.31), (0.44, 2.82), (0.57, 9.74)),
    ),
    "RandomGrayscale": Operation(
        K.RandomGrayscale(p=1.0),
        v2.RandomGrayscale(1.0),
        ("ToGray", {}),
        ((0.41, 0.18), (0.43, 0.60), (0.45, 1.20), (0.03, 0.11), (0.03, 7.10)),
    ),
    "RandomResizedCrop": Operation(
        K.RandomResizedCrop(CROP),
        v2.RandomResizedCrop(CROP, antialias=False),
        ("RandomResizedCrop", {"size": CROP}),
        ((4.23, 2.86), (3.80, 3.61), (4.07, 2.67), (0.23, 5.27), (0.13, 8.04)),
    ),
    "RandomCenterCrop": Operation(
        K.CenterCrop(CROP),
        v2.CenterCrop(CROP),
        ("CenterCrop", {"height": EDGE, "width": EDGE}),
        ((2.93, 1.29), (2.81, 1.38), (2.88, 2.34), (0.13, 2.20), (0.07, 9.41)),
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
                    spread = f"± {statistics.stdev(times['kornia']):.2g} and ± {statistics.stdev(times[peer]):.2g}"
                    note = f"{spread}; the document has {document[0]:.2f} and {theirs[0]:.2f}"
                    case = f"{name}, batch {batch}, {peer}" + f", kornia on {device}" * (device != "cpu")
                    rows.append(compare(case, "ms/image", times["kornia"], times[peer], "less", note=note))
    return rows


def page(rows: list[Row], hardware: str) -> str:
    """Return the rows as the document's table, ms per image with its own numbers in brackets; then the ratios."""
    found = {tuple(row.case.split(", ")[:3]): row for row in rows}
    where = "".join({f", {rest}" for row in rows if (rest := ", ".join(row.case.split(", ")[3:]))})
    shown = [peer for peer in PEERS if any(peer in case for case in found)]
    first, last = _BATCHES[0], _BATCHES[-1]
    lines = [
        f"# Augmentations: ms per image on {hardware}{where}",
        "",
        "Median ± standard deviation over 30 rounds; in brackets what document 002 has, taken on its author's GPU, of",
        "images of another size. torchvision and albumentations change one image after another, as many in a row as a",
        f"batch has. `python -m benchmarks augmentations` makes this page; images of {SIZE}x{SIZE} here.",
        "",
        _line("operation", *(f"{peer}, {first}" for peer in shown), *(f"kornia, {batch}" for batch in _BATCHES)),
        "|:--|" + "--:|" * (len(shown) + len(BATCHES)),
    ]
    for name, operation in OPERATIONS.items():
        measured = [(found[name, first, peer].peer, _deviations(found[name, first, peer])[1]) for peer in shown]
        ours = [found[name, batch, shown[0]] for batch in _BATCHES]
        measured += [(row.ours, _deviations(row)[0]) for row in ours]
        documents = [operation.document[PEERS.index(peer)] for peer in shown] + [*operation.document[2:]]
        cells = (
            f"{number:.3g} ± {spread} ({mean:.2f} ± {deviation:.2f})"
            for (number, spread), (mean, deviation) in zip(measured, documents, strict=True)
        )
        lines.append(_line(name, *cells))
    equal = [f"{peer}, {batch}" for peer in shown for batch in _BATCHES]
    lines += [
        "",
        "## How many times as long as kornia",
        "",
        f"Both at the same batch; in the last column {shown[0]} at {first} over kornia at {last}, as the document",
        f"compares them (its ratio in brackets). That compares more than the libraries: for most operations {shown[0]}",
        "too takes less for an image where it has many in a row.",
        "",
        _line("operation", *equal, f"{shown[0]}, {first}, over kornia, {last}"),
        "|:--|" + "--:|" * (len(equal) + 1),
    ]
    for name, operation in OPERATIONS.items():
        ratios = [f"{found[name, batch, peer].ratio:.3g}" for peer in shown for batch in _BATCHES]
        unlike = found[name, first, shown[0]].peer / found[name, last, shown[0]].ours
        documented = operation.document[PEERS.index(shown[0])][0] / operation.document[-1][0]
        lines.append(_line(name, *ratios, f"{unlike:.3g} ({documented:.3g})"))
    return "\n".join(lines) + "\n"


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _deviations(row: Row) -> list[str]:
    """Return the standard deviations of ours and the peer's, which stand in the note of a row."""
    found = [float(text) for text in re.findall(r"± ([\d.e-]+)", row.note)]
    return [f"{one:.2g}" if one else "< 0.0005" for one in found]  # of old rows, which have three digits


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
