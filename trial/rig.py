"""What suits the machine: the precision in which it multiplies fastest, when the user names none."""

from __future__ import annotations

from typing import Any, Literal

import torch


def best_precision(accelerator: Any = "auto") -> Literal["bf16-mixed", "32-true"]:
    """Return Lightning's name for bfloat16 autocast where the hardware multiplies in it, for float32 elsewhere.

    A processor has to have AMX: one that only converts bfloat16 is slower with it than without. A GPU of NVIDIA's has
    to be an Ampere or later.

    Args:
        accelerator: of the Trainer, as the command line takes it.
    """
    if torch.cuda.is_available() and accelerator in ("auto", "gpu", "cuda"):
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    elif accelerator == "cpu" or (accelerator == "auto" and not torch.accelerator.is_available()):
        fast = torch.cpu._is_amx_tile_supported()
    else:
        fast = False
    return "bf16-mixed" if fast else "32-true"
