"""Images per second inside Trainer.fit against the sources' own training loops, as they wrote them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from torchvision import transforms

from benchmarks.augment import PerImage, Random, per_image, seen
from benchmarks.timing import Measure, Rate, Row, apart, compare, rate
from datamodules import ImageDataModule
from datamodules.augmentation import Augment
from datamodules.sources import Arrays
from headtohead.trial.callbacks import EpochSeed, FiniteLoss, LineProgress
from headtohead.trial.hardware import best_precision
from lit_models import CNN, CifarCNN, Classifier, SimpleCNN

Batches = Iterable[tuple[Tensor, Tensor]]


class Grey(Random):
    """Random images in the shape of MNIST's."""

    in_channels, image_size = 1, 28
    mean = (0.1307,)
    std = (0.3081,)
    default_augment: ClassVar[Augment] = "none"

    def load(self) -> Arrays:
        """Cut them out of the others."""
        colour = super().load()
        train, test = (images[:, :1, :28, :28].copy() for images in (colour.train_images, colour.test_images))
        return Arrays(train, colour.train_labels, test, colour.test_labels)


def trainer(*callbacks: Callback, **arguments: Any) -> Trainer:
    """Return a Trainer as ``train.py`` builds it, without files; arguments go before those that are set here."""
    defaults = {
        "accelerator": "cpu",
        "precision": best_precision("cpu"),
        "callbacks": [EpochSeed(0), FiniteLoss(), LineProgress(1e9), *callbacks],
        "logger": False,
        "enable_checkpointing": False,
        "enable_model_summary": False,
        "limit_val_batches": 0,
        "max_epochs": 1,
    }
    return Trainer(**{**defaults, **arguments})


def fit(model: LightningModule, data: ImageDataModule) -> float:
    """Return the images per second of an epoch of ours."""
    measured = Rate(data.batch_size)
    trainer(measured).fit(model, datamodule=data)
    return measured.value


