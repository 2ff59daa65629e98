"""Writes a sweep file anew with its models at the widths at which they cost as much as a stated one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from headtohead.cli.errors import UsageError
from headtohead.cli.sweep_text import sweep_text
from headtohead.runner.distributions import values_of

if TYPE_CHECKING:
    from headtohead.trial.matching import Matched, Measure

MEASURES = ("params", "macs", "seconds", "memory")
BATCH = "data.batch_size"


def matched_file(path: Path, measure: Measure, like: str) -> str:
    """Return a W&B sweep file like the one at ``path``, with a width for every model that has one.

    Data sets whose images differ need different widths: model and data then stand together, as the mappings of a
    parameter ``config``.

    Args:
        path: of a file that :func:`headtohead.runner.sweep_file.read_sweep` takes.
        measure: ``params``, ``macs``, ``seconds`` or ``memory``.
        like: name of the model that the others are to equal.

    Raises:
        UsageError: the models stand in recipes, or as for :func:`headtohead.trial.matching.match`.
    """
    from headtohead.trial.matching import alike, match  # here: it imports PyTorch

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
    batch = values_of(parameters.get(BATCH, {"value": 64}))
    if measure in ("seconds", "memory") and len(batch) > 1:
        raise UsageError(f"--match: parameters.{BATCH}: a step must be of one size: got {batch}")
    models, data = values_of(parameters["model"]), [str(name) for name in values_of(parameters["data"])]
    found = {tuple(names): match(models, like, names, measure, batch[0]) for names in alike(data)}
    parameters = _with_widths(parameters, found)
    config = {**config, "name": f"{path.stem}_{measure}", "parameters": parameters}
    if "description" in config:
        config["description"] = f"{str(config['description']).rstrip('.')}. Every model like {like}, by {measure}."
    lines = [f"{path} with every model as large as {like}, by {measure}. Written, and to be written again, by"]
    lines += [f"  python sweep.py {path} --match {measure} --like {like}"]
    for names, matched in found.items():
        lines += [f"On {', '.join(names)}:"] if len(found) > 1 else []
        lines += [f"  {one.in_words}" for one in matched]
    return sweep_text(config, lines)


def _with_widths(parameters: dict[str, Any], found: dict[tuple[str, ...], list[Matched]]) -> dict[str, Any]:
    """Return the parameters of a file with the models that were found, in the place of its own."""
    rest = {name: said for name, said in parameters["model"].items() if name not in ("value", "values")}
    if len(found) == 1:
        (matched,) = found.values()
        return {**parameters, "model": {**rest, "values": [one.model for one in matched]}}
    if rest or "config" in parameters:
        raise UsageError(
            f"--match: parameters.{'model' if rest else 'config'}: widths differ between data sets whose images do, so "
            "that model and data become one parameter config, which has no room for it: match a file for each data set"
        )
    together = [
        {"model": one.model, "data": name} for names, matched in found.items() for name in names for one in matched
    ]
    return {
        "config" if name == "model" else name: {"values": together} if name == "model" else spec
        for name, spec in parameters.items()
        if name != "data"
    }
