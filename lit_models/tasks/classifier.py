"""The task that every classifier shares: loss, metrics, and the test on rotated images."""

from __future__ import annotations

from collections.abc import Sequence
from math import cos, radians, sin
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics import MetricCollection

from lit_models.operators import _check
from lit_models.tasks.sums import Accuracy, Mean
from lit_models.tasks.task import IGNORED, Batch, Optimizer, Schedule, Task, exactly

QUARTER_TURNS = (90, 180, 270)
FIRST, MANY = 5, 10  # the likeliest classes of the top-5 accuracy, which is shown of more classes than this
ROTATION_SWEEP = tuple(range(0, 360, 15))
CALIBRATION_BINS = 15
NEARLY = 1e-3  # what sums of probabilities may be from 1, in bfloat16 and by rounding


class Classifier(Task):
    """Trains, validates and tests any image classifier in the same way.

    The network turns images ``(B, C, H, W)`` into logits ``(B, num_classes)``. Everything that must not differ between
    two architectures under comparison lives here (loss, metrics) or in :class:`~lit_models.tasks.task.Task`.

    The test is read once and gives:

    - accuracy, loss, calibration error and the confusion matrix;
    - top-5 accuracy, of more than ten classes and where it is asked for;
    - the accuracy on every further test loader whose data set names a ``corruption`` and its strength, and the means of
      these;
    - unless ``turned`` is false: the accuracy with the whole test set turned by 90, 180 and 270 degrees (``rot90``,
      exact); that at every 15 degrees of a full turn (bilinear), on the test loader with index 1, if there is one; and
      the invariance error, the largest absolute difference between the logits of an image and of its quarter turns;
    - in ``per_image``: of every image, whether it was right, upright and at each quarter turn.

    What a batch gives stays on the device, some numbers per image; the test's end reads them once.

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
        turned: whether the test turns the images too: quarter turns and the rotation sweep. Without them it takes about
            a sixth of the time.

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
        turned: bool = True,
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
        self._found: list[Tensor] = []  # per batch of the test: the numbers of each image, see _test_step
        self._swept: list[Tensor] = []  # per batch of the rotation sweep: whether each image was right, by angle
        self._corrupted: dict[tuple[str, int], list[Tensor]] = {}  # likewise of each corruption and strength
        self._grids: Tensor | None = None  # where the pixels of turned images lie in upright ones
        self.train_metrics = _together("train_", loss=Mean(), acc=Mean())
        self.val_metrics = _together("val_", loss=Mean(), acc=Accuracy())
        self.top5 = top5 or num_classes > MANY
        self.turned = turned
        self.angles = (0, *QUARTER_TURNS) if turned else (0,)  # by which the whole test set is turned

    def check(self, images: Tensor) -> str | None:
        """Tell what is wrong with the logits for one batch, or None; see :meth:`Task.check`."""
        logits = self.net(images)
        wanted = (len(images), self.num_classes)
        if not isinstance(logits, Tensor):
            return f"must return logits of shape {wanted}: got a {type(logits).__name__}"
        if logits.shape != wanted:
            each = "; one for each class, of two too" if logits.shape[1:] in ((), (1,)) else ""
            return f"must return logits of shape {wanted} (images, classes): got {tuple(logits.shape)}{each}"
        if not logits.isfinite().all():
            return "returns logits that are not finite before it is trained"
        if (logits >= 0).all() and (logits.sum(1) - 1).abs().max() < NEARLY:
            return "must return logits: got probabilities; the loss has the softmax, leave it out"
        return None

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
        images, labels = batch
        with exactly(self.device):
            if dataloader_idx == 1:
                if self.turned:
                    self._swept.append(self._rotation_step(images, labels))
                return
            if corruption := self._corruption(dataloader_idx):
                right = _counted([self(images).argmax(1) == labels], labels)
                self._corrupted.setdefault(corruption, []).append(right)
                return
            # as many images in a forward pass as the loader yields, each with its turns
            size = -(-len(images) // len(self.angles))
            parts = zip(images.split(size), labels.split(size), strict=True)
            self._found += [self._test_step(*part) for part in parts]

    def _corruption(self, dataloader_idx: int) -> tuple[str, int] | None:
        """Return the name and strength by which the images of a test loader are corrupted, if they are."""
        if dataloader_idx < 2:
            return None
        data_set = getattr(cast("Any", self.trainer.test_dataloaders)[dataloader_idx], "dataset", None)
        found: tuple[str, int] | None = getattr(data_set, "corruption", None)
        return found

    def _rotation_step(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return whether each image was right at each angle, ``(angles, B)``; NaN for what is no image."""
        if self._grids is None:
            self._grids = rotation_grids(ROTATION_SWEEP, images.shape[-1], images.device)
        right = [self(_rotate(images, grid)).argmax(1) == labels for grid in self._grids[1:]]
        return _counted([self(images).argmax(1) == labels, *right], labels)

    def _test_step(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return a column for each image, all NaN for what is no image.

        Its rows: whether it was right, upright and at each quarter turn; the largest difference of its logits to those
        of its turns; whether its label was among the likeliest; its loss; the probability of its guess; the guess; its
        label.
        """
        turned = [_laid_out_as(images, images.rot90(angle // 90, (2, 3))) for angle in self.angles[1:]]
        logits = self(torch.cat([images, *turned])).float().unflatten(0, (-1, len(images)))  # (turns, B, classes)
        upright, guesses = logits[0], logits.argmax(2)
        apart = (logits - upright).abs().amax((0, 2))
        likeliest = (upright.topk(min(FIRST, self.num_classes), 1).indices == labels[:, None]).any(1)
        loss = F.cross_entropy(upright, labels, ignore_index=IGNORED, reduction="none")
        rows = [*(guesses == labels), apart, likeliest, loss, upright.softmax(1).amax(1), guesses[0], labels]
        return _counted(rows, labels)

    def on_test_epoch_start(self) -> None:
        """Forget the images of a test that was broken off."""
        self._found.clear()
        self._swept.clear()
        self._corrupted.clear()
        self._grids = None

    def on_test_epoch_end(self) -> None:
        """Log the scalars of the test and keep the rest in ``test_report``."""
        found = self.in_order(self._found)
        right, (apart, likeliest, loss, confidence, guess, label) = found[:-6], found[-6:]
        place = label.long() * self.num_classes + guess.long()
        confusion = place.bincount(minlength=self.num_classes**2).view(self.num_classes, -1)
        self.per_image = right
        names = ["test_acc", *(f"test_acc_rot{angle}" for angle in self.angles[1:])]
        accuracies = {name: _share(row.double().mean()) for name, row in zip(names, right, strict=True)}
        scalars = {
            "test_acc": accuracies["test_acc"],
            "test_loss": float(loss.double().mean()),
            "test_ece": _share(calibration_error(confidence, right[0])),
            **accuracies,
        }
        if self.turned:
            scalars["test_invariance_error"] = float(apart.max())
        if self.top5:
            scalars["test_acc_top5"] = _share(likeliest.double().mean())
        self.test_report = {
            **scalars,
            "test_images": found.shape[1],
            "confusion": confusion.tolist(),
        }
        if self._swept:
            swept = self.in_order(self._swept).double().mean(1)
            sweep = {str(angle): _share(value) for angle, value in zip(ROTATION_SWEEP, swept, strict=True)}
            scalars["test_acc_rotation_sweep"] = round(sum(sweep.values()) / len(sweep), 6)
            self.test_report |= {
                "test_acc_rotation_sweep": scalars["test_acc_rotation_sweep"],
                "rotation_sweep": sweep,
            }
        if self._corrupted:
            means, shares = self._by_corruption()
            scalars |= means
            self.test_report |= {**means, "corruptions": shares}
        self.log_dict(scalars, sync_dist=True)  # equal on all ranks already: in_order() gathers

    def _by_corruption(self) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
        """Return the mean accuracies, of each corruption over its strengths and of all, and all of them by name."""
        shares: dict[str, dict[str, float]] = {}
        for (name, strength), found in self._corrupted.items():
            shares.setdefault(name, {})[str(strength)] = _share(self.in_order(found).double().mean())
        means = {f"test_acc_{name}": round(sum(of.values()) / len(of), 6) for name, of in shares.items()}
        return {"test_acc_corrupted": round(sum(means.values()) / len(means), 6), **means}, shares


def calibration_error(confidence: Tensor, right: Tensor) -> Tensor:
    """Return the expected calibration error: how far confidence and accuracy are apart, in 15 bins of equal width.

    Those that are certain, with a probability of 1, have a bin of their own, as in torchmetrics.

    Args:
        confidence: the probability of each image's guess, ``(B,)``.
        right: 1 where the guess was right, 0 elsewhere, ``(B,)``.
    """
    bins = torch.bucketize(confidence, torch.linspace(0, 1, CALIBRATION_BINS + 1), right=True)
    off = torch.zeros(CALIBRATION_BINS + 2, dtype=torch.double).index_add_(0, bins, right.double() - confidence)
    return off.abs().sum() / len(confidence)


def _together(prefix: str, loss: Mean, acc: Mean | Accuracy) -> MetricCollection:
    """Return metrics as one collection, each with its own state: no two of them share what they have counted."""
    return MetricCollection({"loss": loss, "acc": acc}, prefix=prefix, compute_groups=False)


def _counted(rows: list[Tensor], labels: Tensor) -> Tensor:
    """Stack numbers of images, ``(B,)`` each, as floats; NaN where there is no image."""
    return torch.stack([row.float() for row in rows]).where(labels != IGNORED, torch.nan)


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


def rotation_grids(angles: Sequence[float], size: int, device: torch.device) -> Tensor:
    """Return where the pixels of a rotated image lie in the upright one, for :func:`torch.nn.functional.grid_sample`.

    Args:
        angles: in degrees, counter-clockwise.
        size: height and width S of the images, in pixels.
        device: of the result.

    Returns:
        ``(angles, S, S, 2)``.
    """
    turns = [(cos(radians(angle)), sin(radians(angle))) for angle in angles]
    # rows point down, so that counter-clockwise has the sign of clockwise in a book on mathematics
    matrices = torch.tensor([[[c, -s, 0], [s, c, 0]] for c, s in turns], device=device)
    return F.affine_grid(matrices, [len(turns), 1, size, size], align_corners=True)


def _rotate(images: Tensor, grid: Tensor) -> Tensor:
    """Rotate ``(B, C, S, S)`` by a grid ``(S, S, 2)``, bilinear.

    What lies outside is the nearest pixel of the border: its weights sum to one, so that rotating normalised
    images equals normalising rotated ones, and MNIST keeps its black background either way.
    """
    grids = grid.to(images.dtype).expand(len(images), -1, -1, -1)
    return _laid_out_as(images, F.grid_sample(images, grids, padding_mode="border", align_corners=True))
