"""Reads published files and archives into memory, and never more of them than a data set can have.

Nothing that is read is believed: no archive writes to the disk, and no file is unpacked beyond the size that the
largest real one has. Whether the content is the right one is asked by ``datamodules/sources.py``.
"""

from __future__ import annotations

import gzip
import lzma
import os
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

Bytes = npt.NDArray[np.uint8]
Readable = BinaryIO | gzip.GzipFile | lzma.LZMAFile

MAX_FILE_BYTES = 64 * 2**20  # of one file once unpacked; the largest real one, MNIST's training images, has 45 MiB
MAX_ARCHIVE_BYTES = 512 * 2**20  # of a whole archive once unpacked; CIFAR-10 has 178 MiB


def read_pixels(path: Path | str, channels: int, size: int) -> Bytes:
    """Return an image file as ``(C, S, S)``, resized whatever its proportions (bilinear, with antialiasing).

    A photograph that was taken with the camera turned is turned upright, as its EXIF data say.

    Args:
        path: of the file, in any format that PIL reads.
        channels: 1 for grey, 3 for colours, whatever the file has; transparency is dropped.
        size: height and width S of the result, in pixels.

    Raises:
        ValueError: it cannot be read, or has more than 8 bits, which PIL would cut off at white.
    """
    try:
        with Image.open(path) as image:
            if image.mode.startswith(("I", "F")):
                raise ValueError("has more than 8 bits for a colour")
            coloured = ImageOps.exif_transpose(image).convert("L" if channels == 1 else "RGB")
            pixels = np.array(coloured.resize((size, size), Image.Resampling.BILINEAR))
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:  # SyntaxError: of a broken PNG
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "not an image"
        raise ValueError(reason) from None
    return np.ascontiguousarray(pixels.reshape(size, size, channels).transpose(2, 0, 1))


def unpack(file: BinaryIO) -> bytes:
    """Decompress a .gz.

    Raises:
        ValueError: what is in it is too large.
    """
    with gzip.open(file) as unpacked:
        return _at_most(unpacked)


def _at_most(file: Readable) -> bytes:
    data = file.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise ValueError(f"has more than {MAX_FILE_BYTES} bytes")
    return data


def read_idx(field: str, path: Path) -> dict[str, Bytes]:
    """Read one field of a data set from a file in the format of MNIST's authors, which may end in .gz.

    Raises:
        ValueError: it is no such file, or too large.
    """
    with path.open("rb") as file:
        return {field: from_idx(unpack(file) if path.suffix == ".gz" else _at_most(file))}


def from_idx(data: bytes) -> Bytes:
    """Return images ``(N, 1, H, W)`` or labels ``(N,)`` from the bytes of an IDX file.

    It is two zeros, 8 for uint8, the number of dimensions; then each dimension; then the values. torchvision's reader
    takes files that lie unpacked on the disk, which most of ours do not.

    Raises:
        ValueError: it is no such file.
    """
    if data[:3] != b"\0\0\x08":
        raise ValueError("is no IDX file of bytes")
    sizes = np.frombuffer(data, ">u4", count=data[3], offset=4).tolist()
    array = np.frombuffer(data, np.uint8, offset=4 + 4 * len(sizes)).reshape(sizes).copy()  # which can be written
    return array if array.ndim == 1 else array[:, None]


def read_members(path: Path, names: Sequence[str]) -> dict[str, bytes]:
    """Read the files ``names`` of a compressed tar archive, without unpacking it to the disk.

    Raises:
        ValueError: one of them is missing or no regular file, or any member is too large.
    """
    with gzip.open(path) as unpacked:
        return _members(unpacked, names)


def read_debian(path: Path, names: Sequence[str]) -> dict[str, bytes]:
    """Read the files ``names`` of a Debian package, as :func:`read_members` does.

    Such a package is an archive of ``ar``: a line, then members, each behind a header of 60 bytes that has its name in
    the first 16 and its size in the ten from 48 on. The files are in the one called ``data.tar.xz``.

    Raises:
        ValueError: it is no such package, or as for :func:`read_members`.
    """
    with path.open("rb") as file:
        if file.read(8) != b"!<arch>\n":
            raise ValueError("is no Debian package")
        while len(header := file.read(60)) == 60:
            if header.startswith(b"data.tar.xz"):
                with lzma.open(file) as unpacked:
                    return _members(unpacked, names)
            size = header[48:58].strip()
            if not size.isdigit():
                break
            file.seek(int(size) + int(size) % 2, os.SEEK_CUR)
    raise ValueError("has no data.tar.xz")


def _members(file: Readable, names: Sequence[str]) -> dict[str, bytes]:
    """Read the files ``names`` of a tar archive."""
    members = {}
    # as a stream, read once from its beginning: of an archive that has no end, no more than the limit is unpacked
    unpacked: Any = _AtMost(file, MAX_ARCHIVE_BYTES)  # not a whole file, but all that a stream asks for
    with tarfile.open(fileobj=unpacked, mode="r|") as archive:
        for member in archive:
            if not 0 <= member.size <= MAX_FILE_BYTES:
                raise ValueError(f"{member.name} is said to have {member.size} bytes, more than {MAX_FILE_BYTES}")
            if member.name in names and member.isreg() and (found := archive.extractfile(member)):
                members[member.name] = found.read()
    if missing := [name for name in names if name not in members]:
        raise ValueError(f"has no file {', '.join(missing)}")
    return members


class _AtMost:
    """A file of which no more can be read than a given number of bytes."""

    def __init__(self, file: Readable, size: int) -> None:
        self.file, self.left = file, size

    def read(self, size: int) -> bytes:
        """Read; ValueError once it is too much."""
        data = self.file.read(size)
        self.left -= len(data)
        if self.left < 0:
            raise ValueError("holds more than any data set")
        return data