def document_002(batches: Batches, model: nn.Module, size: int) -> float:
    """The loop of CifarCNN's tutorial: Adam, and the loss fetched at each step.

    Returns:
        Images per second. Left out are its two passes per epoch that count the accuracy.
    """
    optimizer, criterion = torch.optim.Adam(model.parameters(), 1e-4), nn.CrossEntropyLoss()
    model.train()
    total = 0.0
    ends: list[float] = []
    for images, labels in batches:
        loss = criterion(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item()
        ends.append(time.perf_counter())
    return rate(ends, size)


def document_002_epoch(batches: Batches, model: nn.Module, size: int) -> float:
    """An epoch of the same as it is written: after the steps, a pass over the images for the training accuracy.

    Returns:
        Images per second, each image counted once. Left out is the pass over the test set.
    """
    training = document_002(batches, model, size)
    model.eval()
    correct, confusion = 0, torch.zeros(10, 10, dtype=torch.int64)
    ends: list[float] = []
    with torch.no_grad():
        for images, labels in batches:
            predicted = model(images).argmax(1)
            correct += int((predicted == labels).sum())
            for label, guess in zip(labels, predicted, strict=True):
                confusion[label.item(), guess.item()] += 1
            ends.append(time.perf_counter())
    return 1 / (1 / training + 1 / rate(ends, size))


def document_003(batches: Batches, model: nn.Module, size: int) -> float:
    """The fit of CNN's tutorial, in PyTorch: Adam 1e-3, and loss and accuracy shown at each step."""
    optimizer = torch.optim.Adam(model.parameters(), 1e-3, eps=1e-7)
    model.train()
    correct, total, seen = 0.0, 0.0, 0
    ends: list[float] = []
    for images, labels in batches:
        optimizer.zero_grad()
        logits = model(images)
        loss = F.cross_entropy(logits, labels)
        loss.backward()
        optimizer.step()
        seen += len(labels)
        correct += (logits.argmax(1) == labels).sum().item()
        total += loss.item()
        _shown = f"accuracy: {correct / seen:.4f} - loss: {total / (len(ends) + 1):.4f}"
        ends.append(time.perf_counter())
    return rate(ends, size)


def document_000(batches: Batches, model: nn.Module, size: int) -> float:
    """The loop of SimpleCNN's tutorial: AdamW 5e-4."""
    optimizer = torch.optim.AdamW(model.parameters(), 5e-4, weight_decay=0.01)
    model.train()
    ends: list[float] = []
    for images, labels in batches:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        ends.append(time.perf_counter())
    return rate(ends, size)


@dataclass(frozen=True)
class Case:
    """A model with its recipe, and the loop that it is compared with."""

    name: str
    model: type[nn.Module]
    data: Random
    batches: Callable[[Random], Batches]
    loop: Callable[[Batches, nn.Module, int], float]
    steps: int  # per epoch
    target: float | None
    rounds: int


def cases() -> list[Case]:
    """Return the three models with their sources' recipes."""

    def crops(data: Random) -> Batches:
        transform = per_image((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010))
        dataset = PerImage(data.train.images, data.train.labels, transform)
        return DataLoader(dataset, data.batch_size, shuffle=True, num_workers=2)

    def floats(data: Random) -> Batches:  # Keras keeps them in memory
        return DataLoader(
            TensorDataset(data.train.images.float() / 255, data.train.labels), data.batch_size, shuffle=True
        )

    def digits(data: Random) -> Batches:
        dataset = PerImage(data.train.images, data.train.labels, transforms.ToTensor())
        return DataLoader(dataset, data.batch_size, shuffle=True)

    plain: dict[str, Any] = {"augment": "none", "normalize": False, "val_size": 100}
    cifar = Random(batch_size=128, val_size=100)
    return [
        Case("CifarCNN, with the training accuracy", CifarCNN, cifar, crops, document_002_epoch, 14, 3.5, 3),
        Case("CifarCNN, the steps alone", CifarCNN, cifar, crops, document_002, 14, None, 3),
        Case("CNN", CNN, Random(batch_size=256, **plain), floats, document_003, 22, 2.5, 4),
        Case("SimpleCNN", SimpleCNN, Grey(batch_size=64, **plain), digits, document_000, 150, 1.5, 4),
    ]


def side(name: str, ours: bool, tiny: bool) -> Measure:
    """Return what measures a side of the case of that name."""
    case = next(case for case in cases() if case.name == name)
    data = case.data
    data.batch_size = 8 if tiny else data.batch_size
    data.count = data.batch_size * (4 if tiny else case.steps) + 100
    data.setup()
    if ours:
        return partial(fit, Classifier(case.model(), schedule="constant"), data)
    return partial(case.loop, case.batches(data), case.model(), data.batch_size)


def run(tiny: bool = False) -> list[Row]:
    """Measure each model's two sides in turn."""
    rows = []
    for case in cases():
        ours, theirs = (partial(side, case.name, mine, tiny) for mine in (True, False))
        rates = apart(ours, theirs, 1 if tiny else case.rounds)
        rows.append(compare(case.name, "images/s", *rates, "more", case.target, f"ours in {best_precision('cpu')}"))
    return rows


def check() -> None:
    """Assert that a fit of ours and a plain loop over the same batches end in the same weights."""
    torch.manual_seed(0)
    data = Random(batch_size=8, val_size=100, augment="none", memory_format="contiguous")
    data.count = 132
    data.setup()
    recipe: dict[str, Any] = {"optimizer": "adam", "lr": 1e-4, "weight_decay": 0.0, "schedule": "constant"}
    ours, theirs = Classifier(CNN(), **recipe), CNN()
    theirs.load_state_dict(ours.net.state_dict())
    trainer(Rate(8), precision="32-true").fit(ours, datamodule=data)
    loader = data.train_dataloader()
    document_002([seen(data, index) for index in loader], theirs, 8)
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-6)
