"""The catalogue of architectures, and what one network is made of.

python -m lit_models                                        what each architecture costs and where it comes from
python -m lit_models CNN --model.width=16                   the layers of one: output shapes, parameters, MACs, fields
python -m lit_models torchvision.models.resnet18            of any module, or function that makes one, dotted
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any

import torch
import yaml
from rich.console import Console
from rich.table import Table
from torch import nn

from lit_models import architectures
from lit_models.facts import FACTS, default_facts, example_inputs, taken_by
from lit_models.layers import layers, receptive_fields
from lit_models.sizes import size

MOST_MACS = 5e10  # with which receptive fields are found: some seconds
NARROW = 1  # width of the twin of a network that takes more: receptive fields are the same


def main(args: Sequence[str] | None = None) -> int:
    """Print the catalogue, or the layers of one network.

    Args:
        args: command line, ``sys.argv[1:]`` by default.

    Returns:
        The exit code: 0, or 2 when the network cannot be built, which is said in one line.
    """
    parser = argparse.ArgumentParser(
        "python -m lit_models",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="python -m lit_models [MODEL [--model.ARGUMENT=VALUE ...]]",
        allow_abbrev=False,
    )
    parser.add_argument("model", nargs="?", help="one of the catalogue, or a dotted name")
    options, rest = parser.parse_known_args(args)
    if options.model is None and not rest:
        _console().print(catalogue())
        return 0
    try:
        if options.model is None:
            raise ValueError("MODEL: must be named before its arguments")
        for line in network(options.model, arguments(rest)):
            _console().print(line)
    except ValueError as error:
        print(f"lit_models: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    return 0


def catalogue() -> Table:
    """Return the table of all architectures with their default arguments."""
    table = Table(
        title="Architectures with their default arguments", title_justify="left", box=None, padding=(0, 2, 0, 0)
    )
    table.add_column("model", no_wrap=True)
    for head in ("input", "parameters", "MACs", "size"):
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("source")
    for name in sorted(architectures.__all__, key=str.lower):
        architecture = getattr(architectures, name)
        with torch.device("meta"):  # counts need shapes, not numbers
            model = architecture()
            example = example_inputs(model, FACTS | default_facts(architecture))
            measured = size(model, *example)
        table.add_row(
            name,
            _shape(tuple(example[0].shape[1:])),
            f"{measured.params:,}",
            f"{measured.macs:,}",
            f"{measured.bytes / 1024**2:.2f} MiB",
            source(architecture),
        )
    return table


def arguments(given: Sequence[str]) -> dict[str, Any]:
    """Return the arguments of a network by name, their values read as YAML.

    Raises:
        ValueError: one is not of the form ``--model.width=16``.
    """
    found = {}
    for arg in given:
        name, equals, value = arg.partition("=")
        if not (name.startswith("--model.") and equals):
            raise ValueError(f"{arg}: arguments are those of the network, such as --model.width=16")
        try:
            found[name.removeprefix("--model.")] = yaml.safe_load(value)
        except (yaml.YAMLError, ValueError):  # the second of what looks like a date and is none
            raise ValueError(f"{name}: not a value: got {value}") from None
    return found


def network(name: str, given: dict[str, Any]) -> list[Any]:
    """Return the table of a network's layers, and what must be said with it.

    Args:
        name: of the catalogue, or dotted.
        given: its arguments.

    Raises:
        ValueError: there is none of that name, or it refuses an argument or the image.
    """
    build = _found(name)
    facts = FACTS | default_facts(build)
    facts |= {fact: given[fact] for fact in facts if fact in given}
    given = {**taken_by(build, facts, **given), **given}
    with torch.device("meta"):
        model = _built(build, given, name)
    example = example_inputs(model, facts)
    try:
        rows, whole = layers(model, *example), size(model, *example)
    except Exception as error:  # of anybody's forward
        raise ValueError(f"{name} cannot take images of {_shape(tuple(example[0].shape[1:]))}: {error}") from None
    fields, note = _fields(build, given, name, whole.macs, *example)
    kind, image = type(model).__name__, tuple(example[0].shape[1:])
    table = Table(title=f"{kind}, input {_shape(image)}", title_justify="left", box=None, padding=(0, 2, 0, 0))
    for head in ("layer", "class"):
        table.add_column(head, overflow="fold")
    for head in ("output", "parameters", "MACs", "bytes", "receptive field"):
        table.add_column(head, justify="right", no_wrap=True)
    for row in rows:
        field = fields.get(row.name)
        seen = "–" if field is None else "whole image" if field == image[1:] else f"{field[0]}×{field[1]}"
        numbers = (f"{number:,}" for number in (row.params, row.macs, row.bytes))
        table.add_row(row.name, row.kind, _shape(row.shape), *numbers, seen)
    sums = [sum(getattr(row, of) for row in rows) for of in ("params", "macs", "bytes")]
    totals = whole.params, whole.macs, whole.bytes
    if list(totals) != sums:
        rest = (f"{total - part:,}" for total, part in zip(totals, sums, strict=True))
        table.add_row("outside of layers", "", "", *rest, "")
    table.add_row("all", "", "", *(f"{total:,}" for total in totals), "", style="bold")
    return [table, *note]


def _fields(
    build: Callable[..., nn.Module], given: dict[str, Any], name: str, macs: int, *example: torch.Tensor
) -> tuple[dict[str, tuple[int, int]], list[str]]:
    """Return receptive fields, of a narrow twin where the network itself would take minutes; and what to say of it."""
    images = sum(example[0].shape[2:])
    narrow = macs * images > MOST_MACS
    if narrow and "width" not in inspect.signature(build).parameters:
        return {}, ["No receptive fields: they would take minutes to find; a smaller image_size may do."]
    try:
        with torch.random.fork_rng():
            twin = _built(build, {**given, "width": NARROW} if narrow else given, name)
        return receptive_fields(twin, *example), []
    except Exception as error:  # of anybody's forward, in float64
        return {}, [f"No receptive fields: {' '.join(str(error).split())}"]


def _found(name: str) -> Callable[..., nn.Module]:
    """Return the class or function of that name."""
    if "." not in name:
        if name not in architectures.__all__:
            raise ValueError(f"MODEL: no architecture is named {name!r}; there are {', '.join(architectures.__all__)}")
        kind: Callable[..., nn.Module] = getattr(architectures, name)
        return kind
    module, _, attribute = name.rpartition(".")
    try:
        made: Callable[..., nn.Module] = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"MODEL: {name}: {error}") from None
    return made


def _built(build: Callable[..., nn.Module], given: dict[str, Any], name: str) -> nn.Module:
    try:
        model = build(**given)
    except (TypeError, ValueError) as error:
        raise ValueError(f"--model: {name}: {error}") from None
    if not isinstance(model, nn.Module):
        raise ValueError(f"MODEL: {name} is no network")
    return model


def _shape(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))


def _console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=120)


def source(architecture: type) -> str:
    """Return who and where, from what stands after ``Source:`` in the docstring of a class."""
    text = " ".join((inspect.getdoc(architecture) or "").split())
    found = re.search(r"Source: (.+?)(?:[.;] |, https|, section|\.$)", text)
    return found.group(1) if found else ""


if __name__ == "__main__":
    sys.exit(main())
