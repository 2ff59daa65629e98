"""PConvUNet: a U-Net that fills holes by partial convolution, to compare with ConvUNet."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lit_models.architectures._unet import LEAK, UNetLayers
from lit_models.operators import PartialConv2d, _check


class PConvUNet(nn.Module):
    """A U-Net that fills holes by partial convolution: no layer ever reads a pixel that is not there.

    Each layer returns which of its pixels saw anything, and the next one reads only those, so that holes close from
    the rim inwards. 4,540,052 parameters with the default arguments.

    Source: Liu and others, ECCV 2018, https://arxiv.org/abs/1804.07723 (document 001, last article). Deviations: by
    default four levels where the paper has eight, its first four to the kernel and channel, because 32 pixels halve to
    2 where its 512 do; an up-sampled feature map takes the size of the skip connection, one less than double where that
    is odd (28 pixels); parameters start as those of ``nn.Conv2d`` do, where the paper uses He initialisation. What is
    still a hole is 0 to a batch norm, and counts.

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
        self.layers = UNetLayers(PartialConv2d, in_channels, in_channels, width, levels)

    def forward(self, images: Tensor, mask: Tensor) -> Tensor:
        """Fill the holes of images.

        Args:
            images: ``(B, C, H, W)``; what lies in the holes is not read.
            mask: ``(B, 1, H, W)``, 0 in holes and 1 elsewhere.

        Returns:
            Whole images ``(B, C, H, W)``, not clamped.
        """
        layers = self.layers
        x, skips = images, []
        for conv, norm in zip(layers.down, layers.down_norms, strict=True):
            skips.append((x, mask))
            x, mask = conv(x, mask)
            x = F.relu(norm(x))
        for conv, norm in zip(layers.up, layers.up_norms, strict=True):
            skip, skip_mask = skips.pop()
            size = skip.shape[-2:]
            # a mask for each channel: a pixel that one half has can be a hole in the other
            below_mask = F.interpolate(mask, size).expand(-1, x.shape[1], -1, -1)
            masks = torch.cat([below_mask, skip_mask.expand(-1, skip.shape[1], -1, -1)], 1)
            x, mask = conv(torch.cat([F.interpolate(x, size), skip], 1), masks)
            x = norm(x)
            if skips:
                x = F.leaky_relu(x, LEAK)
        return x
