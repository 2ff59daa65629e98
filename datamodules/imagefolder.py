"""A folder of images per class as a data set: ``--data=ImageFolder --data.root=flowers --data.image_size=64``."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import numpy as np
import torchvision
from torch import nn
from torchvision.datasets.folder import IMG_EXTENSIONS

from datamodules.augmentation import Augment
from datamodules.formats import Bytes, read_pixels
from datamodules.image import ImageDataModule, MemoryFormat
from datamodules.sources import Arrays
from datamodules.split import stratified_sample

SPLITS = ("train", "val", "test")
# What others call them: two of these are no classes.
LIKE_SPLITS = {*SPLITS, "training", "valid", "validation", "dev", "eval", "testing"}
TEST_SHARE, VAL_SHARE = 0.2, 0.1
# Of ImageNet's pixels, by which photographs are usually normalised: torchvision's weights expect it.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
GREY_MEAN, GREY_STD = (0.449,), (0.226,)  # the means of the three


class ImageFolder(ImageDataModule):
    """Image files in a folder for each class, read once, resized, and kept in memory.

    ``root`` holds either the folders of the classes, of whose images a share is set aside for the test; or the folders
    ``train`` and ``test``, and perhaps ``val``, with the folders of the classes in each. The classes are called as
    their folders and numbered by name. Images become squares of ``image_size`` pixels whatever their proportions, and
    are normalised by the mean and standard deviation of ImageNet's.

    Source: torchvision's ``ImageFolder``, which finds the files.

    Args:
        root: the folder.
        image_size: height and width that all images get, in pixels.
        channels: 3 reads all files in colours, 1 in grey.
        test_share: share of each class that is set aside for the test, where there is no folder ``test``.
        test_seed: another number draws another test set.
        data_dir: not used: the data lie in ``root``.
        batch_size: see :class:`~datamodules.image.ImageDataModule` for this and the arguments below.
        augment: augmentation.
        normalize: whether images are normalised.
        val_size: training images set aside for validation where there is no folder ``val``; by default a tenth.
        memory_format: how images lie in memory.
        split_seed: of the validation split.
        train_size: share of the training images that is kept.
        label_noise: share of the training labels that are wrong.
        corruptions: test on corrupted images too.

    Raises:
        ValueError: an argument is out of its range or changes nothing, the folder is missing or holds something else,
            or a class has no image.
        MisconfigurationException: later, a file cannot be read.
    """

    def __init__(
        self,
        root: str,
        image_size: int = 64,
        channels: Literal[1, 3] = 3,
        test_share: float = TEST_SHARE,
        test_seed: int = 0,
        data_dir: str = "data",
        batch_size: int = 64,
        augment: Augment | nn.Module | list[Augment | nn.Module] = "default",
        normalize: bool = True,
        val_size: int | None = None,
        memory_format: MemoryFormat = "channels_last",
        split_seed: int | Literal["seed"] = 0,
        train_size: float = 1.0,
        label_noise: float = 0.0,
        corruptions: bool = False,
    ) -> None:
        if image_size < 1:
            raise ValueError(f"image_size must be at least 1: got {image_size}; 64 is the default")
        if channels not in (1, 3):
            raise ValueError(f"channels must be 1 for grey or 3 for colours: got {channels}")
        if not 0 < test_share < 1:
            raise ValueError(f"test_share must lie between 0 and 1: got {test_share}; {TEST_SHARE} is the default")
        if test_seed < 0:
            raise ValueError(f"test_seed must be 0 or more: got {test_seed}")
        self.root, self.test_share, self.test_seed = Path(root), test_share, test_seed
        self._files = self._find()
        names = next(iter(self._files.values())).classes
        if "test" in self._files and (test_share, test_seed) != (TEST_SHARE, 0):
            raise ValueError(f"test_share and test_seed change nothing: {root} has a folder test; leave them out")
        if "val" in self._files and val_size is not None:
            raise ValueError(f"val_size changes nothing: {root} has a folder val; leave it out")
        self.in_channels, self.image_size, self.num_classes = int(channels), image_size, len(names)
        self.class_names = tuple(names)
        self.mean, self.std = (MEAN, STD) if channels == 3 else (GREY_MEAN, GREY_STD)
        if val_size is None:
            learnt = len(self._files["train"]) * (1.0 if "test" in self._files else 1 - test_share)
            val_size = max(len(names), round(VAL_SHARE * learnt))
        usual = data_dir, batch_size, augment, normalize, val_size, memory_format, split_seed, train_size
        super().__init__(*usual, label_noise, corruptions)

    def load(self) -> Arrays:
        """Read all files.

        Raises:
            ValueError: one cannot be read, which is named.
        """
        images, labels = self._read("train")
        if "test" not in self._files:
            is_test = np.zeros(len(labels), dtype=bool)
            count = max(self.num_classes, round(self.test_share * len(labels)))
            is_test[stratified_sample(labels, count, self.test_seed)] = True
            return Arrays(images[~is_test], labels[~is_test], images[is_test], labels[is_test])
        tests = self._read("test")
        if "val" not in self._files:
            return Arrays(images, labels, *tests)
        more, of = self._read("val")
        return Arrays(np.concatenate([images, more]), np.concatenate([labels, of]), *tests, validation=len(of))

    def _find(self) -> dict[str, torchvision.datasets.ImageFolder]:
        """Return the files of each split; all are those of ``train`` where there are no folders for the splits."""
        if not self.root.is_dir():
            raise ValueError(f"root must be a folder: there is no {self.root}")
        inner = {path.name for path in _folders(self.root)}
        if "train" not in inner or not inner <= set(SPLITS):
            if len(splits := sorted(name for name in inner if name.lower() in LIKE_SPLITS)) > 1:
                raise ValueError(
                    f"root: the splits in {self.root} must be called train, test and perhaps val, and nothing lie "
                    f"beside them: got {', '.join([*splits, *sorted(inner - {*splits})])}"
                )
            return {"train": _files(self.root)}
        if "test" not in inner:
            raise ValueError(f"root: {self.root} has a folder train and none called test")
        found = {split: _files(self.root / split) for split in SPLITS if split in inner}
        for split, files in found.items():
            if differ := set(files.classes) ^ set(found["train"].classes):
                raise ValueError(
                    f"root: {self.root / split} must have the classes of train: differs in {', '.join(sorted(differ))}"
                )
        return found

    def _read(self, split: str) -> tuple[Bytes, np.ndarray[tuple[int], np.dtype[np.int64]]]:
        """Return the images ``(N, C, S, S)`` and labels ``(N,)`` of a split, in the order of torchvision's list."""
        files = self._files[split].samples
        images = np.empty((len(files), self.in_channels, self.image_size, self.image_size), np.uint8)

        def read(index: int) -> None:
            path, _ = files[index]
            try:
                images[index] = read_pixels(path, self.in_channels, self.image_size)
            except ValueError as error:
                raise ValueError(f"{path}: {error}") from None

        with ThreadPoolExecutor() as threads:  # decoding lets other threads run
            for _ in threads.map(read, range(len(files))):
                pass
        return images, np.array([label for _, label in files], np.int64)


