"""VGG: depth by small convolutions, in the six configurations of the paper."""

from __future__ import annotations

from functools import partial
from typing import Literal

from torch import Tensor, nn

from lit_models.architectures._choices import Activation, Pooling, activations, poolings
from lit_models.operators import Dropout, _check

# Per stage, each of which ends in a pooling: the kernel sizes of its convolutions (table 1 of the paper).
CONFIGURATIONS = {
    "A": ((3,), (3,), (3, 3), (3, 3), (3, 3)),
    "A-LRN": ((3,), (3,), (3, 3), (3, 3), (3, 3)),
    "B": ((3, 3), (3, 3), (3, 3), (3, 3), (3, 3)),
    "C": ((3, 3), (3, 3), (3, 3, 1), (3, 3, 1), (3, 3, 1)),
    "D": ((3, 3), (3, 3), (3, 3, 3), (3, 3, 3), (3, 3, 3)),
    "E": ((3, 3), (3, 3), (3, 3, 3, 3), (3, 3, 3, 3), (3, 3, 3, 3)),
}
# Krizhevsky and others 2012, section 3.3, which the paper takes: over 5 channels, k = 2, beta = 0.75, and alpha = 1e-4
# times the sum of squares, where PyTorch has their mean.
NORMALISATION = partial(nn.LocalResponseNorm, size=5, alpha=5e-4, beta=0.75, k=2.0)
MULTIPLES = (1, 2, 4, 8, 8)  # channels of a stage, in units of the first one's
HEADS = ("auto", "imagenet", "linear")


class VGG(nn.Module):
    """Stages of 3x3 convolutions, each at half the size of the one before, and a classifier on top.

    Two small convolutions see as much as one large, with fewer weights and one more nonlinearity between them.
    138,357,544 parameters with the default arguments, which are VGG16 for ImageNet (A 132,863,336; B 133,047,848;
    C 133,638,952; D 138,357,544; E 143,667,240; A-LRN has A's); 14,728,266 for D with batch norm on CIFAR-10.

    Source: the article on VGG16 (document 001); Simonyan & Zisserman, "Very Deep Convolutional Networks for Large-Scale
    Image Recognition", 2015, https://arxiv.org/abs/1409.1556. Deviations: weights start as torchvision draws them
    (He's for convolutions), where the paper starts deep configurations from a trained A; batch norm, as an option, is
    younger than the paper. Names and values of all parameters fit torchvision's vgg11 (A and A-LRN), vgg13 (B), vgg16
    (D) and vgg19 (E). Small images get a head of one linear layer (github.com/kuangliu/pytorch-cifar), and below 32
    pixels the last pooling, which would leave nothing, is left out.

    Args:
        in_channels: channels C of the images ``(B, C, H, W)``.
        image_size: height and width of the images, at least 16 pixels.
        num_classes: number of logits.
        configuration: A, A-LRN (with local response normalisation after the first convolution), B, C (with 1x1
            convolutions), D (VGG16) or E (VGG19).
        batch_norm: whether a batch norm follows each convolution.
        head: ``imagenet`` for the paper's three linear layers, with dropout, on a map of 7x7 (pooled to that size where
            the image is not 224 pixels); ``linear`` for the mean over space and one linear layer; ``auto`` for
            ``imagenet`` from 224 pixels and ``linear`` below.
        width: channels of the first stage; the others have 2, 4, 8 and 8 times as many. The paper has 64. The hidden
            layers of the ``imagenet`` head keep their 4096 units.
        activation: after each convolution and hidden layer: one of ``relu``, ``leaky_relu``, ``elu``, ``silu``,
            ``gelu``, ``tanh`` and ``sigmoid``. The source has ``relu``.
        pooling: ``max`` or ``mean`` of 2x2 pixels. The source has ``max``.
        dropout: share of the values that is set to zero before the second and third linear layer of the ``imagenet``
            head, which alone has it. The source has 0.5.

    Raises:
        ValueError: ``configuration``, ``head``, ``activation`` or ``pooling`` is unknown, ``image_size`` is below 16,
            ``width`` below 1, or ``dropout`` outside of [0, 1) or given to the ``linear`` head.
    """

    def __init__(
        self,
        in_channels: int = 3,
        image_size: int = 224,
        num_classes: int = 1000,
        configuration: Literal["A", "A-LRN", "B", "C", "D", "E"] = "D",
        batch_norm: bool = False,
        head: Literal["auto", "imagenet", "linear"] = "auto",
        width: int = 64,
        activation: Activation = "relu",
        pooling: Pooling = "max",
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        _check.at_least(1, in_channels=in_channels, num_classes=num_classes)
        if configuration not in CONFIGURATIONS:
            raise ValueError(f"configuration must be one of {', '.join(CONFIGURATIONS)}: got {configuration}")
        if head not in HEADS:
            raise ValueError(f"head must be one of {', '.join(HEADS)}: got {head}")
        _check.at_least(16, image_size=image_size, why="for VGG (four poolings)")
        _check.at_least(1, width=width, hint="the paper has 64")
        _check.below_one(dropout=dropout, hint="the paper has 0.5")
        acted, pooled = activations(activation), poolings(pooling)
        layers: list[nn.Module] = []
        channels = in_channels
        for stage, (kernel_sizes, multiple) in enumerate(zip(CONFIGURATIONS[configuration], MULTIPLES, strict=True)):
            for kernel_size in kernel_sizes:
                layers.append(nn.Conv2d(channels, multiple * width, kernel_size, padding=kernel_size // 2))
                channels = multiple * width
                layers += [nn.BatchNorm2d(channels), acted()] if batch_norm else [acted()]
                if configuration == "A-LRN" and stage == 0:
                    # in one place with the activation: all other layers keep their numbers, and A's weights fit
                    layers[-1] = nn.Sequential(layers[-1], NORMALISATION())
            if image_size >= 2 ** (stage + 1):
                layers.append(pooled(2))
        self.features = nn.Sequential(*layers)
        large = head == "imagenet" or (head == "auto" and image_size >= 224)
        if not large and dropout != 0.5:
            raise ValueError(
                f"dropout is for head=imagenet, and changes nothing of linear: got {dropout}; leave it out"
            )
        if large:
            self.avgpool = nn.AdaptiveAvgPool2d(7)  # leaves the 7x7 of 224 pixels as it is
            self.classifier = nn.Sequential(
                nn.Linear(channels * 7 * 7, 4096),
                acted(),
                Dropout(dropout),
                nn.Linear(4096, 4096),
                acted(),
                Dropout(dropout),
                nn.Linear(4096, num_classes),
            )
        else:
            self.avgpool = nn.AdaptiveAvgPool2d(1)
            self.classifier = nn.Sequential(nn.Linear(channels, num_classes))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, 0, 0.01)
            if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits ``(B, num_classes)`` for images ``(B, C, H, W)``."""
        logits: Tensor = self.classifier(self.avgpool(self.features(images)).flatten(1))
        return logits
