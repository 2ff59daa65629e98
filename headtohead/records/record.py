"""The record of one trial: its schema, and how it is written and read."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from headtohead.records.files import write_text

SCHEMA = 1
FILE_NAME = "record.json"


class RecordError(ValueError):
    """A file is not a record that this version can read; the message is one line and names the file."""


@dataclass(frozen=True)
class Record:
    """All that is kept of one trial. Shares (accuracies, calibration error) lie in [0, 1], times are in seconds.

    Args:
        model: name of the architecture's class.
        data: name of the data module's class.
        seed: ``seed_everything`` of the trial.
        config: the resolved arguments by their command-line names, without the seed and without paths.
        config_hash: of ``config``: equal for trials that differ in nothing but the seed.
        commit: of the code, ``-dirty`` appended when it had uncommitted changes; empty when unknown.
        rig: what it ran on: ``device, devices, precision, memory_format, compiled, threads, trials_at_once``
            and ``versions``.
        size: ``params``, ``macs`` for one image, ``bytes`` of parameters and buffers.
        quality: ``val_acc`` or ``val_l1`` of the tested checkpoint and what the test found, see ``Classifier``
            and ``Inpainter``; the ``class_names`` of a confusion matrix.
        cost: ``epoch_seconds`` (median), ``train_images_per_second``, ``latency_seconds`` (batch 1),
            ``inference_images_per_second``, ``peak_memory_mb`` and ``total_seconds`` over all starts.
        history: a dict per epoch.
        schema: version of this schema.
    """

    model: str
    data: str
    seed: int
    config: dict[str, Any]
    config_hash: str
    commit: str
    rig: dict[str, Any]
    size: dict[str, int]
    quality: dict[str, Any]
    cost: dict[str, float]
    history: list[dict[str, float]] = field(default_factory=list)
    schema: int = SCHEMA


def config_hash(config: dict[str, Any]) -> str:
    """Return 8 hexadecimal digits that stand for ``config``, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()[:8]


def write(record: Record, folder: Path) -> Path:
    """Write ``record.json`` into ``folder``: whole or not at all, also when the machine fails.

    Raises:
        OSError: the folder cannot be written.
    """
    return write_text(folder / FILE_NAME, dumps(record))


def dumps(record: Record) -> str:
    """Return a record as JSON."""
    fields = {name: getattr(record, name) for name in _FIELDS}
    try:
        return json.dumps(fields, indent=1, allow_nan=False) + "\n"
    except ValueError:
        return json.dumps(_without_nan(fields), indent=1) + "\n"


def read(path: Path) -> Record:
    """Read a record.

    Args:
        path: of the file.

    Returns:
        The record. Fields that this version does not know are dropped.

    Raises:
        RecordError: the file is missing, not JSON, of a newer schema, or lacks a field.
    """
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not valid JSON"
        raise RecordError(f"{path}: {reason}") from None
    if not isinstance(raw, dict):
        raise RecordError(f"{path}: not a record but a {type(raw).__name__}")
    schema = raw.get("schema")
    if not isinstance(schema, int) or isinstance(schema, bool) or schema < 1:
        raise RecordError(f"{path}: not a record: it has no schema number")
    if schema > SCHEMA:
        raise RecordError(f"{path}: schema {schema} is newer than {SCHEMA}, the newest this version reads")
    for name, kind in _FIELDS.items():
        if name not in raw:
            raise RecordError(f"{path}: lacks the field {name!r}")
        if not isinstance(raw[name], kind) or isinstance(raw[name], bool):
            raise RecordError(f"{path}: the field {name!r} is a {type(raw[name]).__name__}, not a {kind.__name__}")
    return Record(**{name: raw[name] for name in _FIELDS})


_FIELDS: dict[str, type] = {
    "model": str,
    "data": str,
    "seed": int,
    "config": dict,
    "config_hash": str,
    "commit": str,
    "rig": dict,
    "size": dict,
    "quality": dict,
    "cost": dict,
    "history": list,
    "schema": int,
}


def _without_nan(value: Any) -> Any:
    """Replace numbers that JSON cannot hold by null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return value
