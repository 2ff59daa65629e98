"""The hardware of a trial: its processor and cores, the precision it is fastest in, and memory that stays at hand."""

from __future__ import annotations

import ctypes
import os
import platform
from pathlib import Path
from typing import Any, Literal

from headtohead.cli.errors import UsageError

TRIM_THRESHOLD, MMAP_MAX = -1, -4  # M_TRIM_THRESHOLD and M_MMAP_MAX of glibc's malloc.h


def best_precision(accelerator: Any = "auto") -> Literal["bf16-mixed", "32-true"]:
    """Return Lightning's name for bfloat16 autocast where the hardware multiplies in it, for float32 elsewhere.

    A processor has to have AMX or AVX512-BF16: one that has to convert bfloat16 first is slower with it than without.
    A GPU of NVIDIA's has to be an Ampere or later.

    Args:
        accelerator: of the Trainer, as the command line takes it.
    """
    import torch  # here, because the runner of sweeps needs this file, and quickly

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


def cpu_name(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Return the processor's name, its number of cores, and whether it multiplies matrices in tiles (AMX).

    Python's own answer is empty on Linux. Rented machines give processors with and without AMX one name, and times
    of the two do not belong in one mean.

    Args:
        cpuinfo: where Linux describes its processors; elsewhere there is no such file.
    """
    name, amx = platform.processor() or platform.machine(), ""
    if cpuinfo.is_file():
        lines = [[part.strip() for part in line.split(":", 1)] for line in cpuinfo.read_text().splitlines()]
        fields = dict(line for line in lines if len(line) == 2)
        name = fields.get("model name", name)
        amx = ", AMX" if "amx_tile" in fields.get("flags", "").split() else ""
    return f"{name} ({os.cpu_count()} cores{amx})"


def cores() -> int:
    """Return how many cores this process may use: a scheduler may have given it fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def trials_at_once() -> int:
    """Return how many trials share this machine, as whoever started this one says in ``TRIALS_AT_ONCE``.

    Raises:
        UsageError: it is not a number of trials.
    """
    given = os.environ.get("TRIALS_AT_ONCE", "1")
    if not (given.isdecimal() and int(given) > 0):
        raise UsageError(f"TRIALS_AT_ONCE: must be a whole number, 1 or more: got {given!r}")
    return int(given)
