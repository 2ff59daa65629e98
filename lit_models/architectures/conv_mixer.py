"""ConvMixer: patches like a vision transformer's, mixed by convolutions alone."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from lit_models.architectures._choices import Activation, activations
from lit_models.operators import DepthwiseConv2d, _check


class ConvMixer(nn.Module):
    """Cuts the image into patches and mixes them in turn over space and over channels, at one size throughout.

    Space is mixed by a depthwise convolution with a shortcut around it, channels by a 1x1 convolution.
    594,186 parameters with the default arguments, which are ConvMixer-256/8.

    Source: the Keras example of ConvMixer (document 004); Trockman & Kolter, "Patches Are All You Need?", 2022,
    https://arxiv.org/abs/2201.09792. Deviations: weights start as PyTorch draws them, where Keras draws Glorot's;
    batch norm is PyTorch's (epsilon 1e-5, momentum 0.1; Keras has 1e-3 and 0.01). The document says that it has 0.8
    million parameters; it has 0.6.

    Args:
        in_channels: channels C of the images ``(B, C, H, W)``.
        image_size: height and width of the images, a multiple of ``patch_size``.
        num_classes: number of logits.
        width: channels throughout. The source has 256.
        depth: number of pairs of a depthwise and a 1x1 convolution. The source has 8.
        kernel_size: of the depthwise convolution, odd. The source has 5.
        patch_size: height and width of a patch, in pixels. The source has 2.
        activation: after each convolution: one of ``relu``, ``leaky_relu``, ``elu``, ``silu``, ``gelu``, ``tanh`` and
            ``sigmoid``. The source has ``gelu``.

    Raises:
        ValueError: a size is below 1, ``kernel_size`` is even, ``patch_size`` does not divide ``image_size`` or
            ``activation`` is unknown.
    """

    def __init__(
        self,
        in_channels: int = 3,
        image_size: int = 32,
        num_classes: int = 10,
        width: int = 256,
        depth: int = 8,
        kernel_size: int = 5,
        patch_size: int = 2,
        activation: Activation = "gelu",
    ) -> None:
        super().__init__()
        _check.at_least(1, in_channels=in_channels, num_classes=num_classes)
        _check.at_least(1, width=width, hint="the source has 256")
        _check.at_least(1, depth=depth, hint="the source has 8")
        _check.at_least(1, kernel_size=kernel_size, hint="the source has 5")
        _check.at_least(1, patch_size=patch_size, hint="the source has 2")
        _check.odd("kernel_size", kernel_size)
        _check.divides("patch_size", patch_size, "image_size", image_size)
        acted = activations(activation)
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, width, patch_size, stride=patch_size), acted(), nn.BatchNorm2d(width)
        )
        self.blocks = nn.Sequential(*(_Block(width, kernel_size, acted) for _ in range(depth)))
        self.head = nn.Linear(width, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits ``(B, num_classes)`` for images ``(B, C, H, W)``."""
        logits: Tensor = self.head(self.blocks(self.stem(images)).mean((2, 3)))
        return logits


class _Block(nn.Module):
    """Mixes space with a shortcut around depthwise convolution, GELU and batch norm; then channels without one."""

    def __init__(self, width: int, kernel_size: int, acted: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.space = nn.Sequential(
            DepthwiseConv2d(width, kernel_size, padding=kernel_size // 2),
            acted(),
            nn.BatchNorm2d(width),
        )
        self.channels = nn.Sequential(nn.Conv2d(width, width, 1), acted(), nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, width, H, W) to the same shape."""
        mixed: Tensor = self.channels(x + self.space(x))
        return mixed
