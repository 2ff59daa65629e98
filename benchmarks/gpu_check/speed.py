"""Stages that take times: the card itself, training, augmentation."""

from __future__ import annotations

import math
import os
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from benchmarks import train
from benchmarks.augment import Random, ready, seen
from benchmarks.gpu_check.findings import Findings
from benchmarks.gpu_check.networks import Case, cases, loss_of
from datamodules.crop import RandomCropFlip
from headtohead.trial.hardware import fix_arithmetic, fuse, lay_channels_last
from lit_models.facts import takes_mask

CROP_FLIP = RandomCropFlip(padding=4)


def seconds(function: Callable[[], Any], found: Findings, budget: float = 0.4) -> float:
    """Return the median seconds of a call among several in a row: of the device, or of launching if that is slower."""
    for _ in range(1 if found.tiny else 3):
        function()
    found.synchronize()
    start = time.perf_counter()
    function()
    found.synchronize()
    row = max(1, min(50, round(0.02 / (time.perf_counter() - start))))
    times: list[float] = []
    end = time.perf_counter() + budget
    while len(times) < (1 if found.tiny else 5) or time.perf_counter() < end:
        start = time.perf_counter()
        for _ in range(row):
            function()
        found.synchronize()
        times.append((time.perf_counter() - start) / row)
        if found.tiny:
            break
    return statistics.median(times)


def graphed(step: Callable[[], Any], found: Findings, replays: int = 100) -> float:
    """Return the seconds of a step as a CUDA graph, which is what the device takes without waiting for Python."""
    if not found.cuda:
        return math.nan
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # PyTorch gives it no types
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    times = []
    for _ in range(4):
        found.synchronize()
        start = time.perf_counter()
        for _ in range(replays):
            graph.replay()
        found.synchronize()
        times.append((time.perf_counter() - start) / replays)
    return statistics.median(times[1:])


def ceilings(found: Findings) -> None:
    """What the card can do: copying within its memory, and products of matrices in bfloat16, on random numbers."""
    size = 64 if found.tiny else 8192
    one, other = (torch.randn(size, size, device=found.device, dtype=torch.bfloat16) for _ in range(2))
    product = seconds(lambda: one @ other, found)
    many = torch.randn(2**16 if found.tiny else 2**29, device=found.device)
    copy = torch.empty_like(many)
    copied = seconds(lambda: copy.copy_(many), found)
    found.row(
        "Ceilings",
        what=f"product of two bfloat16 matrices of {size}x{size}",
        rate=2 * size**3 / product / 1e12,
        unit="TFLOP/s",
    )
    found.row(
        "Ceilings",
        what=f"copy of {many.nbytes / 1e9:.2g} GB, read and written",
        rate=2 * many.nbytes / copied / 1e12,
        unit="TB/s",
    )
    empty = torch.zeros(1, device=found.device)
    found.row("Ceilings", what="launches from Python", rate=1 / seconds(lambda: empty.add_(1), found) / 1e3, unit="k/s")


