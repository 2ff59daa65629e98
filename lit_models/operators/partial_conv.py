"""Partial convolution: convolution of images with holes, which never reads what lies in a hole.

Source: Liu et al., "Image Inpainting for Irregular Holes Using Partial Convolutions", ECCV 2018,
https://arxiv.org/abs/1804.07723.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lit_models.operators import _check


def partial_conv2d(
    x: Tensor,
    mask: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int = 1,
    padding: int = 0,
) -> tuple[Tensor, Tensor]:
    """Convolves the valid pixels only, scaled up by the share of the window that is valid.

    Equations 1 and 2 of the paper: ``out = W^T (X * M) sum(1) / sum(M) + b`` and ``mask' = 1`` where
    ``sum(M) > 0``, both 0 elsewhere. ``sum(1) = C * K * K`` in every window; padding is a hole, so at the
    border the scale makes up for it. A hole is replaced by zeros rather than multiplied by zero, so that NaN
    and infinity in it stay there.

    Under autocast the convolution runs and the result is returned in the autocast dtype; the sums of the mask
    are always exact, in float32 or, for float64 inputs, float64.

    Args:
        x: (B, C, H, W).
        mask: (B, 1, H, W), shared by the channels, or (B, C, H, W); 0 in holes and 1 (or True) where ``x`` is
            valid.
        weight: (C_out, C, K, K).
        bias: (C_out,), or None.
        stride: As for ``conv2d``.
        padding: As for ``conv2d``.

    Returns:
        The output (B, C_out, H_out, W_out) and its mask (B, 1, H_out, W_out), in the dtype of ``mask``. The
        new mask is the same for all output channels.

    Raises:
        ValueError: if ``x`` is not a batch, ``mask`` does not fit ``x`` or the kernel is not square.
    """
    if x.dim() != 4:
        raise ValueError(f"x must be (B, C, H, W): got {tuple(x.shape)}")
    batch, channels, height, width = x.shape
    if mask.shape not in [(batch, 1, height, width), (batch, channels, height, width)]:
        one, all_channels = (batch, 1, height, width), (batch, channels, height, width)
        raise ValueError(f"mask must be {one} or {all_channels}: got {tuple(mask.shape)}")
    size = weight.shape[-1]
    if weight.shape[-2] != size:
        raise ValueError(f"weight must have a square kernel: got {tuple(weight.shape)}")
    valid = mask != 0
    raw = F.conv2d(torch.where(valid, x, 0), weight, None, stride, padding)

    dtype = torch.promote_types(x.dtype, torch.float32)
    with torch.no_grad():
        per_pixel = valid.sum(1, keepdim=True, dtype=dtype) * (channels // mask.shape[1])
        # Sum pooling, not a convolution with ones: no backend rounds its inputs to TF32 or bfloat16. Padded
        # by hand, as pooling allows no padding above half the window.
        per_pixel = F.pad(per_pixel, (padding, padding, padding, padding))
        count = F.avg_pool2d(per_pixel, size, stride, divisor_override=1)
        seen = count > 0
        scale = channels * size * size / count.clamp(min=1)
    scaled = raw * scale
    if bias is not None:
        scaled = scaled + bias.to(dtype).view(1, -1, 1, 1)
    return torch.where(seen, scaled, 0).to(raw.dtype), seen.to(mask.dtype)


class PartialConv2d(nn.Module):
    """A convolution for images with missing pixels: it uses only the pixels that are there.

    It also returns which output pixels saw anything at all, so that a stack of these layers fills a hole from
    its rim inwards.

    Source: Liu et al. 2018, https://arxiv.org/abs/1804.07723; see :func:`partial_conv2d` for the formula and
    the conventions. Deviation: parameters start as those of ``nn.Conv2d`` do, where the paper uses He
    initialisation.

    Args:
        in_channels: C, channels of the input.
        out_channels: Channels of the output.
        kernel_size: K.
        stride: As for ``nn.Conv2d``.
        padding: As for ``nn.Conv2d``; padding counts as a hole.
        bias: Whether to add a bias where anything was seen.

    Raises:
        ValueError: if a size is not positive or ``padding`` is negative.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        padding: int = 0,
        bias: bool = True,
    ) -> None:
        super().__init__()
        _check.at_least(1, in_channels=in_channels, out_channels=out_channels, kernel_size=kernel_size, stride=stride)
        _check.at_least(0, padding=padding)
        # Holds the parameters only: nn.Conv2d has their names, shapes, initialisation and printed form
        # already.
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, bias=bias)

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Maps x (B, C, H, W) and mask (B, 1 or C, H, W) to the output and its mask (B, 1, H_out, W_out)."""
        conv = self.conv
        return partial_conv2d(x, mask, conv.weight, conv.bias, conv.stride[0], int(conv.padding[0]))
