"""Names the rows of tables and figures: the architecture, and what sets it apart from others of that name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from headtohead.records.record import Record

FORMS = {"model.operator": "{}", "model.width": "×{}", "trainer.max_epochs": "{} epochs"}


def short(model: str, arguments: Mapping[str, Any]) -> str:
    """Return ``ResNet involution ×34`` of a model and the arguments that set it apart, without those that are None.

    Args:
        model: its name.
        arguments: by their full names, such as ``model.width``.
    """
    last = Counter(name.rpartition(".")[2] for name in arguments)

    def said(name: str) -> str:
        own, value = name.rpartition(".")[2], arguments[name]
        if name in FORMS and type(value) in (int, str):
            return FORMS[name].format(value)
        return f"{own if last[own] == 1 else name}={value}"

    return " ".join([model, *(said(name) for name in arguments if arguments[name] is not None)]).strip()


def label_rows(found: Iterable[Record], given: Mapping[str, str]) -> dict[str, str]:
    """Return for each ``config_hash`` the name of its row: the model's, with what sets it apart on the same data.

    ``EqCNN`` alone, or ``EqCNN ×11`` beside another EqCNN. Rows whose short names would be one have long ones, with all
    arguments by their full names; should these be one too, as of 1 and "1", they end in the hash: no two rows share a
    name.

    Args:
        found: records of the rows.
        given: names that the sweep's claim file gives to rows, by ``config_hash``.
    """
    tables: dict[str, dict[str, Record]] = {}
    for record in found:
        tables.setdefault(record.data, {})[record.config_hash] = record
    result = {}
    for rows in tables.values():
        brief, full = {}, {}
        for model in {record.model: None for record in rows.values()}:
            alike = {key: record for key, record in rows.items() if record.model == model}
            differing = [name for name, values in values_of(alike.values()).items() if len(values) > 1]
            for key, record in alike.items():
                arguments = {name: record.config.get(name) for name in differing}
                details = ", ".join(f"{name}={value}" for name, value in arguments.items())
                brief[key] = given.get(key) or short(model, arguments)
                full[key] = f"{model} ({details})" if details else model
        names = brief
        for longer in (full, {key: f"{full[key]} {key[:8]}" for key in full}):
            shared = Counter(names.values())
            names = {key: name if shared[name] == 1 or key in given else longer[key] for key, name in names.items()}
        result.update({key: names[key] for key in rows})
    return result


def architecture_of(record: Record) -> dict[str, Any]:
    """Return the arguments of a trial that make its architecture: those of the model."""
    return {name: value for name, value in record.config.items() if name.partition(".")[0] == "model"}


def values_of(found: Iterable[Record]) -> dict[str, set[str]]:
    """Return by argument, in the order of their names, which values some records have, as Python writes them.

    What a record does not have has the value None there.

    Args:
        found: one record per configuration.
    """
    configs = [record.config for record in found]
    names = sorted({name for config in configs for name in config})
    return {name: {repr(config.get(name)) for config in configs} for name in names}
