"""Draws what a trial's augmentation makes of a few of its training images, into the trial's folder."""

from __future__ import annotations

import io
from pathlib import Path

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities.seed import isolate_rng
from torch import nn

from datamodules import ImageDataModule
from datamodules.__main__ import grid
from headtohead.records.files import write_bytes
from headtohead.records.record import PREVIEW
from headtohead.trial.networks import left_as_it_is

IMAGES = 5
LARGEST, COLORS = 450, 256  # pixels of a side, and colours: a report holds a picture of each augmentation


class Preview(Callback):
    """Draws the first training images and, below each, what is made of it, before the clock of the trial starts.

    Nothing that is learnt depends on it: random numbers and the augmentation's buffers are those of before.

    Args:
        folder: of the trial.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / PREVIEW

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Draw them, if anything is augmented."""
        data = getattr(trainer, "datamodule", None)
        if stage != "fit" or not trainer.is_global_zero or not isinstance(data, ImageDataModule):
            return
        self.path.unlink(missing_ok=True)  # of another trial that was given this folder
        if isinstance(data.augment, nn.Identity):
            return
        images = data.train.pool.images[data.train.indices[:-1][:IMAGES]]
        with isolate_rng(), left_as_it_is(data.augment), torch.no_grad():
            picture = grid(data, images)
        picture.thumbnail((LARGEST, LARGEST))
        png = io.BytesIO()
        (picture if picture.mode == "L" else picture.quantize(COLORS)).save(png, "png", optimize=True)
        write_bytes(self.path, png.getvalue(), durable=False)
