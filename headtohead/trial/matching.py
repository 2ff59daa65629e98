"""The width at which each model of a sweep is as large as a stated one: equal parameters or equal compute."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from inspect import signature
from typing import Any, get_args

import torch

import datamodules
from headtohead.cli.errors import UsageError, did_you_mean, one_line
from headtohead.trial.networks import facts_of
from lit_models import architectures
from lit_models.facts import FACTS, example_inputs, taken_by
from lit_models.sizes import Measure, match_width, size

MEASURES = get_args(Measure)
NEAR = 0.03  # of the stated model's size: as far as equal is said without a word


@dataclass(frozen=True)
class Matched:
    """A model of a sweep and how large it became.

    Args:
        model: as a sweep file has it, with the width.
        in_words: its name, width and size, beside the size that it was to have.
    """

    model: Any
    in_words: str


def match(models: Sequence[Any], like: str, data: Sequence[str], measure: Measure) -> list[Matched]:
    """Find a width for every model at which it is as large as another on the same images.

    Args:
        models: as a sweep file has them: names, or ``class_path`` with ``init_args``.
        like: name of the model with whose defaults they are to agree.
        data: names of the data sets, whose images must be of one kind: sizes depend on it.
        measure: ``params`` or ``macs``; see :func:`lit_models.sizes.size`.

    Returns:
        One for each model. What has no width stays as it is, and its words say how large it is.

    Raises:
        UsageError: there is no such model or data set, or the data sets have different images.
    """
    facts = _facts(data)
    partner = _found(like, "--like", architectures)
    with torch.device("meta"):  # sizes need shapes, not numbers
        try:
            network = partner(**taken_by(partner, facts))
        except Exception as error:  # of anybody's constructor
            raise UsageError(f"--like: {like}: {one_line(error)}") from None
        target = getattr(size(network, *example_inputs(network, facts)), measure)
    return [_matched(model, facts, target, like, measure) for model in models]


def _matched(model: Any, facts: dict[str, int], target: int, like: str, measure: Measure) -> Matched:
    if not isinstance(model, str) and not (isinstance(model, dict) and isinstance(model.get("class_path"), str)):
        raise UsageError(f"parameters.model: must be a name, or class_path with init_args: got {model}")
    path, given = (model, {}) if isinstance(model, str) else (model["class_path"], dict(model.get("init_args") or {}))
    kind = _found(path, "parameters.model", architectures)
    name = path.rpartition(".")[2]
    given |= taken_by(kind, facts, **given)

    def build(**more: Any) -> torch.nn.Module:
        with torch.device("meta"):
            network: torch.nn.Module = kind(**{**given, **more})
        return network

    try:
        example = example_inputs(build(), facts)
        if "width" not in signature(kind).parameters:
            width, said = {}, f"{name}, which has no width"
        else:
            try:
                width = {"width": match_width(lambda width: build(width=width), target, measure, *example)}
            except ValueError:  # it is larger at width 1, or smaller at any
                width = {"width": 1}
            said = f"{name} at width {width['width']}"
        found = getattr(size(build(**width), *example), measure)
    except Exception as error:  # of anybody's constructor and forward
        raise UsageError(f"parameters.model: {path}: {one_line(error)}") from None
    ratio = found / max(target, 1)
    far = f", the nearest: {abs(ratio - 1):.1%} off" if width and abs(ratio - 1) > NEAR else ""
    own = {} if isinstance(model, str) else dict(model.get("init_args") or {})
    whole = {"class_path": path, "init_args": own | width} if own or width else model
    return Matched(whole, f"{said}: {found:,} {measure}, {ratio:.3g} x {like}{far}")


def _facts(data: Sequence[str]) -> dict[str, int]:
    found = {name: facts_of(_found(name, "parameters.data", datamodules)) for name in data}
    if unknown := [name for name, facts in found.items() if len(facts) < len(FACTS)]:
        raise UsageError(
            f"parameters.data: the class {unknown[0]} does not say what its images are, on which a model's size "
            "depends: give each model its width"
        )
    first, *others = found
    for other in others:
        if found[other] != found[first]:
            raise UsageError(
                f"parameters.data: {first} and {other} have different images, on which a model's size depends: "
                "match them in a file for each"
            )
    return found[first]


def _found(path: str, argument: str, home: Any) -> Any:
    """Return what a name stands for: of the suite's own, or by its dotted path."""
    module, _, name = path.rpartition(".")
    try:
        return getattr(import_module(module) if module else home, name)
    except (ImportError, AttributeError) as error:
        hint = did_you_mean(path, home.__all__) if not module else f" ({one_line(error)})"
        raise UsageError(f"{argument}: nothing is named {path!r}{hint}") from None
