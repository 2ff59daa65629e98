"""ResNet for small images, with the operator that looks at space chosen by name."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lit_models.operators import DepthwiseSeparableConv2d, GroupBatchNorm, Involution2d, P4ConvP4, P4ConvZ2, _check

OPERATORS = ("conv", "separable", "involution", "p4")
GROUP_CHANNELS = 16  # channels that share an involution's filters, as in RedNet


class ResNet(nn.Module):
    """Blocks of two 3x3 convolutions with a shortcut around each block, at three sizes of the image.

    Only ``operator`` decides what looks at space, so that two operators can be compared with all else equal.
    269,722 parameters with the default arguments, which are ResNet-20.

    Source: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, https://arxiv.org/abs/1512.03385,
    section 4.2. Its shortcuts have no parameters: every other pixel, and zeros for the new channels. Deviations, by
    operator:

    - ``conv``: none.
    - ``separable``: a depthwise 3x3 and a 1x1 convolution in place of each convolution.
    - ``involution``: an involution with RedNet's sizes (K = 7, 16 channels per group, reduction 4; Li et al. 2021,
      https://arxiv.org/abs/2103.06255) and, as it mixes no channels, a 1x1 convolution. RedNet itself has bottleneck
      blocks. As there, each block begins as its shortcut (its last batch norm starts at zero); kernels start K times
      smaller than there.
    - ``p4``: group convolutions (Cohen & Welling 2016, https://arxiv.org/abs/1602.07576) throughout. The size is halved
      by means over 2x2 pixels ahead of the convolution and in the shortcut, as a stride of 2 keeps other pixels once
      the image is turned. The last mean is over the four planes too, so that quarter turns change no logit.

    The first layer is a convolution whatever the operator, a group convolution for ``p4``.

    Args:
        in_channels: channels C of the images ``(B, C, H, W)``.
        image_size: height and width of the images, at least 4 pixels; for ``p4`` a multiple of 4.
        num_classes: number of logits.
        depth: layers with weights, 6n + 2: n blocks for each of the three sizes. 20 is the paper's smallest.
        operator: ``conv``, ``separable``, ``involution`` or ``p4``.
        width: channels at the first size; twice and four times as many at the others. The paper has 16. For ``p4``
            each has four planes, and half the width gives about as many parameters as ``conv`` has.

    Raises:
        ValueError: ``depth`` is not 6n + 2, ``operator`` is unknown, ``width`` is below 1, or ``image_size`` is below
            4 or, for ``p4``, no multiple of 4.
    """

    def __init__(
        self,
        in_channels: int = 3,
        image_size: int = 32,
        num_classes: int = 10,
        depth: int = 20,
        operator: Literal["conv", "separable", "involution", "p4"] = "conv",
        width: int = 16,
    ) -> None:
        super().__init__()
        _check.at_least(1, in_channels=in_channels, num_classes=num_classes)
        if operator not in OPERATORS:
            raise ValueError(f"operator must be one of {', '.join(OPERATORS)}: got {operator}")
        if depth < 8 or depth % 6 != 2:
            below = max(8, (depth - 2) // 6 * 6 + 2)
            raise ValueError(f"depth must be 6n + 2 with n at least 1: got {depth}; use {below} or {below + 6}")
        _check.at_least(4, image_size=image_size, why="for ResNet (it is halved twice)")
        if operator == "p4" and image_size % 4:
            below = image_size // 4 * 4
            raise ValueError(
                f"image_size must be a multiple of 4 for operator=p4, so that halving turns with the image: "
                f"got {image_size}; use {below} or {below + 4}"
            )
        _check.at_least(1, width=width, hint="the paper has 16")
        self.operator = operator
        self.stem = (
            P4ConvZ2(in_channels, width, 3, padding=1, bias=False)
            if operator == "p4"
            else nn.Conv2d(in_channels, width, 3, padding=1, bias=False)
        )
        self.norm = _norm(operator, width)
        blocks: list[nn.Module] = []
        before = width
        for stage in range(3):
            after = width * 2**stage
            for index in range((depth - 2) // 6):
                blocks.append(_Block(operator, before, after, stride=2 if stage > 0 and index == 0 else 1))
                before = after
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(before, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | P4ConvZ2 | P4ConvP4):
                # Of the two fans of He et al. 2015 the one that is right for depthwise weights too.
                nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
        if operator == "involution":
            self._calm_involutions()

    @torch.no_grad()
    def _calm_involutions(self) -> None:
        """Start blocks as their shortcuts, as RedNet does, and kernels so small that a sum of K^2 taps keeps the scale.

        In evaluation mode an involution squares the scale of its input until the running statistics fit: without
        this, a network overflows if it is validated after few steps.
        """
        for module in self.modules():
            if isinstance(module, Involution2d):
                module.span.weight /= module.kernel_size
            elif isinstance(module, _Block):
                module.second_norm.weight.zero_()

    def forward(self, images: Tensor) -> Tensor:
        """Return logits ``(B, num_classes)`` for images ``(B, C, H, W)``, square ones for ``p4``.

        Raises:
            ValueError: the operator is ``p4`` and the images are not square, or their size is no multiple of 4.
        """
        height, width = images.shape[-2:]
        if self.operator == "p4" and (height != width or height % 4):
            raise ValueError(
                f"ResNet with operator=p4 needs square images of a multiple of 4 pixels: "
                f"got height {height} and width {width}"
            )
        features: Tensor = self.blocks(F.relu(self.norm(self.stem(images))))
        logits: Tensor = self.head(features.flatten(2).mean(2))  # over the pixels, and the planes of p4
        return logits


class _Block(nn.Module):
    """Two operators, each with its batch norm, and a shortcut around both."""

    def __init__(self, operator: str, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.new_channels = after - before
        # The means of p4 halve the size ahead of the operators, the others halve it in the first operator.
        self.means = operator == "p4" and stride > 1
        self.first = _spatial(operator, before, after, 1 if self.means else stride)
        self.first_norm = _norm(operator, after)
        self.second = _spatial(operator, after, after, 1)
        self.second_norm = _norm(operator, after)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, before, H, W) to (B, after, ceil(H / stride), ceil(W / stride)); p4 has 4 planes per channel."""
        if self.means:
            means = F.avg_pool2d(x.flatten(1, 2), self.stride)
            x = means.view(*x.shape[:3], *means.shape[2:])
            shortcut = x
        else:
            shortcut = x[..., :: self.stride, :: self.stride]
        if self.new_channels:
            shortcut = F.pad(shortcut, (0, 0) * (x.dim() - 2) + (0, self.new_channels))
        out = F.relu(self.first_norm(self.first(x)))
        return F.relu(self.second_norm(self.second(out)) + shortcut)


def _norm(operator: str, channels: int) -> GroupBatchNorm | nn.BatchNorm2d:
    """Return the batch norm that fits ``operator``."""
    return GroupBatchNorm(channels) if operator == "p4" else nn.BatchNorm2d(channels)


def _spatial(operator: str, before: int, after: int, stride: int) -> nn.Module:
    """Return ``operator`` from ``before`` channels to ``after``."""
    if operator == "p4":
        return P4ConvP4(before, after, 3, stride, padding=1, bias=False)
    if operator == "separable":
        return DepthwiseSeparableConv2d(before, after, 3, stride)
    if operator == "involution":
        # As many groups as RedNet has, or the next number below that divides the channels.
        groups = next(groups for groups in range(max(1, before // GROUP_CHANNELS), 0, -1) if before % groups == 0)
        involution = Involution2d(before, kernel_size=7, groups=groups, stride=stride, reduction=4)
        return nn.Sequential(involution, nn.Conv2d(before, after, 1, bias=False))
    return nn.Conv2d(before, after, 3, stride, padding=1, bias=False)
