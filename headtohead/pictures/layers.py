"""The layers of a network that are drawn."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from torch import nn

from lit_models.operators import Involution2d, P4ConvP4, P4ConvZ2, P4MConvP4, P4MConvZ2, PartialConv2d

Floats = npt.NDArray[np.float32]

GROUP_CONVOLUTIONS = (P4ConvZ2, P4ConvP4, P4MConvZ2, P4MConvP4)
CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d, PartialConv2d, Involution2d, *GROUP_CONVOLUTIONS)
PASSED_OVER = (nn.Identity, nn.Dropout, nn.Dropout2d)  # they change nothing once a network is trained


def convolutions(model: nn.Module) -> dict[str, nn.Module]:
    """Return the convolutions of a network, involutions among them, by name; not what those are made of."""
    return {name: module for name, module in drawable(model).items() if isinstance(module, CONVOLUTIONS)}


def drawable(model: nn.Module) -> dict[str, nn.Module]:
    """Return convolutions, and other modules that have no parts, by name; not what convolutions are made of."""
    found: dict[str, nn.Module] = {}
    whole: list[str] = []
    for name, module in model.named_modules():
        if any(name.startswith(f"{outer}.") for outer in whole) or isinstance(module, PASSED_OVER):
            continue
        if isinstance(module, CONVOLUTIONS):
            whole.append(name)
            found[name] = module
        elif name and not any(True for _ in module.children()):
            found[name] = module
    return found
