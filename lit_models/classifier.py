"""The task that every classifier shares: loss, metrics, and the test on rotated images."""

from __future__ import annotations

from typing import Any, cast

import torch
import torch.nn.functional as F
from kornia.geometry.transform import rotate
from torch import Tensor, nn
from torchmetrics import MaxMetric, MeanMetric, Metric
from torchmetrics.classification import (
    MulticlassAccuracy,
    MulticlassCalibrationError,
    MulticlassConfusionMatrix,
)

from lit_models.operators import _check
from lit_models.task import IGNORED, Batch, Task

QUARTER_TURNS = (0, 90, 180, 270)
CIRCLE = tuple(range(0, 360, 15))


class Classifier(Task):
    """Trains, validates and tests any image classifier in the same way.

    An architecture subclasses it, builds its layers in ``__init__`` and defines ``forward``, which turns
    images ``(B, C, H, W)`` into logits ``(B, num_classes)``. Everything that must not differ between two
    architectures under comparison lives here (loss, metrics) or in :class:`~lit_models.task.Task` (the recipe).

    The test is read once and gives: accuracy, loss and calibration error; accuracy with the whole test set
    turned by 90, 180 and 270 degrees (``rot90``, exact); the accuracy at every 15 degrees of the circle on the
    test loader with index 1, if there is one (bilinear, by kornia); the largest absolute difference between the
    logits of an image and those of its quarter turns; the confusion matrix.

    Args:
        in_channels: channels C of the images.
        image_size: height and width of the images, in pixels.
        num_classes: number of classes.
        **recipe: arguments of :class:`~lit_models.task.Task`.

    Raises:
        ValueError: an argument is out of its range.
    """

    def __init__(self, in_channels: int = 1, image_size: int = 28, num_classes: int = 10, **recipe: Any) -> None:
        super().__init__(in_channels, image_size, num_classes, **recipe)
        _check.at_least(2, num_classes=num_classes)
        self.num_classes = num_classes

        def accuracy() -> MulticlassAccuracy:
            # micro: the plain share of images classified correctly, top-1
            return MulticlassAccuracy(num_classes, average="micro", ignore_index=IGNORED, validate_args=False)

        self.train_loss, self.val_loss, self.test_loss = MeanMetric(), MeanMetric(), MeanMetric()
        self.train_acc, self.val_acc = MeanMetric(), accuracy()
        self._steps: list[tuple[Tensor, Tensor, int]] = []  # loss, images that were right, images; of this epoch
        self.test_turns = nn.ModuleList(accuracy() for _ in QUARTER_TURNS)
        self.test_circle = nn.ModuleList(accuracy() for _ in CIRCLE)
        self.test_calibration = MulticlassCalibrationError(
            num_classes, n_bins=15, ignore_index=IGNORED, validate_args=False
        )
        self.test_confusion = MulticlassConfusionMatrix(num_classes, ignore_index=IGNORED, validate_args=False)
        self.test_difference = MaxMetric()

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the mean cross-entropy of the batch."""
        images, labels = batch
        logits = self(images)
        loss = F.cross_entropy(logits, labels)
        self._steps.append((loss.detach(), (logits.detach().argmax(1) == labels).sum(), len(labels)))
        return loss

    def on_train_epoch_start(self) -> None:
        """Forget the steps of an epoch that was broken off."""
        self._steps.clear()

    def on_train_epoch_end(self) -> None:
        """Log once per epoch.

        Logging at each step would cost as much as a small network's step, and so would updating metrics: the steps'
        numbers are left where they were computed until now.
        """
        losses, right, counts = zip(*self._steps, strict=True)
        images = torch.tensor(counts, device=self.device)
        self.train_loss.update(torch.stack(losses).float(), images)
        self.train_acc.update(torch.stack(right) / images, images)
        self._steps.clear()
        self.log("train_loss", self.train_loss)
        self.log("train_acc", self.train_acc)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Accumulate loss and accuracy on the validation split."""
        images, labels = batch
        logits = self(images)
        self.val_loss.update(*_mean_loss(logits, labels))
        self.val_acc.update(logits, labels)

    def on_validation_epoch_end(self) -> None:
        """Log the validation loss and accuracy."""
        self.log("val_loss", self.val_loss, prog_bar=True)
        self.log("val_acc", self.val_acc, prog_bar=True)

    def test_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Accumulate the quarter turns (loader 0, the whole test set) or the circle (loader 1, a subset).

        Without autocast, whatever the network was trained in: rounding must not look like a lack of equivariance.
        """
        with torch.autocast(self.device.type, enabled=False):
            self._test_step(batch, dataloader_idx)

    def _test_step(self, batch: Batch, dataloader_idx: int) -> None:
        images, labels = batch
        if dataloader_idx == 1:
            for angle, accuracy in zip(CIRCLE, _metrics(self.test_circle), strict=True):
                accuracy.update(self(_rotate(images, angle)), labels)
            return
        upright = self(images)
        self.test_loss.update(*_mean_loss(upright, labels))
        self.test_calibration.update(upright.float().softmax(1), labels)
        self.test_confusion.update(upright, labels)
        for turn, accuracy in enumerate(_metrics(self.test_turns)):
            logits = upright if turn == 0 else self(images.rot90(turn, (2, 3)))
            accuracy.update(logits, labels)
            counted = (logits - upright)[labels != IGNORED]
            if counted.numel():
                self.test_difference.update(counted.abs().max())

    def on_test_epoch_end(self) -> None:
        """Log the scalars of the test and keep the rest in ``test_report``."""
        turns = [_share(accuracy.compute()) for accuracy in _metrics(self.test_turns)]
        confusion = self.test_confusion.compute()
        scalars = {
            "test_acc": turns[0],
            "test_loss": float(self.test_loss.compute()),
            "test_ece": _share(self.test_calibration.compute()),
            **{f"test_acc_rot{angle}": acc for angle, acc in zip(QUARTER_TURNS[1:], turns[1:], strict=True)},
            "test_logit_difference": float(self.test_difference.compute()),
        }
        self.test_report = {
            **scalars,
            "test_images": int(confusion.sum()),
            "confusion": confusion.tolist(),
            "class_acc": [_share(share) for share in confusion.diag() / confusion.sum(1).clamp(min=1)],
        }
        if _metrics(self.test_circle)[0].update_called:
            circle = [_share(accuracy.compute()) for accuracy in _metrics(self.test_circle)]
            scalars["test_acc_circle"] = round(sum(circle) / len(circle), 6)
            self.test_report |= {
                "test_acc_circle": scalars["test_acc_circle"],
                "circle": dict(zip(map(str, CIRCLE), circle, strict=True)),
            }
        self.log_dict(scalars, sync_dist=True)  # equal on all ranks already: compute() gathers
        for metric in self.children():
            if isinstance(metric, Metric):
                metric.reset()
        for metric in (*_metrics(self.test_turns), *_metrics(self.test_circle)):
            metric.reset()


def _metrics(modules: nn.ModuleList) -> list[MulticlassAccuracy]:
    """Return the metrics of a ModuleList, which types what it holds as modules."""
    return cast("list[MulticlassAccuracy]", list(modules))


def _share(value: Tensor) -> float:
    """Return a share as a number that reads as it was counted: 0.9841, not its nearest in single precision."""
    return round(float(value), 6)


def _mean_loss(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean cross-entropy over the images that count, and their number."""
    count = (labels != IGNORED).sum()
    total = F.cross_entropy(logits, labels, ignore_index=IGNORED, reduction="sum")
    return total / count.clamp(min=1), count


def _rotate(images: Tensor, angle: float) -> Tensor:
    """Rotate ``(B, C, H, W)`` counter-clockwise by ``angle`` degrees, bilinear.

    What lies outside is the nearest pixel of the border: its weights sum to one, so that rotating normalised
    images equals normalising rotated ones, and MNIST keeps its black background either way.
    """
    if angle == 0:
        return images
    degrees = torch.tensor([angle], dtype=images.dtype, device=images.device).expand(len(images))
    return rotate(images, degrees, mode="bilinear", padding_mode="border")
