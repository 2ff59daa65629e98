"""The base of every data module: images in memory, a fixed split, augmentation on the device."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from typing import Any, ClassVar, Literal, get_args

import kornia.augmentation as K
import numpy as np
import numpy.typing as npt
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningDataModule
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, DistributedSampler, Sampler

from datamodules.checks import check_facts, checked
from datamodules.crop import RandomCropFlip, RandomQuarterTurns
from datamodules.sources import Arrays, Source, load_arrays
from datamodules.streams import ORDER, stream_seed

Augment = Literal["default", "none", "flip", "shift", "crop_flip", "quarter_turns", "rotate", "color"]
MemoryFormat = Literal["channels_last", "contiguous"]
Batch = tuple[Tensor, Tensor]

SPLIT_SEED = 20_260  # of the validation split and the rotated test images, which are the same for every trial
ROTATION_SWEEP_SIZE = 1_000  # test images that are turned by every angle of a rotation sweep
EVAL_BATCH_SIZE = 128  # fits into the caches of a CPU: twice as fast as 1,000 there; no result depends on it


class ImageDataModule(LightningDataModule):
    """Any data set of labelled square images that fits into memory.

    A data set subclasses it and states its facts as class attributes: where it is published, as its ``source``, or,
    where it comes from elsewhere, a :meth:`load` of its own. Images stay uint8 until they are on the device, where they
    become floats in [0, 1], are augmented (in training only), then normalised: this order, because kornia's
    colour operations clamp to [0, 1]. What only moves pixels is done on the bytes: there are fewer of them.

    Args:
        data_dir: folder in which the data set is kept; it is fetched when it is not there.
        batch_size: images per optimiser step over all devices together.
        augment: ``default`` is the data set's own; see :func:`augmentation` for the other names. Or any module that
            takes images ``(B, C, H, W)`` in [0, 1], such as those of ``kornia.augmentation``.
        normalize: subtract the data set's mean and divide by its standard deviation; otherwise images stay in [0, 1].
        val_size: training images set aside for validation, stratified by class.
        split_seed: another number draws another validation split; by default it is the same in every trial. ``seed``
            stands for the trial's own random seed, so that a sweep over seeds varies the split with them.
        num_workers: processes that load batches. 0 is right for images in memory.
        memory_format: how images lie in memory, which convolutions keep for all that follows: ``contiguous``, channel
            by channel, or ``channels_last``, pixel by pixel, with which convolutions and poolings are faster. No
            result depends on it but for rounding.

    Raises:
        ValueError: an argument is out of its range.
        MisconfigurationException: later, the arrays are not what the class says of them, ``val_size`` leaves no
            training images, or ``batch_size`` does not divide by the number of devices.
        DataUnavailable: the data set is not there and cannot be fetched.
    """

    source: ClassVar[Source]
    in_channels: ClassVar[int]
    image_size: ClassVar[int]
    num_classes: ClassVar[int]
    class_names: ClassVar[tuple[str, ...]]
    mean: ClassVar[tuple[float, ...]]
    std: ClassVar[tuple[float, ...]]
    default_augment: ClassVar[Augment] = "none"

    def __init__(
        self,
        data_dir: str = "data",
        batch_size: int = 64,
        augment: Augment | nn.Module = "default",
        normalize: bool = True,
        val_size: int = 5_000,
        num_workers: int = 0,
        memory_format: MemoryFormat = "channels_last",
        split_seed: int | Literal["seed"] = 0,
    ) -> None:
        super().__init__()
        for name, value, least in (
            ("batch_size", batch_size, 1),
            ("val_size", val_size, 1),
            ("num_workers", num_workers, 0),
            ("split_seed", 0 if split_seed == "seed" else split_seed, 0),
        ):
            if value < least:
                raise ValueError(f"{name} must be at least {least}: got {value}")
        check_facts(type(self))
        if augment == "color" and self.in_channels != 3:
            raise ValueError(f"augment: color changes hue and saturation, and needs 3 channels: got {self.in_channels}")
        self.data_dir, self.batch_size, self.val_size, self.num_workers = data_dir, batch_size, val_size, num_workers
        self.memory_format, self.split_seed = memory_format, split_seed
        augment = self.default_augment if augment == "default" else augment
        self.augment = augment if isinstance(augment, nn.Module) else augmentation(augment)
        self.normalize = normalize
        self._statistics = torch.tensor([self.mean, self.std]).view(2, -1, 1, 1)
        self._arrays: Arrays | None = None

    def load(self) -> Arrays:
        """Return the whole data set; fetch it first if it is not there. Override it to bring your own."""
        return load_arrays(self.source, self.data_dir)

    def prepare_data(self) -> None:
        """Fetch the data, on one process per machine."""
        self._arrays = self.load()  # kept only to spare this process a second reading in setup

    def setup(self, stage: str | None = None) -> None:
        """Read the data and split it."""
        if hasattr(self, "train"):
            return
        try:
            arrays, self._arrays = checked(type(self), self._arrays or self.load()), None
        except ValueError as error:
            raise MisconfigurationException(f"--data: {type(self).__name__}: {error}") from None
        count = len(arrays.train_labels)
        if self.val_size > count - self.num_classes:
            raise MisconfigurationException(
                f"data.val_size must leave training images: got {self.val_size} of {count}; 5000 is the default"
            )
        is_val = np.zeros(count, dtype=bool)
        split = int(os.environ.get("PL_GLOBAL_SEED", "0")) if self.split_seed == "seed" else self.split_seed
        is_val[stratified_sample(arrays.train_labels, self.val_size, (SPLIT_SEED + split) % 2**32)] = True
        sweep = stratified_sample(arrays.test_labels, ROTATION_SWEEP_SIZE, SPLIT_SEED, balanced=True)
        self.train = Images(arrays.train_images[~is_val], arrays.train_labels[~is_val])
        self.val = Images(arrays.train_images[is_val], arrays.train_labels[is_val])
        self.test = Images(arrays.test_images, arrays.test_labels)
        self.rotation_sweep = Images(arrays.test_images[sweep], arrays.test_labels[sweep])

    @property
    def test_set(self) -> str:
        """Fingerprint of the test set: 16 hexadecimal digits of the SHA-256 of its shape, images and labels."""
        digest = hashlib.sha256(repr(tuple(self.test.images.shape)).encode())
        for part in (self.test.images, self.test.labels):
            digest.update(part.numpy().tobytes())
        return digest.hexdigest()[:16]

    def train_dataloader(self) -> DataLoader[Batch]:
        """Return shuffled training batches of ``batch_size / devices`` images for this process."""
        rank, world = self._world()
        if self.batch_size % world:
            raise MisconfigurationException(
                f"data.batch_size must divide by the number of devices: got {self.batch_size} for {world} devices"
            )
        return self._loader(self.train, ShuffleSampler(self.train, world, rank), self.batch_size // world)

    def val_dataloader(self) -> DataLoader[Batch]:
        """Return the validation split."""
        return self._eval_loader(self.val)

    def test_dataloader(self) -> list[DataLoader[Batch]]:
        """Return the test set, and the class-balanced subset that is turned by every angle of the rotation sweep."""
        return [self._eval_loader(self.test), self._eval_loader(self.rotation_sweep)]

    def predict_dataloader(self) -> DataLoader[Batch]:
        """Return the test set."""
        return self._eval_loader(self.test)

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Turn uint8 images ``(B, C, H, W)`` into what the network sees; runs on the device."""
        images, labels = batch
        augment = self.augment if self.trainer is not None and self.trainer.training else nn.Identity()
        if isinstance(
            augment, RandomCropFlip | RandomQuarterTurns | nn.Identity
        ):  # on bytes, whose white is 255: one pass less
            images = self.normalized(augment(images).float(), white=255)
        else:
            images = self.normalized(augment(images.float().div_(255)))
        # that of the weights, which precision=bf16-true and others change
        images = images.to(getattr(getattr(self.trainer, "lightning_module", None), "dtype", torch.float32))
        if self.memory_format == "channels_last":  # last: all of the above is faster channel by channel
            # Not contiguous(): it takes one channel to be in either format, and convolutions go by the strides.
            images = images.to(memory_format=torch.channels_last)
        return images, labels

    def normalized(self, images: Tensor, white: float = 1.0) -> Tensor:
        """Normalise float images ``(B, C, H, W)`` in [0, ``white``], if so asked, and else scale them to [0, 1].

        The statistics go to the device once, not each time.
        """
        if not self.normalize:
            return images if white == 1 else images / white
        if self._statistics.device != images.device:
            self._statistics = self._statistics.to(images.device)
        mean, std = self._statistics * white
        normalised: Tensor = (images - mean).div_(std)
        return normalised

    def _eval_loader(self, images: Images) -> DataLoader[Batch]:
        rank, world = self._world()
        return self._loader(images, ShardSampler(images, world, rank), -(-EVAL_BATCH_SIZE // world))

    def _loader(self, images: Images, sampler: Sampler[Any], batch_size: int) -> DataLoader[Batch]:
        return DataLoader(
            images,
            batch_size,
            sampler=sampler,
            num_workers=self.num_workers,
            collate_fn=_as_it_is,
            # Its own: an iterator draws a number when it is made, which from the global stream would shift the
            # augmentations of a trial that resumes.
            generator=torch.Generator(),
            pin_memory=self._on_gpu(),  # elsewhere it would open CUDA for nothing
            persistent_workers=self.num_workers > 0,
        )

    def _on_gpu(self) -> bool:
        """Tell whether the trial that loads these images runs on a GPU of NVIDIA's."""
        strategy = getattr(self.trainer, "strategy", None)
        return strategy is not None and strategy.root_device.type == "cuda"

    def _world(self) -> tuple[int, int]:
        """Return this process's rank and how many processes there are."""
        return (0, 1) if self.trainer is None else (self.trainer.global_rank, self.trainer.world_size)


class Images(Dataset[Batch]):
    """Images ``(N, C, H, W)`` uint8 and labels ``(N,)`` in memory, read a whole batch at a time.

    Index -1 stands for an image that is not there: it comes with the label -1, which no metric counts.
    """

    def __init__(self, images: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64]) -> None:
        self.images = torch.from_numpy(images)
        self.labels = torch.from_numpy(labels)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.labels)

    def __getitems__(self, indices: list[int]) -> Batch:
        """Return the images and labels at ``indices`` as one batch."""
        index = torch.tensor(indices)
        present = index.clamp(min=0)
        # whole images at once, where images[present] copies byte by byte
        return self.images.index_select(0, present), self.labels[present].where(index >= 0, -1)


