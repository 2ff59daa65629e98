"""Times several trained networks in turn, in one process: ``report.py RUNS --time-again`` starts it.

It reads from its standard input a JSON object of what is to be timed: for each name the checkpoint, the images of
a batch at which its throughput was measured, and the precision and memory format in which its trial ran. It writes what
it measured to its standard output.
"""

from __future__ import annotations

import json
import sys
from contextlib import AbstractContextManager, nullcontext
from datetime import date
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from headtohead.trial import contention
from headtohead.trial.hardware import cores, cpu_name, keep_freed_memory
from headtohead.trial.networks import LAYOUTS
from headtohead.trial.opening import CheckpointError, load
from headtohead.trial.speed import seconds_per_batch

BATCH = 256  # images, for the throughput on a CPU
TURNS = 10
SECONDS = 0.1  # of each measurement; see seconds_per_batch
WHOLE = {"bf16-true": torch.bfloat16, "16-true": torch.float16, "64-true": torch.float64}  # the network's own type
MIXED = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}  # autocast


def main() -> int:
    """Time what the standard input names; return the exit code."""
    asked: dict[str, dict[str, str]] = json.load(sys.stdin)
    on_gpu = torch.cuda.is_available() and all(how["accelerator"] == "cuda" for how in asked.values())
    device = torch.device("cuda" if on_gpu else "cpu")
    torch.set_num_threads(cores())
    keep_freed_memory()
    rows, left_out = {}, {}
    for name, how in asked.items():
        try:
            rows[name] = Timed(how, device)
        except CheckpointError as error:
            left_out[name] = str(error).removeprefix("CHECKPOINT: ")
    before = contention.look()
    found = in_turn(rows, TURNS)
    said = {
        "date": date.today().isoformat(),
        "hardware": f"{cpu_name()}, {cores()} threads" if device.type == "cpu" else torch.cuda.get_device_name(device),
        "contention": contention.between(before, contention.look()),
        "rows": found,
        "left_out": left_out,
    }
    json.dump(said, sys.stdout)
    return 0


class Timed:
    """A network with what it is timed on.

    Args:
        how: ``checkpoint``, ``batch`` (for a GPU), ``precision`` and ``memory_format`` of its trial. A network that was
            compiled is not.
        device: where it is timed.

    Raises:
        CheckpointError: the checkpoint cannot be opened, or is of a class that is not the suite's own.
    """

    def __init__(self, how: dict[str, str], device: torch.device) -> None:
        network, example = load(Path(how["checkpoint"]))
        layout = LAYOUTS.get(how["memory_format"], torch.contiguous_format)
        dtype = WHOLE.get(how["precision"], torch.float32)
        self.device, self.mixed = device, MIXED.get(how["precision"])
        self.network: nn.Module = network.to(device, dtype)
        if device.type == "cuda":
            self.network.to(memory_format=layout)  # as a trial lays its weights out
        self.one = tuple(part.to(device, dtype, memory_format=layout) for part in example)
        self.batch = int(how["batch"]) if device.type == "cuda" else BATCH
        self.many = tuple(part.expand(self.batch, *part.shape[1:]).clone(memory_format=layout) for part in self.one)

    def seconds(self, *batch: Tensor) -> float:
        """Return the median seconds of a forward pass."""
        context: AbstractContextManager[Any] = (
            nullcontext() if self.mixed is None else torch.autocast(self.device.type, self.mixed)
        )
        with context:
            return seconds_per_batch(self.network, *batch, budget=SECONDS)


def in_turn(rows: dict[str, Timed], turns: int) -> dict[str, dict[str, list[float]]]:
    """Time each once, then each once more, and so on: A B A B, so that what slows the machine slows all alike.

    Returns:
        By name ``latency_seconds`` of one image and ``inference_images_per_second``, a value for each turn.
    """
    found: dict[str, dict[str, list[float]]] = {
        name: {"latency_seconds": [], "inference_images_per_second": []} for name in rows
    }
    for _ in range(turns):
        for name, row in rows.items():
            found[name]["latency_seconds"].append(row.seconds(*row.one))
            found[name]["inference_images_per_second"].append(row.batch / row.seconds(*row.many))
    return found


if __name__ == "__main__":
    sys.exit(main())
