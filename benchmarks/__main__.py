"""``python -m benchmarks NAME ...``, or ``all``: medians, ratios and targets, kept in ``results/benchmarks/``."""

from __future__ import annotations

import dataclasses
import importlib
import os
import re
import sys
import time
from collections.abc import Sequence
from contextlib import redirect_stdout
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from benchmarks import NAMES, verdicts, widths
from benchmarks.timing import Missing, Row, quiet
from headtohead.cli.arguments import OneLineParser
from headtohead.cli.output import lasting_output
from headtohead.records.files import write_text
from headtohead.trial.hardware import best_precision, cpu_name, keep_freed_memory
from headtohead.trial.recording import code_commit

FOLDER = Path("results") / "benchmarks"


@lasting_output()
def main(args: Sequence[str] | None = None) -> int:
    """Run benchmarks.

    Args:
        args: command line, ``sys.argv[1:]`` by default.

    Returns:
        The exit code: 0; 1 when a benchmark failed; 2 when no benchmark has that name.
    """
    args = sys.argv[1:] if args is None else args
    if args[:1] == ["verdicts"]:  # which times nothing
        return verdicts.main(args[1:])
    if args[:1] == ["widths"]:
        return widths.main(args[1:])
    parser = OneLineParser("python -m benchmarks", description=__doc__, allow_abbrev=False)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"all, verdicts, widths, or one or several of {', '.join(NAMES)}"
    )
    parser.add_argument("--list", action="store_true", help="say what each measures, and stop")
    parser.add_argument("--device", default="cpu", help="of augmentations: where kornia works, such as cuda")
    parser.add_argument(
        "--page", type=Path, metavar="CSV", help="of augmentations: make their page of a table that was kept, no times"
    )
    options = parser.parse_args(args)
    if options.list:
        for name in NAMES:
            print(f"{name:<12} {(importlib.import_module(f'benchmarks.{name}').__doc__ or '').splitlines()[0]}")
        return 0
    names = list(NAMES) if options.names == ["all"] else options.names
    if wrong := [name for name in names if name not in NAMES] or ["nothing"] * (not names):
        print(f"python -m benchmarks: NAME: must be all or one of {', '.join(NAMES)}: got {wrong[0]}", file=sys.stderr)
        return 2
    if options.device != "cpu" and names != ["augmentations"]:
        given = " ".join(options.names)
        print(f"python -m benchmarks: --device: goes with augmentations alone: got {given}", file=sys.stderr)
        return 2
    if options.page is not None:
        return _page_of(options.page, names)
    try:
        torch.empty(0, device=options.device)
    except (RuntimeError, AssertionError) as error:
        print(f"python -m benchmarks: --device: {options.device}: {str(error).splitlines()[0]}", file=sys.stderr)
        return 2
    quiet()
    keep_freed_memory()  # as train.py does: else both sides of what is timed in this process would wait for pages
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(os.cpu_count() or 1)
    commit = code_commit()  # now: from the first row on, the file of rows is changed
    print(f"{hardware()}; {torch.get_num_threads()} threads, precision {best_precision('cpu')}; {commit}", flush=True)
    failed = False
    for name in names:
        failed |= not _benchmark(name, commit, **({"device": options.device} if options.device != "cpu" else {}))
    return int(failed)


def hardware() -> str:
    """Return what the numbers hold for: processor, cores and version of torch."""
    return f"{cpu_name()}, torch {torch.__version__}"


def slug(text: str) -> str:
    """Return a text as the name of a file: lower case, words joined by hyphens."""
    return re.sub(r"[^a-z0-9.]+", "-", re.sub(r"\(r\)|\(tm\)", "", text.lower())).strip("-")


def keep(name: str, rows: Sequence[Row], commit: str, folder: Path = FOLDER) -> Path:
    """Write the rows of a benchmark to the file of this hardware, in the place of those of an earlier run."""
    path = folder / f"{slug(hardware())}.csv"
    told = {
        "threads": torch.get_num_threads(),
        "hardware": hardware(),
        "date": datetime.now(UTC).date().isoformat(),
        "commit": commit,
    }
    new: list[dict[str, Any]] = [{"benchmark": name, **dataclasses.asdict(row), **told} for row in rows]
    for row in new:
        row |= {key: float(f"{value:.4g}") for key, value in row.items() if isinstance(value, float)}
    old = pd.read_csv(path, keep_default_na=False, dtype=str) if path.is_file() else pd.DataFrame()
    if len(old):
        old = old[old.benchmark != name]
    table = pd.concat([old, pd.DataFrame(new).astype(object)])
    order = {known: place for place, known in enumerate(NAMES)}
    table = table.sort_values("benchmark", key=lambda column: column.map(order), kind="stable")
    return write_text(path, table.to_csv(index=False))


def kept(path: Path, name: str) -> tuple[list[Row], str]:
    """Return the rows of a benchmark in a file that :func:`keep` wrote, and on what hardware they were measured."""
    table = pd.read_csv(path, keep_default_na=False, dtype=str)
    table = table[table.benchmark == name]
    rows = [
        Row(
            case=row["case"],
            unit=row["unit"],
            ours=float(row["ours"]),
            peer=float(row["peer"]),
            ratio=float(row["ratio"]),
            low=float(row["low"]),
            high=float(row["high"]),
            target=row["target"],
            met={"True": True, "False": False}.get(row["met"]),
            note=row["note"],
        )
        for row in table.to_dict("records")
    ]
    return rows, "".join(table.hardware[:1])


def _page_of(path: Path, names: Sequence[str]) -> int:
    """Write the page of augmentations anew from a table; return the exit code."""
    said = ""
    if list(names) != ["augmentations"]:
        said = f"goes with augmentations alone: got {' '.join(names)}"
    elif not path.is_file():
        said = f"no file {path}"
    elif not (found := kept(path, "augmentations"))[0]:
        said = f"{path} has no rows of augmentations"
    else:
        page = importlib.import_module("benchmarks.augmentations").page
        print(write_text(FOLDER / "augmentations.md", page(*found)))
    if said:
        print(f"python -m benchmarks: --page: {said}", file=sys.stderr)
    return 2 if said else 0


def _benchmark(name: str, commit: str, **options: str) -> bool:
    """Run one benchmark, print and keep its rows; return whether it went well."""
    start = time.perf_counter()
    module = importlib.import_module(f"benchmarks.{name}")
    try:
        getattr(module, "available", lambda: None)()
        with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):  # the progress of each fit
            rows: list[Row] = module.run(**options)
    except Missing as missing:
        print(f"{name:<12} left out: {missing}", flush=True)
        return True
    except Exception as error:  # the others are worth having
        print(f"{name:<12} failed: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
        return False
    path = keep(name, rows, commit)
    if page := getattr(module, "page", None):
        on = options.get("device", "cpu")
        write_text(FOLDER / f"{name}{'-' + slug(on) if on != 'cpu' else ''}.md", page(*kept(path, name)))
    for row in rows:
        print(f"{name:<12} {in_words(row)}", flush=True)
    print(f"{'':<12} {time.perf_counter() - start:.0f} s; {path}", flush=True)
    return True


def in_words(row: Row) -> str:
    """Return a row as one line."""
    verdict = {None: "", True: "reached", False: "missed"}[row.met]
    parts = [
        f"{row.case}: ours {row.ours:.4g}, peer {row.peer:.4g} {row.unit}",
        f"{row.ratio:.2f}× ({row.low:.2f} to {row.high:.2f})",
        f"{row.target}: {verdict}" if row.target else "",
        row.note,
    ]
    return "; ".join(part for part in parts if part)


if __name__ == "__main__":
    sys.exit(main())
