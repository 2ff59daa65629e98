"""CifarCNN: six convolutions with batch norm and dropout, the tutorial's network for CIFAR-10."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from lit_models.architectures._choices import Activation, Pooling, activations, poolings
from lit_models.operators import Dropout, _check


class CifarCNN(nn.Module):
    """Three blocks of two convolutions, each halving the image, then three linear layers.

    Batch norm follows the first convolution of a block only, and dropout keeps the large head from learning by heart.
    5,852,170 parameters with the default arguments: 22.33 MiB with the statistics of batch norm.

    Source: the tutorial on convolutional networks (document 002). No deviation.

    Args:
        in_channels: channels C of the images ``(B, C, H, W)``.
        image_size: height and width of the images, at least 8 pixels.
        num_classes: number of logits.
        width: channels after the first convolution; the others have 2, 4, 4, 8 and 8 times as many. The source has 32.
        hidden: units after the first linear layer; the second has half as many. The source has 1024.
        activation: after each convolution and hidden layer: one of ``relu``, ``leaky_relu``, ``elu``, ``silu``,
            ``gelu``, ``tanh`` and ``sigmoid``. The source has ``relu``.
        pooling: ``max`` or ``mean`` of 2x2 pixels. The source has ``max``.
        dropout: share of the values that is set to zero before the first and the last linear layer. The source has 0.1.
        channel_dropout: share of the channels that is set to zero after the second block. The source has 0.05.

    Raises:
        ValueError: ``image_size`` is below 8, ``width`` below 1, ``hidden`` below 2, ``activation`` or ``pooling``
            unknown, or a dropout outside of [0, 1).
    """

    def __init__(
        self,
        in_channels: int = 3,
        image_size: int = 32,
        num_classes: int = 10,
        width: int = 32,
        hidden: int = 1024,
        activation: Activation = "relu",
        pooling: Pooling = "max",
        dropout: float = 0.1,
        channel_dropout: float = 0.05,
    ) -> None:
        super().__init__()
        _check.at_least(1, in_channels=in_channels, num_classes=num_classes)
        _check.at_least(8, image_size=image_size, why="for CifarCNN (three poolings)")
        _check.at_least(1, width=width, hint="the source has 32")
        _check.at_least(2, hidden=hidden, hint="the source has 1024")
        _check.below_one(dropout=dropout, hint="the source has 0.1")
        _check.below_one(channel_dropout=channel_dropout, hint="the source has 0.05")
        acted, pooled = activations(activation), poolings(pooling)
        self.features = nn.Sequential(
            *_block(in_channels, width, 2 * width, acted, pooled),
            *_block(2 * width, 4 * width, 4 * width, acted, pooled),
            nn.Dropout2d(channel_dropout),
            *_block(4 * width, 8 * width, 8 * width, acted, pooled),
        )
        self.head = nn.Sequential(
            Dropout(dropout),
            nn.Linear(8 * width * (image_size // 8) ** 2, hidden),
            acted(),
            nn.Linear(hidden, hidden // 2),
            acted(),
            Dropout(dropout),
            nn.Linear(hidden // 2, num_classes),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return logits ``(B, num_classes)`` for images ``(B, C, image_size, image_size)``."""
        logits: Tensor = self.head(self.features(images).flatten(1))
        return logits


def _block(
    before: int, between: int, after: int, acted: Callable[[], nn.Module], pooled: Callable[[int], nn.Module]
) -> list[nn.Module]:
    """Return the layers of a block from ``before`` channels over ``between`` to ``after``, at half the size."""
    return [
        nn.Conv2d(before, between, 3, padding=1),
        nn.BatchNorm2d(between),
        acted(),
        nn.Conv2d(between, after, 3, padding=1),
        acted(),
        pooled(2),
    ]
