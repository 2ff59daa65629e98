"""Says whether a trial had its processor to itself while it was timed, by what its record keeps of that time."""

from __future__ import annotations

from headtohead.records.record import Record

SHARE = 0.05
SPARED = 4  # CPUs that others must leave to a trial for each of its GPUs: it keeps one or two busy
RULE = (
    f"A trial is contended if other processes and stolen CPU time together took more than {SHARE:.0%} of the time of "
    "the CPUs that it may use, over its epochs or while its latency and throughput were measured; on a GPU others may "
    f"have all but {SPARED} CPUs"
)


def contended(record: Record) -> bool | None:
    """Tell whether a trial's times are contended: others took more than ``SHARE`` of its CPUs' time; None if unknown.

    Others are all processes that the trial did not start, and the hypervisor that stole CPU time. Epochs are weighted
    by their seconds, so that one that took five times as long as the others counts five times. The reason for 5 %: a
    trial that uses all its cores loses about the share that others take, and in 39 trials alone on their machine the
    longest epoch was 4 % longer than the median anyway. A trial on a GPU loses nothing to others while CPUs are idle,
    such as the trials on the other GPUs: of its others only what goes beyond all but ``SPARED`` CPUs counts. What
    others do on the GPU is not seen.
    """
    known = [part for part in _parts(record).values() if part is not None]
    return max(known) > SHARE if known else None


def in_words(record: Record) -> str:
    """Return what others took of a contended trial's CPUs, for a note."""
    return ", ".join(f"{share:.0%} {when}" for when, share in _parts(record).items() if share and share > SHARE)


def _parts(record: Record) -> dict[str, float | None]:
    """Return what others took of a trial's CPUs, by when."""
    kept, hardware = record.contention or {}, record.hardware
    gpus = 0 if hardware.get("accelerator", "cpu") == "cpu" else int(hardware.get("devices") or 1)
    seconds = [epoch.get("seconds") or 0.0 for epoch in record.history]
    epochs = [taken(shares, gpus) for shares in kept.get("epochs") or []]
    return {"in training": _mean(epochs, seconds), "in inference": taken(kept.get("inference") or {}, gpus)}


def taken(shares: dict[str, float | None], gpus: int = 0) -> float | None:
    """Return the share of CPU time that others took, stolen time too; None where that is not known.

    Args:
        shares: of a record's ``contention``.
        gpus: of the trial. With any, what others take of CPUs that it does not need is left out.
    """
    others = shares.get("others")
    if others is None:
        return None
    idle = 1 - SPARED * gpus / (shares.get("cpus") or 1) if gpus else 0.0
    return max(others - max(idle, 0.0), 0.0) + (shares.get("stolen") or 0.0)


def _mean(shares: list[float | None], seconds: list[float]) -> float | None:
    """Return the mean of the epochs whose share is known, weighted by their seconds."""
    pairs = [(share, weight) for share, weight in zip(shares, seconds, strict=False) if share is not None]
    total = sum(weight for _, weight in pairs)
    return sum(share * weight for share, weight in pairs) / total if total > 0 else None
