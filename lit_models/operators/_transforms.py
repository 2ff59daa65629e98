"""Whether PyTorch transforms, compiles or traces the function that calls an operator."""

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad


def active() -> bool:
    """Return whether a transform of ``torch.func``, or differentiation in forward mode, is under way.

    An operator that is registered with PyTorch as a whole has no formula for these: ``torch.func.grad`` refuses it, and
    in forward mode its tangent is lost without a word. Then it is computed by PyTorch's own operations.
    """
    if torch.compiler.is_compiling():  # which has transforms of its own, and asks this in vain
        return False
    return torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0


def runs_here(x: Tensor) -> bool:
    """Return whether a tensor's numbers lie in a CPU's memory, and what is done with them is done now, for good."""
    if torch.compiler.is_compiling() or active():  # before what a compiler need not look at
        return False
    # a function of PyTorch's documentation that its stubs leave out, so that mypy does not know it
    if torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]  # see the line above
        return False
    return type(x) in (Tensor, nn.Parameter) and x.device.type == "cpu"
