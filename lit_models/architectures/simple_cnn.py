"""SimpleCNN: a digit classifier of three convolutions, to compare with EqCNN."""

from __future__ import annotations

from torch import Tensor, nn

from lit_models.architectures._choices import Activation, Pooling, activations, poolings
from lit_models.operators import _check


class SimpleCNN(nn.Module):
    """Three plain convolutions and a linear layer, for digits that stand upright.

    It knows nothing of rotation: turn the images and its accuracy falls to that of a guess.
    13,978 parameters with the default arguments.

    Source: the tutorial on an equivariant CNN (document 000). Deviation: on images larger than 28 pixels the last
    feature map is larger than 1x1 and its maximum over space is taken, so that the head stays the source's.

    Args:
        in_channels: channels C of the images ``(B, C, H, W)``.
        image_size: height and width of the images, at least 28 pixels.
        num_classes: number of logits.
        width: channels after the first convolution; the other two have twice as many. The source has 8.
        activation: after each convolution: one of ``relu``, ``leaky_relu``, ``elu``, ``silu``, ``gelu``, ``tanh`` and
            ``sigmoid``. The source has ``silu``.
        pooling: ``max`` or ``mean`` of 2x2 pixels. The source has ``max``.

    Raises:
        ValueError: ``image_size`` is below 28, ``width`` below 1, or ``activation`` or ``pooling`` unknown.
    """

    def __init__(
        self,
        in_channels: int = 1,
        image_size: int = 28,
        num_classes: int = 10,
        width: int = 8,
        activation: Activation = "silu",
        pooling: Pooling = "max",
    ) -> None:
        super().__init__()
        _check.at_least(1, in_channels=in_channels, num_classes=num_classes)
        _check.at_least(28, image_size=image_size, why="for SimpleCNN (two poolings, then a 7x7 kernel)")
        _check.at_least(1, width=width, hint="the source has 8")
        acted, pooled = activations(activation), poolings(pooling)
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, width, 3, padding=1),
            acted(),
            pooled(2),
            nn.Conv2d(width, 2 * width, 3, padding=1),
            acted(),
            pooled(2),
            nn.Conv2d(2 * width, 2 * width, 7),
            acted(),
        )
        self.head = nn.Linear(2 * width, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits ``(B, num_classes)`` for images ``(B, C, H, W)``."""
        logits: Tensor = self.head(self.features(images).amax((2, 3)))
        return logits
