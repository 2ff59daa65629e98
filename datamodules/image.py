"""The base of every data module: images on the device that trains, a fixed split, augmentation there."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from typing import Any, ClassVar, Literal, cast
from zlib import crc32

import numpy as np
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningDataModule
from torch import Tensor, nn
from torch.utils.data import DataLoader, Sampler

from datamodules.augmentation import Augment, joined, move
from datamodules.checks import check_facts, checked
from datamodules.corruptions import STRENGTHS, Corrupted, corrupt
from datamodules.crop import RandomCropFlip, RandomQuarterTurns
from datamodules.pool import Batch, Batches, Images, Pool, ShardSampler, ShuffleSampler
from datamodules.sources import Arrays, Source, load_arrays
from datamodules.split import SPLIT_SEED, nested_share, stratified_sample, with_noise

MemoryFormat = Literal["channels_last", "contiguous"]

ROTATION_SWEEP_SIZE = 1_000  # test images that are turned by every angle of a rotation sweep
# Images of one forward pass in validation and test; no result depends on it. On a CPU so many fit into its caches,
# which is twice as fast as 1,000; other devices get more, so that fewer operations are launched.
EVAL_BATCH_SIZE = {"cpu": 128, "other": 1_024}


class ImageDataModule(LightningDataModule):
    """Any data set of labelled square images that fits into memory.

    A data set subclasses it and states its facts as class attributes: where it is published, as its ``source``, or,
    where it comes from elsewhere, a :meth:`load` of its own. All images go to the device once, as uint8; what a loader
    yields is indices ``(B,)``, by which a batch is gathered there. It becomes floats in [0, 1], is augmented (in
    training only), then normalised: this order, because kornia's colour operations clamp to [0, 1]. What only moves
    pixels is done on the bytes: there are fewer of them. A data set that would take more than a quarter of a GPU's free
    memory stays in the host's, from where batches are copied; ``images_on`` says which it is.

    Args:
        data_dir: folder in which the data set is kept; it is fetched when it is not there.
        batch_size: images per optimiser step over all devices together.
        augment: ``default`` is the data set's own; :func:`datamodules.augmentation.augmentation` has the other names.
            Or any module that takes images ``(B, C, H, W)`` in [0, 1], such as those of ``kornia.augmentation``. Or a
            list of names and modules, which are applied one after the other.
        normalize: subtract the data set's mean and divide by its standard deviation; otherwise images stay in [0, 1].
        val_size: training images set aside for validation, stratified by class.
        train_size: share of the training images that are left, of which the same share of every class is kept: to learn
            from less. What a smaller share keeps, a larger keeps too.
        split_seed: another number draws another validation split; by default it is the same in every trial. ``seed``
            stands for the trial's own random seed, so that a sweep over seeds varies the split with them.
        label_noise: share of the training images whose labels are wrong: each of these gets another class, all others
            equally likely. Which they are and what they get is the same in every trial of one ``split_seed``. Labels
            of validation and test stay.
        corruptions: test on corrupted images too, at five strengths each of the ``KINDS`` of
            :mod:`datamodules.corruptions`: 25 test sets more, as large as the test set.
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
    in_channels: int
    image_size: int
    num_classes: int
    class_names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    default_augment: ClassVar[Augment] = "none"

    def __init__(
        self,
        data_dir: str = "data",
        batch_size: int = 64,
        augment: Augment | nn.Module | list[Augment | nn.Module] = "default",
        normalize: bool = True,
        val_size: int = 5_000,
        memory_format: MemoryFormat = "channels_last",
        split_seed: int | Literal["seed"] = 0,
        train_size: float = 1.0,
        label_noise: float = 0.0,
        corruptions: bool = False,
    ) -> None:
        super().__init__()
        for name, value, least in (
            ("batch_size", batch_size, 1),
            ("val_size", val_size, 1),
            ("split_seed", 0 if split_seed == "seed" else split_seed, 0),
        ):
            if value < least:
                raise ValueError(f"{name} must be at least {least}: got {value}")
        if not 0 < train_size <= 1:
            raise ValueError(f"train_size must be a share above 0, up to 1: got {train_size}; 0.1 keeps a tenth")
        if not 0 <= label_noise <= 1:
            raise ValueError(f"label_noise must be a share, 0 to 1: got {label_noise}; 0.2 makes a fifth wrong")
        check_facts(self)
        parts = [
            self.default_augment if part == "default" else part
            for part in (augment if isinstance(augment, list) else [augment])
        ]
        if "color" in parts and self.in_channels != 3:
            raise ValueError(f"augment: color changes hue and saturation, and needs 3 channels: got {self.in_channels}")
        self.data_dir, self.batch_size, self.val_size, self.train_size = data_dir, batch_size, val_size, train_size
        self.memory_format, self.split_seed = memory_format, split_seed
        self.label_noise, self.corruptions = label_noise, corruptions
        self.augment = joined(parts)
        self.normalize = normalize
        self._statistics: dict[tuple[torch.device, float], tuple[Tensor, ...]] = {}
        self._arrays: Arrays | None = None
        self.corrupted: list[Images] = []

    def load(self) -> Arrays:
        """Return the whole data set; fetch it first if it is not there. Override it to bring your own."""
        return load_arrays(self.source, self.data_dir)

    def prepare_data(self) -> None:
        """Fetch the data, on one process per machine."""
        self._arrays = self.loaded()  # kept only to spare this process a second reading in setup

    def loaded(self) -> Arrays:
        """Return the whole data set, checked against what the class says of it.

        Raises:
            MisconfigurationException: it is not what it must be.
        """
        try:
            return checked(self, self.load())
        except ValueError as error:
            raise MisconfigurationException(f"--data: {type(self).__name__}: {error}") from None

    def setup(self, stage: str | None = None) -> None:
        """Read the data and split it."""
        if hasattr(self, "train"):
            return
        arrays, self._arrays = self._arrays or self.loaded(), None
        count = len(arrays.train_labels)
        is_val = np.zeros(count, dtype=bool)
        split = int(os.environ.get("PL_GLOBAL_SEED", "0")) if self.split_seed == "seed" else self.split_seed
        if arrays.validation:
            is_val[-arrays.validation :] = True
        elif self.val_size > count - self.num_classes:
            raise MisconfigurationException(
                f"data.val_size must leave training images: got {self.val_size} of {count}; 5000 is the default"
            )
        else:
            is_val[stratified_sample(arrays.train_labels, self.val_size, (SPLIT_SEED + split) % 2**32)] = True
        sweep = stratified_sample(arrays.test_labels, ROTATION_SWEEP_SIZE, SPLIT_SEED, balanced=True)
        train = np.flatnonzero(~is_val)
        train = train[nested_share(arrays.train_labels[train], self.train_size, (SPLIT_SEED + split) % 2**32)]
        labels = arrays.train_labels.copy()
        labels[train] = with_noise(labels[train], self.label_noise, self.num_classes, split)
        self._pool = Pool(replace(arrays, train_labels=labels))
        self.train = Images(self._pool, train)
        self.val = Images(self._pool, np.flatnonzero(is_val))
        whole = np.arange(count, count + len(arrays.test_labels))
        self.test = Images(self._pool, whole)
        self.corrupted = [
            Images(self._pool, whole, (name, strength + 1))
            for name, strengths in (STRENGTHS.items() if self.corruptions else ())
            for strength in range(len(strengths))
        ]
        self.rotation_sweep = Images(self._pool, count + sweep)

    @property
    def test_set(self) -> str:
        """Fingerprint of the test set: 16 hexadecimal digits of the SHA-256 of its shape, images and labels."""
        digest = hashlib.sha256(repr(tuple(self.test.images.shape)).encode())
        for part in (self.test.images, self.test.labels):
            digest.update(part.numpy().tobytes())
        return digest.hexdigest()[:16]

    @property
    def fingerprint(self) -> str:
        """Fingerprint of all images and the labels that are learnt: 8 hexadecimal digits, by which a change is seen."""
        return f"{crc32(self._pool.labels.numpy().data, crc32(self._pool.images.numpy().data)):08x}"

    @property
    def images_on(self) -> Literal["device", "host"]:
        """Where batches are gathered: on the device that trains, or in the host's memory."""
        return self._pool.place

    def train_dataloader(self) -> DataLoader[Any]:
        """Return the indices of shuffled batches of ``batch_size / devices`` training images for this process."""
        rank, world = self._world()
        if self.batch_size % world:
            raise MisconfigurationException(
                f"data.batch_size must divide by the number of devices: got {self.batch_size} for {world} devices"
            )
        return self._loader(self.train, ShuffleSampler(self.train, world, rank), self.batch_size // world)

    def val_dataloader(self) -> DataLoader[Any]:
        """Return the indices of the validation split."""
        return self._eval_loader(self.val)

    def test_dataloader(self) -> list[DataLoader[Any]]:
        """Return the indices of the test set, of the part of it that the rotation sweep turns, and of corrupted ones.

        The part is balanced by class; corrupted is the whole, once for each corruption and strength, if it is to be.
        """
        return [self._eval_loader(images) for images in (self.test, self.rotation_sweep, *self.corrupted)]

    def predict_dataloader(self) -> DataLoader[Any]:
        """Return the indices of the test set."""
        return self._eval_loader(self.test)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Gather uint8 images ``(B, C, H, W)`` and labels ``(B,)`` by their indices; move any other batch as it is."""
        if isinstance(batch, Tensor):
            return self._pool.gather(batch, device)
        if isinstance(batch, Corrupted):
            images, labels = (part[batch.index] for part in (self._pool.images, self._pool.labels))
            places = (batch.index - int(self.test.indices[0])).tolist()
            return corrupt(images, places, batch.name, batch.strength).to(device), labels.to(device)
        return super().transfer_batch_to_device(batch, device, dataloader_idx)

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Turn uint8 images ``(B, C, H, W)`` into what the network sees; runs on the device."""
        images, labels = batch
        augment = self.augment if self.trainer is not None and self.trainer.training else nn.Identity()
        move(augment, images.device)
        if isinstance(
            augment, RandomCropFlip | RandomQuarterTurns | nn.Identity
        ):  # on bytes, whose white is 255: one pass less
            images = self.normalized(augment(images), white=255)
        else:
            images = self.normalized(augment(images.float().div_(255)))
        # that of the weights, which precision=bf16-true and others change
        images = images.to(getattr(getattr(self.trainer, "lightning_module", None), "dtype", torch.float32))
        if self.memory_format == "channels_last":  # last: all of the above is faster channel by channel
            # Not contiguous(): it takes one channel to be in either format, and convolutions go by the strides.
            images = images.to(memory_format=torch.channels_last)
        return images, labels

    def normalized(self, images: Tensor, white: float = 1.0) -> Tensor:
        """Normalise images ``(B, C, H, W)`` in [0, ``white``], if so asked, and else scale them to [0, 1].

        The statistics go to the device once, not each time.
        """
        if not self.normalize:
            return images if white == 1 else images / white
        if (key := (images.device, white)) not in self._statistics:
            both = torch.tensor([self.mean, self.std]).view(2, -1, 1, 1) * white
            self._statistics[key] = both.to(images.device).unbind()
        mean, std = self._statistics[key]
        normalised: Tensor = (images - mean).div_(std)
        return normalised

    def _eval_loader(self, images: Images) -> DataLoader[Any]:
        rank, world = self._world()
        size = EVAL_BATCH_SIZE["cpu" if self._device().type == "cpu" else "other"]
        return self._loader(images, ShardSampler(images, world, rank), -(-size // world))

    def _loader(self, images: Images, sampler: Sampler[Any], batch_size: int) -> DataLoader[Any]:
        self._pool.settle(self._device())
        return Batches(images, batch_size, sampler=sampler)

    def _device(self) -> torch.device:
        """Return the device of the trial."""
        strategy = getattr(self.trainer, "strategy", None)
        return torch.device("cpu") if strategy is None else cast("torch.device", strategy.root_device)

    def _world(self) -> tuple[int, int]:
        """Return this process's rank and how many processes there are."""
        return (0, 1) if self.trainer is None else (self.trainer.global_rank, self.trainer.world_size)
