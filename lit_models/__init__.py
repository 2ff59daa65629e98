"""Architectures as LightningModules: one file each, named as its source names it."""

from lit_models.cifar_cnn import CifarCNN
from lit_models.classifier import Classifier
from lit_models.cnn import CNN
from lit_models.conv_mixer import ConvMixer
from lit_models.conv_net import ConvNet
from lit_models.conv_unet import ConvUNet
from lit_models.eq_cnn import EqCNN
from lit_models.fc_net import FCNet
from lit_models.inn import INN
from lit_models.inpainter import Inpainter
from lit_models.p4_cnn import P4CNN
from lit_models.pconv_unet import PConvUNet
from lit_models.res_net import ResNet
from lit_models.simple_cnn import SimpleCNN
from lit_models.task import Task
from lit_models.vgg import VGG
from lit_models.z2_cnn import Z2CNN

__all__ = [
    "CNN",
    "INN",
    "P4CNN",
    "VGG",
    "Z2CNN",
    "CifarCNN",
    "Classifier",
    "ConvMixer",
    "ConvNet",
    "ConvUNet",
    "EqCNN",
    "FCNet",
    "Inpainter",
    "PConvUNet",
    "ResNet",
    "SimpleCNN",
    "Task",
]
