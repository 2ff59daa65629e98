"""FCNet: the fully connected network, with which a digit recogniser begins."""

from __future__ import annotations

from torch import Tensor, nn

from lit_models.architectures._choices import Activation, activations
from lit_models.operators import _check


class FCNet(nn.Module):
    """Three linear layers on the pixels, which know nothing of what lies beside what.

    Shuffle the pixels of all images alike and it learns just as well: what a convolution gains, it gains over this.
    199,210 parameters with the default arguments.

    Source: the fully connected network on MNIST (document 001), 784-200-200-10. Deviation: the source ends in a
    log-softmax under a negative log-likelihood; here the logits go to the cross-entropy, which is the same loss.

    Args:
        in_channels: channels C of the images ``(B, C, H, W)``.
        image_size: height and width of the images, in pixels.
        num_classes: number of logits.
        width: units of each of the two hidden layers. The source has 200.
        activation: after each hidden layer: one of ``relu``, ``leaky_relu``, ``elu``, ``silu``, ``gelu``, ``tanh`` and
            ``sigmoid``. The source has ``relu``.

    Raises:
        ValueError: ``width`` is below 1 or ``activation`` unknown.
    """

    def __init__(
        self,
        in_channels: int = 1,
        image_size: int = 28,
        num_classes: int = 10,
        width: int = 200,
        activation: Activation = "relu",
    ) -> None:
        super().__init__()
        _check.at_least(1, in_channels=in_channels, num_classes=num_classes)
        _check.at_least(1, width=width, hint="the source has 200")
        acted = activations(activation)
        self.layers = nn.Sequential(
            nn.Linear(in_channels * image_size**2, width),
            acted(),
            nn.Linear(width, width),
            acted(),
            nn.Linear(width, num_classes),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return logits ``(B, num_classes)`` for images ``(B, C, image_size, image_size)``."""
        logits: Tensor = self.layers(images.flatten(1))
        return logits
