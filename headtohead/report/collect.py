"""Finds the records of a sweep, leaves out those that cannot be used, and makes a table with a row per trial."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from headtohead.cli.errors import UsageError
from headtohead.cli.output import counted
from headtohead.records import record as records
from headtohead.records.contention import contended
from headtohead.records.looks import Looks, read_looks
from headtohead.records.metrics import KINDS, Kind, kind_of, sizes, times
from headtohead.records.record import HARDWARE, Record, RecordError
from headtohead.report.labels import label_rows
from headtohead.report.learning import by_chance, learned
from headtohead.report.target import seconds_to, stated
from headtohead.report.times import Again, read_again

LEFT_OUT = "left_out.txt"
# Arguments of data that leave the test set as it is.
SAME_TEST = [f"data.{name}" for name in ("batch_size", "augment", "normalize", "val_size", "split_seed")]
SAME_TEST += [f"data.{name}" for name in ("train_size", "label_noise", "corruptions")]


@dataclass
class Trials:
    """The records of a sweep by trial name, and a line for every one that cannot be used.

    Args:
        name: of the sweep.
        records: by trial name.
        problems: a line each.
        paths: of the records' files, by trial name.
        looks: how often its verdicts were looked at while seeds were drawn; None where their number was fixed.
        named: the rows, by ``config_hash``, that its claim file names.
        again: what was measured again, if anything was.
    """

    name: str
    records: dict[str, Record] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    paths: dict[str, Path] = field(default_factory=dict)
    looks: Looks | None = None
    named: dict[str, str] = field(default_factory=dict)
    again: Again | None = None


def find_sweeps(path: Path) -> list[Path]:
    """Return the folders of sweeps at ``path``: itself if it holds trials, else those of its folders that do."""
    if _is_sweep(path):
        return [path]
    return [folder for folder in sorted(path.iterdir()) if folder.is_dir() and _is_sweep(folder)]


def collect(folder: Path) -> Trials:
    """Read the records of a sweep: ``<folder>/<trial>/record.json``, or ``<folder>/records/<trial>.json``.

    What cannot be used is left out and listed in ``problems``: unreadable records, a record without the main metric
    of any kind (the test accuracy of a classifier, the error in holes of an inpainter), a second record of the same
    configuration and seed, a trial that failed or has not ended. Beside kept records, ``left_out.txt`` says what was
    left out when they were made.

    Trials of one configuration that ran in two precisions are given two: they are never one row.
    """
    trials = Trials(folder.name, looks=read_looks(folder), again=read_again(folder))
    left_out = folder / LEFT_OUT
    if left_out.is_file():
        trials.problems += left_out.read_text(encoding="utf-8", errors="replace").splitlines()
    seen: dict[tuple[str, str, int], str] = {}
    for name, path in _trial_files(folder).items():
        if problem := _add(trials, name, path, seen):
            trials.problems.append(problem.replace(f"{folder}/", ""))
    _name_precisions(trials)
    trials.problems += [f"{name}: failed: {reason}" for name, reason in _failed(folder).items()]
    trials.problems += [f"{name}: has no record yet: it runs, or was interrupted" for name in _unfinished(folder)]
    return trials


def runs_table(trials: Trials, target: float | None = None) -> pd.DataFrame:
    """Return a row per trial: what it is, its metrics (shares in per cent), its costs, what it ran on.

    A sweep of several kinds of trials has the metrics of all, empty where a trial has none.

    Args:
        trials: of a sweep.
        target: share that validation must reach for ``target_seconds``; by default that of the sweep's file. Without
            either, ``target`` and ``target_seconds`` are empty.

    Raises:
        UsageError: chance gives ``target`` on one of the data sets.
    """
    kinds = [kind_of(record.quality) for record in trials.records.values()]
    measured = {name for record in trials.records.values() for name in record.quality}
    metrics = dict.fromkeys(
        name
        for kind in KINDS
        if kind in kinds
        for name, metric in kind.metrics.items()
        if name in measured or not (metric.apart or metric.optional)
    )
    columns = ["model", "data", "seed", *sizes(), *metrics, *times(), "learned", "target", "epochs"]
    columns += [*HARDWARE, "contended", "config_hash", "commit", "trial"]
    levels = stated(trials.name) if target is None else {kind.monitor: target for kind in KINDS}
    rows = []
    for (name, record), kind in zip(trials.records.items(), kinds, strict=True):
        level = levels.get(kind.monitor, math.nan) if kind else math.nan
        if level <= by_chance(record):
            least = f"{by_chance(record):.3f}, which chance may give on {record.data}"
            where = "--target" if target is not None else f"sweeps/{trials.name}.yaml: metric.target"
            raise UsageError(f"{where}: must be more than {least}: got {level:g}")
        rows.append({**_row(record, kind, level), "trial": name})
    table = pd.DataFrame(rows, columns=columns)
    return table.sort_values(["data", "model", "config_hash", "seed"], kind="stable", ignore_index=True)


def labels(trials: Trials) -> dict[str, str]:
    """Return the name of each row by ``config_hash``, from :func:`headtohead.report.labels.label_rows`."""
    return label_rows(trials.records.values(), trials.named)


def mixed_hardware(trials: Trials) -> list[str]:
    """Name the trials that ran on other hardware than most of their model: that row of a table shows no times.

    Trials that shared their machine, or were contended, are not asked: their times are left out anyway.
    """
    lines = []
    names = labels(trials)
    by_row: dict[str, dict[str, str]] = {}
    for trial, record in trials.records.items():
        if alone([record]):
            by_row.setdefault(record.config_hash, {})[trial] = hardware_name(record.hardware)
    for key, name in names.items():
        found = by_row.get(key, {})
        if len(set(found.values())) > 1:
            usual, count = Counter(found.values()).most_common(1)[0]
            odd = ", ".join(f"{trial} ({said})" for trial, said in found.items() if said != usual)
            lines.append(f"{name} has no times: its trials ran on different hardware, {count} on {usual}, but {odd}")
    return lines


def mixed_images(trials: Trials) -> list[str]:
    """Name the trials that were tested on other images than most of the same data, which have changed in between."""
    lines = []
    groups: dict[tuple[tuple[str, str], ...], dict[str, str]] = {}
    for name, record in trials.records.items():
        if record.per_image is not None:
            given = {key: str(value) for key, value in record.config.items() if key.partition(".")[0] == "data"}
            same = tuple(sorted((key, value) for key, value in given.items() if key not in SAME_TEST))
            groups.setdefault(same, {})[name] = record.per_image.test_set
    for found in groups.values():
        usual, count = Counter(found.values()).most_common(1)[0]
        if odd := [name for name, test_set in found.items() if test_set != usual]:
            data = trials.records[odd[0]].data
            lines.append(
                f"{data} has changed: {counted(count, 'trial')} tested on the same images, on others {', '.join(odd)}: "
                "their numbers cannot be compared"
            )
    return lines


def alone(found: Iterable[Record]) -> list[Record]:
    """Return the trials whose times count: those that had their machine to themselves, as far as that is known."""
    return [record for record in found if record.hardware.get("trials_at_once") == 1 and not contended(record)]


def hardware_name(hardware: Mapping[str, Any] | pd.Series) -> str:
    """Return one line that says what a trial ran on."""
    return ", ".join(hardware_parts(hardware))


def hardware_parts(hardware: Mapping[str, Any] | pd.Series) -> list[str]:
    """Return what a trial ran on, in words: the device, then what may differ on it."""
    # in a table what is missing is NaN
    known = {name: hardware.get(name) for name in HARDWARE if pd.notna(hardware.get(name))}
    count, device = known.get("threads"), str(known.get("device", "unknown device"))
    accelerator = known.get("accelerator", "cpu" if device.endswith("cores)") else "cuda")
    on_cpu = accelerator == "cpu"
    parts = [
        ("1 thread" if count == 1 else f"{count} threads") if on_cpu else "",
        "" if accelerator in ("cpu", "cuda") else str(accelerator).upper(),  # whose device has its processor's name
        f"precision {known.get('precision', 'unknown')}",
        "TF32" if known.get("tf32") is True else "",
        str(known.get("memory_format", "")),
        "compiled" if known.get("compiled") is True else "",
        "operators of PyTorch" if on_cpu and known.get("operators") == "" else "",
        "images in the host's memory" if not on_cpu and known.get("images_on") == "host" else "",
        f"host {known['host']}" if not on_cpu and known.get("host", device) != device else "",
    ]
    nodes = f"{known['nodes']} machines × " if known.get("nodes", 1) != 1 else ""
    devices = f"{known['devices']} × " if known.get("devices", 1) != 1 else ""
    return [f"{nodes}{devices}{device}", *filter(None, parts)]


def _add(trials: Trials, name: str, path: Path, seen: dict[tuple[str, str, int], str]) -> str | None:
    """Add a record to ``trials``, or say why it cannot be used."""
    try:
        record = records.read(path)
    except RecordError as error:
        return str(error)
    if kind_of(record.quality) is None:
        return f"{path}: has no {', nor '.join(kind.called for kind in KINDS)}"
    identity = (recipe_of(record), precision_of(record), record.seed)
    if identity in seen:
        return f"{path}: the same configuration and seed as {seen[identity]}, which is kept"
    seen[identity] = name
    trials.records[name], trials.paths[name] = record, path
    return None


def recipe_of(record: Record) -> str:
    """Return a hash of the configuration without the precision, which the hardware chooses where none is named."""
    if "trainer.precision" not in record.config:
        return record.config_hash
    return records.config_hash({name: value for name, value in record.config.items() if name != "trainer.precision"})


def precision_of(record: Record) -> str:
    """Return the precision that a trial ran in."""
    return str(record.hardware.get("precision"))


def _name_precisions(trials: Trials) -> None:
    """Let a recipe have a row per precision that ran, whether its trials were told which or the hardware chose it."""
    found: dict[str, set[tuple[str, str]]] = {}
    for record in trials.records.values():
        found.setdefault(recipe_of(record), set()).add((record.config_hash, precision_of(record)))
    for name, record in trials.records.items():
        if len(found[recipe := recipe_of(record)]) > 1 and record.hardware.get("precision") is not None:
            ran = {"trainer.precision": precision_of(record)}
            key = records.config_hash({"recipe": recipe, **ran})
            trials.records[name] = replace(record, config={**record.config, **ran}, config_hash=key)


def _row(record: Record, kind: Kind | None, level: float) -> dict[str, Any]:
    row: dict[str, Any] = {
        **record.size,
        **record.cost,
        **{name: record.quality.get(name) for name in (kind.metrics if kind else ())},
        "model": record.model,
        "data": record.data,
        "seed": record.seed,
        "learned": learned(record),
        "epochs": len(record.history),
        "config_hash": record.config_hash,
        "commit": record.commit,
        "contended": contended(record),
        **{name: record.hardware.get(name) for name in HARDWARE},
        "target": 100 * level,
        "target_seconds": seconds_to(record, kind, level) if kind else None,
    }
    shares = [name for name in row if kind and kind.is_share(name) and row[name] is not None]
    return row | {name: 100 * row[name] for name in shares}


def _is_sweep(folder: Path) -> bool:
    patterns = "records/*.json", f"*/{records.FILE_NAME}", f"*/{records.FAILED}"
    return any(next(folder.glob(pattern), None) for pattern in patterns)


def _trial_files(folder: Path) -> dict[str, Path]:
    """Return the records of the trials that ran here, and those that were kept with a sweep's results.

    ``report.py runs --out runs`` leaves both: the copies know nothing of trials that ran later.
    """
    kept = {path.stem: path for path in sorted((folder / "records").glob("*.json"))}
    ran = {path.parent.name: path for path in sorted(folder.glob(f"*/{records.FILE_NAME}"))}
    return kept | ran


def _unfinished(folder: Path) -> list[str]:
    begun = sorted(path.parent for path in folder.glob("*/checkpoints"))
    return [one.name for one in begun if not any((one / name).exists() for name in (records.FILE_NAME, records.FAILED))]


def _failed(folder: Path) -> dict[str, str]:
    paths = sorted(folder.glob(f"*/{records.FAILED}"))
    return {path.parent.name: path.read_text(errors="replace").strip() for path in paths}
