"""ConvNet: two large convolutions and two linear layers, the textbook's first convolutional network."""

from __future__ import annotations

from torch import Tensor, nn

from lit_models.architectures._choices import Activation, Pooling, activations, poolings
from lit_models.operators import Dropout, _check


class ConvNet(nn.Module):
    """Two 5x5 convolutions find what is in the image, two linear layers decide which digit that makes.

    Nearly all of its parameters sit between the last feature map and the first linear layer.
    3,199,106 parameters with the default arguments.

    Source: the convolutional network on MNIST (document 001). No deviation: as there, no activation stands between the
    two linear layers.

    Args:
        in_channels: channels C of the images ``(B, C, H, W)``.
        image_size: height and width of the images, at least 4 pixels.
        num_classes: number of logits.
        width: channels after the first convolution; the second has twice as many. The source has 32.
        hidden: units between the two linear layers. The source has 1000.
        activation: after each convolution: one of ``relu``, ``leaky_relu``, ``elu``, ``silu``, ``gelu``, ``tanh`` and
            ``sigmoid``. The source has ``relu``.
        pooling: ``max`` or ``mean`` of 2x2 pixels. The source has ``max``.
        dropout: share of the last feature map that is set to zero. The source has 0.5.

    Raises:
        ValueError: ``image_size`` is below 4, ``width`` or ``hidden`` below 1, ``activation`` or ``pooling`` unknown,
            or ``dropout`` outside of [0, 1).
    """

    def __init__(
        self,
        in_channels: int = 1,
        image_size: int = 28,
        num_classes: int = 10,
        width: int = 32,
        hidden: int = 1000,
        activation: Activation = "relu",
        pooling: Pooling = "max",
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        _check.at_least(1, in_channels=in_channels, num_classes=num_classes)
        _check.at_least(4, image_size=image_size, why="for ConvNet (two poolings)")
        _check.at_least(1, width=width, hint="the source has 32")
        _check.at_least(1, hidden=hidden, hint="the source has 1000")
        _check.below_one(dropout=dropout, hint="the source has 0.5")
        acted, pooled = activations(activation), poolings(pooling)
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, width, 5, padding=2),
            acted(),
            pooled(2),
            nn.Conv2d(width, 2 * width, 5, padding=2),
            acted(),
            pooled(2),
        )
        self.head = nn.Sequential(
            Dropout(dropout),
            nn.Linear(2 * width * (image_size // 4) ** 2, hidden),
            nn.Linear(hidden, num_classes),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return logits ``(B, num_classes)`` for images ``(B, C, image_size, image_size)``."""
        logits: Tensor = self.head(self.features(images).flatten(1))
        return logits
