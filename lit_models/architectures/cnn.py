"""CNN: three convolutions and a small head; with INN it compares convolution to involution."""

from __future__ import annotations

from torch import Tensor, nn

from lit_models.architectures._choices import Activation, Pooling, activations, poolings
from lit_models.architectures.keras_defaults import keras_defaults
from lit_models.operators import _check


class CNN(nn.Module):
    """Three 3x3 convolutions and two linear layers, small enough to train on a laptop.

    Its partner :class:`~lit_models.architectures.inn.INN` has involutions in place of the convolutions.
    319,178 parameters with the default arguments.

    Source: the Keras example on involution (document 003). It starts as Keras starts it. Deviation: the last feature
    map is flattened channel by channel, where Keras goes pixel by pixel, which only reorders the columns of a weight
    matrix.

    Args:
        in_channels: channels C of the images ``(B, C, H, W)``.
        image_size: height and width of the images, at least 4 pixels.
        num_classes: number of logits.
        width: channels after the first convolution; the other two have twice as many. The source has 32.
        hidden: units between the two linear layers. The source has 64.
        activation: after each convolution and the hidden layer: one of ``relu``, ``leaky_relu``, ``elu``, ``silu``,
            ``gelu``, ``tanh`` and ``sigmoid``. The source has ``relu``.
        pooling: ``max`` or ``mean`` of 2x2 pixels. The source has ``max``.

    Raises:
        ValueError: ``image_size`` is below 4, ``width`` or ``hidden`` below 1, or ``activation`` or ``pooling``
            unknown.
    """

    def __init__(
        self,
        in_channels: int = 3,
        image_size: int = 32,
        num_classes: int = 10,
        width: int = 32,
        hidden: int = 64,
        activation: Activation = "relu",
        pooling: Pooling = "max",
    ) -> None:
        super().__init__()
        _check.at_least(1, in_channels=in_channels, num_classes=num_classes)
        _check.at_least(4, image_size=image_size, why="for CNN (two poolings)")
        _check.at_least(1, width=width, hint="the source has 32")
        _check.at_least(1, hidden=hidden, hint="the source has 64")
        acted, pooled = activations(activation), poolings(pooling)
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, width, 3, padding=1),
            acted(),
            pooled(2),
            nn.Conv2d(width, 2 * width, 3, padding=1),
            acted(),
            pooled(2),
            nn.Conv2d(2 * width, 2 * width, 3, padding=1),
            acted(),
        )
        self.head = nn.Sequential(
            nn.Linear(2 * width * (image_size // 4) ** 2, hidden), acted(), nn.Linear(hidden, num_classes)
        )
        keras_defaults(self)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits ``(B, num_classes)`` for images ``(B, C, image_size, image_size)``."""
        logits: Tensor = self.head(self.features(images).flatten(1))
        return logits
