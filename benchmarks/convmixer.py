"""A training step of ConvMixer-256/8 against timm's in fp32, and against the first edition's operator."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial

import torch
from torch import nn

from benchmarks.timing import Measure, Missing, Row, apart, compare, training
from headtohead.trial.hardware import best_precision
from lit_models import ConvMixer


def timms(width: int = 256, depth: int = 8) -> nn.Module:
    """Return timm's ConvMixer for CIFAR-10.

    Raises:
        Missing: timm is not installed.
    """
    try:
        from timm.models import convmixer
    except ImportError:
        raise Missing("timm is not installed: pip install timm") from None
    model: nn.Module = convmixer.ConvMixer(width, depth, kernel_size=5, patch_size=2, num_classes=10, act_layer=nn.GELU)
    return model


def available() -> None:
    """Raise Missing without timm."""
    timms(8, 1)


def run(tiny: bool = False) -> list[Row]:
    """Measure."""
    batch, width, depth = (4, 16, 2) if tiny else (128, 256, 8)
    shape, precision = (batch, 3, 32, 32), best_precision("cpu")
    last = torch.channels_last  # as the data module gives them
    one = partial(training, steps=1)  # which takes long enough
    ours = partial(one, partial(ConvMixer, width=width, depth=depth), shape, precision, last)
    times = apart(ours, partial(one, partial(timms, width, depth), shape), 2 if tiny else 4)
    case = f"training step of ConvMixer-{width}/{depth}, batch {batch}"
    before = apart(ours, partial(_first, ours), 2 if tiny else 4)
    return [
        compare(case, "ms", *times, "less", 2.5, note=f"ours in {precision}"),
        compare(f"{case}, over the first edition's operator", "ms", *before, "less", note=f"both in {precision}"),
    ]


def _first(make: Callable[[], Measure]) -> Measure:
    """Measure without the compiled passes, in this process."""
    os.environ["OPERATOR_VECTORS"] = "none"
    return make()


def check() -> None:
    """Assert equal logits from equal weights."""
    torch.manual_seed(0)
    ours, peer = ConvMixer(width=16, depth=2), timms(16, 2)
    mine = [p for p in ours.state_dict().values() if p.dim()]
    theirs = [p for p in peer.state_dict().values() if p.dim()]
    with torch.no_grad():
        for one, other in zip(mine, theirs, strict=True):
            other.copy_(one.view(other.shape))
    images = torch.rand(3, 3, 32, 32)
    logits = ours(images.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(logits, peer(images), rtol=1e-4, atol=1e-5)
