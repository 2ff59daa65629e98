"""EqCNN: a digit classifier whose answer does not change with quarter turns, to compare with SimpleCNN."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lit_models.architectures._choices import Activation, Pooling, activations, poolings
from lit_models.operators import _check


class EqCNN(nn.Module):
    """One trunk sees the image in its four quarter turns, and the strongest answer counts.

    Turning the image only reorders the four answers, so their maximum, and with it every logit, stays the same.
    7,834 parameters with the default arguments.

    Source: the tutorial on an equivariant CNN (document 000). Deviations, none of which changes a value at 28 pixels:
    the source writes the shared trunk with ``Conv3d(1, k, k)`` over a stack of the rotations; here they are folded
    into the batch of a ``Conv2d``, which is faster. On images larger than 28 pixels the last feature map is larger than
    1x1 and its maximum over space is taken as well. The source's ``squeeze()`` fails on a batch of one; this does not.
    The source says that it has as many parameters as SimpleCNN; it has 7,834 against 13,978.

    Args:
        in_channels: channels C of the images ``(B, C, H, W)``.
        image_size: height and width of the images, at least 26 pixels.
        num_classes: number of logits.
        width: channels after the first convolution; the other two have twice as many. The source has 8.
        activation: after each convolution: one of ``relu``, ``leaky_relu``, ``elu``, ``silu``, ``gelu``, ``tanh`` and
            ``sigmoid``. The source has ``silu``.
        pooling: ``max`` or ``mean`` of 2x2 pixels. The source has ``max``.

    Raises:
        ValueError: ``image_size`` is below 26, ``width`` below 1, or ``activation`` or ``pooling`` unknown.
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
        _check.at_least(26, image_size=image_size, why="for EqCNN (three convolutions without padding)")
        _check.at_least(1, width=width, hint="the source has 8")
        acted, pooled = activations(activation), poolings(pooling)
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, width, 3),
            acted(),
            pooled(2),
            nn.Conv2d(width, 2 * width, 3),
            acted(),
            pooled(2),
            nn.Conv2d(2 * width, 2 * width, 5),
            acted(),
        )
        self.head = nn.Linear(2 * width, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits ``(B, num_classes)`` for square images ``(B, C, S, S)``.

        Raises:
            ValueError: the images are not square, so that a quarter turn changes their shape.
        """
        if images.shape[-1] != images.shape[-2]:
            raise ValueError(f"EqCNN needs square images: got height {images.shape[-2]} and width {images.shape[-1]}")
        layout = torch.channels_last if images.stride(1) == 1 else torch.contiguous_format
        turned = torch.cat([images.rot90(k, (2, 3)) for k in range(4)])  # (4B, C, S, S)
        turned = turned.to(memory_format=layout)  # which rot90 does not keep
        features = self.features(turned).amax((2, 3))  # (4B, 2 * width)
        logits: Tensor = self.head(features.unflatten(0, (4, len(images))).amax(0))
        return logits