def _files(folder: Path) -> torchvision.datasets.ImageFolder:
    """Return the files below a folder by torchvision's list, of which every class has some.

    Raises:
        ValueError: there are fewer than two classes, or one has no image.
    """
    if len(_folders(folder)) < 2:
        raise ValueError(f"root: {folder} must hold a folder of images for each class, at least two")
    found = _Visible(folder, allow_empty=True, is_valid_file=lambda path: _is_image(Path(path).relative_to(folder)))
    counts = np.bincount(found.targets, minlength=len(found.classes))
    if empty := [name for name, count in zip(found.classes, counts, strict=True) if not count]:
        kinds = ", ".join(IMG_EXTENSIONS)
        raise ValueError(f"root: {folder / empty[0]} has no image, whose name ends in {kinds}")
    return found


class _Visible(torchvision.datasets.ImageFolder):  # type: ignore[misc]  # torchvision gives it no types
    """torchvision's list without hidden folders, such as the copies of images that Jupyter keeps."""

    def find_classes(self, directory: str | Path) -> tuple[list[str], dict[str, int]]:
        """Return the names of the classes, and their numbers."""
        names = sorted(path.name for path in _folders(Path(directory)))
        return names, {name: number for number, name in enumerate(names)}


def _folders(folder: Path) -> list[Path]:
    """Return the folders in a folder that are not hidden."""
    return [path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")]


def _is_image(path: Path) -> bool:
    """Tell whether a file, by its path below the data's folder, is an image and not hidden."""
    return path.name.lower().endswith(IMG_EXTENSIONS) and not any(part.startswith(".") for part in path.parts)
