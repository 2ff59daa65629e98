"""Whether PyTorch transforms the function that calls an operator."""

import torch
from torch.autograd import forward_ad


def active() -> bool:
    """Return whether a transform of ``torch.func``, or differentiation in forward mode, is under way.

    An operator that is registered with PyTorch as a whole has no formula for these: ``torch.func.grad`` refuses it, and
    in forward mode its tangent is lost without a word. Then it is computed by PyTorch's own operations.
    """
    if torch.compiler.is_compiling():  # which has transforms of its own, and asks this in vain
        return False
    return torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0
