"""What a network is told about its data (channels, image size, classes), and what it takes for one image."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

FACTS: dict[str, int] = {"in_channels": 3, "image_size": 32, "num_classes": 10}  # where a network states none
# What other libraries call the same argument: timm has in_chans and img_size.
NAMES = {
    "in_channels": ("in_channels", "in_chans"),
    "image_size": ("image_size", "img_size"),
    "num_classes": ("num_classes",),
}

Build = Callable[..., nn.Module]


def default_facts(build: Build) -> dict[str, int]:
    """Return the channels, image size and classes that a network has by default, as far as it states them."""
    parameters = inspect.signature(build).parameters
    return {fact: parameters[fact].default for fact in FACTS if fact in parameters}


def taken_by(build: Build, facts: Mapping[str, int], **given: Any) -> dict[str, int]:
    """Return the facts of a data set that a network has arguments for, under its own names for them.

    Where it has ``**kwargs``, which may take anything, it is built to see: that draws no random numbers.

    Args:
        build: a class or a function that makes the network.
        facts: ``in_channels``, ``image_size`` and ``num_classes`` of the data.
        **given: the other arguments that it will get.
    """
    parameters = inspect.signature(build).parameters
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    taken: dict[str, int] = {}
    for fact, value in facts.items():
        for name in NAMES[fact]:
            if name in parameters or (takes_any and _accepts(build, **{**given, **taken, name: value}, _tried=name)):
                taken[name] = value
                break
    return taken


def takes_mask(network: Any) -> bool:
    """Tell whether a network, or a class of one, fills holes: its ``forward`` takes images and needs a ``mask``.

    One that does without, ``mask=None``, may be a classifier.
    """
    mask = inspect.signature(network.forward).parameters.get("mask")
    return mask is not None and mask.default is mask.empty


def example_inputs(network: nn.Module, facts: Mapping[str, int]) -> tuple[Tensor, ...]:
    """Return what a network takes for one black image: the image ``(1, C, S, S)`` and, where it takes one, a mask."""
    image = torch.zeros(1, facts["in_channels"], facts["image_size"], facts["image_size"])
    return (image, torch.ones_like(image[:, :1])) if takes_mask(network) else (image,)


def _accepts(build: Build, _tried: str, **arguments: Any) -> bool:
    """Tell whether an argument is taken; any other complaint is for whoever builds the network in earnest."""
    try:
        with torch.random.fork_rng():
            build(**arguments)
    except TypeError as error:
        return f"'{_tried}'" not in str(error)
    except Exception:  # of anybody's constructor
        return True
    return True
