"""Data sets as LightningDataModules: in memory as uint8, augmented on the device."""

from datamodules.cifar10 import CIFAR10
from datamodules.image import ImageDataModule
from datamodules.mnist import MNIST

__all__ = ["CIFAR10", "MNIST", "ImageDataModule"]
