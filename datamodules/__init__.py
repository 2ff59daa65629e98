"""Data sets as LightningDataModules: in memory as uint8, augmented on the device. A line for each data set."""

from datamodules.cifar10 import CIFAR10 as CIFAR10
from datamodules.image import ImageDataModule as ImageDataModule
from datamodules.mnist import MNIST as MNIST

__all__ = sorted(name for name, value in globals().items() if isinstance(value, type))
