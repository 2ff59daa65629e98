"""INN: three involutions and a small head; with CNN it compares involution to convolution."""

from __future__ import annotations

from torch import Tensor, nn

from lit_models.architectures._choices import Activation, Pooling, activations, poolings
from lit_models.architectures.keras_defaults import keras_defaults
from lit_models.operators import Involution2d, _check


class INN(nn.Module):
    """Three involutions and two linear layers: the filters are made anew for every pixel, from that pixel.

    An involution keeps the number of channels, so the source's three work on the image's own red, green and blue; to
    compare it with :class:`~lit_models.architectures.cnn.CNN` at equal size, give it a ``width``.
    13,074 parameters with the default arguments, 13,002 of them in the two linear layers.

    At three channels one hidden unit makes all nine weights of a filter. Where the first layer's make nearly all images
    in [0, 1] negative at the start, ReLU outputs zeros for these and the network never learns: with one of twelve
    random seeds.

    Source: the Keras example on involution (document 003). Start and batch norm are Keras's. Deviation: the last
    feature map is flattened channel by channel, where Keras goes pixel by pixel.

    Args:
        in_channels: channels C of the images ``(B, C, H, W)``. The hidden layer of a filter generator has half as
            many, but at least one.
        image_size: height and width of the images, at least 4 pixels.
        num_classes: number of logits.
        width: channels that the involutions work on, made from those of the image by a 1x1 convolution. None, as in
            the source, is no such convolution: they work on the image's channels.
        hidden: units between the two linear layers. The source has 64.
        kernel_size: of the involutions, odd. The source has 3.
        groups: filters per pixel, each shared by as many of the involutions' channels. The source has 1.
        reduction: how much narrower than those channels the hidden layer of a filter generator is. The source has 2.
        activation: after each involution and the hidden layer: one of ``relu``, ``leaky_relu``, ``elu``, ``silu``,
            ``gelu``, ``tanh`` and ``sigmoid``. The source has ``relu``.
        pooling: ``max`` or ``mean`` of 2x2 pixels. The source has ``max``.

    Raises:
        ValueError: ``image_size`` is below 4, ``width``, ``hidden``, ``kernel_size``, ``groups`` or ``reduction`` below
            1, ``kernel_size`` is even, ``groups`` does not divide the channels, or ``activation`` or ``pooling`` is
            unknown.
    """

    def __init__(
        self,
        in_channels: int = 3,
        image_size: int = 32,
        num_classes: int = 10,
        width: int | None = None,
        hidden: int = 64,
        kernel_size: int = 3,
        groups: int = 1,
        reduction: int = 2,
        activation: Activation = "relu",
        pooling: Pooling = "max",
    ) -> None:
        super().__init__()
        _check.at_least(1, in_channels=in_channels, num_classes=num_classes)
        _check.at_least(4, image_size=image_size, why="for INN (two poolings)")
        if width is not None and width < 1:
            raise ValueError(
                f"width must be at least 1, or null for the image's channels, as in the source: got {width}"
            )
        _check.at_least(1, hidden=hidden, hint="the source has 64")
        acted, pooled = activations(activation), poolings(pooling)
        channels = in_channels if width is None else width
        self.stem = nn.Identity() if width is None else nn.Conv2d(in_channels, width, 1)
        self.features = nn.Sequential(
            Involution2d(channels, kernel_size, groups, reduction=reduction),
            acted(),
            pooled(2),
            Involution2d(channels, kernel_size, groups, reduction=reduction),
            acted(),
            pooled(2),
            Involution2d(channels, kernel_size, groups, reduction=reduction),
            acted(),
        )
        self.head = nn.Sequential(
            nn.Linear(channels * (image_size // 4) ** 2, hidden), acted(), nn.Linear(hidden, num_classes)
        )
        keras_defaults(self)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits ``(B, num_classes)`` for images ``(B, C, image_size, image_size)``."""
        logits: Tensor = self.head(self.features(self.stem(images)).flatten(1))
        return logits
