"""ResNet for small images, with the operator that looks at space chosen by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lit_models.operators import (
    DepthwiseSeparableConv2d,
    GroupBatchNorm,
    Involution2d,
    P4ConvP4,
    P4ConvZ2,
    P4MConvP4,
    P4MConvZ2,
    _check,
)
from lit_models.operators.batch_norm import norm_relu

CONVOLUTION = partial(nn.Conv2d, kernel_size=3, padding=1, bias=False)
GROUP_CHANNELS = 16  # channels that share an involution's filters, as in RedNet


@dataclass(frozen=True)
class Operator:
    """How a ResNet is built from an operator.

    Args:
        layer: makes the operator, by ``layer(channels before, channels after, stride=stride)``; it keeps the size at
            stride 1 and halves it, rounded up, at 2.
        stem: makes the first layer, by ``stem(channels of the image, channels after)``.
        norm: makes the batch norm that fits, by ``norm(channels)``.
        on_group: feature maps have a dimension for the group, ``(B, C, |G|, H, W)``, and what is done must turn with
            the image.
        start: changes the weights at the start of the finished network, if need be.
    """

    layer: Callable[..., nn.Module]
    stem: Callable[[int, int], nn.Module] = CONVOLUTION
    norm: Callable[[int], nn.BatchNorm2d | GroupBatchNorm] = nn.BatchNorm2d
    on_group: bool = False
    start: Callable[[ResNet], None] | None = None


def _involution(
    before: int, after: int, stride: int, kernel_size: int = 7, group_channels: int = GROUP_CHANNELS, reduction: int = 4
) -> nn.Module:
    """An involution and, as it mixes no channels, a 1x1 convolution."""
    # As many groups as RedNet has, or the next number below that divides the channels.
    groups = next(groups for groups in range(max(1, before // group_channels), 0, -1) if before % groups == 0)
    involution = Involution2d(before, kernel_size, groups, stride, reduction)
    return nn.Sequential(involution, nn.Conv2d(before, after, 1, bias=False))


@torch.no_grad()
def _calm_involutions(network: ResNet) -> None:
    """Start blocks as their shortcuts, as RedNet does, and kernels so small that a sum of K^2 taps keeps the scale.

    In evaluation mode an involution squares the scale of its input until the running statistics fit: without
    this, a network overflows if it is validated after few steps.
    """
    for module in network.modules():
        if isinstance(module, Involution2d):
            module.span.weight /= module.kernel_size
        elif isinstance(module, _Block):
            module.second_norm.weight.zero_()


def _group_convolutions(stem: type[nn.Module], layer: type[nn.Module]) -> Operator:
    """Group convolutions throughout, from the image on."""
    options = {"kernel_size": 3, "padding": 1, "bias": False}
    return Operator(partial(layer, **options), partial(stem, **options), GroupBatchNorm, on_group=True)


OPERATORS = {
    "conv": Operator(CONVOLUTION),
    "separable": Operator(partial(DepthwiseSeparableConv2d, kernel_size=3)),
    "involution": Operator(_involution, start=_calm_involutions),
    "p4": _group_convolutions(P4ConvZ2, P4ConvP4),
    "p4m": _group_convolutions(P4MConvZ2, P4MConvP4),
}

# Made from the table, so that the command line knows the choices; type checkers want them written out.
Name = Literal[tuple(OPERATORS)]  # type: ignore[valid-type]


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
    - ``p4m``: as ``p4``, with eight planes, so that mirroring changes no logit either.

    The first layer is a convolution whatever the operator, a group convolution for ``p4`` and ``p4m``.

    Args:
        in_channels: channels C of the images ``(B, C, H, W)``.
        image_size: height and width of the images, at least 4 pixels; for ``p4`` and ``p4m`` a multiple of
            4.
        num_classes: number of logits.
        depth: layers with weights, 6n + 2: n blocks for each of the three sizes. 20 is the paper's smallest.
        operator: ``conv``, ``separable``, ``involution``, ``p4`` or ``p4m``.
        width: channels at the first size; twice and four times as many at the others. The paper has 16. For ``p4``
            each has four planes, and 8 gives about as many parameters as ``conv`` has; for ``p4m`` eight, and 6.
        kernel_size: of the involutions, odd; for ``involution`` alone. RedNet has 7.
        group_channels: channels that share an involution's filters; for ``involution`` alone. RedNet has 16; where that
            leaves a number of groups that does not divide the channels, there are fewer groups.
        reduction: how much narrower than its input an involution's filter generator is; for ``involution`` alone.
            RedNet has 4.

    Raises:
        ValueError: ``depth`` is not 6n + 2, ``operator`` is unknown, a size is below 1, ``kernel_size`` is even, an
            argument of involutions is given to another operator, or ``image_size`` is below 4 or, for ``p4`` and
            ``p4m``, no multiple of 4.
    """

    def __init__(
        self,
        in_channels: int = 3,
        image_size: int = 32,
        num_classes: int = 10,
        depth: int = 20,
        operator: Name = "conv",  # type: ignore[valid-type]
        width: int = 16,
        kernel_size: int = 7,
        group_channels: int = GROUP_CHANNELS,
        reduction: int = 4,
    ) -> None:
        super().__init__()
        _check.at_least(1, in_channels=in_channels, num_classes=num_classes)
        if operator not in OPERATORS:
            raise ValueError(f"operator must be one of {', '.join(OPERATORS)}: got {operator}")
        if depth < 8 or depth % 6 != 2:
            below = max(8, (depth - 2) // 6 * 6 + 2)
            raise ValueError(f"depth must be 6n + 2 with n at least 1: got {depth}; use {below} or {below + 6}")
        _check.at_least(4, image_size=image_size, why="for ResNet (it is halved twice)")
        parts = OPERATORS[operator]
        if parts.on_group and image_size % 4:
            below = image_size // 4 * 4
            raise ValueError(
                f"image_size must be a multiple of 4 for operator={operator}, so that halving turns with the image: "
                f"got {image_size}; use {below} or {below + 4}"
            )
        _check.at_least(1, width=width, hint="the paper has 16")
        options = {"kernel_size": kernel_size, "group_channels": group_channels, "reduction": reduction}
        _check.at_least(1, kernel_size=kernel_size, group_channels=group_channels, reduction=reduction)
        if operator == "involution":
            _check.odd("kernel_size", kernel_size)
            parts = replace(parts, layer=partial(parts.layer, **options))
        else:
            for name, value, usual in zip(options, options.values(), (7, GROUP_CHANNELS, 4), strict=True):
                if value != usual:
                    raise ValueError(
                        f"{name} is for operator=involution, and changes nothing of {operator}: got {value}"
                    )
        self.operator = operator
        self.stem = parts.stem(in_channels, width)
        self.norm = parts.norm(width)
        blocks: list[nn.Module] = []
        before = width
        for stage in range(3):
            after = width * 2**stage
            for index in range((depth - 2) // 6):
                blocks.append(_Block(parts, before, after, stride=2 if stage > 0 and index == 0 else 1))
                before = after
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(before, num_classes)
        for module in self.modules():
            weight = getattr(module, "weight", None)
            if isinstance(weight, Tensor) and weight.dim() >= 4:  # filters, of whatever operator
                # Of the two fans of He et al. 2015 the one that is right for depthwise weights too.
                nn.init.kaiming_normal_(weight, mode="fan_in", nonlinearity="relu")
        if parts.start is not None:
            parts.start(self)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits ``(B, num_classes)`` for images ``(B, C, H, W)``, square ones on a group.

        Raises:
            ValueError: the operator is ``p4`` or ``p4m`` and the images are not square, or their size is no multiple
                of 4.
        """
        height, width = images.shape[-2:]
        if OPERATORS[self.operator].on_group and (height != width or height % 4):
            raise ValueError(
                f"ResNet with operator={self.operator} needs square images of a multiple of 4 pixels: "
                f"got height {height} and width {width}"
            )
        features: Tensor = self.blocks(norm_relu(self.norm, self.stem(images)))
        logits: Tensor = self.head(features.flatten(2).mean(2))  # over the pixels, and the planes of a group
        return logits


class _Block(nn.Module):
    """Two operators, each with its batch norm, and a shortcut around both."""

    def __init__(self, parts: Operator, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.new_channels = after - before
        # On a group, means halve the size ahead of the operators; elsewhere the first operator halves it.
        self.means = parts.on_group and stride > 1
        self.first = parts.layer(before, after, stride=1 if self.means else stride)
        self.first_norm = parts.norm(after)
        self.second = parts.layer(after, after, stride=1)
        self.second_norm = parts.norm(after)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, before, H, W) to (B, after, ceil(H / stride), ceil(W / stride)); on a group with its planes."""
        if self.means:
            means = F.avg_pool2d(x.flatten(1, 2), self.stride)
            x = means.view(*x.shape[:3], *means.shape[2:])
            shortcut = x
        else:
            shortcut = _every(self.stride, x)
        if self.new_channels:
            shortcut = F.pad(shortcut, (0, 0) * (x.dim() - 2) + (0, self.new_channels))
        out = norm_relu(self.first_norm, self.first(x))
        return norm_relu(self.second_norm, self.second(out), shortcut)


def _every(stride: int, x: Tensor) -> Tensor:
    """Return every ``stride``-th row and column of (B, C, H, W).

    PyTorch lays the gradient of a slice out plane by plane, and to add that to a gradient with its channels last took a
    tenth of a training step in bfloat16. So images with their channels last are sliced as (B, H, W, C).
    """
    if stride > 1 and x.is_contiguous(memory_format=torch.channels_last):
        return x.movedim(1, 3)[:, ::stride, ::stride].movedim(3, 1)
    return x[..., ::stride, ::stride]
