"""``python -m lit_models``: the catalogue of architectures, with what each costs and where it comes from."""

from __future__ import annotations

import argparse
import inspect
import re
import sys
from collections.abc import Sequence

import torch
from rich.console import Console
from rich.table import Table

from lit_models import architectures
from lit_models.facts import FACTS, default_facts, example_inputs
from lit_models.sizes import size


def main(args: Sequence[str] | None = None) -> int:
    """Print the catalogue.

    Args:
        args: command line, ``sys.argv[1:]`` by default.
    """
    argparse.ArgumentParser("python -m lit_models", description=__doc__, allow_abbrev=False).parse_args(args)
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
        _, channels, height, width = example[0].shape
        table.add_row(
            name,
            f"{channels}×{height}×{width}",
            f"{measured.params:,}",
            f"{measured.macs:,}",
            f"{measured.bytes / 1024**2:.2f} MiB",
            source(architecture),
        )
    console = Console()
    console = console if console.is_terminal else Console(width=120)
    console.print(table)
    return 0


def source(architecture: type) -> str:
    """Return who and where, from what stands after ``Source:`` in the docstring of a class."""
    text = " ".join((inspect.getdoc(architecture) or "").split())
    found = re.search(r"Source: (.+?)(?:[.;] |, https|, section|\.$)", text)
    return found.group(1) if found else ""


if __name__ == "__main__":
    sys.exit(main())
