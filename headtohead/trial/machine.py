"""The machine as a trial sees it: its processor, the cores it may use, and how many trials share them."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from headtohead.cli.errors import UsageError


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
