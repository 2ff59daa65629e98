"""Draws weights: the filters of the first layer, and depthwise kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import nn

from headtohead.pictures.layers import GROUP_CONVOLUTIONS, Floats, convolutions
from headtohead.pictures.panels import tile_picture
from headtohead.report.figures.style import Picture
from lit_models.operators import P4ConvZ2, P4MConvZ2, PartialConv2d


def first_filters(model: nn.Module) -> tuple[str, Floats] | None:
    """Return the filters of the first layer, if it is a convolution with fixed ones.

    Returns:
        Its name and an array (N, K, K, C): a filter for each output channel, and for a group convolution one for each
        of its orientations after the other. C is the number of channels it looks at.
    """
    for name, module in convolutions(model).items():
        if isinstance(module, PartialConv2d):
            module = module.conv
        if isinstance(module, nn.Conv2d):
            weight = module.weight
        elif isinstance(module, P4ConvZ2 | P4MConvZ2):
            weight = module.filters().flatten(0, 1).squeeze(2)
        else:
            return None
        return name, weight.detach().float().permute(0, 2, 3, 1).numpy()
    return None


def depthwise(model: nn.Module) -> dict[str, Floats]:
    """Return the kernels (N, K, K) of each depthwise convolution by name."""
    return {
        name: module.weight.detach().float().flatten(0, 1).numpy()
        for name, module in convolutions(model).items()
        if isinstance(module, nn.Conv2d) and module.groups == module.in_channels > 1
    }


def kernel_pictures(model: nn.Module, layer: str | None) -> list[Picture]:
    """Draw the filters of the first layer and the kernels of a depthwise one, as far as a network has them.

    Args:
        model: the network.
        layer: the depthwise one, if it is one; by default that in the middle.
    """
    pictures = []
    kind = type(model).__name__
    if first := first_filters(model):
        name, filters = first
        module: Any = model.get_submodule(name)
        patches = isinstance(module, nn.Conv2d) and module.stride == module.kernel_size != (1, 1)
        what = "Patch embedding" if patches else "Filters of the first layer"
        colors = filters.shape[3] == 3
        tiles = filters if colors else filters.transpose(0, 3, 1, 2).reshape(-1, *filters.shape[1:3])
        scale = "grey is zero, and colours are those of the image" if colors else "grey is zero, white positive"
        planes = module.order if isinstance(module, GROUP_CONVOLUTIONS) else 1
        scale += f"; each in its {planes} orientations" if planes > 1 else ""
        pictures.append(tile_picture("first_layer", f"{what} of {kind}, {name}", _around_grey(tiles), scale, planes))
    kernels = depthwise(model)
    if kernels:
        chosen = layer if layer in kernels else list(kernels)[len(kernels) // 2]
        title = f"Depthwise kernels of {kind}, {chosen}"
        pictures.append(tile_picture("depthwise", title, _around_grey(kernels[chosen]), "grey is zero, white positive"))
    return pictures


def _around_grey(weights: Floats) -> Floats:
    """Map weights to [0, 1] with zero at one half, all by the same factor."""
    return 0.5 + 0.5 * weights / max(float(np.abs(weights).max()), 1e-12)
