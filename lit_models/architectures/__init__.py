"""Architectures as plain modules: one file each, named as its source names it."""

from lit_models.architectures.cifar_cnn import CifarCNN
from lit_models.architectures.cnn import CNN
from lit_models.architectures.conv_mixer import ConvMixer
from lit_models.architectures.conv_net import ConvNet
from lit_models.architectures.conv_unet import ConvUNet
from lit_models.architectures.eq_cnn import EqCNN
from lit_models.architectures.fc_net import FCNet
from lit_models.architectures.inn import INN
from lit_models.architectures.p4_cnn import P4CNN
from lit_models.architectures.pconv_unet import PConvUNet
from lit_models.architectures.res_net import ResNet
from lit_models.architectures.simple_cnn import SimpleCNN
from lit_models.architectures.vgg import VGG
from lit_models.architectures.z2_cnn import Z2CNN

__all__ = [
    "CNN",
    "INN",
    "P4CNN",
    "VGG",
    "Z2CNN",
    "CifarCNN",
    "ConvMixer",
    "ConvNet",
    "ConvUNet",
    "EqCNN",
    "FCNet",
    "PConvUNet",
    "ResNet",
    "SimpleCNN",
]
