"""The machine as a trial sees it: its processor, the cores it may use, and how many trials share them."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from trial.errors import UsageError


def cpu_name() -> str:
    """Return the processor's name and its number of cores; Python's own answer is empty on Linux."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        lines = cpuinfo.read_text().splitlines()
        name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), name)
    return f"{name} ({os.cpu_count()} cores)"


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
