"""The networks that are checked, each with images as its recipe has them, and the loss that it is trained by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.augment import Random
from benchmarks.train import Grey
from lit_models import Classifier, Inpainter, Task, architectures
from lit_models.facts import taken_by, takes_mask
from lit_models.tasks.inpainter import inpainting_loss


@dataclass(frozen=True)
class Case:
    """A network, the channels and size of its images, and the batch of its recipe."""

    make: Callable[[], nn.Module]
    channels: int
    size: int
    batch: int

    def data(self, steps: int, **arguments: Any) -> Random:
        """Return drawn images for an epoch of so many steps."""
        kind = Grey if self.channels == 1 else Random
        if takes_mask(self.make()):
            arguments["normalize"] = False
        data = kind(batch_size=self.batch, val_size=100, **arguments)
        data.count = self.batch * steps + 100
        return data

    def task(self) -> Task:
        """Return a new network in its task."""
        net = self.make()
        return Inpainter(net) if takes_mask(net) else Classifier(net)


def case(name: str, batch: int, channels: int = 3, size: int = 32, **arguments: Any) -> Case:
    """Return a case of the suite's architecture of that name."""
    kind = architectures.ARCHITECTURES[name]
    facts = taken_by(kind, {"in_channels": channels, "image_size": size, "num_classes": 10}, **arguments)
    return Case(partial(kind, **facts, **arguments), channels, size, batch)


def cases(tiny: bool = False) -> dict[str, Case]:
    """Return all cases by name; a tiny check has a few, with few images each."""
    found = {
        "SimpleCNN": case("SimpleCNN", 64, 1, 28),
        "EqCNN": case("EqCNN", 64, 1, 28),
        "FCNet": case("FCNet", 200, 1, 28),
        "ConvNet": case("ConvNet", 100, 1, 28),
        "Z2CNN": case("Z2CNN", 128, 1, 28),
        "P4CNN": case("P4CNN", 128, 1, 28),
        "CNN": case("CNN", 256),
        "INN": case("INN", 256),
        "CifarCNN": case("CifarCNN", 128),
        "ConvMixer": case("ConvMixer", 128),
        "VGG A": case("VGG", 128, configuration="A", batch_norm=True),
        "ResNet-8 conv": case("ResNet", 128, depth=8, operator="conv", width=16),
        "ResNet-8 separable": case("ResNet", 128, depth=8, operator="separable", width=46),
        "ResNet-8 involution": case("ResNet", 128, depth=8, operator="involution", width=34),
        "ResNet-8 p4": case("ResNet", 128, depth=8, operator="p4", width=8),
        "ConvUNet": case("ConvUNet", 128, width=16),
        "PConvUNet": case("PConvUNet", 128, width=16),
    }
    if tiny:
        few = ("SimpleCNN", "EqCNN", "ResNet-8 involution", "PConvUNet")
        found = {name: Case(found[name].make, found[name].channels, found[name].size, 8) for name in few}
    return found


def loss_of(net: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Return the loss of a step, with the same square hole in every image for a network that fills holes."""
    if not takes_mask(net):
        return F.cross_entropy(net(images), labels)
    mask = torch.ones_like(images[:, :1])
    mask[..., 8:16, 8:16] = 0
    return inpainting_loss(net(torch.where(mask != 0, images, 0), mask).float(), images, mask)


def far(result: Tensor, reference: Tensor) -> float:
    """Return the norm of the difference over that of the reference, both in float64; infinite where one is NaN."""
    one, other = (t.detach().double().cpu() for t in (result, reference))
    value = float((one - other).norm() / other.norm().clamp(min=1e-30))
    return value if value == value else float("inf")
