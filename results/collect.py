"""Finds the records of a sweep and turns them into a table with a row per trial."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard

import pandas as pd

from results import record as records
from results.kinds import CLASSIFICATION, KINDS, Kind, kind_of
from results.record import Record, RecordError

IDENTITY = ["model", "data", "seed", "params", "macs", "bytes"]
COSTS = [
    "epoch_seconds",
    "train_images_per_second",
    "latency_seconds",
    "inference_images_per_second",
    "total_seconds",
    "peak_memory_mb",
]
RUN = ["epochs", "device", "devices", "precision", "threads", "trials_at_once", "config_hash", "commit", "trial"]
COLUMNS = [*IDENTITY, *CLASSIFICATION.columns, *COSTS, *RUN]  # of classifiers


@dataclass
class Trials:
    """The records of a sweep by trial name, and a line for every one that cannot be used."""

    name: str
    records: dict[str, Record] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def find_sweeps(path: Path) -> list[Path]:
    """Return the folders of sweeps at ``path``: itself if it holds trials, else those of its folders that do."""
    if _trial_files(path) or _failed(path):
        return [path]
    return [
        folder for folder in sorted(path.iterdir()) if folder.is_dir() and (_trial_files(folder) or _failed(folder))
    ]


def collect(folder: Path) -> Trials:
    """Read the records of a sweep: ``<folder>/<trial>/record.json``, or ``<folder>/records/<trial>.json``.

    What cannot be used is left out and listed in ``problems``: unreadable records, a record without the main number
    of any kind (the test accuracy of a classifier, the error in holes of an inpainter), a second record of the same
    configuration and seed, a trial that failed.
    """
    trials = Trials(folder.name)
    seen: dict[tuple[str, int], str] = {}
    for name, path in _trial_files(folder).items():
        try:
            record = records.read(path)
        except RecordError as error:
            trials.problems.append(str(error))
            continue
        identity = (record.config_hash, record.seed)
        if fault := _fault(record):
            trials.problems.append(f"{path}: {fault}")
        elif identity in seen:
            trials.problems.append(f"{path}: the same configuration and seed as {seen[identity]}, which is kept")
        else:
            seen[identity] = name
            trials.records[name] = record
    trials.problems += [f"{name}: failed: {reason}" for name, reason in _failed(folder).items()]
    return trials


def runs_table(trials: Trials) -> pd.DataFrame:
    """Return a row per trial; accuracies, calibration error and L1 errors in per cent.

    The columns are ``COLUMNS`` for classifiers. Other kinds of trials have their own numbers in the place of the
    accuracies, and a sweep of several kinds has those of all, empty where a trial has none.
    """
    kinds = [kind_of(record.quality) for record in trials.records.values()]
    quality = [name for kind in KINDS if kind in kinds for name in kind.columns]
    rows = [
        {**_row(record, kind), "trial": name}
        for (name, record), kind in zip(trials.records.items(), kinds, strict=True)
    ]
    table = pd.DataFrame(rows, columns=[*IDENTITY, *quality, *COSTS, *RUN])
    return table.sort_values(["data", "model", "config_hash", "seed"], kind="stable", ignore_index=True)


def labels(trials: Trials) -> dict[str, str]:
    """Return for each ``config_hash`` the model's name, with what sets it apart from others of that name and data.

    ``EqCNN`` alone, or ``EqCNN (model.width=11)`` beside another EqCNN: two recipes are never one row.
    """
    configs = {record.config_hash: record for record in trials.records.values()}
    result = {}
    for key, record in configs.items():
        others = [
            other.config for other in configs.values() if (other.model, other.data) == (record.model, record.data)
        ]
        names = sorted({name for config in others for name in config})
        differing = [name for name in names if len({repr(config.get(name)) for config in others}) > 1]
        details = ", ".join(f"{name}={record.config.get(name)}" for name in differing)
        result[key] = f"{record.model} ({details})" if details else record.model
    return result


def _fault(record: Record) -> str | None:
    """Say why a record cannot stand in a table: a number that is needed is missing, or is none."""
    kind = kind_of(record.quality)
    if kind is None:
        return f"has no {', nor '.join(kind.called for kind in KINDS)}"
    main = record.quality[kind.main]
    if not 0 <= main <= 1:
        return f"has a {kind.called} of {main}, which is no share"
    for part, needed in (("size", ("params", "macs")), ("quality", ()), ("cost", ())):
        values: dict[str, Any] = getattr(record, part)
        for name in [*IDENTITY, *kind.columns, *COSTS]:
            value = values.get(name)
            if (value is None and name in needed) or not (value is None or _is_number(value)):
                return f"its {part}.{name} is no number: {str(value)[:40]}"
    circle = record.quality.get("circle", {})
    if not isinstance(circle, dict) or not all(_is_number(value) for value in circle.values()):
        return "its quality.circle does not give a number for each angle"
    return None


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _row(record: Record, kind: Kind | None) -> dict[str, Any]:
    row: dict[str, Any] = {
        **record.size,
        **record.cost,
        **{name: value for name, value in record.quality.items() if isinstance(value, int | float)},
        "model": record.model,
        "data": record.data,
        "seed": record.seed,
        "epochs": len(record.history),
        "config_hash": record.config_hash,
        "commit": record.commit,
        **{name: record.rig.get(name) for name in ("device", "devices", "precision", "threads", "trials_at_once")},
    }
    per_cent = kind.per_cent if kind else frozenset()
    return {name: 100 * value if name in per_cent and value is not None else value for name, value in row.items()}


def _trial_files(folder: Path) -> dict[str, Path]:
    kept = {path.stem: path for path in sorted((folder / "records").glob("*.json"))}
    return kept or {path.parent.name: path for path in sorted(folder.glob(f"*/{records.FILE_NAME}"))}


def _failed(folder: Path) -> dict[str, str]:
    return {path.parent.name: path.read_text(errors="replace").strip() for path in sorted(folder.glob("*/failed.txt"))}
