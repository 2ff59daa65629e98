"""A training step of P4CNN against the same network in e2cnn."""

from __future__ import annotations

from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn

from benchmarks.timing import Missing, Row, apart, compare, training
from headtohead.trial.hardware import best_precision
from lit_models import P4CNN
from lit_models.operators import P4ConvP4, P4ConvZ2


def library() -> Any:
    """Import e2cnn.

    Raises:
        Missing: it is not installed, or does not work with what is.
    """
    try:
        import e2cnn.gspaces
        import e2cnn.nn
    except ImportError as error:
        raise Missing(f"e2cnn cannot be imported ({error}): pip install e2cnn") from None
    return e2cnn


def available() -> None:
    """Raise Missing without e2cnn."""
    library()


class E2P4CNN(nn.Module):
    """The seven layers of P4CNN as its users would write them in e2cnn."""

    def __init__(self, width: int = 10) -> None:
        super().__init__()
        library_ = library()
        layers, space = library_.nn, library_.gspaces.Rot2dOnR2(N=4)

        def regular(channels: int) -> Any:
            return layers.FieldType(space, channels * [space.regular_repr])

        self.wrap = layers.GeometricTensor
        self.input = before = layers.FieldType(space, [space.trivial_repr])
        parts: list[Any] = []
        for index in range(6):
            after = regular(width)
            parts += [layers.R2Conv(before, after, 3), layers.InnerBatchNorm(after), layers.ReLU(after, inplace=True)]
            if index == 1:
                parts.append(layers.PointwiseMaxPool(after, 2))
            before = after
        parts += [layers.R2Conv(before, regular(10), 4), layers.GroupPooling(regular(10))]
        self.layers = layers.SequentialModule(*parts)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits for images ``(B, 1, 28, 28)``."""
        logits: Tensor = self.layers(self.wrap(images, self.input)).tensor.amax((2, 3))
        return logits


def run(tiny: bool = False) -> list[Row]:
    """Measure."""
    batch, width = (4, 2) if tiny else (128, 10)
    shape, precision = (batch, 1, 28, 28), best_precision("cpu")
    last = torch.channels_last  # as the data module gives them
    ours = partial(training, partial(P4CNN, width=width), shape, precision, last)
    times = apart(ours, partial(training, partial(E2P4CNN, width), shape), 2 if tiny else 8)
    return [compare(f"training step, batch {batch}", "ms", *times, "less", 2.0, note=f"ours in {precision}")]


def check() -> None:
    """Assert equal logits from equal filters."""
    torch.manual_seed(0)
    ours, peer = P4CNN(width=2), E2P4CNN(2)
    mine = [m for m in ours.modules() if isinstance(m, P4ConvZ2 | P4ConvP4)]
    theirs = [m for m in peer.modules() if type(m).__name__ == "R2Conv"]
    with torch.no_grad():
        for one, other in zip(mine, theirs, strict=True):
            filters, bias = cast("Any", other).expand_parameters()  # e2cnn makes them of fewer weights than ours
            one.weight.copy_(filters[:: one.order].reshape(one.weight.shape))
            cast("Tensor", one.bias).copy_(bias[:: one.order])
    images = torch.rand(3, 1, 28, 28)
    torch.testing.assert_close(ours(images), peer(images), rtol=1e-4, atol=1e-5)
