"""Stages that run trials as a user does: ``train.py fit``, compiled too, and ``sweep.py``."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu_check.findings import Findings
from headtohead.records import record as records
from headtohead.records.metrics import is_number
from headtohead.trial import main as trial

GREY, COLOUR = "--data=benchmarks.train.Grey", "--data=benchmarks.augment.Random"
ROOT = Path(__file__).parents[2]

FORK = """
import os, sys, torch
asked = []
for name in ("_cuda_getDeviceCount", "_cuda_init"):
    if hasattr(torch._C, name):
        real = getattr(torch._C, name)
        setattr(torch._C, name, lambda *a, real=real, name=name: (asked.append(name), real(*a))[1])
import headtohead.trial.main, headtohead.runner.main, benchmarks.train
print("asked", asked, "initialised", torch.cuda.is_initialized(), flush=True)
child = os.fork()
if child == 0:
    print("sum", float(torch.ones(2, device=sys.argv[1]).sum()), flush=True)
    os._exit(0)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def imports(found: Findings) -> None:
    """What a trial imports calls nothing of CUDA's, so a process that is forked afterwards can use it."""
    code, said = _command(["-c", FORK, found.device.type], found)
    good = code == 0 and "asked [] initialised False" in said and "sum 2.0" in said
    found.right("a process forked after the imports uses the device", good, _one_line(said))


def fits(found: Findings) -> None:
    """Trials from the first step to the record, and the same one twice."""
    steps = 4 if found.tiny else 60
    few = ["--trainer.max_epochs=1", f"--trainer.limit_train_batches={steps}", "--data.val_size=500"]
    simple = ["--model=SimpleCNN", GREY, "--trainer.max_epochs=2", f"--trainer.limit_train_batches={steps}"]
    runs = {
        "SimpleCNN": simple,
        "SimpleCNN again": simple,
        "EqCNN": ["--model=EqCNN", GREY, *few],
        "P4CNN, deterministic": ["--model=P4CNN", GREY, "--trainer.deterministic=true", *few],
        "ConvUNet": ["--model=ConvUNet", "--model.width=8", COLOUR, "--data.normalize=false", *few],
        "ResNet of involutions, rotated": [
            *("--model=ResNet", "--model.depth=8", "--model.operator=involution", "--model.width=34"),
            *(COLOUR, "--data.augment=rotate", *few),
        ],
        "CNN, clipped": ["--model=CNN", COLOUR, "--trainer.gradient_clip_val=1.0", *few],
    }
    if found.tiny:
        runs = {name: runs[name] for name in ("SimpleCNN", "SimpleCNN again", "ConvUNet")}
    for name, (code, said, record) in _fit_all(runs, found).items():
        found.right(f"train.py fit, {name}", code == 0 and record is not None, said)
        if record is not None:
            _check_record(name, record, found)
    both = [_weights_and_record(found.folder / name) for name in ("SimpleCNN", "SimpleCNN-again")]
    if None not in both:
        found.right("the same seed gives the same record and weights", both[0] == both[1])


def compiled(found: Findings) -> None:
    """``--compile`` through fit and test."""
    modes = ["default"] if found.tiny else ["default", "reduce-overhead"]
    steps = 4 if found.tiny else 40
    few = ["--trainer.max_epochs=2", f"--trainer.limit_train_batches={steps}", "--data.val_size=500"]
    runs = {}
    for mode in modes:
        runs[f"SimpleCNN, {mode}"] = ["--model=SimpleCNN", GREY, f"--compile={mode}", *few]
        if not found.tiny:
            runs[f"CifarCNN, {mode}"] = ["--model=CifarCNN", COLOUR, f"--compile={mode}", *few]
    for name, (code, said, record) in _fit_all(runs, found).items():
        good = code == 0 and record is not None and bool(record.hardware["compiled"])
        seconds = [round(epoch["seconds"], 2) for epoch in record.history] if record else []
        found.right(f"train.py fit --compile, {name}", good, f"{said} epochs of {seconds} s")


def sweep(found: Findings) -> None:
    """A sweep of two trials at once on one device."""
    values: dict[str, Any] = {
        "model": {"values": ["SimpleCNN", "EqCNN"]},
        "data": {"value": "benchmarks.train.Grey"},
        "data.val_size": {"value": 1000},
        "trainer.max_epochs": {"value": 1 if found.tiny else 2},
        "trainer.logger": {"value": False},
        "trainer.limit_train_batches": {"value": 4 if found.tiny else 100},
        "trainer.accelerator": {"value": _accelerator(found)},
    }
    file = _sweep_file("two.yaml", values, found)
    words = ["sweep.py", str(file), f"--runs={found.folder}", "--jobs=2", *(["--per-gpu=2"] if found.cuda else [])]
    start = time.monotonic()
    code, said = _command(words, found)
    paths = sorted(found.folder.glob("two/*/record.json"))
    good = code == 0 and len(paths) == 2
    took = f"{len(paths)} records in {time.monotonic() - start:.0f} s"
    found.right("sweep.py, two trials at once", good, took if good else f"{took}; {_one_line(said)}")
    for path in paths:
        record = records.read(path)
        _check_record(record.model, record, found)
        found.right(f"{record.model}: the record says that two ran at once", record.hardware["trials_at_once"] == 2)


