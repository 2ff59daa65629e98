"""How near each architecture comes to another's size by its width: ``python -m benchmarks widths``.

It takes some minutes on two cores and writes ``results/benchmarks/widths.md``; with ``--seconds``, which needs a quiet
machine, the time of a training step too.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import yaml

from headtohead.cli.arguments import OneLineParser
from headtohead.cli.checkout import CHECKOUT
from headtohead.records.files import write_text
from headtohead.trial.hardware import best_precision, cores, cpu_name, keep_freed_memory
from headtohead.trial.matching import MEASURES, NEAR, Matched, Measure, match

RESULT = Path("results") / "benchmarks" / "widths.md"
PARTNERS = {"SimpleCNN": "MNIST", "CNN": "CIFAR10"}  # with the data set of their sources
BATCH = 128  # as in the sweep


def main(args: Sequence[str] | None = None) -> int:
    """Match the models of ``sweeps/compare.yaml``, print and keep the tables.

    Args:
        args: command line, ``sys.argv[1:]`` by default.
    """
    parser = OneLineParser("python -m benchmarks widths", description=__doc__, allow_abbrev=False)
    parser.add_argument("--seconds", action="store_true", help="match the seconds of a training step too")
    timed = parser.parse_args(args).seconds
    measures = [measure for measure in MEASURES if timed or measure != "seconds"]
    start = time.perf_counter()
    torch.set_num_threads(cores())
    keep_freed_memory()
    config = yaml.safe_load(((CHECKOUT or Path()) / "sweeps" / "compare.yaml").read_text(encoding="utf-8"))
    models = config["parameters"]["model"]["values"]
    lines = ["# Widths at which the architectures of `sweeps/compare.yaml` are as large as one of them", ""]
    lines += [
        "Made by `python -m benchmarks widths`: the width, and the size as a multiple of the partner's. What is "
        f"further off than {NEAR:.0%} is in bold: no width comes nearer. Memory is that of a training step of {BATCH} "
        "images: parameters, gradients, AdamW's moments and activations.",
    ]
    if timed:
        lines[-1] += (
            " Seconds are those of a training step, measured in turn with the partner's, with the quartiles of the "
            f"turns, on {cpu_name()}, {cores()} threads, precision {best_precision()}, torch {torch.__version__}."
        )
    for like, data in PARTNERS.items():
        found = {measure: match(models, like, [data], measure, BATCH) for measure in measures}
        lines += ["", f"## As large as {like}, on {data}", "", *table(models, found)]
    path = write_text(RESULT, "\n".join(lines) + "\n")
    print("\n".join(lines), f"\n{time.perf_counter() - start:.0f} s; {path}", sep="\n")
    return 0


def table(models: Sequence[Any], found: dict[Measure, list[Matched]]) -> list[str]:
    """Return the lines of a table: a row per model, a column per measure."""
    rows = [["architecture", *found], ["---", *("---:" for _ in found)]]
    for index, model in enumerate(models):
        own = model.get("init_args", {}) if isinstance(model, dict) else {}
        others = [str(value) for name, value in own.items() if name in ("operator", "configuration")]
        name = model["class_path"] if isinstance(model, dict) else model
        rows.append([" ".join([name, *others]), *(_cell(column[index]) for column in found.values())])
    return [f"| {' | '.join(row)} |" for row in rows]


def _cell(one: Matched) -> str:
    said = f"×{one.width}: {one.ratio:.3g}"
    if one.spread:
        said += f" ({one.spread[0]:.3g} to {one.spread[1]:.3g})"
    return f"**{said}**" if abs(one.ratio - 1) > NEAR else said


if __name__ == "__main__":
    sys.exit(main())