class Clock(Callback):
    """Takes the images per second of a fit, with the device waited for at both ends.

    Args:
        found: which waits.
        batch: images per step.
        first: the step after which time counts.
        last: the step after which it ends.
    """

    def __init__(self, found: Findings, batch: int, first: int, last: int) -> None:
        self.found, self.batch, self.first, self.last = found, batch, first, last
        self.rate = math.nan

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Look at the clock, at two steps."""
        if batch_idx == self.first:
            self.found.synchronize()
            self._start = time.perf_counter()
        elif batch_idx == self.last:
            self.found.synchronize()
            self.rate = (self.last - self.first) * self.batch / (time.perf_counter() - self._start)


def trainer(found: Findings, callbacks: Sequence[Callback], precision: str, **arguments: Any) -> Trainer:
    """Return a Trainer as ``train.py`` builds it, without files, on the device that is checked."""
    device = "gpu" if found.cuda else "cpu"
    return train.trainer(*callbacks, accelerator=device, devices=1, precision=precision, **arguments)


def fit_rate(one: Case, precision: str, found: Findings, mode: str = "no", steps: int = 100) -> float:
    """Return images per second inside the suite's Trainer, data path and all."""
    steps, warm = (6, 2) if found.tiny else (steps, steps // 4)
    task = one.task()
    lay_channels_last(task.net)
    if mode != "no":
        fuse(task.net, mode)
    clock = Clock(found, one.batch, warm, steps - 2)
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
        trainer(found, [clock], precision).fit(task, datamodule=one.data(steps))
    return clock.rate


def data_rate(one: Case, found: Findings, steps: int = 60) -> float:
    """Return images per second of the data path alone, from the data set to what the network takes."""
    data = one.data(4 if found.tiny else steps)
    data.setup()
    data.trainer = ready(100).trainer  # stands in for one that trains
    loader = data.train_dataloader()
    data.train.pool.settle(found.device)
    rate = math.nan
    for _ in range(2):
        found.synchronize()
        start = time.perf_counter()
        for index in loader:
            seen(data, index, found.device)
        found.synchronize()
        rate = len(data.train) / (time.perf_counter() - start)
    return rate


def step_of(one: Case, precision: str, found: Findings, compiled: bool = False) -> Callable[[], None]:
    """Return one training step, augmentation included, on images that lie on the device as bytes."""
    torch.manual_seed(0)
    net = one.make().to(found.device).train()
    lay_channels_last(net)
    if compiled:
        fuse(net, "default")
    images = torch.randint(0, 256, (one.batch * 40, one.channels, one.size, one.size), dtype=torch.uint8)
    images = images.to(found.device)
    labels = torch.randint(0, 10, (len(images),), device=found.device)
    place = torch.randint(0, len(images), (one.batch,), device=found.device)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3, fused=True, capturable=found.cuda)
    fills = takes_mask(net)

    def step() -> None:
        x = images.index_select(0, place)
        x = crop_flip(x) if one.channels == 3 else x
        floats = x.float() / 255 if fills else (x.float() - 122.0) / 63.0
        with torch.autocast(found.device.type, torch.bfloat16, enabled=precision == "bf16-mixed"):
            loss = loss_of(net, floats.to(memory_format=torch.channels_last), labels.index_select(0, place))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    return step


def crop_flip(images: Tensor) -> Tensor:
    """Crop and flip as a trial does, but with all numbers drawn on the device, as a CUDA graph needs."""
    count, device = len(images), images.device
    corner = torch.randint(2 * CROP_FLIP.padding + 1, (2, count), device=device)
    mirrored = torch.randint(2, (count,), dtype=torch.bool, device=device)
    return CROP_FLIP.apply_transform(images, {"corner": corner, "mirrored": mirrored}, {})


FIRST = (
    "SimpleCNN",
    "CNN",
    "CifarCNN",
    "ConvMixer",
    *(f"ResNet-8 {o}" for o in ("conv", "separable", "involution", "p4")),
)


def whole_steps(found: Findings) -> None:
    """Images per second of a whole step as one CUDA graph, of the network as it is and compiled, by batch."""
    every = cases(found.tiny)
    fix_arithmetic()
    for name, batches in {"CifarCNN": (128, 1024), "SimpleCNN": (64, 1024), "ResNet-8 conv": (128, 1024)}.items():
        for batch in batches:
            if name not in every or found.left < 12:
                continue
            one = every[name]
            one = Case(one.make, one.channels, one.size, one.batch if found.tiny else batch)
            rates = {}
            for mode in ("as it is", "compiled"):
                try:
                    step = step_of(one, "bf16-mixed", found, mode == "compiled")
                    rates[mode] = one.batch / graphed(step, found)
                except Exception as error:  # the others are worth having
                    found.right(f"a graph of {name}, {mode}", False, f"{type(error).__name__}: {error}"[:300])
            found.row("Images per second of a whole step as a CUDA graph", network=name, batch=one.batch, **rates)
            torch._dynamo.reset()


