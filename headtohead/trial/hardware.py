"""The hardware of a trial: processor, cores and GPUs, the precision it is fastest in, and how memory is used."""

from __future__ import annotations

import ctypes
import os
import platform
import re
import subprocess
import sys
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from headtohead.cli.errors import UsageError

with suppress(ImportError):  # Windows has none
    import resource

if TYPE_CHECKING:
    import torch
    from torch import nn

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
    """Return how many trials share the device, as whoever started this one says in ``TRIALS_AT_ONCE``.

    Raises:
        UsageError: it is not a number of trials.
    """
    return _count("TRIALS_AT_ONCE", 1)


def trials_on_machine() -> int:
    """Return how many trials share the machine's cores: with several GPUs, more than share one of these.

    Raises:
        UsageError: ``TRIALS_ON_MACHINE`` or ``TRIALS_AT_ONCE`` is not a number of trials.
    """
    return _count("TRIALS_ON_MACHINE", trials_at_once())


def _count(name: str, default: int) -> int:
    given = os.environ.get(name, str(default))
    if not (given.isdecimal() and int(given) > 0):
        raise UsageError(f"{name}: must be a whole number, 1 or more: got {given!r}")
    return int(given)


def gpus() -> list[str]:
    """Return the GPUs of NVIDIA's that processes may use, by names that ``CUDA_VISIBLE_DEVICES`` takes.

    Those that it names already, or all that the driver knows; of a card that is divided (MIG), its parts; none with a
    PyTorch that was built for CPUs. CUDA is not asked: it would stay with this process, and those that are forked from
    it could not use it.
    """
    if version("torch").endswith("+cpu"):
        return []
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is not None:
        names = [name.strip() for name in given.split(",")]
        return names[: names.index("-1")] if "-1" in names else [name for name in names if name]
    try:
        done = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return gpus_listed(done.stdout) if done.returncode == 0 else []


def gpus_listed(text: str) -> list[str]:
    """Return the names in what ``nvidia-smi -L`` prints: a line for each card, and for each of its parts."""
    cards: list[list[str]] = []
    for line in text.splitlines():
        if found := re.search(r"\(UUID: ([^)]+)\)", line):
            if line.startswith("GPU"):
                cards.append([found[1]])
            elif cards:
                cards[-1].append(found[1])
    return [name for card in cards for name in (card[1:] or card)]


def driver() -> str:
    """Return the version of NVIDIA's driver; empty where there is none."""
    version = Path("/proc/driver/nvidia/version")
    found = re.search(r"\d+\.\d+(\.\d+)?", version.read_text()) if version.is_file() else None
    return found[0] if found else ""


def fix_arithmetic() -> None:
    """Fix how a GPU computes: cuDNN repeats itself to the last bit; convolutions take TF32, matrix products do not.

    That of TF32 is PyTorch's own choice, made here so that no other library's changes what a trial learns.
    """
    import torch

    torch.backends.cudnn.deterministic = torch.backends.cudnn.allow_tf32 = True
    torch.backends.cuda.matmul.allow_tf32 = False


def lay_channels_last(net: nn.Module) -> None:
    """Store the weights of 2-d convolutions in channels-last format, like the images, so that no step converts them."""
    import torch

    for parameter in net.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.to(memory_format=torch.channels_last)


def fuse(net: nn.Module, mode: str) -> None:
    """Compile a network in place: whoever calls it, in training and test, gets the fused one.

    Args:
        net: the network.
        mode: of ``torch.compile``.
    """
    import torch._inductor.config

    # As without it, intermediate results are rounded to 16 bits. Else a maximum, stored rounded, is not found among the
    # values that its gradient computes again unrounded, and 0 / 0 follows: SimpleCNN's loss became NaN at once.
    torch._inductor.config.emulate_precision_casts = True
    net.compile(mode=mode)


def peak_memory_mb(device: torch.device) -> float:
    """Return the peak of what was allocated on a GPU, or of this process's resident memory, in MB; NaN if unknown."""
    import torch

    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    if "resource" not in globals():
        return float("nan")
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
