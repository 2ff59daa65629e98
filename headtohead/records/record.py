"""The record of one trial: its schema, and how it is written and read."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import (
    AfterValidator,
    ConfigDict,
    PlainValidator,
    StrictInt,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)
from pydantic.dataclasses import dataclass
from pydantic_core import PydanticCustomError, from_json, to_json
from typing_extensions import TypedDict

from headtohead.records.files import write_text
from headtohead.records.metrics import KINDS, is_number, sizes, times
from headtohead.records.migration import from_schema_1, with_augmentation_named
from headtohead.records.per_image import PerImage

SCHEMA = 2
FILE_NAME = "record.json"
FAILED = "failed.txt"  # in the folder of a trial that failed: why
PREVIEW = "augmentation.png"  # in the folder of a trial that augments: some images before and after


class RecordError(ValueError):
    """A file is not a record that this version can read; the message is one line and names the file."""


def _number(value: Any) -> float | None:
    """Return a finite number as it is, and null for null and for what JSON cannot hold (NaN, infinity)."""
    if is_number(value):
        return value
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    raise PydanticCustomError("number", "is no number")


def _needed(value: float | None) -> float:
    if value is None:
        raise PydanticCustomError("number", "is no number")
    return value


def _amount(value: float | None) -> float | None:
    if value is not None and value < 0:
        raise PydanticCustomError("amount", "is negative")
    return value


def _share(value: float | None) -> float | None:
    if value is not None and not 0 <= value <= 1:
        raise PydanticCustomError("share", "is no share, which lies between 0 and 1")
    return value


def _scalar(value: Any) -> Any:
    if value is None or isinstance(value, str | bool) or is_number(value):
        return value
    raise PydanticCustomError("scalar", "is neither a name nor a number")


Number = Annotated[float | None, PlainValidator(_number)]
Amount = Annotated[Number, AfterValidator(_amount)]
Share = Annotated[Number, AfterValidator(_share)]
Size = Annotated[Amount, AfterValidator(_needed)]
Angle = Annotated[str, StringConstraints(pattern=r"^\d+(\.\d+)?$")]
Scalar = Annotated[Any, PlainValidator(_scalar)]

# The hardware by which trials are told apart: times of two are never averaged.
HARDWARE = [
    *("device", "accelerator", "devices", "nodes", "host", "precision", "tf32", "memory_format", "compiled"),
    *("images_on", "operators", "threads", "trials_at_once"),
]

if TYPE_CHECKING:
    Hardware = dict[str, Any]
    Quality = dict[str, Any]
    Sizes = dict[str, int]
    Costs = dict[str, float]
    Epoch = dict[str, Any]
    Contention = dict[str, Any]
else:

    def _dict_of(name: str, types: dict[str, Any], total: bool = False) -> Any:
        """Return the type of a dict of which these keys have these types, and others may be there."""
        made = TypedDict(name, types, total=total)
        made.__pydantic_config__ = ConfigDict(extra="allow")
        return made

    Epoch = dict[str, Number]
    Shares = _dict_of("Shares", {"load": Amount, "others": Share, "stolen": Share, "cpus": Amount})
    Contention = _dict_of("Contention", {"epochs": list[Shares], "inference": Shares})
    Hardware = _dict_of("Hardware", {**dict.fromkeys(HARDWARE, Scalar), "versions": dict[str, Any] | None})
    Sizes = _dict_of("Sizes", dict.fromkeys(sizes(), Size), total=True)
    Costs = _dict_of("Costs", dict.fromkeys([*times(), "inference_batch"], Amount))
    Quality = _dict_of(
        "Quality",
        {name: Share if metric.share else Number for kind in KINDS for name, metric in kind.metrics.items()}
        | {"rotation_sweep": dict[Angle, Share] | None, "corruptions": dict[str, dict[str, Share]] | None},
    )


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
        hardware: what it ran on: ``HARDWARE``, and what does not tell trials apart, such as ``versions``.
        size: ``params``, ``macs`` for one image, ``bytes`` of parameters and buffers.
        quality: the metrics of :mod:`headtohead.records.metrics`: of the tested checkpoint in validation, and what the
            test found; ``rotation_sweep``, the accuracy by angle in degrees; ``corruptions``, where it was tested on
            them, the accuracy by name and strength; ``confusion`` and ``class_names``.
        cost: the costs of :mod:`headtohead.records.metrics`: ``epoch_seconds`` (median), ``total_seconds`` over all
            starts, ``latency_seconds`` (batch of 1), ...; ``inference_batch``, the images of a batch at which
            ``inference_images_per_second`` was measured, 256 where a record does not say.
        history: a dict per epoch.
        per_image: what the test found of every image; None in records of schema 1.
        contention: who else used the CPUs while it was timed: of each of ``epochs``, and while ``inference`` was
            measured, ``load`` (average of the last minute) and the shares of the CPU time that ``others`` took and that
            was ``stolen``, of how many ``cpus``, null where the system does not tell; None in earlier records.
        schema: version of this schema.

    Raises:
        pydantic.ValidationError: a field has not its type.
    """

    model: str
    data: str
    seed: StrictInt
    config: dict[str, Any]
    config_hash: str
    commit: str
    hardware: Hardware
    size: Sizes
    quality: Quality
    cost: Costs
    history: list[Epoch]
    per_image: PerImage | None = None
    contention: Contention | None = None
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
    """Return a record as JSON; numbers that JSON cannot hold are null."""
    content = {item.name: getattr(record, item.name) for item in fields(record)}
    return to_json(content, indent=1, inf_nan_mode="null").decode() + "\n"


def read(path: Path) -> Record:
    """Read a record of this schema or of an earlier one.

    Args:
        path: of the file.

    Returns:
        The record. Fields that this version does not know are dropped.

    Raises:
        RecordError: the file is missing, not JSON, of a newer schema, or a field is missing or not what it should be.
    """
    try:
        raw = from_json(path.read_bytes())
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not valid JSON"
        raise RecordError(f"{path}: {reason}") from None
    if not isinstance(raw, dict):
        raise RecordError(f"{path}: not a record but a {type(raw).__name__}")
    schema = raw.get("schema")
    if not isinstance(schema, int) or isinstance(schema, bool) or schema < 1:
        raise RecordError(f"{path}: not a record: it has no schema number")
    if schema > SCHEMA:
        raise RecordError(f"{path}: schema {schema} is newer than {SCHEMA}, the newest this version reads")
    written = raw.get("config")
    if schema == 1:
        raw = from_schema_1(raw)
    if isinstance(config := raw.get("config"), dict):
        raw["config"] = with_augmentation_named(config)
        if raw["config"] is not written and "config_hash" in raw:
            raw["config_hash"] = config_hash(raw["config"])  # so that trials of one configuration are one row
    try:
        return _SCHEMA.validate_python(raw)
    except ValidationError as error:
        raise RecordError(f"{path}: {_in_words(error)}") from None


_SCHEMA = TypeAdapter(Record)


def _in_words(error: ValidationError) -> str:
    """Say in one line what is wrong with the first wrong field, and how many others are."""
    first, *others = error.errors(include_url=False)
    name, value = ".".join(map(str, first["loc"])), " ".join(str(first["input"])[:40].split())
    more = f" (and {len(others)} more)" if others else ""
    if first["type"] == "missing":
        return f"lacks the field {name!r}{more}"
    said = first["msg"].replace("Input should be", "should be")
    return f"its {name} {said}: {value}{more}"
