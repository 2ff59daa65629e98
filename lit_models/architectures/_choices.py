"""What networks can be built with by name: activations and poolings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from torch import nn

Activation = Literal["relu", "leaky_relu", "elu", "silu", "gelu", "tanh", "sigmoid"]
Pooling = Literal["max", "mean"]
ACTIVATIONS: Mapping[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "silu": nn.SiLU,
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}
POOLINGS: Mapping[str, Callable[[int], nn.Module]] = {"max": nn.MaxPool2d, "mean": nn.AvgPool2d}


def activations(name: str) -> Callable[[], nn.Module]:
    """Return what makes an activation.

    Raises:
        ValueError: it has no such name.
    """
    if name not in ACTIVATIONS:
        raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}: got {name}")
    return ACTIVATIONS[name]


def poolings(name: str) -> Callable[[int], nn.Module]:
    """Return what makes a pooling over windows of a size, side by side.

    Raises:
        ValueError: it has no such name.
    """
    if name not in POOLINGS:
        raise ValueError(f"pooling must be one of {', '.join(POOLINGS)}: got {name}")
    return POOLINGS[name]
