"""Crop, flip and normalisation of CIFAR-10 batches against torchvision per image, and against kornia's own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any, ClassVar, cast

import kornia.augmentation as K
import numpy as np
import torch
from lightning.pytorch import Trainer
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from benchmarks.timing import Row, compare
from datamodules import CIFAR10, ImageDataModule
from datamodules.augmentation import Augment
from datamodules.sources import Arrays

BATCH = 128


class Random(ImageDataModule):
    """As many random images as wanted, in the shape of CIFAR-10's."""

    in_channels, image_size, num_classes = 3, 32, 10
    class_names = CIFAR10.class_names
    mean = CIFAR10.mean
    std = CIFAR10.std
    default_augment: ClassVar[Augment] = "crop_flip"
    count = 10_000

    def load(self) -> Arrays:
        """Draw them."""
        random = np.random.RandomState(0)
        images = random.randint(0, 256, (self.count, 3, 32, 32), dtype=np.uint8)
        labels = np.arange(self.count) % 10
        return Arrays(images, labels, images[:100], labels[:100])


class PerImage(Dataset[tuple[Tensor, int]]):
    """What torchvision's CIFAR10 does: an array becomes a PIL image, which goes through the transforms."""

    def __init__(self, images: Tensor, labels: Tensor, transform: Callable[[Image.Image], Tensor]) -> None:
        self.images = images.permute(0, 2, 3, 1).squeeze(3).numpy()  # grey images have no third axis
        self.labels = labels.tolist()
        self.transform = transform

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """Return an image and its label."""
        return self.transform(Image.fromarray(self.images[index])), self.labels[index]


def per_image(mean: tuple[float, ...], std: tuple[float, ...]) -> Callable[[Image.Image], Tensor]:
    """Return the tutorial's transforms."""
    parts = [
        transforms.RandomCrop(32, padding=4),
        transforms.RandomHorizontalFlip(),
        transforms.ToTensor(),
        transforms.Normalize(mean, std),
    ]
    return cast("Callable[[Image.Image], Tensor]", transforms.Compose(parts))


def stock(mean: tuple[float, ...], std: tuple[float, ...]) -> nn.Module:
    """Return kornia's own modules for the same, in the faster of the two ways in which it can crop."""
    return nn.Sequential(
        K.RandomCrop((32, 32), padding=4, cropping_mode="slice"),
        K.RandomHorizontalFlip(p=0.5),
        K.Normalize(torch.tensor(mean), torch.tensor(std)),
    )


def ready(count: int = 10_000, batch_size: int = BATCH, **arguments: Any) -> Random:
    """Return the data module as it is during a fit."""
    data = Random(batch_size=batch_size, val_size=100, **arguments)
    data.count = count + 100
    data.setup()
    # Stands in for the Trainer, of which a data module asks no more than this.
    data.trainer = cast("Trainer", SimpleNamespace(training=True, global_rank=0, world_size=1))
    return data


def seen(data: ImageDataModule, index: Tensor, device: torch.device | None = None) -> tuple[Tensor, Tensor]:
    """Return the batch that a network sees for the indices that a loader yields."""
    gathered = data.transfer_batch_to_device(index, device or torch.device("cpu"), 0)
    return data.on_after_batch_transfer(gathered, 0)


def run(tiny: bool = False) -> list[Row]:
    """Measure images per second, from the data set to what the network takes."""
    data = ready(500 if tiny else 10_000)
    loader = data.train_dataloader()
    kornias = stock(data.mean, data.std)
    dataset = PerImage(data.train.images, data.train.labels, per_image(data.mean, data.std))
    workers = DataLoader(dataset, BATCH, shuffle=True, num_workers=2, persistent_workers=True)

    sides: dict[str, Callable[[], Iterable[Any]]] = {
        "ours": lambda: (seen(data, index) for index in loader),
        "kornia": lambda: (
            kornias(data.train.pool.gather(index, index.device)[0].float().div_(255)) for index in loader
        ),
        "torchvision": lambda: workers,
    }
    rates: dict[str, list[float]] = {side: [] for side in sides}
    for _ in range(3 if tiny else 6):
        for side, batches in sides.items():
            start = time.perf_counter()
            for _batch in batches():
                pass
            rates[side].append(len(data.train) / (time.perf_counter() - start))
    rates = {side: values[1:] for side, values in rates.items()}  # the first warms up
    return [
        compare("torchvision per image, 2 workers", "images/s", rates["ours"], rates["torchvision"], "more", 15.0),
        compare("kornia's RandomCrop, flip, Normalize", "images/s", rates["ours"], rates["kornia"], "more", 2.0),
    ]


def check() -> None:
    """Assert that all three give windows of the padded image, mirrored or not, and each of them as often."""
    data = ready(count=100, memory_format="contiguous")
    mean, std = (torch.tensor(numbers).view(-1, 1, 1) for numbers in (data.mean, data.std))
    image = data.train.images[:1].clone()
    padded = nn.functional.pad(image[0].float() / 255, (4,) * 4)
    windows = padded.unfold(1, 32, 1).unfold(2, 32, 1).permute(1, 2, 0, 3, 4).flatten(0, 1)  # (81, C, H, W)
    windows = (torch.stack([windows, windows.flip(-1)]).flatten(0, 1) - mean) / std
    transform, kornias = per_image(data.mean, data.std), stock(data.mean, data.std)
    pil = Image.fromarray(image[0].permute(1, 2, 0).numpy())
    count, label = 300, torch.zeros(300)
    torch.manual_seed(0)
    results = (
        data.on_after_batch_transfer((image.expand(count, -1, -1, -1), label), 0)[0],
        kornias(image.expand(count, -1, -1, -1).float() / 255),
        torch.stack([transform(pil) for _ in range(count)]),
    )
    for result in results:
        distance, window = torch.cdist(result.flatten(1), windows.flatten(1)).min(1)
        assert distance.max() < 0.5  # of two different windows it is above 50
        seen = torch.bincount(window, minlength=162)
        assert 100 < (seen > 0).sum() <= 162  # 137 on average
        assert 100 < seen[81:].sum() < 200  # mirrored
