"""A data set that is fetched and a disk that is slow: what takes microseconds elsewhere can be interrupted here."""

import dataclasses
import hashlib
import os
import struct
import time
from pathlib import Path

import numpy as np

from datamodules import MNIST, ImageDataModule, sources
from datamodules.mnist import IDX
from datamodules.sources import Source
from tests.tiny import Tiny, bars

BARS = bars(1, 28, 600, 200)
ARRAYS = {field: getattr(BARS, field).astype(np.uint8) for field in IDX}
SUMS = {field: (array.shape, hashlib.sha256(array.tobytes()).hexdigest()) for field, array in ARRAYS.items()}
DELAY = 0.1  # seconds for a file to arrive, and for the disk to say that it has one


class Fetched(ImageDataModule):
    """The bars, by the way of MNIST: fetched by one process, checked, kept in one file."""

    source = dataclasses.replace(MNIST.source, arrays=SUMS)
    in_channels = 1
    image_size = 28
    num_classes = 10
    class_names = Tiny.class_names
    mean = (0.3,)
    std = (0.3,)


def slow_download(source: Source, folder: Path) -> None:
    for field, name in IDX.items():
        time.sleep(DELAY)
        sizes = [size for axis, size in enumerate(ARRAYS[field].shape) if axis != 1]
        header = struct.pack(f">HBB{len(sizes)}I", 0, 8, len(sizes), *sizes)
        (folder / name).write_bytes(header + ARRAYS[field].tobytes())


def slow_fsync(descriptor: int, fsync=os.fsync) -> None:
    of_a_record = "record.json" in os.readlink(f"/proc/self/fd/{descriptor}")  # the one file of its kind in a trial
    time.sleep(5 * DELAY if of_a_record else DELAY)
    fsync(descriptor)


sources._download_with_torchvision = slow_download
os.fsync = slow_fsync
