"""ConvUNet: a U-Net that fills holes by ordinary convolution, to compare with PConvUNet."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lit_models.architectures._unet import LEAK, UNetLayers
from lit_models.operators import _check


class ConvUNet(nn.Module):
    """A U-Net that fills holes by ordinary convolution: it sees holes as black pixels, and is told where they are.

    It reads the mask as one more channel of the image, at its first and at its last layer. Without it, it could not
    tell a black pixel from a hole, which PConvUNet can; the pair differs in how the mask is used, not in whether it
    is known. 4,543,215 parameters with the default arguments: those of PConvUNet and, for the extra channel,
    ``49 width + 9 in_channels`` weights more (3,163, or 0.07 %).

    Source: Liu and others, ECCV 2018, https://arxiv.org/abs/1804.07723, the baseline "Conv". Deviations: see
    :class:`~lit_models.architectures.pconv_unet.PConvUNet`; that it is given the mask is this suite's decision.

    Args:
        in_channels: channels C of the images ``(B, C, H, W)``.
        width: channels after the first convolution; the paper has 64.
        levels: how often the encoder halves the image, 1 to 8; the paper has 8, for 512 pixels.

    Raises:
        ValueError: ``in_channels`` or ``width`` is below 1, or ``levels`` not in 1 to 8.
    """

    def __init__(self, in_channels: int = 3, width: int = 64, levels: int = 4) -> None:
        super().__init__()
        _check.at_least(1, in_channels=in_channels)
        self.layers = UNetLayers(nn.Conv2d, in_channels + 1, in_channels, width, levels)

    def forward(self, images: Tensor, mask: Tensor) -> Tensor:
        """Fill the holes of images.

        Args:
            images: ``(B, C, H, W)``; what lies in the holes is not read.
            mask: ``(B, 1, H, W)``, 0 in holes and 1 elsewhere.

        Returns:
            Whole images ``(B, C, H, W)``, not clamped.
        """
        layers = self.layers
        x = torch.cat([torch.where(mask != 0, images, 0), mask], 1)
        skips = []
        for conv, norm in zip(layers.down, layers.down_norms, strict=True):
            skips.append(x)
            x = F.relu(norm(conv(x)))
        for conv, norm in zip(layers.up, layers.up_norms, strict=True):
            skip = skips.pop()
            x = torch.cat([F.interpolate(x, skip.shape[-2:]), skip], 1)
            x = norm(conv(x))
            if skips:
                x = F.leaky_relu(x, LEAK)
        return x
