"""Says whether a trial had its processor to itself while it was timed, by what its record keeps of that time."""

from __future__ import annotations

from headtohead.records.record import Record

SHARE = 0.05
RULE = (
    f"A trial is contended if other processes and stolen CPU time together took more than {SHARE:.0%} of the time of "
    "the CPUs that it may use, over its epochs or while its latency and throughput were measured"
)


def contended(record: Record) -> bool | None:
    """Tell whether a trial's times are contended: others took more than ``SHARE`` of its CPUs' time; None if unknown.

    Others are all processes that the trial did not start, and the hypervisor that stole CPU time. Epochs are weighted
    by their seconds, so that one that took five times as long as the others counts five times. The reason for 5 %: a
    trial that uses all its cores loses about the share that others take, and in 39 trials alone on their machine the
    longest epoch was 4 % longer than the median anyway. What others do on a GPU is not seen.
    """
    kept = record.contention
    if kept is None:
        return None
    seconds = [epoch.get("seconds") or 0.0 for epoch in record.history]
    parts = [_mean(kept.get("epochs") or [], seconds), taken(kept.get("inference") or {})]
    known = [part for part in parts if part is not None]
    return max(known) > SHARE if known else None


def in_words(record: Record) -> str:
    """Return what others took of a contended trial's CPUs, for a note."""
    kept = record.contention or {}
    seconds = [epoch.get("seconds") or 0.0 for epoch in record.history]
    said = {"in training": _mean(kept.get("epochs") or [], seconds), "in inference": taken(kept.get("inference") or {})}
    return ", ".join(f"{share:.0%} {when}" for when, share in said.items() if share is not None and share > SHARE)


def taken(shares: dict[str, float | None]) -> float | None:
    """Return the share of CPU time that others took, stolen time too; None where that is not known."""
    others = shares.get("others")
    return None if others is None else others + (shares.get("stolen") or 0.0)


def _mean(epochs: list[dict[str, float | None]], seconds: list[float]) -> float | None:
    """Return the mean of the epochs whose share is known, weighted by their seconds."""
    pairs = [(share, weight) for one, weight in zip(epochs, seconds, strict=False) if (share := taken(one)) is not None]
    total = sum(weight for _, weight in pairs)
    return sum(share * weight for share, weight in pairs) / total if total > 0 else None
