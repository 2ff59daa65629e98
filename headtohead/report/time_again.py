"""Has the rows of a sweep timed again, in turn, and says which is faster: ``python report.py RUNS --time-again``."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from headtohead.cli.errors import UsageError
from headtohead.cli.output import counted
from headtohead.records import files
from headtohead.report import times
from headtohead.report.collect import Trials, labels
from headtohead.report.comparison import MOST_COMPARED, Comparison
from headtohead.report.table import Grid, ratios

MEASURE = "headtohead.trial.time_again"  # a process of its own: the report itself does without PyTorch


def time_again(trials: Trials) -> Path:
    """Time a trial of each row from its checkpoint, and write what was measured beside the records.

    Args:
        trials: of a sweep.

    Returns:
        The file.

    Raises:
        UsageError: there is no checkpoint, or the networks cannot be timed.
    """
    asked: dict[str, dict[str, str]] = {}
    for name, record in trials.records.items():
        checkpoint = trials.paths[name].parent / "checkpoints" / "best.ckpt"
        done = {trials.records[other].config_hash for other in asked}
        if record.config_hash not in done and checkpoint.is_file():
            hardware = {key: str(record.hardware.get(key)) for key in ("precision", "memory_format", "accelerator")}
            batch = str(int(record.cost.get("inference_batch") or 256))
            asked[name] = {"checkpoint": str(checkpoint.resolve()), "batch": batch, **hardware}
    folder = next(iter(trials.paths.values())).parents[1]
    if not asked:
        raise UsageError(f"--time-again: no trial in {folder} has its checkpoint; trials keep them in runs/<sweep>")
    print(f"{trials.name}: timing {counted(len(asked), 'network')} in turn", flush=True)
    command = [sys.executable, "-m", MEASURE]
    finished = subprocess.run(command, input=json.dumps(asked), stdout=subprocess.PIPE, text=True, cwd=Path.cwd())
    if finished.returncode:
        raise UsageError(f"--time-again: the networks of {folder} cannot be timed: see above")
    found: dict[str, Any] = json.loads(finished.stdout)
    for name, why in found["left_out"].items():
        print(f"{trials.name}: not timed: {name}: {why}", file=sys.stderr)
    if not found["rows"]:
        raise UsageError(f"--time-again: no network of {folder} could be timed")
    return files.write_text(folder / times.FILE, json.dumps(found, indent=1) + "\n")


def grid(comparison: Comparison) -> Grid | None:
    """Return the table of the ratios of two rows: of those that questions are about, else of every two."""
    trials = comparison.trials
    if trials.again is None:
        return None
    names = labels(trials)
    rows = {names[trials.records[name].config_hash]: row for name, row in trials.again.rows.items()}
    asked = [(pair.model, pair.other) for about in comparison.headline if about.ask for pair in about.pairs]
    every = list(itertools.combinations(list(rows)[:MOST_COMPARED], 2))
    pairs = [pair for pair in dict.fromkeys(asked or every) if set(pair) <= set(rows)]
    title = f"Times again, in turn, on {trials.again.hardware} on {trials.again.date}{trials.again.disturbed}: ratios"
    title += " with 95 % intervals"
    return ratios(title, pairs, rows)
