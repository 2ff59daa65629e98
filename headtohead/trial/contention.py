"""Who else used the processor while something was timed: load average, other processes' and stolen CPU time (Linux)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from multiprocessing.process import parent_process
from pathlib import Path

FIELDS = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")  # of /proc/stat, in its order
BUSY = ("user", "nice", "system", "irq", "softirq")


@dataclass(frozen=True)
class Look:
    """CPU time since the start of the machine, in clock ticks, over the CPUs that this process may use.

    Args:
        total: of these CPUs, idle or not.
        busy: of all processes.
        stolen: what a hypervisor gave to other machines.
        own: of this trial: its processes and all that they started.
        cpus: how many CPUs these are; 1 where the system counts them as one.
    """

    total: int
    busy: int
    stolen: int
    own: int
    cpus: int


def look(proc: Path = Path("/proc")) -> Look | None:
    """Look at the CPU times now; None where the system does not tell them so.

    Args:
        proc: where Linux tells of its processes.
    """
    try:
        cpus = _cpus((proc / "stat").read_text())
        own = _of_the_tree(proc, _root())
    except (OSError, ValueError, IndexError, KeyError):
        return None
    sums = {name: sum(cpu[name] for cpu in cpus) for name in FIELDS}
    return Look(sum(sums.values()), sum(sums[name] for name in BUSY), sums["steal"], own, len(cpus))


def between(before: Look | None, after: Look | None) -> dict[str, float | None]:
    """Return what a record keeps of the time between two looks.

    Returns:
        ``load``, the load average of the last minute; ``others`` and ``stolen``, the shares of the CPU time that other
        processes and a hypervisor took; ``cpus``, of how many. Null is what the system does not tell.
    """
    load = round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None
    if before is None or after is None or after.total <= before.total:
        return {"load": load, "others": None, "stolen": None, "cpus": None}
    total = after.total - before.total
    others = (after.busy - before.busy) - (after.own - before.own)
    shares = {"others": others, "stolen": after.stolen - before.stolen}
    shown = {name: round(min(max(ticks / total, 0), 1), 4) for name, ticks in shares.items()}
    return {"load": load, **shown, "cpus": after.cpus}


def _cpus(text: str) -> list[dict[str, int]]:
    """Return the times of each CPU that this process may use; of all together where they are named otherwise."""
    lines = [line.split() for line in text.splitlines() if line.startswith("cpu")]
    found = {line[0]: dict(zip(FIELDS, map(int, line[1:]), strict=False)) for line in lines}
    usable = [f"cpu{number}" for number in os.sched_getaffinity(0)] if hasattr(os, "sched_getaffinity") else []
    return [found[name] for name in usable] if usable and set(usable) <= set(found) else [found["cpu"]]


def _root() -> int:
    """Return the process from which this trial's descend: its own, or the one that started a process for each rank."""
    several = "TORCHELASTIC_RUN_ID" in os.environ or int(os.environ.get("SLURM_NTASKS") or 1) > 1
    parent = parent_process()  # of ddp_spawn; a trial of a sweep is a fork server's child, not its parent's
    spawned = parent is not None and parent.pid == os.getppid()
    return os.getppid() if several or spawned else os.getpid()


def _of_the_tree(proc: Path, root: int) -> int:
    """Return the CPU time of a process, of all that descend from it and of those of them that have ended."""
    parents: dict[int, int] = {}
    ticks: dict[int, int] = {}
    for path in proc.glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()  # behind the name, which may hold anything
        except OSError:  # it has just ended
            continue
        process = int(path.parent.name)
        parents[process], ticks[process] = int(fields[1]), sum(map(int, fields[11:15]))
    tree, found = set(), {root}
    while found:
        tree |= found
        found = {process for process, parent in parents.items() if parent in found} - tree
    return sum(ticks[process] for process in tree & set(ticks))