class ShuffleSampler(DistributedSampler[Any]):
    """Every image once in an order that belongs to the trial's random seed and the epoch alone, dealt to all processes.

    PyTorch's own adds seed and epoch, so that the epochs of one trial have the orders of another's.
    """

    def __init__(self, images: Images, world: int, rank: int) -> None:
        super().__init__(images, world, rank, seed=int(os.environ.get("PL_GLOBAL_SEED", 0)))

    def __iter__(self) -> Iterator[Any]:
        """Yield this process's indices; the first are repeated where the last round has too few."""
        generator = torch.Generator().manual_seed(stream_seed(self.seed, self.epoch, 0, ORDER))
        order = torch.randperm(len(self.dataset), generator=generator).tolist()  # type: ignore[arg-type]  # as below
        order += order[: self.total_size - len(order)]
        return iter(order[self.rank :: self.num_replicas])


class ShardSampler(DistributedSampler[Any]):
    """Every image exactly once over all processes, in order.

    PyTorch's own sampler repeats images until all processes have equally many, which counts some twice in the
    accuracy. Equally many there must be, or processes would wait for each other for ever; so -1 fills the gap.
    A subclass of ``DistributedSampler``, because Lightning leaves those as they are.
    """

    def __init__(self, images: Images, world: int, rank: int) -> None:
        super().__init__(images, world, rank, shuffle=False)

    def __iter__(self) -> Iterator[Any]:
        """Yield this process's indices, -1 where none is left."""
        count = len(self.dataset)  # type: ignore[arg-type]  # to torch, a Dataset may have no length
        for index in range(self.rank, self.total_size, self.num_replicas):
            yield index if index < count else -1


