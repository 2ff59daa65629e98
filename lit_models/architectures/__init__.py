"""Architectures as plain modules: one file each, named as its source names it. A line here for each."""

from lit_models.architectures.cifar_cnn import CifarCNN as CifarCNN
from lit_models.architectures.cnn import CNN as CNN
from lit_models.architectures.conv_mixer import ConvMixer as ConvMixer
from lit_models.architectures.conv_net import ConvNet as ConvNet
from lit_models.architectures.conv_unet import ConvUNet as ConvUNet
from lit_models.architectures.eq_cnn import EqCNN as EqCNN
from lit_models.architectures.fc_net import FCNet as FCNet
from lit_models.architectures.inn import INN as INN
from lit_models.architectures.p4_cnn import P4CNN as P4CNN
from lit_models.architectures.pconv_unet import PConvUNet as PConvUNet
from lit_models.architectures.res_net import ResNet as ResNet
from lit_models.architectures.simple_cnn import SimpleCNN as SimpleCNN
from lit_models.architectures.vgg import VGG as VGG
from lit_models.architectures.z2_cnn import Z2CNN as Z2CNN

__all__ = sorted(name for name, value in globals().items() if isinstance(value, type))
