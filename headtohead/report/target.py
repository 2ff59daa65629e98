"""Time to a stated quality: the training seconds until validation first reached a level that all trials reach."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path

import yaml

from headtohead.cli.checkout import CHECKOUT
from headtohead.cli.errors import UsageError
from headtohead.records.metrics import CLASSIFICATION, Kind
from headtohead.records.record import Record


def stated(sweep: str) -> float | None:
    """Return the validation accuracy that a sweep's file names as its target, or None.

    It stands in ``sweeps/<sweep>.yaml`` as ``metric: {name: val_acc, goal: maximize, target: 0.95}``, which W&B draws
    into its charts. The file of the current folder comes before that of the suite.

    Raises:
        UsageError: it is no share.
    """
    for folder in (Path(), *([CHECKOUT] if CHECKOUT else [])):
        path = folder / "sweeps" / f"{sweep}.yaml"
        if not path.is_file():
            continue
        try:
            file = yaml.safe_load(path.read_text(encoding="utf-8"))
            metric = file["metric"]
            if metric["name"] != CLASSIFICATION.monitor:
                return None
            target = metric["target"]
        except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError):  # sweep.py says what is wrong with a file
            return None
        if isinstance(target, bool) or not isinstance(target, int | float) or not 0 < target < 1:
            raise UsageError(f"{path}: metric.target: must be a share between 0 and 1, such as 0.95: got {target}")
        return float(target)
    return None


def common_level(records: Iterable[Record], kind: Kind) -> float:
    """Return the best level in whole per cent that every trial reached, as a share; NaN if there is none.

    With it no trial is left out of a mean for being too slow: 0.96 where the worst trial's best validation accuracy
    was 0.962.
    """
    best = [_best(record, kind) for record in records]
    if not best or any(math.isnan(value) for value in best):
        return math.nan
    # the tiny addition: 0.29 * 100 is 28.999999999999996
    return kind.shown[kind.main].sign * math.floor(100 * min(best) + 1e-6) / 100


def seconds_to(record: Record, kind: Kind, level: float) -> float:
    """Return the seconds of training up to the end of the first epoch whose validation reached ``level``, else NaN."""
    seconds, sign = 0.0, kind.shown[kind.main].sign
    for epoch in record.history:
        seconds += _number(epoch, "seconds")
        if sign * _number(epoch, kind.monitor) >= sign * level - 1e-9:
            return seconds
    return math.nan


def _best(record: Record, kind: Kind) -> float:
    """Return the best validation of a trial, negative where less is better; NaN if it has none."""
    values = [kind.shown[kind.main].sign * _number(epoch, kind.monitor) for epoch in record.history]
    return max((value for value in values if not math.isnan(value)), default=math.nan)


def _number(epoch: Mapping[str, float | None], name: str) -> float:
    """Return a number of an epoch; NaN where the record has none or null."""
    value = epoch.get(name)
    return math.nan if value is None else value