def augmentation(name: Augment) -> nn.Module:
    """Build the random transformation of training images in [0, 1], of shape ``(B, C, H, W)``.

    Args:
        name: ``none``; ``flip``, left-right; ``shift``, by up to 10 % either way; ``crop_flip``, a crop of the image
            padded by 4 zeros, and flip; ``quarter_turns``, by a multiple of 90 degrees; ``rotate``, by any angle;
            ``color``, brightness by up to 0.2 of white, contrast and saturation by up to 20 %, hue by up to 5 % of the
            circle.

    Raises:
        ValueError: the name is not one of these.
    """
    flip: nn.Module = K.RandomHorizontalFlip(p=0.5)
    augment: nn.Module
    match name:
        case "none":
            augment = nn.Identity()
        case "flip":
            augment = flip
        case "shift":
            augment = K.RandomAffine(degrees=0.0, translate=(0.1, 0.1), p=1.0)
        case "crop_flip":
            augment = RandomCropFlip(padding=4)
        case "quarter_turns":
            augment = RandomQuarterTurns()
        case "rotate":
            augment = K.RandomRotation(180.0, p=1.0)
        case "color":
            augment = K.ColorJiggle(0.2, 0.2, 0.2, 0.05, p=1.0)
        case _:
            raise ValueError(f"augment: no augmentation is named {name!r}; there are {', '.join(get_args(Augment))}")
    return augment


def stratified_sample(
    labels: npt.NDArray[np.int64], size: int, seed: int, balanced: bool = False
) -> npt.NDArray[np.int64]:
    """Draw ``size`` indices in which every class has its share.

    Args:
        labels: class of each image, ``(N,)``.
        size: how many to draw.
        seed: of the draw.
        balanced: every class gets an equal share rather than one in proportion to its size; all of it where it has
            fewer images, so that fewer are drawn.

    Returns:
        Indices into ``labels``, ascending.

    Raises:
        ValueError: a class has too few images.
    """
    classes, counts = np.unique(labels, return_counts=True)
    shares = np.full(len(classes), size / len(classes)) if balanced else size * counts / counts.sum()
    quotas = np.floor(shares).astype(int)
    # Largest remainders: the seats that rounding down leaves go to the classes that lost most by it.
    quotas[np.argsort(quotas - shares, kind="stable")[: size - quotas.sum()]] += 1
    if balanced:
        quotas = np.minimum(quotas, counts)
    if (quotas > counts).any():
        raise ValueError(f"cannot draw {size} images: a class has only {counts.min()}")
    random = np.random.RandomState(seed)  # its stream is frozen by numpy's policy, a Generator's is not
    drawn = [
        random.choice(np.flatnonzero(labels == c), quota, replace=False)
        for c, quota in zip(classes, quotas, strict=True)
    ]
    return np.sort(np.concatenate(drawn))


def _as_it_is(batch: Any) -> Any:
    """Collate nothing: ``Images`` already yields batches."""
    return batch
