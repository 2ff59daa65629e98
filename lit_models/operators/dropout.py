"""Dropout that costs a CPU little, so that the time of a network is not that of its random numbers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lit_models.operators import _transforms

STEPS = 2**16  # of a random number of 16 bits


class Dropout(nn.Dropout):
    """Set a share of the values to zero in training, and scale the others so that the mean stays.

    PyTorch draws a number of its own for each value on a CPU: in Z2CNN, whose maps have few channels, that was a
    third of a training step. Here four values share a draw of 64 bits. The share is rounded to a multiple of 2^-16, and
    the scale is that of the rounded share, so that the mean stays (in bfloat16 as far as the scale fits, as in
    PyTorch). On other devices, in evaluation, in place, in float64, under ``torch.compile`` and the transforms of
    ``torch.func`` it is PyTorch's.

    Args:
        p: share of values set to zero, in [0, 1].
        inplace: whether the input itself is changed.

    Raises:
        ValueError: ``p`` is outside of [0, 1].
    """

    def forward(self, input: Tensor) -> Tensor:
        """Return a tensor of the input's shape and dtype."""
        dropped = round(self.p * STEPS)
        ours = input.dtype in (torch.float32, torch.bfloat16) and _transforms.runs_here(input)
        if not self.training or not 0 < dropped < STEPS or self.inplace or not ours:
            return super().forward(input)
        words = torch.empty(-(-input.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
        numbers = words.view(torch.int16)[: input.numel()]
        scale = torch.empty_like(input, requires_grad=False)  # dense, in the input's layout
        in_memory = scale.as_strided((input.numel(),), (1,))
        in_memory.copy_(numbers >= dropped - STEPS // 2).mul_(STEPS / (STEPS - dropped))
        return input * scale
