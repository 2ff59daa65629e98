"""The task of filling holes in images: masks, loss, metrics."""

from __future__ import annotations

import functools
import math
from typing import Literal, cast, get_args

import torch
import torch.nn.functional as F
from lightning.fabric.utilities.exceptions import MisconfigurationException
from torch import Tensor, nn
from torchmetrics import MetricCollection
from torchmetrics.functional.image import structural_similarity_index_measure

from lit_models.operators import _check
from lit_models.tasks.sums import Mean
from lit_models.tasks.task import IGNORED, Batch, Optimizer, Schedule, Task, exactly

SSIM_WINDOW = 11  # pixels: an image must be as large
HOLE_WEIGHT = 6.0  # of the error in holes against that elsewhere: Liu and others 2018
SHARES = (0.1, 0.5)  # of an image that is hole: drawn evenly from here
STROKES, STEPS = 3, 16  # of a brush: how often it is set down, and the points it then goes through
STEP = 0.05  # from point to point, in widths of the image: below a brush's width, so that strokes have no gaps

MASK_SEED = 20_180  # of the masks in validation and test: the same for every trial, whatever its seed
FIXED_MASKS = 10_000  # after so many images their masks begin again: CIFAR-10 and MNIST test on as many

Holes = Literal["strokes", "inside", "centre"]


