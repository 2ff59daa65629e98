"""The task that every classifier shares: loss, metrics, and the test on rotated images."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from kornia.geometry.transform import rotate
from torch import Tensor, nn
from torchmetrics import Metric, MetricCollection
from torchmetrics.classification import MulticlassCalibrationError

from lit_models.operators import _check
from lit_models.tasks.sums import Accuracy, Confusion, Largest, Mean
from lit_models.tasks.task import IGNORED, Batch, Optimizer, Schedule, Task, exactly

QUARTER_TURNS = (90, 180, 270)
FIRST, MANY = 5, 10  # the likeliest classes of the top-5 accuracy, which is shown of more classes than this
ROTATION_SWEEP = tuple(range(0, 360, 15))


class Classifier(Task):
    """Trains, validates and tests any image classifier in the same way.

    The network turns images ``(B, C, H, W)`` into logits ``(B, num_classes)``. Everything that must not differ between
    two architectures under comparison lives here (loss, metrics) or in :class:`~lit_models.tasks.task.Task`.

    The test is read once and gives: accuracy, loss and calibration error; top-5 accuracy, of more than ten classes and
    where it is asked for; accuracy with the whole test set
    turned by 90, 180 and 270 degrees (``rot90``, exact); the accuracy at every 15 degrees of a full turn on the
    test loader with index 1, if there is one (bilinear, by kornia); the invariance error, which is the largest
    absolute difference between the logits of an image and those of its quarter turns; the confusion matrix; and in
    ``per_image`` for every image of the test set whether it was right, upright and at each quarter turn.

    Args:
        net: the network.
        num_classes: number of classes.
        optimizer: see :class:`~lit_models.tasks.task.Task` for this and the arguments below.
        lr: learning rate.
        weight_decay: weight decay.
        momentum: momentum.
        schedule: schedule of the learning rate.
        l1: weight of an L1 penalty.
        warmup: steps in which the learning rate rises.
        label_smoothing: share of a label that is spread evenly over all classes, in training.
        top5: whether the test gives the top-5 accuracy of ten classes or fewer too.

    Raises:
        ValueError: an argument is out of its range.
    """

    def __init__(
        self,
        net: nn.Module,
        num_classes: int = 10,
        optimizer: Optimizer = "adamw",
        lr: float = 1e-3,
        weight_decay: float = 0.01,
        momentum: float = 0.9,
        schedule: Schedule = "cosine",
        l1: float = 0.0,
        warmup: int = 0,
        label_smoothing: float = 0.0,
        top5: bool = False,
    ) -> None:
        super().__init__(net, optimizer, lr, weight_decay, momentum, schedule, l1, warmup)
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"label_smoothing must lie in [0, 1): got {label_smoothing}; 0.1 is usual")
        self.label_smoothing = label_smoothing
        _check.at_least(2, num_classes=num_classes)
        if top5 and num_classes <= FIRST:
            raise ValueError(f"top5 must be false for {num_classes} classes: their top-5 accuracy is always 1")
        self.num_classes = num_classes
        self._steps: list[tuple[Tensor, Tensor, int]] = []  # loss, images that were right, images; of this epoch
        self._right: list[Tensor] = []  # per batch of the test: whether each image was right, upright and turned
        self._probabilities: list[tuple[Tensor, Tensor]] = []  # per batch of the test, with the labels
        self.train_metrics = _together("train_", loss=Mean(), acc=Mean())
        self.val_metrics = _together("val_", loss=Mean(), acc=Accuracy())
        self.test_metrics = _together(
            "test_",
            loss=Mean(),
            acc=Accuracy(),
            confusion=Confusion(num_classes),
        )
        # Not among those above, which are given logits: it is given probabilities.
        self.test_ece = MulticlassCalibrationError(num_classes, n_bins=15, ignore_index=IGNORED, validate_args=False)
        self.test_top5 = Accuracy(among=FIRST) if top5 or num_classes > MANY else None
        # The members of these two are updated one by one: each sees the images turned by another angle.
        self.test_turned = _together("test_", **{f"acc_rot{angle}": Accuracy() for angle in QUARTER_TURNS})
        self.test_sweep = _together("", **{str(angle): Accuracy() for angle in ROTATION_SWEEP})
        self.test_invariance_error = Largest()

    def check(self, images: Tensor) -> str | None:
        """Tell what is wrong with the logits for one batch, or None; see :meth:`Task.check`."""
        logits = self.net(images)
        wanted = (len(images), self.num_classes)
        if not isinstance(logits, Tensor):
            return f"must return logits of shape {wanted}: got a {type(logits).__name__}"
        if logits.shape != wanted:
            each = "; one for each class, of two too" if logits.shape[1:] in ((), (1,)) else ""
            return f"must return logits of shape {wanted} (images, classes): got {tuple(logits.shape)}{each}"
        return None if logits.isfinite().all() else "returns logits that are not finite before it is trained"

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the mean cross-entropy of the batch."""
        images, labels = batch
        logits = self(images)
        loss = F.cross_entropy(logits, labels, label_smoothing=self.label_smoothing)
        self._steps.append((loss.detach(), (logits.detach().argmax(1) == labels).sum(), len(labels)))
        return loss

    def on_train_epoch_start(self) -> None:
        """Forget the steps of an epoch that was broken off."""
        self._steps.clear()

    def on_train_epoch_end(self) -> None:
        """Log once per epoch, unless a subclass has a training step of its own, which then logs by itself.

        Logging at each step would cost as much as a small network's step, and so would updating metrics: the steps'
        numbers are left where they were computed until now.
        """
        if not self._steps:
            return
        losses, right, counts = zip(*self._steps, strict=True)
        images = torch.tensor(counts, device=self.device)
        self.train_metrics["loss"].update(torch.stack(losses).float(), images)
        self.train_metrics["acc"].update(torch.stack(right) / images, images)
        self._steps.clear()
        self.log_dict(self.train_metrics)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Accumulate loss and accuracy on the validation split."""
        images, labels = batch
        self.val_metrics.update(**_evaluated(self(images), labels))

    def on_validation_epoch_end(self) -> None:
        """Log the validation loss and accuracy."""
        self.log_dict(self.val_metrics, prog_bar=True)

    def test_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Accumulate the quarter turns (loader 0, the whole test set) or the rotation sweep (loader 1, a subset).

        In float32 proper, whatever the network was trained in: rounding must not look like a lack of equivariance.
        """
        with exactly(self.device):
            if dataloader_idx == 1:
                self._rotation_step(*batch)
            else:
                self._test_step(*batch)

    def _rotation_step(self, images: Tensor, labels: Tensor) -> None:
        for angle in ROTATION_SWEEP:
            self.test_sweep[str(angle)].update(self(_laid_out_as(images, _rotate(images, angle))), labels)

    def _test_step(self, images: Tensor, labels: Tensor) -> None:
        upright = self(images)
        right = [upright.argmax(1) == labels]
        self.test_metrics.update(**_evaluated(upright, labels))
        if self.test_top5 is not None:
            self.test_top5.update(upright, labels)
        self._probabilities.append((upright.float().softmax(1), labels))
        for turn, angle in enumerate(QUARTER_TURNS, start=1):
            logits = self(_laid_out_as(images, images.rot90(turn, (2, 3))))
            self.test_turned[f"acc_rot{angle}"].update(logits, labels)
            right.append(logits.argmax(1) == labels)
            apart = (logits - upright).abs().amax(1)
            self.test_invariance_error.update(apart.where(labels != IGNORED, 0))
        self._right.append(torch.stack(right).float().where(labels != IGNORED, torch.nan))

    def on_test_epoch_start(self) -> None:
        """Forget the images of a test that was broken off."""
        self._right.clear()
        self._probabilities.clear()

    def on_test_epoch_end(self) -> None:
        """Log the scalars of the test and keep the rest in ``test_report``."""
        found = self.test_metrics.compute()
        # at once: this one picks the images that count, for which it waits
        self.test_ece.update(*(torch.cat(parts) for parts in zip(*self._probabilities, strict=True)))
        self._probabilities.clear()
        confusion = found["test_confusion"]
        self.per_image = self.in_order(self._right)
        scalars = {
            "test_acc": _share(found["test_acc"]),
            "test_loss": float(found["test_loss"]),
            "test_ece": _share(self.test_ece.compute()),
            **{name: _share(value) for name, value in self.test_turned.compute().items()},
            "test_invariance_error": float(self.test_invariance_error.compute()),
        }
        if self.test_top5 is not None:
            scalars["test_acc_top5"] = _share(self.test_top5.compute())
        self.test_report = {
            **scalars,
            "test_images": int(confusion.sum()),
            "confusion": confusion.tolist(),
            "class_acc": [  # null where the test set has no image of a class
                _share(right / count) if count else None
                for right, count in zip(confusion.diag(), confusion.sum(1), strict=True)
            ],
        }
        if self.test_sweep["0"].update_called:
            sweep = {angle: _share(value) for angle, value in self.test_sweep.compute().items()}
            scalars["test_acc_rotation_sweep"] = round(sum(sweep.values()) / len(sweep), 6)
            self.test_report |= {
                "test_acc_rotation_sweep": scalars["test_acc_rotation_sweep"],
                "rotation_sweep": sweep,
            }
        self.log_dict(scalars, sync_dist=True)  # equal on all ranks already: compute() gathers
        self.reset_metrics()


