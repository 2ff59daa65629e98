"""Says why a record cannot stand in a table: a number that is needed is missing, or what should be one is none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headtohead.records.metrics import COSTS, KINDS, SIZES, Kind, is_number, kind_of
from headtohead.records.record import Record

RIG = ["device", "devices", "precision", "memory_format", "compiled", "threads", "trials_at_once"]


def fault(record: Record) -> str | None:
    """Return in a few words what is wrong with the first wrong field of a record, or None."""
    kind = kind_of(record.quality)
    if kind is None:
        return f"has no {', nor '.join(kind.called for kind in KINDS)}"
    wrong_number = _wrong_share(record.quality, kind) or _wrong_number(record, kind)
    return wrong_number or _wrong_history(record) or _wrong_rig(record)


def _wrong_share(quality: Mapping[str, Any], kind: Kind) -> str | None:
    circle = quality.get("circle") or {}
    if not isinstance(circle, dict) or not all(is_number(value) for value in circle.values()):
        return "its quality.circle does not give a number for each angle"
    called = {name: f"quality.{name}" for name in sorted(kind.per_cent)} | {kind.main: kind.called}
    shares = {said: quality.get(name) for name, said in called.items()}
    for said, value in {**shares, **{f"quality.circle at {angle}°": value for angle, value in circle.items()}}.items():
        if is_number(value) and not 0 <= value <= 1:
            return f"has a {said} of {value}, which is no share"
    return None


def _wrong_number(record: Record, kind: Kind) -> str | None:
    for part, names in (("size", SIZES), ("quality", kind.columns), ("cost", COSTS)):
        values: dict[str, Any] = getattr(record, part)
        for name in names:
            value = values.get(name)
            needed = part == "size"
            if (value is None and needed) or not (value is None or is_number(value)):
                return f"its {part}.{name} is no number: {str(value)[:40]}"
            if value is not None and value < 0 and part != "quality":
                return f"its {part}.{name} is negative: {value}"
    return None


def _wrong_history(record: Record) -> str | None:
    for epoch in record.history:
        if not isinstance(epoch, dict) or not all(value is None or is_number(value) for value in epoch.values()):
            return f"its history does not give numbers for each epoch: {str(epoch)[:40]}"
    return None


def _wrong_rig(record: Record) -> str | None:
    for name in RIG:
        value = record.rig.get(name)
        if not (isinstance(value, str | bool | None) or is_number(value)):
            return f"its rig.{name} is neither a name nor a number: {str(value)[:40]}"
    return None if isinstance(record.rig.get("versions"), dict | None) else "its rig.versions does not name any"
