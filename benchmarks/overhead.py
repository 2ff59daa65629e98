"""What Trainer.fit adds to a bare loop: SimpleCNN with logging, metrics and progress bar."""

from __future__ import annotations

import time
from tempfile import TemporaryDirectory
from typing import Any

import torch
import torch.nn.functional as F
from lightning.pytorch.loggers import CSVLogger
from torch import nn

from benchmarks.augment import seen
from benchmarks.timing import Rate, Row, autocast, compare, rate
from benchmarks.train import Grey, trainer
from lit_models import Classifier, SimpleCNN

RECIPE: dict[str, Any] = {"lr": 5e-4, "schedule": "cosine"}


def ready(steps: int) -> Grey:
    """Return digits for so many steps of the source's 64 images."""
    data = Grey(batch_size=64, val_size=100)
    data.count = 64 * steps + 100
    data.setup()
    return data


def bare(model: nn.Module, data: Grey, precision: str | None = None) -> float:
    """Train an epoch with nothing around it, and return the images per second."""
    loader = data.train_dataloader()
    optimizer = torch.optim.AdamW(model.parameters(), RECIPE["lr"], weight_decay=0.01, fused=True)  # as ours
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, len(loader))
    model.train()
    ends = []
    for index in loader:
        images, labels = seen(data, index)
        with autocast(precision):
            loss = F.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        ends.append(time.perf_counter())
    return rate(ends, data.batch_size)


def ours(model: Classifier, data: Grey, folder: str, **arguments: Any) -> float:
    """Train an epoch as a trial does, and return the images per second."""
    measured = Rate(data.batch_size)
    trainer(measured, logger=CSVLogger(folder), default_root_dir=folder, **arguments).fit(model, datamodule=data)
    return measured.value


def run(tiny: bool = False) -> list[Row]:
    """Measure both in turn."""
    data = ready(4 if tiny else 200)
    mine, theirs = Classifier(SimpleCNN(), **RECIPE), SimpleCNN()
    with TemporaryDirectory() as folder:
        pairs = [(ours(mine, data, folder), bare(theirs, data)) for _ in range(2 if tiny else 10)]
    times = [[1e3 * data.batch_size / value for value in values] for values in zip(*pairs, strict=True)]
    return [compare("training step of SimpleCNN, batch 64", "ms", times[0], times[1], "share", 1.08)]


def check() -> None:
    """Assert that both end in the same weights."""
    torch.manual_seed(0)
    data = ready(6)
    mine, theirs = Classifier(SimpleCNN(), **RECIPE), SimpleCNN()
    theirs.load_state_dict(mine.net.state_dict())
    with TemporaryDirectory() as folder:
        ours(mine, data, folder, precision="32-true")
    bare(theirs, data, "32-true")
    for one, other in zip(mine.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)