class Inpainter(Task):
    """Trains, validates and tests any network that fills the holes of an image in the same way.

    The network turns images ``(B, C, H, W)``, black in their holes, and a mask ``(B, 1, H, W)``, 1 where a pixel is
    there and 0 in holes, into whole images ``(B, C, H, W)``. The labels of a data set are not used.

    Every image has a mask of its own, by default a brush's random walk that covers 10 to 50 % of it, see
    :func:`draw_masks`. In training it is drawn anew each time from the global random numbers of the device. In
    validation and test it belongs to the image's place in the data set, so that all models, seeds, batch sizes, devices
    and numbers of processes fill the same holes. For this a data set that is not shuffled must be dealt out in order
    (image i to process i modulo their number), and masks are drawn on the CPU, because devices round differently.

    The loss is the mean of the absolute error over all pixels, weighted 6 in holes. The validation gives ``val_loss``
    and ``val_l1``, the mean absolute error in the holes, by which the best checkpoint is chosen.

    The test is read once, in float32 proper as the classifier's. It gives:

    - of the network's output, clamped to [0, 1]: the mean absolute error in the holes, and elsewhere;
    - of the composed images (the output in the holes, the given pixels elsewhere): the PSNR, of the mean squared error
      over the whole test set, because that of one image filled without an error is infinite; and the mean SSIM
      (Gaussian window of 11 pixels, images reflected at the border);
    - in ``per_image``: the mean absolute error in the holes of every image;
    - its mean over each of ``groups``: by the share that was drawn for the hole (``test_l1_hole_10_20``: 10 up to
      20 %), and by whether the hole reaches the image's edge (``test_l1_hole_border``, ``test_l1_hole_inside``).

    A second test loader, the classifier's rotation sweep, is passed over.

    These numbers need images in [0, 1], so the data are not to be normalised: run it with ``data.normalize=false``.

    Source: Liu and others, ECCV 2018, https://arxiv.org/abs/1804.07723, its loss on pixels. Deviations: no perceptual
    and style terms, which need a VGG trained on ImageNet, and no total variation, which smooths what those leave;
    strokes are drawn, where the paper takes masks from the occlusions of videos; there is no second phase of training
    with a lower learning rate and frozen batch norm; PSNR is not the mean over images.

    Args:
        net: the network: ``net(images, mask)``.
        optimizer: see :class:`~lit_models.tasks.task.Task` for this and the arguments below.
        lr: learning rate.
        weight_decay: weight decay.
        momentum: momentum.
        schedule: schedule of the learning rate.
        holes: ``strokes`` of a brush, of which nearly all reach the edge of the image; the same that stay ``inside``;
            or one square in the ``centre``, as older methods were tested with.
        hole_min: smallest share of an image that is hole; shares are drawn evenly from here to ``hole_max``.
        hole_max: largest share of an image that is hole.
        strokes: how often the brush is set down.
        l1: weight of an L1 penalty.
        warmup: steps in which the learning rate rises.

    Raises:
        ValueError: an argument is out of its range.
        MisconfigurationException: later, the images are not in [0, 1].
    """

    monitor = "val_l1"
    mode = "min"
    groups: dict[str, Tensor]  # (images,) by name: which images of the last test are in it

    def __init__(
        self,
        net: nn.Module,
        optimizer: Optimizer = "adamw",
        lr: float = 1e-3,
        weight_decay: float = 0.01,
        momentum: float = 0.9,
        schedule: Schedule = "cosine",
        holes: Holes = "strokes",
        hole_min: float = SHARES[0],
        hole_max: float = SHARES[1],
        strokes: int = STROKES,
        l1: float = 0.0,
        warmup: int = 0,
    ) -> None:
        super().__init__(net, optimizer, lr, weight_decay, momentum, schedule, l1, warmup)
        if holes not in get_args(Holes):
            raise ValueError(f"holes must be one of {', '.join(get_args(Holes))}: got {holes}")
        if not 0 < hole_min < 1:
            raise ValueError(f"hole_min must lie between 0 and 1: got {hole_min}; {SHARES[0]} is the default")
        if not hole_min <= hole_max < 1:
            raise ValueError(f"hole_max must lie between hole_min, {hole_min}, and 1: got {hole_max}")
        _check.at_least(1, strokes=strokes, hint=f"{STROKES} is the default")
        if holes == "centre" and strokes != STROKES:
            raise ValueError(f"strokes is for a brush, and changes nothing of {holes}: got {strokes}")
        self.holes, self.shares, self.strokes = holes, (hole_min, hole_max), strokes
        self._steps: list[tuple[Tensor, int]] = []  # loss and images of each step of this epoch
        self._evaluated = 0  # images that this process has evaluated in this pass
        self._found: list[Tensor] = []  # per batch of the test: the numbers of each image, see _test_step
        # of the batches evaluated so far, by the images' places: the masks, and the shares that were drawn for them
        self._masks: dict[tuple[int, ...], tuple[Tensor, Tensor]] = {}
        self.train_loss = Mean()
        self.val_metrics = MetricCollection({"loss": Mean(), "l1": Mean()}, prefix="val_", compute_groups=False)

    def inputs(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the images and a mask without holes."""
        return images, torch.ones_like(images[:, :1])

    def check(self, images: Tensor) -> str | None:
        """Tell what is wrong with the filled images of one batch, or None; see :meth:`Task.check`."""
        if images.shape[-1] < SSIM_WINDOW:
            return f"is tested by the SSIM, whose window is {SSIM_WINDOW} pixels: got images of {images.shape[-1]}"
        filled = self.net(*self.inputs(images))
        if not isinstance(filled, Tensor) or filled.shape != images.shape:
            got = tuple(filled.shape) if isinstance(filled, Tensor) else f"a {type(filled).__name__}"
            return f"must return images of shape {tuple(images.shape)}: got {got}"
        return None if filled.isfinite().all() else "returns images that are not finite before it is trained"

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the weighted absolute error of images with random holes."""
        images, _ = batch
        if batch_idx == 0:
            _check_range(images)
        # float32 whatever the default: under precision=bf16-true that is too coarse to draw with
        count = _numbers_of(self.strokes)
        numbers = torch.rand(len(images), count, dtype=torch.float32, device=images.device)
        mask = draw_masks(numbers, images.shape[-1], self.shares, self.holes).to(images)
        loss = inpainting_loss(self._fill(images, mask), images, mask)
        self._steps.append((loss.detach(), len(images)))
        return loss

    def on_train_epoch_start(self) -> None:
        """Forget the steps of an epoch that was broken off."""
        self._steps.clear()

    def on_train_epoch_end(self) -> None:
        """Log once per epoch: a metric that is updated at each step waits for the device each time."""
        if not self._steps:  # of a subclass that has a training step of its own
            return
        losses, counts = zip(*self._steps, strict=True)
        self.train_loss.update(torch.stack(losses), torch.tensor(counts, device=self.device))
        self._steps.clear()
        self.log("train_loss", self.train_loss)

    def on_validation_epoch_start(self) -> None:
        """Begin with the mask of the first image."""
        self._evaluated = 0

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Accumulate the loss and the error in the holes on the validation split."""
        images, labels = batch
        mask, _ = self._fixed_masks(images, batch_idx)
        counted, hole = labels != IGNORED, 1 - mask
        output = self._fill(images, mask)
        images, mask, hole = images.float(), mask.float(), hole.float()  # to count in: bfloat16 counts to 256
        self.val_metrics["loss"].update(_weighted_error(output, images, mask).mean((1, 2, 3)), counted)
        error = ((output.clamp(0, 1) - images).abs() * hole).sum((1, 2, 3))
        values = hole.sum((1, 2, 3)) * images.shape[1]
        self.val_metrics["l1"].update(error / values, values * counted)

    def on_validation_epoch_end(self) -> None:
        """Log the validation loss and the error in the holes."""
        self.log_dict(self.val_metrics, prog_bar=True)

    def on_test_epoch_start(self) -> None:
        """Begin with the mask of the first image; forget the images of a test that was broken off."""
        self._evaluated = 0
        self._found.clear()

    def test_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Keep what the test set's images come to."""
        if dataloader_idx == 0:
            with exactly(self.device):
                self._found.append(self._test_step(*batch, batch_idx))

    def _test_step(self, images: Tensor, labels: Tensor, batch_idx: int) -> Tensor:
        """Return a column for each image, all NaN for what is no image.

        Its rows: in the hole, the sum of the absolute error and over how many values it goes; the same two elsewhere;
        of the composed image, the sum of the squared error and the SSIM; the share that was drawn for the hole; and
        whether the hole reaches the edge.
        """
        mask, shares = self._fixed_masks(images, batch_idx)
        output = self._fill(images, mask).clamp(0, 1)
        images, mask = images.float(), mask.float()  # as in validation
        error = (output - images).abs()
        rows = []
        for where in (1 - mask, mask):
            rows += [(error * where).sum((1, 2, 3)), where.sum((1, 2, 3)) * images.shape[1]]
        composed = torch.where(mask != 0, images, output)
        rows.append((composed - images).square().sum((1, 2, 3)))
        ssim = structural_similarity_index_measure(composed, images, reduction="none", data_range=1.0)
        rows += [cast("Tensor", ssim), shares, at_the_edge(mask).float()]
        return torch.stack(rows).where(labels != IGNORED, torch.nan)

    def on_test_epoch_end(self) -> None:
        """Log the scalars of the test and keep them in ``test_report``."""
        found = self.in_order(self._found)
        self.per_image = found[:1] / found[1:2]
        self.groups = groups_of(found[6], found[7] > 0)
        hole, holes, valid, valids, squared, ssim = found[:6].double().sum(1)
        numbers = {
            "l1_hole": hole / holes,
            "l1_valid": valid / valids,
            "psnr": -10 * (squared / (holes + valids)).log10(),
            "ssim": ssim / found.shape[1],
            **{f"l1_hole_{name}": self.per_image[0, among].double().mean() for name, among in self.groups.items()},
        }
        scalars = {f"test_{name}": round(float(value), 6) for name, value in numbers.items()}
        self.test_report = {**scalars, "test_images": found.shape[1]}
        self.log_dict(scalars, sync_dist=True)  # equal on all ranks already: in_order() gathers

    def _fill(self, images: Tensor, mask: Tensor) -> Tensor:
        """Return the network's output in float32; it sees nothing inside the holes, and gets a copy of the mask."""
        output: Tensor = self(torch.where(mask != 0, images, 0), mask.clone())
        return output.float()

    def _fixed_masks(self, images: Tensor, batch_idx: int) -> tuple[Tensor, Tensor]:
        """Return the masks of the next images' places and the shares that were drawn for their holes.

        They are drawn once, however often these images are evaluated.
        """
        if batch_idx == 0:
            _check_range(images)
        size, world, rank = images.shape[-1], self.trainer.world_size, self.trainer.global_rank
        key = (self._evaluated, len(images), size, world, rank)
        if key not in self._masks:
            index = torch.arange(self._evaluated, self._evaluated + len(images)) * world + rank
            numbers = _fixed_numbers(self.strokes)[index % FIXED_MASKS]
            masks = draw_masks(numbers, size, self.shares, self.holes).bool()  # a byte for each pixel
            shares = shares_of(numbers, self.shares).float()
            self._masks[key] = masks.to(images.device), shares.to(images.device)
        self._evaluated += len(images)
        mask, shares = self._masks[key]
        return mask.to(images.dtype), shares


def groups_of(shares: Tensor, edge: Tensor) -> dict[str, Tensor]:
    """Sort images by their holes.

    Args:
        shares: of the image that its hole is to cover, ``(images,)``.
        edge: whether it reaches the edge of the image, ``(images,)``.

    Returns:
        By name which images are in a group, ``(images,)``: ``10_20`` and so on for those of 10 up to 20 %, ``border``
        and ``inside``. Groups without an image are left out.
    """
    ten = (10 * shares).long()
    found = {f"{10 * low}_{10 * low + 10}": ten == low for low in range(10)} | {"border": edge, "inside": ~edge}
    return {name: among.cpu() for name, among in found.items() if among.any()}


def at_the_edge(masks: Tensor) -> Tensor:
    """Tell of masks ``(B, 1, S, S)`` whether the hole has a pixel in the first or last row or column: ``(B,)``."""
    sides = (masks[..., 0, :], masks[..., -1, :], masks[..., :, 0], masks[..., :, -1])
    return (torch.cat(sides, -1) == 0).flatten(1).any(1)


def shares_of(numbers: Tensor, shares: tuple[float, float] = SHARES) -> Tensor:
    """Return which share of its image each mask's hole is to cover, ``(B,)``; arguments as for :func:`draw_masks`."""
    low, high = shares
    return low + (high - low) * numbers[:, 0]


def draw_masks(numbers: Tensor, size: int, shares: tuple[float, float] = SHARES, holes: Holes = "strokes") -> Tensor:
    """Turn random numbers into masks, on their device.

    A brush is set down for each stroke and wanders 16 steps, turning by up to 45 degrees either way at each. It is as
    wide as it must be to cover the share of the image that is drawn. A hole in the centre is a square whose side is the
    root of that share of the image's, to a pixel.

    Args:
        numbers: uniform in [0, 1), ``(B, 1 + strokes * (3 + STEPS))``.
        size: height and width S of the images, in pixels.
        shares: smallest and largest share of an image that is hole.
        holes: ``strokes``; strokes that stay ``inside``, a pixel away from the edge; or a square in the ``centre``.

    Returns:
        ``(B, 1, S, S)`` in the dtype of ``numbers``: 0 in holes, 1 elsewhere.
    """
    share = shares_of(numbers, shares)
    if holes == "centre":
        return _central(share, size)
    return _strokes(share, numbers[:, 1:], size, inside=holes == "inside")


def _central(share: Tensor, size: int) -> Tensor:
    side = (share.sqrt() * size).round().clamp(1, size - 1).view(-1, 1)
    start = ((size - side) / 2).floor()
    place = torch.arange(size, dtype=share.dtype, device=share.device)
    inside = (place >= start) & (place < start + side)  # (B, S)
    return 1 - (inside.unsqueeze(1) & inside.unsqueeze(2)).to(share.dtype).unsqueeze(1)


def _strokes(share: Tensor, numbers: Tensor, size: int, inside: bool) -> Tensor:
    batch = len(numbers)
    x, y, heading, *turns = numbers.view(batch, -1, 3 + STEPS).unbind(-1)
    angle = 2 * math.pi * heading.unsqueeze(-1) + (math.pi / 2 * (torch.stack(turns, -1) - 0.5)).cumsum(-1)
    points = torch.stack(
        [x.unsqueeze(-1) + STEP * angle.cos().cumsum(-1), y.unsqueeze(-1) + STEP * angle.sin().cumsum(-1)], -1
    ).flatten(1, 2)  # (B, strokes * STEPS, 2)
    centers = (torch.arange(size, dtype=numbers.dtype, device=numbers.device) + 0.5) / size
    pixels = torch.cartesian_prod(centers, centers).expand(batch, -1, -1)  # (B, S * S, 2)
    # the mode that subtracts: the other multiplies matrices, which rounds differently from machine to machine
    distance = torch.cdist(pixels, points, compute_mode="donot_use_mm_for_euclid_dist").amin(-1)
    if inside:
        edge = F.pad(distance.new_zeros(size - 2, size - 2), (1, 1, 1, 1), value=math.inf)
        distance = distance + edge.flatten()
        share = share.clamp(max=(size - 2) ** 2 / size**2)
    rank = (share * size**2).long().clamp(min=1).unsqueeze(-1) - 1
    radius = distance.sort(-1).values.gather(-1, rank)
    return (distance > radius).to(numbers.dtype).view(batch, 1, size, size)


def masks_of_test(
    count: int, size: int, shares: tuple[float, float] = SHARES, holes: Holes = "strokes", strokes: int = STROKES
) -> Tensor:
    """Return the masks of the first images of every test, ``(count, 1, S, S)``; arguments as for :func:`draw_masks`."""
    return draw_masks(_fixed_numbers(strokes)[torch.arange(count) % FIXED_MASKS], size, shares, holes)


def inpainting_loss(output: Tensor, images: Tensor, mask: Tensor) -> Tensor:
    """Return the mean absolute error over all pixels, weighted 6 in holes.

    Args:
        output: of the network, ``(B, C, H, W)``.
        images: without holes, ``(B, C, H, W)``.
        mask: ``(B, 1, H, W)``, 0 in holes and 1 elsewhere.
    """
    return _weighted_error(output, images, mask).mean()


def _weighted_error(output: Tensor, images: Tensor, mask: Tensor) -> Tensor:
    return (output - images).abs() * (mask + HOLE_WEIGHT * (1 - mask))


def _numbers_of(strokes: int) -> int:
    """Return how many random numbers make a mask: its share, and each stroke's place, heading and turns."""
    return 1 + strokes * (3 + STEPS)


@functools.cache
def _fixed_numbers(strokes: int) -> Tensor:
    """Return the random numbers of the masks of validation and test, (FIXED_MASKS, numbers of a mask)."""
    generator = torch.Generator().manual_seed(MASK_SEED)
    return torch.rand(FIXED_MASKS, _numbers_of(strokes), generator=generator, dtype=torch.float32)


def _check_range(images: Tensor) -> None:
    """Refuse images that are not in [0, 1], with a margin for what an augmentation rounds.

    Raises:
        MisconfigurationException: says what to do.
    """
    low, high = torch.stack(images.aminmax()).tolist()  # at once: it waits for the device
    if low < -0.01 or high > 1.01:
        raise MisconfigurationException(
            "inpainting needs images in [0, 1], in which its errors are measured: set data.normalize=false; "
            f"got {low:.2f} to {high:.2f}"
        )
