"""The recipe's further arguments: L1 penalty, RMSprop, label smoothing, warm-up, by hand and against PyTorch's own."""

import math

import pytest
import torch
import torch.nn.functional as F
from lightning.pytorch import Callback
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lit_models import Classifier
from tests.lit_models.tasks.quiet import quiet

IMAGES = torch.rand(24, 1, 2, 2, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(24) % 3


class Rates(Callback):
    """Keeps the learning rate of every step."""

    def __init__(self):
        self.rates = []

    def on_train_batch_start(self, trainer, *_):
        self.rates.append(trainer.optimizers[0].param_groups[0]["lr"])


def network():
    torch.manual_seed(1)
    return nn.Sequential(nn.Flatten(), nn.Linear(4, 3))


def fit(steps=3, clip=None, callbacks=(), **recipe):
    """Train on batches of eight in order; one step takes the whole of a batch."""
    task = Classifier(network(), 3, **recipe)
    trainer = quiet(max_steps=steps, gradient_clip_val=clip, callbacks=list(callbacks))
    trainer.fit(task, DataLoader(TensorDataset(IMAGES, LABELS), 8))
    return task.net


def by_hand(optimizer):
    net = network()
    optimizer = optimizer(net.parameters())
    for images, labels in zip(IMAGES.split(8), LABELS.split(8), strict=True):
        optimizer.zero_grad()
        F.cross_entropy(net(images), labels).backward()
        optimizer.step()
    return net


def equal(one, other):
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(a, b)


def test_rmsprop_is_pytorchs():
    ours = fit(optimizer="rmsprop", lr=0.02, weight_decay=0.1, schedule="constant")
    equal(ours, by_hand(lambda p: torch.optim.RMSprop(p, lr=0.02, weight_decay=0.1)))
    with pytest.raises(ValueError, match="momentum is for sgd, and changes nothing of rmsprop"):
        Classifier(network(), optimizer="rmsprop", momentum=0.5)


def test_label_smoothing_by_hand():
    """The label counts 1 - e + e / 3, every other class e / 3; in training alone."""
    task = Classifier(network(), 3, label_smoothing=0.3)
    logits = task.net(IMAGES).log_softmax(1)
    wanted = torch.full((24, 3), 0.1)
    wanted[torch.arange(24), LABELS] = 0.8
    loss = task.training_step((IMAGES, LABELS), 0)
    torch.testing.assert_close(loss, -(wanted * logits).sum(1).mean())
    task.validation_step((IMAGES, LABELS), 0)
    torch.testing.assert_close(task.val_metrics.compute()["val_loss"], F.nll_loss(logits, LABELS).detach())


def test_an_l1_penalty_is_in_every_step():
    steps, expected = 3, network()
    optimizer = torch.optim.SGD(expected.parameters(), lr=0.1)
    for step in range(steps):
        batch = slice(8 * step, 8 * step + 8)
        optimizer.zero_grad()
        penalty = sum(p.abs().sum() for p in expected.parameters())
        (F.cross_entropy(expected(IMAGES[batch]), LABELS[batch]) + 0.05 * penalty).backward()
        optimizer.step()
    plain = {"optimizer": "sgd", "momentum": 0.0, "lr": 0.1, "weight_decay": 0.0, "schedule": "constant"}
    ours = fit(steps, l1=0.05, **plain)
    equal(ours, expected)
    assert not torch.allclose(ours[1].weight, fit(steps, **plain)[1].weight, atol=1e-3)


def test_gradients_are_clipped_with_the_penalty():
    """A step of SGD at rate 1 is as long as gradients may be."""
    before = network()
    after = fit(1, 0.25, l1=5.0, optimizer="sgd", momentum=0.0, lr=1.0, weight_decay=0.0, schedule="constant")
    steps = [a - b for a, b in zip(after.parameters(), before.parameters(), strict=True)]
    assert math.sqrt(sum(s.square().sum().item() for s in steps)) == pytest.approx(0.25, rel=1e-4)


@pytest.mark.parametrize(
    ("recipe", "rates"),
    [
        ({"schedule": "constant", "warmup": 4}, [0.25, 0.5, 0.75, 1, 1, 1, 1, 1]),
        ({"schedule": "cosine"}, [0.5 + 0.5 * math.cos(math.pi * s / 8) for s in range(8)]),
        (
            {"schedule": "cosine", "warmup": 4},
            [0.25, 0.5, 0.75, 1, 1, *(0.5 + 0.5 * math.cos(math.pi * s / 4) for s in (1, 2, 3))],
        ),
    ],
)
def test_learning_rates_by_hand(recipe, rates):
    kept = Rates()
    fit(8, callbacks=[kept], lr=0.2, **recipe)
    assert kept.rates == pytest.approx([0.2 * rate for rate in rates])


def test_a_warmup_longer_than_the_run_is_refused():
    with pytest.raises(Exception, match=r"task\.warmup must be fewer than the steps of the run, 4: got 4"):
        fit(4, schedule="cosine", warmup=4)


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        ({"lr": 0.0}, "lr must be a positive number"),
        ({"lr": math.nan}, "lr must be a positive number"),
        ({"weight_decay": -1.0}, "weight_decay must be 0 or more"),
        ({"momentum": 1.0}, "momentum must lie in"),
        ({"num_classes": 1}, "num_classes must be at least 2"),
        ({"l1": -1.0}, "l1 must be 0 or more: got -1.0"),
        ({"warmup": -1}, "warmup must be 0 steps or more: got -1"),
        ({"label_smoothing": 1.0}, r"label_smoothing must lie in \[0, 1\): got 1.0; 0.1 is usual"),
    ],
)
def test_what_cannot_be_is_refused(recipe, said):
    with pytest.raises(ValueError, match=said):
        Classifier(network(), **{"num_classes": 3, **recipe})
