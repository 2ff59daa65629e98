"""The images of a data set on the device that trains, gathered there by their indices; and the loaders of indices."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from datamodules.corruptions import Corrupted, Corruption
from datamodules.sources import Arrays
from datamodules.streams import ORDER, stream_seed

Batch = tuple[Tensor, Tensor]

SHARE = 0.25  # of a GPU's free memory that the images may take: the rest is for the network


class Pool:
    """All images of a data set ``(N, C, H, W)`` uint8, those for training first, and their labels ``(N,)``.

    One more follows them that is no image: it fills batches, and comes with the label -1, which no metric counts.
    """

    def __init__(self, arrays: Arrays) -> None:
        nothing = np.zeros_like(arrays.test_images[:1])
        self.images = torch.from_numpy(np.concatenate([arrays.train_images, arrays.test_images, nothing]))
        self.labels = torch.from_numpy(np.concatenate([arrays.train_labels, arrays.test_labels, [-1]]))
        self.place: Literal["device", "host"] = "device"
        self._near = self.images, self.labels  # where they are gathered
        self._settled = self.images.device

    def settle(self, device: torch.device) -> None:
        """Copy the images to a device, unless they would take too much of its free memory."""
        if device == self._settled:
            return
        free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else float("inf")
        self.place = "device" if self.images.nbytes <= SHARE * free else "host"
        there = device if self.place == "device" else self.images.device
        self._near, self._settled = (self.images.to(there), self.labels.to(there)), device

    @property
    def where(self) -> torch.device:
        """The device that gathers, on which indices must be."""
        return self._near[0].device

    def gather(self, index: Tensor, device: torch.device) -> Batch:
        """Return the images and labels at ``index`` on a device."""
        # whole images at once, where images[index] copies byte by byte
        images, labels = (part.index_select(0, index) for part in self._near)
        if device.type == "cuda" and self.place == "host":  # from pinned memory a copy is not waited for
            images, labels = images.pin_memory(), labels.pin_memory()
        return images.to(device, non_blocking=True), labels.to(device, non_blocking=True)


class Images(Dataset[Any]):
    """Some images of a pool, by their indices there, ``(n,)``, and what they are to be corrupted by, if anything."""

    def __init__(
        self, pool: Pool, indices: npt.NDArray[np.int64], corruption: tuple[Corruption, int] | None = None
    ) -> None:
        self.pool, self.corruption = pool, corruption
        self.indices = torch.from_numpy(np.append(indices, len(pool.labels) - 1))  # at -1 what is no image

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.indices) - 1

    @property
    def images(self) -> Tensor:
        """The images, ``(n, C, H, W)`` uint8; a copy."""
        return self.pool.images[self.indices[:-1]]

    @property
    def labels(self) -> Tensor:
        """The labels, ``(n,)``; a copy."""
        return self.pool.labels[self.indices[:-1]]


class Batches(DataLoader[Any]):
    """Yields the indices of a batch of images in their pool, ``(B,)``, cut from those of a whole epoch.

    A loader for Lightning to recognise; what it does of its own, collecting one batch after another, is left out.
    """

    dataset: Images

    def __iter__(self) -> Iterator[Tensor | Corrupted]:  # type: ignore[override]  # torch says one of its own
        """Yield an epoch's batches, of one order that goes to the device that gathers.

        It is drawn when the first batch is asked for: Lightning begins to iterate before it tells the epoch.
        """
        order = self.dataset.indices[torch.tensor(list(self.sampler))]
        size, corruption = cast("int", self.batch_size), self.dataset.corruption
        if corruption is None:
            yield from order.to(self.dataset.pool.where).split(size)
        else:
            yield from (Corrupted(part, *corruption) for part in order.split(size))


class ShuffleSampler(DistributedSampler[Any]):
    """Every image once in an order that belongs to the trial's random seed and the epoch alone, dealt to all processes.

    PyTorch's own adds seed and epoch, so that the epochs of one trial have the orders of another's.
    """

    def __init__(self, images: Images, world: int, rank: int) -> None:
        super().__init__(images, world, rank, seed=int(os.environ.get("PL_GLOBAL_SEED", 0)))

    def __iter__(self) -> Iterator[Any]:
        """Yield this process's indices; the first are repeated where the last round has too few."""
        generator = torch.Generator().manual_seed(stream_seed(self.seed, self.epoch, 0, ORDER))
        order = torch.randperm(len(self.dataset), generator=generator).tolist()  # type: ignore[arg-type]  # to torch, a Dataset may have no length
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
