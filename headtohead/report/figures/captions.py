"""Writes captions, which stand in for a figure where that is not seen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from headtohead.report.figures.groups import Group


def bands(group: Group) -> str:
    """Say what the bands are."""
    counts = sorted({len(found) for found in group.models.values()})
    seeds = (
        "one seed, which shows no spread"
        if counts == [1]
        else f"{' to '.join(map(str, counts[:1] + counts[1:][-1:]))} seeds"
    )
    spread = "" if counts == [1] else "; band: 95 % interval of the mean (Student's t)"
    dead = f" Left out: {count(group.dead, 'seed that never learns', 'seeds that never learn')}." if group.dead else ""
    return f"Mean of {seeds}{spread}.{dead}"


def ranking(values: Sequence[tuple[str, float]], goal: Literal["max", "min"], form: str) -> str:
    """Say who has what, the best first; of many only the first and the last."""
    ranked = sorted(values, key=lambda pair: -pair[1] if goal == "max" else pair[1])
    said = [f"{label} {form.format(value)}" for label, value in ranked]
    return ", ".join(said) if len(said) <= 4 else f"{said[0]}, {said[1]} first, {said[-1]} last of {len(said)}"


def with_interval(value: float, low: float, high: float) -> str:
    """Return a number with the ends of its interval, where it has one."""
    return f"{value:.4g}" if math.isnan(low) else f"{value:.4g} ({low:.4g} to {high:.4g})"


def count(number: int, one: str, many: str) -> str:
    """Return a number with what it counts, ``1 seed`` or ``2 seeds``."""
    return f"{number} {one if number == 1 else many}"


def capital(text: str) -> str:
    """Return a text that begins with a capital; unlike ``str.capitalize``, the rest stays as it is."""
    return text[:1].upper() + text[1:]
