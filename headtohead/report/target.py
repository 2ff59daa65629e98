"""Time to a stated quality: the training seconds until validation first reached a target that somebody named."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import yaml

from headtohead.cli.checkout import CHECKOUT
from headtohead.cli.errors import UsageError
from headtohead.records.metrics import KINDS, Kind
from headtohead.records.record import Record


def stated(sweep: str) -> dict[str, float]:
    """Return the target that a sweep's file names, by the metric that validation gives; empty where it names none.

    It stands in ``sweeps/<sweep>.yaml`` as ``metric: {name: val_acc, goal: maximize, target: 0.95}``, which W&B draws
    into its charts, or of the error in holes as ``val_l1``. The file of the current folder comes before that of the
    suite.

    Raises:
        UsageError: it is no share.
    """
    for folder in (Path(), *([CHECKOUT] if CHECKOUT else [])):
        path = folder / "sweeps" / f"{sweep}.yaml"
        if not path.is_file():
            continue
        try:
            metric = yaml.safe_load(path.read_text(encoding="utf-8"))["metric"]
            name, target = str(metric["name"]), metric["target"]
        except (yaml.YAMLError, ValueError, KeyError, TypeError):  # sweep.py says what is wrong with a file
            return {}
        if name not in {kind.monitor for kind in KINDS}:
            return {}
        if isinstance(target, bool) or not isinstance(target, int | float) or not 0 < target < 1:
            raise UsageError(f"{path}: metric.target: must be a share between 0 and 1, such as 0.95: got {target}")
        return {name: float(target)}
    return {}


def seconds_to(record: Record, kind: Kind, level: float) -> float:
    """Return the seconds of training up to the end of the first epoch whose validation reached ``level``, else NaN."""
    seconds, sign = 0.0, kind.shown[kind.main].sign
    for epoch in record.history:
        seconds += _number(epoch, "seconds")
        if sign * _number(epoch, kind.monitor) >= sign * level - 1e-9:
            return seconds
    return math.nan


def _number(epoch: Mapping[str, float | None], name: str) -> float:
    """Return a number of an epoch; NaN where the record has none or null."""
    value = epoch.get(name)
    return math.nan if value is None else value
