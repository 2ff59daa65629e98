"""What suits the machine: the precision in which it multiplies fastest, and memory that stays at hand."""

from __future__ import annotations

import ctypes
import platform
from typing import Any, Literal

import torch

TRIM_THRESHOLD, MMAP_MAX = -1, -4  # M_TRIM_THRESHOLD and M_MMAP_MAX of glibc's malloc.h


def best_precision(accelerator: Any = "auto") -> Literal["bf16-mixed", "32-true"]:
    """Return Lightning's name for bfloat16 autocast where the hardware multiplies in it, for float32 elsewhere.

    A processor has to have AMX or AVX512-BF16: one that has to convert bfloat16 first is slower with it than without.
    A GPU of NVIDIA's has to be an Ampere or later.

    Args:
        accelerator: of the Trainer, as the command line takes it.
    """
    if torch.cuda.is_available() and accelerator in ("auto", "gpu", "cuda"):
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    elif accelerator == "cpu" or (accelerator == "auto" and not torch.accelerator.is_available()):
        fast = torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    else:
        fast = False
    return "bf16-mixed" if fast else "32-true"


def keep_freed_memory() -> None:
    """Have the C library keep the memory of tensors that are gone for those to come; nothing happens without glibc.

    By itself it returns what is large to the system, which hands it out again page by page, each filled with zeros. At
    every step of a training on a CPU these page faults took 37 % of the time of ConvMixer, 30 % of CNN's and EqCNN's,
    15 % of P4CNN's. The memory of the process then stays at its peak, which was up to a third higher in these.
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(MMAP_MAX, 0)
        libc.mallopt(TRIM_THRESHOLD, -1)
