"""What a test found of every image, packed: whether it was right (a bit each), or its error (16 bits each)."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import StrictInt, model_validator
from pydantic.dataclasses import dataclass

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class PerImage:
    """What a test found of every image, in the order of the data set.

    Args:
        images: how many.
        test_set: fingerprint of the images and labels: only of one test set can two trials be compared image by image.
        right: of a classifier, by the angle in degrees by which the images were turned: which it classified right, as
            packed bits (the first image is the highest bit of the first byte) in base64. 10,000 images take 1.7 kB.
        error: of an inpainter, the mean absolute error in the hole of each image, as float16 (little-endian) in base64.
        groups: of an inpainter, by the name of a group which images are in it, such as ``10_20`` for holes of 10 up to
            20 %, packed as ``right``.

    Raises:
        pydantic.ValidationError: the packed values are not those of so many images.
    """

    images: StrictInt
    test_set: str
    right: dict[str, str] | None = None
    error: str | None = None
    groups: dict[str, str] | None = None

    @model_validator(mode="after")
    def _fits(self) -> PerImage:
        packed = [
            (name, text, -(-self.images // 8)) for name, text in {**(self.right or {}), **(self.groups or {})}.items()
        ]
        packed += [("error", self.error, 2 * self.images)] if self.error is not None else []
        for name, text, size in packed:
            try:
                found = len(base64.b64decode(text, validate=True))
            except ValueError:
                raise ValueError(f"{name} is not base64") from None
            if found != size:
                raise ValueError(f"{name} has {found} bytes, not the {size} of {self.images} images")
        return self

    def values(self, name: str) -> Bools | Floats | None:
        """Return of each image ``(images,)`` what a metric is the mean of, or None if that was not kept.

        Args:
            name: an angle by which the images were turned, such as ``90``: whether each was classified right;
                ``error``: the error of each; ``error_10_20``: of each of that group alone.
        """
        kind, _, group = name.partition("_")
        if kind == "error":
            if self.error is None or (group and group not in (self.groups or {})):
                return None
            errors = np.frombuffer(base64.b64decode(self.error), "<f2").astype(np.float32)
            return errors[self._bits((self.groups or {})[group])] if group else errors
        return self._bits(self.right[name]) if self.right and name in self.right else None

    def images_of(self, name: str) -> str:
        """Return what tells the images of which :meth:`values` speaks from others: the test set, and the group."""
        group = name.partition("_")[2]
        return f"{self.test_set} {(self.groups or {}).get(group, '')}".strip()

    def _bits(self, packed: str) -> Bools:
        bits = np.frombuffer(base64.b64decode(packed), np.uint8)
        return np.unpackbits(bits, count=self.images).astype(bool)


def of_classifier(test_set: str, right: Mapping[int, npt.ArrayLike]) -> PerImage:
    """Pack which images a classifier got right, by the angle by which they were turned."""
    packed = {str(angle): _text(np.packbits(np.asarray(found, bool))) for angle, found in right.items()}
    return PerImage(len(np.asarray(next(iter(right.values())))), test_set, right=packed)


def of_inpainter(test_set: str, error: npt.ArrayLike, groups: Mapping[str, npt.ArrayLike] | None = None) -> PerImage:
    """Pack the error of every image, and which images are in which group."""
    packed = {name: _text(np.packbits(np.asarray(among, bool))) for name, among in (groups or {}).items()}
    return PerImage(len(np.asarray(error)), test_set, error=_text(np.asarray(error, "<f2")), groups=packed or None)


def _text(packed: npt.NDArray[Any]) -> str:
    return base64.b64encode(packed.tobytes()).decode()
