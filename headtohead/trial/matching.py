"""The width at which each model of a sweep costs as much as a stated one: parameters, compute, time or memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from inspect import signature
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

import datamodules
from headtohead.cli.errors import UsageError, did_you_mean, one_line
from headtohead.trial.networks import facts_of
from headtohead.trial.training_cost import Steps, beside, training_bytes
from lit_models import architectures
from lit_models.facts import FACTS, example_inputs, taken_by
from lit_models.sizes import match_width, nearest_width, size

Measure = Literal["params", "macs", "seconds", "memory"]
MEASURES = get_args(Measure)
TURNS, BUDGET = 5, 0.3  # of each width that is tried
LAST_TURNS, LAST_BUDGET = 15, 1.0  # of the width that is chosen, whose first measurement came out well by choice
NEAR = 0.03  # of the stated model's size: as far as equal is said without a word


@dataclass(frozen=True)
class Matched:
    """A model of a sweep and how large it became.

    Args:
        model: as a sweep file has it, with the width.
        in_words: its name, width and size, beside the size that it was to have.
        width: that was found; None of a model that has none.
        ratio: of its size to the one that it was to have.
        spread: the quartiles of that ratio over turns; None of what is counted and not timed.
    """

    model: Any
    in_words: str
    width: int | None
    ratio: float
    spread: tuple[float, float] | None = None


def match(models: Sequence[Any], like: str, data: Sequence[str], measure: Measure, batch: int = 64) -> list[Matched]:
    """Find a width for every model at which it costs as much as another on the same images.

    Args:
        models: as a sweep file has them: names, or ``class_path`` with ``init_args``.
        like: name of the model with whose defaults they are to agree.
        data: names of the data sets, whose images must be of one kind: sizes depend on it.
        measure: ``params`` or ``macs``, see :func:`lit_models.sizes.size`; ``memory`` or ``seconds`` of a training
            step, see :mod:`headtohead.trial.training_cost`; seconds are measured here, in turn with the other's.
        batch: images of a step.

    Returns:
        One for each model. What has no width stays as it is, and its words say how large it is.

    Raises:
        UsageError: there is no such model or data set, or the data sets have different images.
    """
    facts = _facts(data)
    partner = _found(like, "--like", architectures)
    # sizes need shapes, not numbers
    with torch.device("cpu" if measure in ("seconds", "memory") else "meta"):
        try:
            network = partner(**taken_by(partner, facts))
            target = Target(measure, like, network, example_inputs(network, facts), batch)
        except Exception as error:  # of anybody's constructor
            raise UsageError(f"--like: {like}: {one_line(error)}") from None
    return [_matched(model, facts, target) for model in models]


class Target:
    """What the models of a sweep are to cost.

    Args:
        measure: as for :func:`match`.
        like: name of the model that sets it.
        network: that model.
        example: what it takes for one image.
        batch: images of a training step.
    """

    def __init__(
        self, measure: Measure, like: str, network: nn.Module, example: tuple[Tensor, ...], batch: int
    ) -> None:
        self.measure, self.like, self.batch = measure, like, batch
        self.steps = Steps(network, example, batch) if measure == "seconds" else None
        self.size = 1.0 if measure == "seconds" else self.of(network, example)

    def of(self, network: nn.Module, example: tuple[Tensor, ...]) -> float:
        """Return what a network costs; of seconds, as a multiple of the target's."""
        if self.steps is not None:
            return beside(Steps(network, example, self.batch).seconds, self.steps.seconds, TURNS, BUDGET).ratio
        if self.measure == "memory":
            return training_bytes(network, example, self.batch)
        return float(getattr(size(network, *example), self.measure))

    def width(self, build: Callable[[int], nn.Module], example: tuple[Tensor, ...]) -> int:
        """Return the width at which a network costs as much, or 1 where it costs more at any, or less at any."""
        try:
            if self.measure in ("params", "macs"):
                return match_width(build, int(self.size), self.measure, *example)
            # of seconds there is no looking around: the least of many noisy numbers is the noisiest
            around = 0 if self.measure == "seconds" else 2
            return nearest_width(lambda width: self.of(build(width), example), self.size, self.measure, around)
        except ValueError:
            return 1

    def said(self, network: nn.Module, example: tuple[Tensor, ...]) -> tuple[str, float, tuple[float, float] | None]:
        """Return what a network costs in words, and as a multiple of the target with its spread."""
        if self.steps is not None:
            found = beside(Steps(network, example, self.batch).seconds, self.steps.seconds, LAST_TURNS, LAST_BUDGET)
            said = f"{found.ratio:.3g} x {self.like} in seconds of a step ({found.low:.3g} to {found.high:.3g}: the "
            return f"{said}middle half of the turns)", found.ratio, (found.low, found.high)
        cost = self.of(network, example)
        ratio = cost / max(self.size, 1)
        called = "bytes of a step" if self.measure == "memory" else self.measure
        return f"{cost:,.0f} {called}, {ratio:.3g} x {self.like}", ratio, None


def _matched(model: Any, facts: dict[str, int], target: Target) -> Matched:
    if not isinstance(model, str) and not (isinstance(model, dict) and isinstance(model.get("class_path"), str)):
        raise UsageError(f"parameters.model: must be a name, or class_path with init_args: got {model}")
    path, own = (model, {}) if isinstance(model, str) else (model["class_path"], dict(model.get("init_args") or {}))
    kind = _found(path, "parameters.model", architectures)
    name = path.rpartition(".")[2]
    given = own | taken_by(kind, facts, **own)
    device = "cpu" if target.measure in ("seconds", "memory") else "meta"

    def build(**more: Any) -> nn.Module:
        with torch.device(device):
            network: nn.Module = kind(**{**given, **more})
        return network

    try:
        example = example_inputs(build(), facts)
        width: dict[str, int] = {}
        if "width" in signature(kind).parameters:
            width = {"width": target.width(lambda width: build(width=width), example)}
        said, ratio, spread = target.said(build(**width), example)
    except Exception as error:  # of anybody's constructor and forward
        raise UsageError(f"parameters.model: {path}: {one_line(error)}") from None
    whole = {"class_path": path, "init_args": own | width} if own or width else model
    others = ", ".join(f"{argument}={value}" for argument, value in own.items() if argument != "width")
    called = f"{name} ({others})" if others else name
    how = f" at width {width['width']}" if width else ", which has no width"
    far = f", the nearest: {abs(ratio - 1):.1%} off" if width and abs(ratio - 1) > NEAR else ""
    return Matched(whole, f"{called}{how}: {said}{far}", width.get("width"), ratio, spread)


def alike(data: Sequence[str]) -> list[list[str]]:
    """Split data sets into those whose images have one shape and number of classes, so that sizes agree on them.

    Raises:
        UsageError: there is no such data set.
    """
    found: dict[str, list[str]] = {}
    for name in data:
        found.setdefault(str(sorted(facts_of(_found(name, "parameters.data", datamodules)).items())), []).append(name)
    return list(found.values())


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
