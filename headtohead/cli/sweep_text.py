"""Writes a W&B sweep file as text, each value of a parameter on a line of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml


class _Line(dict[str, Any]):
    """A mapping that is written on one line."""


class _Dumper(yaml.SafeDumper):
    """YAML's safe writer, which knows lines."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)  # of a list too, as the suite's own files have it


_Dumper.add_representer(
    _Line, lambda dumper, line: dumper.represent_mapping("tag:yaml.org,2002:map", dict(line), flow_style=True)
)


def sweep_text(config: Mapping[str, Any], comment: Sequence[str] = ()) -> str:
    """Return a sweep file.

    Args:
        config: the mapping of the file; it is read back as it is.
        comment: lines that stand above it.
    """
    parameters = {
        name: _Line(spec)
        if "values" not in spec or not any(isinstance(value, dict) for value in spec["values"])
        else {**spec, "values": [_Line(value) if isinstance(value, dict) else value for value in spec["values"]]}
        for name, spec in config["parameters"].items()
    }
    whole = {name: _Line(value) if isinstance(value, dict) else value for name, value in config.items()}
    whole["parameters"] = parameters
    text = yaml.dump(whole, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1000, default_flow_style=None)
    return "".join(f"# {line}".rstrip() + "\n" for line in comment) + str(text)
