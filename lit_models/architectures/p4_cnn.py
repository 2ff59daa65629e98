"""P4CNN: seven group convolutions, to compare with Z2CNN; p4 is the group of shifts and quarter turns."""

from __future__ import annotations

from torch import Tensor, nn

from lit_models.operators import Dropout, GroupBatchNorm, GroupMaxPool2d, GroupPool, P4ConvP4, P4ConvZ2, _check
from lit_models.operators.batch_norm import NormedSequential


class P4CNN(nn.Module):
    """Seven group convolutions, each of which looks for its patterns in all four orientations.

    Turning the image turns every feature map and swaps its four planes, so the maximum over planes and pixels, and
    with it every logit, stays the same.
    24,680 parameters with the default arguments.

    Source: Cohen & Welling, "Group Equivariant Convolutional Networks", ICML 2016, https://arxiv.org/abs/1602.07576,
    section 8.1, by the authors' code (github.com/tscohen/gconv_experiments). Deviation: weights start as PyTorch
    draws them. On images larger than 28 pixels the last feature map is larger than 1x1 and, as in that code, its
    maximum over space is taken.

    Args:
        in_channels: channels C of the images ``(B, C, H, W)``.
        image_size: height and width of the images: even, so that the pooling windows tile, and at least 28 pixels.
        num_classes: number of logits.
        width: channels of the first six convolutions, each with four planes. The paper has 10: half of Z2CNN's, as
            the weights of a channel are four times as many.
        dropout: share of values set to zero after the convolutions 1, 3, 4, 5 and 6. The authors' code leaves it
            out.

    Raises:
        ValueError: ``image_size`` is below 28 or odd, ``width`` below 1 or ``dropout`` outside of [0, 1).
    """

    def __init__(
        self, in_channels: int = 1, image_size: int = 28, num_classes: int = 10, width: int = 10, dropout: float = 0.0
    ) -> None:
        super().__init__()
        _check.at_least(1, in_channels=in_channels, num_classes=num_classes)
        _check.at_least(28, image_size=image_size, why="for P4CNN (seven convolutions without padding)")
        if image_size % 2:
            raise ValueError(
                f"image_size must be even for P4CNN, so that the pooling turns with the image: got {image_size}; "
                f"use {image_size - 1} or {image_size + 1}"
            )
        _check.at_least(1, width=width, hint="the paper has 10")
        _check.below_one(dropout=dropout, hint="the authors' code has 0")
        self.features = NormedSequential(
            *_layer(P4ConvZ2(in_channels, width, 3)),
            Dropout(dropout),
            *_layer(P4ConvP4(width, width, 3)),
            GroupMaxPool2d(2),
            *(part for _ in range(4) for part in (*_layer(P4ConvP4(width, width, 3)), Dropout(dropout))),
        )
        self.top = P4ConvP4(width, num_classes, 4)
        self.pool = GroupPool()

    def forward(self, images: Tensor) -> Tensor:
        """Return logits ``(B, num_classes)`` for square images ``(B, C, S, S)`` with S even.

        Raises:
            ValueError: the images are not square, so that a quarter turn changes their shape, or S is odd.
        """
        if images.shape[-1] != images.shape[-2]:
            raise ValueError(f"P4CNN needs square images: got height {images.shape[-2]} and width {images.shape[-1]}")
        logits: Tensor = self.pool(self.top(self.features(images))).amax((2, 3))
        return logits


def _layer(convolution: P4ConvZ2 | P4ConvP4) -> list[nn.Module]:
    """Return a group convolution, its batch norm over all four planes, and its activation."""
    return [convolution, GroupBatchNorm(convolution.out_channels), nn.ReLU()]
