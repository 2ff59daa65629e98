"""Writes a sweep file anew with its models at the widths at which they are as large as a stated one."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import yaml

from headtohead.cli.errors import UsageError


def matched_file(path: Path, measure: Literal["params", "macs"], like: str) -> str:
    """Return a W&B sweep file like the one at ``path``, with a width for every model that has one.

    Args:
        path: of a file that :func:`headtohead.runner.sweep_file.read_sweep` takes.
        measure: ``params`` or ``macs``.
        like: name of the model that the others are to equal.

    Raises:
        UsageError: the models stand in recipes, or as for :func:`headtohead.trial.matching.match`.
    """
    from headtohead.trial.matching import match  # here: it imports PyTorch

    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    parameters = config["parameters"]
    if "model" not in parameters or "data" not in parameters:
        raise UsageError(f"--match: {path} must name its models and data in parameters.model and parameters.data")
    if "model.width" in parameters:
        raise UsageError(f"--match: {path} gives all models one model.width: leave it out")
    if others := [name for name in parameters if name.startswith("model.")]:  # a size may depend on it
        raise UsageError(
            f"--match: parameters.{others[0]}: write it into each model's init_args, for which it is sized"
        )
    found = match(_values(parameters["model"]), like, [str(name) for name in _values(parameters["data"])], measure)
    rest = {name: said for name, said in parameters["model"].items() if name not in ("value", "values")}
    parameters["model"] = {**rest, "values": [one.model for one in found]}
    lines = [f"# {path} with every model as large as {like}, by {measure}:", *(f"#   {one.in_words}" for one in found)]
    text: str = yaml.safe_dump(config, sort_keys=False, allow_unicode=True, width=1000)
    return "\n".join(lines) + "\n" + text


def _values(spec: dict[str, Any]) -> list[Any]:
    """Return the values of a parameter of a sweep file."""
    return list(spec["values"]) if "values" in spec else [spec["value"]]
