"""A training step of EqCNN against the tutorial's formulation with Conv3d."""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.timing import Row, apart, compare, training
from headtohead.trial.hardware import best_precision
from lit_models import EqCNN


class Conv3dEqCNN(nn.Module):
    """The four quarter turns as the depth of a volume, through 3d convolutions that are flat in depth."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv3d(1, 8, (1, 3, 3)), nn.Conv3d(8, 16, (1, 3, 3))
        self.third, self.head = nn.Conv3d(16, 16, (1, 5, 5)), nn.Linear(16, 10)
        self.pool = nn.MaxPool3d((1, 2, 2))

    def forward(self, images: Tensor) -> Tensor:
        """Return logits for images ``(B, 1, 28, 28)``."""
        x = torch.stack([images.rot90(k, (2, 3)) for k in range(4)], 2)
        x = self.pool(F.silu(self.first(x)))
        x = self.pool(F.silu(self.second(x)))
        x = F.silu(self.third(x)).squeeze((3, 4))
        logits: Tensor = self.head(x.amax(-1))
        return logits


def run(tiny: bool = False) -> list[Row]:
    """Measure."""
    shape, precision = (4 if tiny else 128, 1, 28, 28), best_precision("cpu")
    ours = partial(training, EqCNN, shape, precision, torch.channels_last)  # as the data module gives them
    times = apart(ours, partial(training, Conv3dEqCNN, shape), 2 if tiny else 15)
    return [compare(f"training step, batch {shape[0]}", "ms", *times, "less", 2.5, note=f"ours in {precision}")]


def check() -> None:
    """Assert equal logits and gradients from equal weights."""
    torch.manual_seed(0)
    ours, peer = EqCNN(), Conv3dEqCNN()
    with torch.no_grad():
        for mine, theirs in zip(ours.parameters(), peer.parameters(), strict=True):
            theirs.copy_(mine.view(theirs.shape))
    images = torch.rand(3, 1, 28, 28)
    logits = ours(images.to(memory_format=torch.channels_last)), peer(images)
    torch.testing.assert_close(*logits, rtol=1e-4, atol=1e-5)
    for output in logits:
        F.cross_entropy(output, torch.arange(3)).backward()
    for mine, theirs in zip(ours.parameters(), peer.parameters(), strict=True):
        assert mine.grad is not None
        assert theirs.grad is not None
        torch.testing.assert_close(mine.grad.view(theirs.shape), theirs.grad, rtol=1e-3, atol=1e-5)
