"""The layers of a U-Net, shared by ConvUNet and PConvUNet so that only their convolution differs."""

from __future__ import annotations

from torch import nn

from lit_models.operators import PartialConv2d, _check

KERNELS = (7, 5, 5, 3, 3, 3, 3, 3)  # of the encoder, as in the paper
MULTIPLES = (1, 2, 4, 8, 8, 8, 8, 8)  # of the width: the paper's 64 to 512 channels
LEAK = 0.2  # slope of the decoder's LeakyReLU


class UNetLayers(nn.Module):
    """Convolutions and batch norms of a U-Net, in the order in which images go through them.

    The encoder halves the image ``levels`` times, with ``width``, 2, 4 and from then on 8 times as many channels. Each
    convolution of the decoder takes what comes from below and what the encoder had at this size; the last one the input
    itself. Batch norm follows all but the encoder's first and the decoder's last, and those two alone have a bias: a
    batch norm would take it away again.

    Args:
        convolution: ``nn.Conv2d`` or :class:`~lit_models.operators.PartialConv2d`.
        in_channels: channels of the input.
        out_channels: channels of the output.
        width: channels after the first convolution.
        levels: how often the encoder halves the image, 1 to 8.

    Raises:
        ValueError: ``width`` is below 1 or ``levels`` not in 1 to 8.
    """

    def __init__(
        self,
        convolution: type[nn.Conv2d] | type[PartialConv2d],
        in_channels: int,
        out_channels: int,
        width: int,
        levels: int,
    ) -> None:
        super().__init__()
        _check.at_least(1, width=width, hint="the paper has 64")
        if not 1 <= levels <= len(KERNELS):
            raise ValueError(f"levels must lie between 1 and 8, the paper's number: got {levels}; 4 is the default")
        channels = [in_channels, *(width * multiple for multiple in MULTIPLES[:levels])]
        self.down, self.down_norms = nn.ModuleList(), nn.ModuleList()
        for level, kernel in enumerate(KERNELS[:levels]):
            before, after = channels[level : level + 2]
            first = level == 0
            self.down.append(convolution(before, after, kernel, stride=2, padding=kernel // 2, bias=first))
            self.down_norms.append(nn.Identity() if first else nn.BatchNorm2d(after))
        self.up, self.up_norms = nn.ModuleList(), nn.ModuleList()
        for level in reversed(range(levels)):
            skip, below = channels[level : level + 2]
            last = level == 0
            after = out_channels if last else skip
            self.up.append(convolution(below + skip, after, 3, padding=1, bias=last))
            self.up_norms.append(nn.Identity() if last else nn.BatchNorm2d(after))
