"""What every task shares: the recipe by which a network is trained, and what its best checkpoint is."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torchmetrics import Metric

from lit_models.operators import _check

IGNORED = -1  # the label of an image that pads a shard: counted nowhere

Batch = tuple[Tensor, Tensor]


class Task(LightningModule):
    """Trains any network by a recipe that does not depend on what the network is for.

    :class:`~lit_models.classifier.Classifier` and :class:`~lit_models.inpainter.Inpainter` subclass it and add the
    loss, the metrics and the test; an architecture subclasses one of those. The recipe (optimiser, learning rate,
    schedule) must not differ between two architectures under comparison, so it lives here.

    A subclass says with ``monitor`` and ``mode`` which checkpoint is the best, logs that number in validation, and
    leaves in ``test_report`` what its test found.

    Args:
        in_channels: channels C of the images.
        image_size: height and width of the images, in pixels.
        num_classes: number of classes of the data; a task that has no use for labels ignores it.
        optimizer: ``adamw``, ``adam`` or ``sgd``.
        lr: learning rate, constant or the peak of the schedule.
        weight_decay: decoupled for ``adamw``, an L2 penalty for the others.
        momentum: for ``sgd`` only.
        schedule: ``constant``, or ``cosine`` from ``lr`` to 0 over the whole run, a step at a time.

    Raises:
        ValueError: an argument is out of its range.
    """

    monitor: ClassVar[str] = "val_acc"  # the logged number by which the best checkpoint is chosen
    mode: ClassVar[Literal["min", "max"]] = "max"
    test_report: dict[str, Any]  # what the last test found: the scalars that it logged, and more

    def __init__(
        self,
        in_channels: int = 1,
        image_size: int = 28,
        num_classes: int = 10,
        optimizer: Literal["adamw", "adam", "sgd"] = "adamw",
        lr: float = 1e-3,
        weight_decay: float = 0.01,
        momentum: float = 0.9,
        schedule: Literal["constant", "cosine"] = "cosine",
    ) -> None:
        super().__init__()
        _check.at_least(1, in_channels=in_channels, image_size=image_size)
        if not (lr > 0 and math.isfinite(lr)):
            raise ValueError(f"lr must be a positive number: got {lr}; 0.001 is the default")
        if not (weight_decay >= 0 and math.isfinite(weight_decay)):
            raise ValueError(f"weight_decay must be 0 or more: got {weight_decay}")
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum must lie in [0, 1): got {momentum}")
        # Gathers the arguments of the subclass too, so that load_from_checkpoint needs no arguments.
        self.save_hyperparameters(logger=False)
        self.example_images = torch.zeros(1, in_channels, image_size, image_size)

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; the one that Lightning sets twice per hook without nn.Module's search for parameters."""
        if name == "_current_fx_name":
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)

    @property
    def example_inputs(self) -> tuple[Tensor, ...]:
        """What ``forward`` takes, for one image: what size and speed are measured on."""
        return (self.example_images,)

    def setup(self, stage: str) -> None:
        """Give every process its own metrics: those that are spawned begin with their parent's, in shared memory."""
        for module in self.modules():
            if isinstance(module, Metric):
                module.reset()

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Build the optimiser and schedule that the recipe names."""
        recipe: Any = self.hparams
        # One pass over the weights in place of ten. Not with clipping, which 16-mixed refuses for it.
        fused = self.device.type in ("cpu", "cuda") and getattr(self._trainer, "gradient_clip_val", None) is None
        shared = {"lr": recipe.lr, "weight_decay": recipe.weight_decay, "fused": fused}
        optimizer: torch.optim.Optimizer
        if recipe.optimizer == "sgd":
            optimizer = torch.optim.SGD(self.parameters(), momentum=recipe.momentum, **shared)
        elif recipe.optimizer == "adam":
            optimizer = torch.optim.Adam(self.parameters(), **shared)
        else:
            optimizer = torch.optim.AdamW(self.parameters(), **shared)
        if recipe.schedule == "constant":
            return optimizer
        steps = self.trainer.estimated_stepping_batches
        if math.isinf(steps):
            raise MisconfigurationException(
                "model.schedule=cosine needs an end: set trainer.max_epochs or trainer.max_steps, or schedule=constant"
            )
        scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=max(1, int(steps)))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}