def training(found: Findings) -> None:
    """Images per second of training: in the Trainer, in a bare loop, as a CUDA graph, and of the data path alone."""
    every = cases(found.tiny)
    fix_arithmetic()  # as a trial does
    names = [name for name in FIRST if name in every] + [name for name in every if name not in FIRST]
    names = names[:2] if found.tiny else names
    for precision in ("bf16-mixed", "32-true") if found.cuda else ("32-true",):
        for name in names if precision == "bf16-mixed" else names[:3]:
            if found.left < 4:
                found.note("No time was left for the rest.")
                return
            one, rates = every[name], {}
            try:
                rates["Trainer"] = fit_rate(one, precision, found)
                step = step_of(one, precision, found)
                rates["bare loop"] = one.batch / seconds(step, found, 0.3)
                rates["CUDA graph"] = one.batch / graphed(step, found)
                if precision == "bf16-mixed":
                    rates["data path"] = data_rate(one, found)
                if name in ("CifarCNN", "ResNet-8 conv"):
                    torch.backends.cudnn.deterministic = False
                    rates["CUDA graph, not repeatable"] = one.batch / graphed(step_of(one, precision, found), found)
                    fix_arithmetic()
            except Exception as error:  # the others are worth having
                found.right(f"training {name} in {precision}", False, f"{type(error).__name__}: {error}"[:300])
            busy = rates.get("Trainer", math.nan) / rates.get("CUDA graph", math.nan)
            found.row(
                "Images per second of training",
                network=name,
                precision=precision,
                batch=one.batch,
                **rates,
                **{"device busy in the Trainer": busy},
            )


def compiled(found: Findings) -> None:
    """Images per second in the Trainer with ``--compile``."""
    every = cases(found.tiny)
    fix_arithmetic()
    for name in ("CifarCNN", "SimpleCNN", "ResNet-8 involution", "CNN", "ConvMixer", "ResNet-8 conv"):
        for mode in ("reduce-overhead", "default"):
            if name not in every or found.left < 25 or (found.tiny and mode != "default"):
                continue
            start = time.perf_counter()
            try:
                rate = fit_rate(every[name], "bf16-mixed", found, mode, 200)
            except Exception as error:  # the others are worth having
                found.right(f"--compile={mode} of {name}", False, f"{type(error).__name__}: {error}"[:300])
                continue
            found.row(
                "Images per second with --compile",
                network=name,
                mode=mode,
                batch=every[name].batch,
                Trainer=rate,
                seconds=time.perf_counter() - start,
            )
            torch._dynamo.reset()


def augmentations(found: Findings) -> None:
    """Images per second of each augmentation with normalisation, on the device."""
    for batch in (8,) if found.tiny else (128, 1024):
        for name in ("none", "flip", "shift", "crop_flip", "quarter_turns", "rotate", "color"):
            if found.left < 2:
                return
            data: Random = ready(400 if found.tiny else 5_000, batch, augment=name)
            images, labels = data.train.images[:batch].to(found.device), data.train.labels[:batch].to(found.device)

            def path(data: Random = data, images: Tensor = images, labels: Tensor = labels) -> None:
                data.on_after_batch_transfer((images, labels), 0)

            found.row(
                "Images per second of augmentation",
                augment=name,
                batch=batch,
                **{"images/s": batch / seconds(path, found, 0.15)},
            )


def environment(found: Findings) -> None:
    """Versions, the card, and PyTorch's settings."""
    import platform

    import kornia
    import lightning
    import torchmetrics
    import torchvision

    versions = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "lightning": lightning.__version__,
        "torchmetrics": torchmetrics.__version__,
        "kornia": kornia.__version__,
    }
    if found.cuda:
        import triton

        card = torch.cuda.get_device_properties(0)
        versions |= {"triton": triton.__version__, "cuDNN": str(torch.backends.cudnn.version())}  # type: ignore[no-untyped-call]  # PyTorch gives it no types
        found.note(
            f"{card.name}, {card.total_memory / 2**30:.0f} GiB, {card.multi_processor_count} multiprocessors, "
            f"capability {card.major}.{card.minor}; {os.cpu_count()} cores beside it"
        )
        query = "driver_version,memory.used,compute_mode,mig.mode.current,clocks.sm,power.limit"
        smi = ["nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader"]
        done = subprocess.run(smi, capture_output=True, text=True, timeout=20)
        found.note(f"nvidia-smi: {query}: {done.stdout.strip() or done.stderr.strip()}")
    found.note(", ".join(f"{name} {version}" for name, version in versions.items()))
    found.note(
        f"TF32 by default: cudnn {torch.backends.cudnn.allow_tf32}, matmul {torch.backends.cuda.matmul.allow_tf32}; "
        f"cudnn.benchmark {torch.backends.cudnn.benchmark}"
    )
