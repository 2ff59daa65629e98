"""Fair pairs: the width at which one architecture is as large as another."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from lit_models.classifier import Classifier
from lit_models.measure import size

WIDEST = 2**14
AROUND = 6  # widths looked at on either side of where the size passes the target
Measure = Literal["params", "macs"]


def match_width(
    build: Callable[[int], nn.Module], target: int, measure: Measure = "params", example: Tensor | None = None
) -> int:
    """Find the width at which a network is as large as asked for, or as near to it as a whole number comes.

    Args:
        build: makes the network for a width, such as ``lambda width: EqCNN(width=width)``. It is called with the
            meta device as default, so that nothing is allocated or computed.
        target: the size to meet.
        measure: ``params`` (trainable parameters) or ``macs`` (multiply-accumulates for one image), as
            :func:`lit_models.measure.size` counts them.
        example: one input ``(1, C, H, W)``; by default the network's own ``example_images``.

    Returns:
        The width, at least 1, with the size nearest to ``target``; of two equally near the smaller. Where the size
        does not always grow with the width, the nearest of those around the place where it passes ``target``.

    Raises:
        ValueError: ``measure`` is unknown; ``target`` is smaller than the network of width 1; or the network does not
            grow to ``target`` with its width.
    """

    @cache
    def measured(width: int) -> int:
        with torch.device("meta"):  # sizes need shapes, not numbers
            model = build(width)
        return _measured(model, cast(Tensor, model.example_images) if example is None else example, measure)

    smallest = measured(1)
    if target < smallest:
        raise ValueError(f"target must be at least {smallest:,}, the {measure} at width 1: got {target:,}")
    above = 1
    while measured(above) < target:
        if above >= WIDEST:
            raise ValueError(
                f"target must be at most {measured(above):,}, the {measure} at width {above}: got {target:,}"
            )
        above *= 2
    below = max(1, above // 2)
    while above - below > 1:
        middle = (below + above) // 2
        below, above = (middle, above) if measured(middle) < target else (below, middle)
    # The neighbours too: an involution's groups follow the divisors of the width, so its size can step back.
    near = range(max(1, below - AROUND), above + AROUND + 1)
    return min(near, key=lambda width: (abs(measured(width) - target), width))


def width_like(
    architecture: type[Classifier],
    partner: Classifier | type[Classifier],
    measure: Measure = "params",
    **arguments: Any,
) -> int:
    """Find the width at which ``architecture`` is as large as ``partner``, on the partner's data.

    ``EqCNN(width=width_like(EqCNN, SimpleCNN))`` is the equivariant network that may be compared with SimpleCNN.

    Args:
        architecture: a class with a ``width``.
        partner: the other architecture: a network, or a class for the network of its default arguments.
        measure: ``params`` or ``macs``; see :func:`match_width`.
        **arguments: further arguments of ``architecture``, such as ``operator="p4"``.

    Returns:
        The width for ``architecture``.

    Raises:
        ValueError: ``architecture`` takes no ``width``, or there is no such width; see :func:`match_width`.
    """
    if "width" not in inspect.signature(architecture).parameters:
        raise ValueError(f"architecture must take a width to be matched: {architecture.__name__} takes none")
    if isinstance(partner, type):
        with torch.device("meta"):
            partner = partner()
    data = {name: partner.hparams[name] for name in ("in_channels", "image_size", "num_classes")}
    target = _measured(partner, partner.example_images, measure)
    return match_width(lambda width: architecture(**data | arguments | {"width": width}), target, measure)


def _measured(model: nn.Module, example: Tensor, measure: str) -> int:
    """Return the size of ``model`` that ``measure`` names."""
    if measure not in ("params", "macs"):
        raise ValueError(f"measure must be one of params, macs: got {measure}")
    return int(getattr(size(model, example), measure))
