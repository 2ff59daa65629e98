"""Operators that stand beside convolution: involution, group, separable and partial convolution.

Each is a plain ``nn.Module`` (and, where it helps, a function) that needs PyTorch and nothing else.
"""

from lit_models.operators._native import vectors
from lit_models.operators.batch_norm import GroupBatchNorm
from lit_models.operators.depthwise import DepthwiseConv2d
from lit_models.operators.dropout import Dropout
from lit_models.operators.group_conv import (
    GroupMaxPool2d,
    GroupPool,
    P4ConvP4,
    P4ConvZ2,
    P4MConvP4,
    P4MConvZ2,
    p4_action,
    p4m_action,
)
from lit_models.operators.involution import Involution2d, involution2d
from lit_models.operators.partial_conv import PartialConv2d, partial_conv2d
from lit_models.operators.separable import DepthwiseSeparableConv2d

__all__ = [
    "DepthwiseConv2d",
    "DepthwiseSeparableConv2d",
    "Dropout",
    "GroupBatchNorm",
    "GroupMaxPool2d",
    "GroupPool",
    "Involution2d",
    "P4ConvP4",
    "P4ConvZ2",
    "P4MConvP4",
    "P4MConvZ2",
    "PartialConv2d",
    "involution2d",
    "p4_action",
    "p4m_action",
    "partial_conv2d",
    "vectors",
]