def real(found: Findings) -> None:
    """A sweep of SimpleCNN and EqCNN on MNIST, if it is in data/, several at once on one device."""
    if not (ROOT / "data" / "mnist.npz").is_file():
        found.note("data/mnist.npz is not there: nothing was trained.")
        return
    seeds, at_once = (1, 1) if found.tiny else (4, 8)
    values: dict[str, Any] = {
        "seed_everything": {"values": list(range(seeds))},
        "model": {"values": ["SimpleCNN", "EqCNN"]},
        "task.lr": {"value": 0.0005},
        "task.weight_decay": {"value": 0.01},
        "task.schedule": {"value": "constant"},
        "data": {"value": "MNIST"},
        "data.batch_size": {"value": 64},
        "data.normalize": {"value": False},
        "trainer.max_epochs": {"value": 1 if found.tiny else 5},
        "trainer.logger": {"value": False},
        "trainer.accelerator": {"value": _accelerator(found)},
    }
    values |= {"trainer.limit_train_batches": {"value": 5}} if found.tiny else {}
    file = _sweep_file("mnist.yaml", values, found)
    shared = [f"--per-gpu={at_once}"] if found.cuda else []
    code, said = _command(["sweep.py", str(file), f"--runs={found.folder}", *shared], found)
    found_records = [records.read(path) for path in sorted(found.folder.glob("mnist/*/record.json"))]
    good = code == 0 and len(found_records) == 2 * seeds
    found.right(f"{2 * seeds} trials on MNIST, {at_once} at once", good, "" if good else _one_line(said))
    for record in found_records:
        found.row(
            "MNIST, by the recipe of document 000",
            network=record.model,
            seed=record.seed,
            **{name: record.quality[name] for name in ("test_acc", "test_acc_rot90", "test_invariance_error")},
            **{name: record.cost[name] for name in ("epoch_seconds", "train_images_per_second", "total_seconds")},
        )


def _accelerator(found: Findings) -> str:
    return "gpu" if found.cuda else "cpu"


def _sweep_file(name: str, parameters: dict[str, Any], found: Findings) -> Path:
    command = ["${env}", "${interpreter}", "${program}", "fit", "${args}"]
    file = found.folder / name
    file.write_text(json.dumps({"program": "train.py", "method": "grid", "parameters": parameters, "command": command}))
    return file


def _check_record(name: str, record: records.Record, found: Findings) -> None:
    hardware = record.hardware
    good = hardware["devices"] == 1 and hardware["accelerator"] == found.device.type
    if found.cuda:
        good &= hardware["device"] == torch.cuda.get_device_name()
    good &= all(is_number(value) and value > 0 for value in record.cost.values())
    found.right(
        f"{name}: hardware and costs of the record", good, ", ".join(f"{k} {v:.4g}" for k, v in record.cost.items())
    )
    found.row("Hardware as recorded", trial=name, **{k: v for k, v in hardware.items() if k != "versions"})


def _fit_all(runs: Mapping[str, Sequence[str]], found: Findings) -> dict[str, tuple[int, str, records.Record | None]]:
    """Run trials in processes forked from this one, on a GPU at once; return code, words and record."""
    fork = multiprocessing.get_context("fork")
    processes = {}
    for name, words in runs.items():
        folder = found.folder / name.replace(",", "").replace(" ", "-")
        folder.mkdir(parents=True, exist_ok=True)
        own = [f"--trainer.default_root_dir={folder}", f"--trainer.accelerator={_accelerator(found)}"]
        args = ["fit", *words, *own, "--trainer.logger=false"]
        processes[name] = (folder, fork.Process(target=_fit, args=(args, folder / "log.txt")))
        processes[name][1].start()
        if not found.cuda:
            processes[name][1].join()
    results: dict[str, tuple[int, str, records.Record | None]] = {}
    for name, (folder, process) in processes.items():
        process.join(max(1.0, found.left - 5))
        code = process.exitcode
        if code is None:
            process.kill()
            code = 124
        path = folder / records.FILE_NAME
        text = (folder / "log.txt").read_text() if (folder / "log.txt").is_file() else ""
        results[name] = (
            code,
            "" if code == 0 else f"exit code {code}: {_one_line(text)}",
            records.read(path) if path.is_file() else None,
        )
    return results


def _fit(args: Sequence[str], log: Path) -> None:
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    for stream in (1, 2):
        os.dup2(file, stream)
    sys.exit(trial.main(args))


def _weights_and_record(folder: Path) -> tuple[Any, ...] | None:
    path = folder / records.FILE_NAME
    if not path.is_file():
        return None
    record = records.read(path)
    weights = torch.load(folder / "checkpoints" / "last.ckpt", map_location="cpu", weights_only=True)["state_dict"]
    losses = [{key: value for key, value in epoch.items() if key != "seconds"} for epoch in record.history]
    return record.quality, losses, {name: value.tolist() for name, value in weights.items()}


def _command(words: Sequence[str], found: Findings) -> tuple[int, str]:
    """Run Python with these words; return its exit code and what it said."""
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": paths}
    try:
        done = subprocess.run(
            [sys.executable, *words],
            capture_output=True,
            text=True,
            timeout=max(5.0, found.left - 3),
            env=environment,
            cwd=ROOT,
        )
    except subprocess.TimeoutExpired as late:
        return 124, f"took longer than {late.timeout:.0f} s"
    return done.returncode, done.stdout + done.stderr


def _one_line(text: str) -> str:
    return " | ".join(text.split("\n")).strip(" |")[-700:]
