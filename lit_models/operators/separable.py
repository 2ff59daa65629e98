"""Depthwise-separable convolution: a convolution factored into space and channels."""

from torch import Tensor, nn

from lit_models.operators import _check
from lit_models.operators.depthwise import DepthwiseConv2d


class DepthwiseSeparableConv2d(nn.Module):
    """Filters every channel on its own, then mixes the channels pixel by pixel.

    A convolution does both at once with ``in * out * K * K`` weights; this takes ``in * K * K + in * out``.

    Source: Chollet, "Xception: Deep Learning with Depthwise Separable Convolutions", CVPR 2017,
    https://arxiv.org/abs/1610.02357. As there, nothing stands between the two steps; MobileNet, which puts
    batch norm and ReLU there, is a deviation.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: K, of the depthwise step.
        stride: Step of the depthwise step.
        padding: Zeros added to each side; by default ``(K - 1) // 2``, which keeps the size at stride 1.
        bias: Whether each of the two steps has a bias.

    Raises:
        ValueError: if a size is not positive, ``padding`` is negative, or ``kernel_size`` is even and
            ``padding`` is not given.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        padding: int | None = None,
        bias: bool = False,
    ) -> None:
        super().__init__()
        _check.at_least(1, in_channels=in_channels, out_channels=out_channels, kernel_size=kernel_size, stride=stride)
        if padding is None:
            _check.odd("kernel_size", kernel_size)
            padding = (kernel_size - 1) // 2
        _check.at_least(0, padding=padding)
        self.depthwise = DepthwiseConv2d(in_channels, kernel_size, stride, padding, bias)
        self.pointwise = nn.Conv2d(in_channels, out_channels, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, C_in, H, W) to (B, C_out, H_out, W_out), sizes as for ``nn.Conv2d``."""
        output: Tensor = self.pointwise(self.depthwise(x))
        return output
