"""How large a network is (parameters, multiply-accumulates, bytes), and at which width it is as large as another."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from lit_models.facts import FACTS, default_facts, example_inputs, taken_by

WIDEST = 2**14
AROUND = 6  # widths looked at on either side of where the size passes the target
Measure = Literal["params", "macs"]


@dataclass(frozen=True)
class Size:
    """Size of a network: trainable parameters, MACs for one image, bytes of parameters and buffers."""

    params: int
    macs: int
    bytes: int


def size(model: nn.Module, *example: Tensor) -> Size:
    """Measure the size of ``model``.

    Args:
        model: any network; it is left as it was.
        *example: what it takes for one image, ``(1, C, H, W)``.

    Returns:
        Trainable parameters; MACs of one forward pass; bytes of parameters and buffers. MACs are half of the FLOPs that
        torch's own counter gives: of matrix products, convolutions, and every operator that has a formula by
        ``torch.utils.flop_counter.register_flop_formula``, as involution has.
    """
    tensors = [*model.parameters(), *model.buffers()]
    return Size(
        params=_params(model),
        macs=_macs(model, *example),
        bytes=sum(t.numel() * t.element_size() for t in tensors),
    )


def _params(model: nn.Module, *_: Tensor) -> int:
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def _macs(model: nn.Module, *example: Tensor) -> int:
    # Shapes are all that counts: a copy on the meta device computes nothing and leaves the model alone. Some networks
    # cannot go there (TorchScript, a look at values): a copy that computes is counted. Under inference mode, which a
    # test is run in, the counter does not see weight norm and other parametrizations.
    with torch.inference_mode(False), torch.no_grad():
        try:
            return _counted(copy.deepcopy(model).to("meta"), *(part.to("meta") for part in example))
        except Exception:  # of anybody's forward
            return _counted(copy.deepcopy(model), *(part.clone() for part in example))


def _counted(ghost: nn.Module, *example: Tensor) -> int:
    ghost._compiled_call_impl = None  # what was compiled for the model's own device
    with FlopCounterMode(display=False) as counter:
        ghost.eval()(*example)
    return int(counter.get_total_flops()) // 2


MEASURES: dict[str, Callable[..., int]] = {"params": _params, "macs": _macs}


def match_width(build: Callable[[int], nn.Module], target: int, measure: Measure, *example: Tensor) -> int:
    """Find the width at which a network is as large as asked for, or as near to it as a whole number comes.

    Args:
        build: makes the network for a width, such as ``lambda width: EqCNN(width=width)``. It is called with the
            meta device as default, so that nothing is allocated or computed.
        target: the size to meet.
        measure: ``params`` (trainable parameters) or ``macs`` (multiply-accumulates for one image), as
            :func:`size` counts them.
        *example: what the network takes for one image, ``(1, C, H, W)``.

    Returns:
        The width, at least 1, with the size nearest to ``target``; of two equally near the smaller. Where the size
        does not always grow with the width, the nearest of those around the place where it passes ``target``.

    Raises:
        ValueError: ``measure`` is unknown; ``target`` is smaller than the network of width 1; or the network does not
            grow to ``target`` with its width.
    """
    if measure not in MEASURES:
        raise ValueError(f"measure must be one of {', '.join(MEASURES)}: got {measure}")

    def measured(width: int) -> int:
        with torch.device("meta"):  # sizes need shapes, not numbers
            return MEASURES[measure](build(width), *example)

    return nearest_width(measured, target, measure)


def nearest_width(size_at: Callable[[int], float], target: float, what: str, around: int = AROUND) -> int:
    """Find the width at which something that grows with the width is nearest to a target.

    Args:
        size_at: the size at a width; it is asked once for each.
        target: the size to meet.
        what: is measured, for messages.
        around: widths looked at on either side of the place where the size passes ``target``.

    Raises:
        ValueError: ``target`` is smaller than the size at width 1, or the size does not grow to it.
    """
    measured = cache(size_at)
    smallest = measured(1)
    if target < smallest:
        raise ValueError(f"target must be at least {smallest:,}, the {what} at width 1: got {target:,}")
    above = 1
    while measured(above) < target:
        if above >= WIDEST:
            raise ValueError(f"target must be at most {measured(above):,}, the {what} at width {above}: got {target:,}")
        above *= 2
    below = max(1, above // 2)
    while above - below > 1:
        middle = (below + above) // 2
        below, above = (middle, above) if measured(middle) < target else (below, middle)
    # The neighbours too: an involution's groups follow the divisors of the width, so its size can step back.
    near = range(max(1, below - around), above + around + 1)
    return min(near, key=lambda width: (abs(measured(width) - target), width))


def width_like(
    architecture: Callable[..., nn.Module],
    partner: Callable[..., nn.Module],
    measure: Measure = "params",
    **arguments: Any,
) -> int:
    """Find the width at which ``architecture`` is as large as ``partner`` with its own defaults, on the same images.

    ``EqCNN(width=width_like(EqCNN, SimpleCNN))`` is the equivariant network that may be compared with SimpleCNN.

    Args:
        architecture: a class with a ``width``.
        partner: the other architecture: a class, or a function that builds one.
        measure: ``params`` or ``macs``; see :func:`match_width`.
        **arguments: ``in_channels``, ``image_size`` and ``num_classes``, by default the partner's own, for both; and
            further arguments of ``architecture``, such as ``operator="p4"``.

    Returns:
        The width for ``architecture``.

    Raises:
        ValueError: ``architecture`` takes no ``width``, or there is no such width; see :func:`match_width`.
    """
    if "width" not in inspect.signature(architecture).parameters:
        raise ValueError(f"architecture must take a width to be matched: {architecture.__name__} takes none")
    facts = FACTS | default_facts(architecture) | default_facts(partner)
    facts |= {name: arguments.pop(name) for name in FACTS if name in arguments}
    with torch.device("meta"):  # sizes need shapes, not numbers
        model = partner(**taken_by(partner, facts))
        example = example_inputs(model, facts)
        target = MEASURES.get(measure, _params)(model, *example)  # match_width refuses what is no measure
    given = {**taken_by(architecture, facts), **arguments}
    return match_width(lambda width: architecture(**given, width=width), target, measure, *example)