def _together(prefix: str, **metrics: Metric) -> MetricCollection:
    """Return metrics as one collection, each with its own state: no two of them share what they have counted."""
    return MetricCollection(dict(metrics), prefix=prefix or None, compute_groups=False)


def _evaluated(logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """Return what the metrics of a collection are updated with; each takes those it has an argument for."""
    count = (labels != IGNORED).sum()
    total = F.cross_entropy(logits, labels, ignore_index=IGNORED, reduction="sum")
    return {"preds": logits, "target": labels, "value": total / count.clamp(min=1), "weight": count}


def _laid_out_as(images: Tensor, turned: Tensor) -> Tensor:
    """Return turned images in the layout of the upright ones, which is the one that the network can take."""
    return torch.empty_like(images).copy_(turned)


def _share(value: Tensor) -> float:
    """Return a share as a number that reads as it was counted: 0.9841, not its nearest in single precision."""
    return round(float(value), 6)


def _rotate(images: Tensor, angle: float) -> Tensor:
    """Rotate ``(B, C, H, W)`` counter-clockwise by ``angle`` degrees, bilinear.

    What lies outside is the nearest pixel of the border: its weights sum to one, so that rotating normalised
    images equals normalising rotated ones, and MNIST keeps its black background either way.
    """
    if angle == 0:
        return images
    degrees = torch.full((len(images),), angle, dtype=images.dtype, device=images.device)  # a fill: no wait for a copy
    return rotate(images, degrees, mode="bilinear", padding_mode="border")
