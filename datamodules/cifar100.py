"""CIFAR-100: 60,000 photographs in a hundred classes, colour, 32x32."""

from __future__ import annotations

from functools import partial

import torchvision

from datamodules.cifar10 import read_archive, read_folder
from datamodules.image import ImageDataModule
from datamodules.sources import File, Source

NAMES = (
    "apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel "
    "can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur "
    "dolphin elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion "
    "lizard lobster man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree "
    "pear pickup_truck pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea "
    "seal shark shrew skunk skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank "
    "telephone television tiger tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm"
)


class CIFAR100(ImageDataModule):
    """Small photographs: 45,000 to train, 5,000 to validate, 10,000 to test.

    RGB images of 32x32 pixels in a hundred classes, the fine ones, padded, cropped and flipped in training unless told
    otherwise. No package was found that holds them: they are had where the internet is, or placed by hand.

    Source: Krizhevsky 2009. Mean and standard deviation are those of the pixels of the training set, as others state
    them: they were not measured here.
    """

    source = Source(
        name="CIFAR100",
        arrays={
            "train_images": ((50_000, 3, 32, 32), ""),
            "train_labels": ((50_000,), ""),
            "test_images": ((10_000, 3, 32, 32), ""),
            "test_labels": ((10_000,), ""),
        },
        files=[
            File("cifar-100-python", partial(read_folder, torchvision.datasets.CIFAR100)),
            File("cifar-100-python.tar.gz", partial(read_archive, torchvision.datasets.CIFAR100)),
        ],
        by_hand="cifar-100-python.tar.gz, or the folder cifar-100-python unpacked from it",
    )
    in_channels = 3
    image_size = 32
    num_classes = 100
    class_names = tuple(NAMES.split())
    mean = (0.5071, 0.4865, 0.4409)
    std = (0.2673, 0.2564, 0.2762)
    default_augment = "crop_flip"
