"""Z2CNN: seven plain convolutions, to compare with P4CNN; Z2 is the grid of pixels on which both move filters."""

from __future__ import annotations

from torch import Tensor, nn

from lit_models.operators import Dropout, _check
from lit_models.operators.batch_norm import NormedSequential


class Z2CNN(nn.Module):
    """Seven plain convolutions that shrink a digit to a single pixel, whose channels are the logits.

    It is what :class:`~lit_models.architectures.p4_cnn.P4CNN` is compared with: as many parameters, no knowledge of
    rotation.
    21,750 parameters with the default arguments.

    Source: Cohen & Welling, "Group Equivariant Convolutional Networks", ICML 2016, https://arxiv.org/abs/1602.07576,
    section 8.1, by the authors' code (github.com/tscohen/gconv_experiments). Deviation: weights start as PyTorch
    draws them. On images larger than 28 pixels the last feature map is larger than 1x1 and, as in that code, its
    maximum over space is taken.

    Args:
        in_channels: channels C of the images ``(B, C, H, W)``.
        image_size: height and width of the images, at least 27 pixels.
        num_classes: number of logits.
        width: channels of the first six convolutions. The paper has 20.
        dropout: share of values set to zero after the convolutions 1, 3, 4, 5 and 6. The authors' code has 0.3.

    Raises:
        ValueError: ``image_size`` is below 27, ``width`` below 1 or ``dropout`` outside of [0, 1).
    """

    def __init__(
        self, in_channels: int = 1, image_size: int = 28, num_classes: int = 10, width: int = 20, dropout: float = 0.3
    ) -> None:
        super().__init__()
        _check.at_least(1, in_channels=in_channels, num_classes=num_classes)
        _check.at_least(27, image_size=image_size, why="for Z2CNN (seven convolutions without padding)")
        _check.at_least(1, width=width, hint="the paper has 20")
        _check.below_one(dropout=dropout, hint="the authors' code has 0.3")
        self.features = NormedSequential(
            *_layer(in_channels, width),
            Dropout(dropout),
            *_layer(width, width),
            nn.MaxPool2d(2, ceil_mode=True),
            *(part for _ in range(4) for part in (*_layer(width, width), Dropout(dropout))),
        )
        self.top = nn.Conv2d(width, num_classes, 4)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits ``(B, num_classes)`` for images ``(B, C, H, W)``."""
        logits: Tensor = self.top(self.features(images)).amax((2, 3))
        return logits


def _layer(before: int, after: int) -> list[nn.Module]:
    """Return a 3x3 convolution from ``before`` channels to ``after``, its batch norm and activation."""
    return [nn.Conv2d(before, after, 3), nn.BatchNorm2d(after), nn.ReLU()]
