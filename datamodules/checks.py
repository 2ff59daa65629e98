"""Checks once what a data set says of itself and what its arrays hold; what is meant beyond doubt is put right."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from datamodules.sources import Arrays

FACTS = ("in_channels", "image_size", "num_classes", "class_names", "mean", "std")


def check_facts(data: Any) -> None:
    """Refuse a data set whose facts are missing or contradict one another.

    Args:
        data: the data module, whose class states them, or which found them itself.

    Raises:
        ValueError: says which, in one line.
    """
    if missing := [name for name in FACTS if not hasattr(data, name)]:
        raise ValueError(f"the class must state {', '.join(missing)}")
    facts: dict[str, Any] = {name: getattr(data, name) for name in FACTS}
    for name, least in (("in_channels", 1), ("image_size", 1), ("num_classes", 2)):
        if not isinstance(facts[name], int) or facts[name] < least:
            raise ValueError(f"the class's {name} must be a whole number, at least {least}: got {facts[name]!r}")
    names, classes, channels = facts["class_names"], facts["num_classes"], facts["in_channels"]
    if isinstance(names, str) or len(names) != classes or len(set(names)) != classes:
        raise ValueError(
            f"the class's class_names must be {classes} different names, one for each class: got {names!r}"
        )
    for name in ("mean", "std"):
        values = np.atleast_1d(np.asarray(facts[name], float))
        if values.shape != (channels,):
            raise ValueError(
                f"the class's {name} must be {channels} numbers, one for each channel: got {facts[name]!r}"
            )
        if not ((values >= 0) & (values <= 1)).all() or (name == "std" and not (values > 0).all()):
            raise ValueError(f"the class's {name} must be of images in [0, 1], whose white is 1: got {facts[name]!r}")


def checked(data: Any, arrays: Arrays) -> Arrays:
    """Return arrays as the contract has them: uint8 images ``(N, C, S, S)`` and int64 labels ``(N,)``, in C order.

    Tensors become arrays, labels ``(N, 1)`` or of another integer type become ``(N,)`` int64, and grey images
    ``(N, S, S)`` get their channel. All else that is not as it must be is refused.

    Args:
        data: the data module, which has the facts.
        arrays: as its ``load`` returned them.

    Raises:
        ValueError: says what is wrong, in one line.
    """
    if not isinstance(arrays, Arrays):
        raise ValueError(f"load must return datamodules.sources.Arrays: got a {type(arrays).__name__}")
    made: dict[str, Any] = {}
    for split in ("train", "test"):
        images = _images(f"{split}_images", getattr(arrays, f"{split}_images"), data.in_channels, data.image_size)
        labels = _labels(f"{split}_labels", getattr(arrays, f"{split}_labels"), data.num_classes)
        if len(images) != len(labels):
            raise ValueError(
                f"{split}_images and {split}_labels must be equally many: got {len(images)} and {len(labels)}"
            )
        made |= {f"{split}_images": images, f"{split}_labels": labels}
    missing = sorted(set(range(data.num_classes)) - set(np.unique(made["train_labels"]).tolist()))
    if missing:
        raise ValueError(f"train_labels must have every class: there is none of {', '.join(map(str, missing[:10]))}")
    _validation(arrays.validation, made["train_labels"], data.num_classes)
    return Arrays(**made, validation=arrays.validation)


def _validation(count: int, labels: npt.NDArray[np.int64], classes: int) -> None:
    """Refuse a number of training images for validation that leaves a class without any to learn from."""
    if not 0 <= count < len(labels):
        raise ValueError(f"validation must leave training images: got {count} of {len(labels)}")
    if count and len(np.unique(labels[:-count])) < classes:
        raise ValueError(f"validation, the last {count} of the training images, must leave some of every class")


def _images(name: str, given: Any, channels: int, size: int) -> npt.NDArray[np.uint8]:
    images = _array(name, given)
    if channels == 1 and images.shape[1:] == (size, size):
        images = images[:, None]
    wanted = (channels, size, size)
    if images.shape[1:] != wanted:
        last = images.shape[1:] == (size, size, channels)
        raise ValueError(
            f"{name} must be of shape (N, {', '.join(map(str, wanted))}): got {images.shape}"
            + ("; the channels come first: give images.transpose(0, 3, 1, 2)" if last else "")
        )
    if not len(images):
        raise ValueError(f"{name} must not be empty")
    low, high = images.min(), images.max()
    if images.dtype != np.uint8:
        scaled = "; round 255 times these" if np.issubdtype(images.dtype, np.floating) and 0 <= low <= high <= 1 else ""
        raise ValueError(
            f"{name} must be uint8, black 0 and white 255: got {images.dtype} from {low} to {high}{scaled}"
        )
    if high <= 1:
        raise ValueError(f"{name} must reach from black, 0, to white, 255: got {low} to {high}")
    return np.ascontiguousarray(images)


def _labels(name: str, given: Any, classes: int) -> npt.NDArray[np.int64]:
    labels = _array(name, given)
    if labels.shape[1:] == (1,):
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise ValueError(f"{name} must be of shape (N,), the number of each image's class: got {labels.shape}")
    if not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"{name} must be whole numbers: got {labels.dtype}")
    if len(labels) and not 0 <= labels.min() <= labels.max() < classes:
        raise ValueError(f"{name} must lie in 0 to {classes - 1}: got {labels.min()} to {labels.max()}")
    return np.ascontiguousarray(labels, np.int64)


def _array(name: str, given: Any) -> npt.NDArray[Any]:
    if given is None:
        raise ValueError(f"{name} must be there: got None")
    array = given.numpy(force=True) if hasattr(given, "numpy") else np.asarray(given)
    if array.ndim == 0 or array.dtype == object:
        raise ValueError(f"{name} must be an array: got a {type(given).__name__}")
    found: npt.NDArray[Any] = array
    return found
