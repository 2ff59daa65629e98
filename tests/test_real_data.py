"""Training on the real data sets: the source's numbers are reached, and every architecture learns."""

import inspect
import math
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, seed_everything

import lit_models
from headtohead.trial.arguments import classes
from lit_models.facts import takes_mask
from tests.trials import fitted


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.parametrize(
    ("model", "upright", "turned"),
    [("SimpleCNN", (0.973, 1), (0, 0.2)), pytest.param("EqCNN", (0.955, 1), None, marks=pytest.mark.nightly)],
)
def test_mnist_by_the_seeds_recipe(workplace, real_data, model, upright, turned):
    recipe = ["--task.lr=0.0005", "--task.schedule=constant", "--data.normalize=false", "--trainer.max_epochs=5"]
    quality = fitted("fit", f"--model={model}", "--data=MNIST", f"--data.data_dir={real_data}", *recipe).quality
    assert upright[0] <= quality["test_acc"] <= upright[1]
    assert quality["test_images"] == 10_000
    at_turns = [quality[f"test_acc_rot{angle}"] for angle in (90, 180, 270)]
    if turned:
        assert turned[0] <= at_turns[0] < turned[1]
    else:
        assert at_turns == [quality["test_acc"]] * 3
        assert quality["test_invariance_error"] < 1e-4


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.parametrize("model", ["SimpleCNN", pytest.param("EqCNN", marks=pytest.mark.nightly)])
def test_cifar_through_the_same_path(workplace, real_data, model):
    record = fitted(
        "fit", f"--model={model}", "--data=CIFAR10", f"--data.data_dir={real_data}", "--trainer.max_epochs=1"
    )
    assert record.quality["test_acc"] > 0.2
    assert record.history[0]["train_loss"] < 2.3


# Of an epoch, as many steps as show that it learns where a whole one takes long; the rest trains on every image.
STEPS = {"VGG": 120, "ConvUNet": 40, "PConvUNet": 40, "ConvMixer": 60, "CifarCNN": 150, "ResNet": 60, "P4CNN": 200}
OPERATORS = ("separable", "involution", "p4")
# One of each kind; on made-up images every one learns in tests that take seconds.
EACH_TIME = ("SimpleCNN", "P4CNN", "INN", "ResNet", "PConvUNet")


class Losses(Callback):
    """Keeps the loss of every step of the last training."""

    losses: ClassVar[list[float]] = []  # the command line makes the instance, the test reads the class

    def on_train_start(self, trainer, pl_module):
        self.losses.clear()

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.losses.append(float(outputs["loss"]))


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in EACH_TIME else [pytest.mark.nightly])
        for name in [*classes()["model"], *(f"ResNet {op}" for op in OPERATORS)]
    ],
)
def test_every_architecture_learns_in_an_epoch_of_real_data(workplace, real_data, name, capfd):
    name, *operator = name.split()
    kind = getattr(lit_models, name)
    grey = inspect.signature(kind).parameters["in_channels"].default == 1
    args = [f"--model={name}", f"--data={'MNIST' if grey else 'CIFAR10'}", f"--data.data_dir={real_data}"]
    if operator:  # in the small form that the first look has, fast enough to show it in a minute
        args += [f"--model.operator={operator[0]}", "--model.depth=8", "--task.lr=0.01"]
    if name == "VGG":  # without batch norm 0.001 is too fast for it
        args += ["--task.lr=0.0001", "--task.schedule=constant"]
    args += ["--data.normalize=false"] if takes_mask(kind) else []
    args += [f"--trainer.limit_train_batches={STEPS[name]}"] if name in STEPS else []
    args += ["--trainer.limit_val_batches=1", "--trainer.limit_test_batches=1"]
    args += ["--trainer.max_epochs=1", "--trainer.callbacks+=tests.test_real_data.Losses", "--trainer.logger=false"]
    history = fitted("fit", *args).history
    losses = Losses.losses
    assert len(losses) == STEPS.get(name, len(losses)) >= 40
    start, end = (sum(part) / len(part) for part in (losses[:5], losses[-10:]))
    assert end < 0.95 * start, (start, end)
    assert all(map(math.isfinite, losses))
    assert len(history) == 1
    assert history[0]["train_loss"] == pytest.approx(sum(losses) / len(losses), rel=0.02)


@pytest.mark.data
def test_the_first_layer_of_the_seed_of_inn_that_never_learns_passes_hardly_an_image(real_data):
    """As README says: the share of 500 test images of which anything is left after the first ReLU, at the start."""
    pixels = np.load(Path(real_data) / "cifar10.npz")["test_images"][:500]
    images = torch.from_numpy(pixels).float() / 255
    left = {}
    for seed in range(12):
        seed_everything(seed, verbose=False)
        net = lit_models.INN().train()
        with torch.no_grad():
            left[seed] = float((net.features[:2](images).flatten(1) > 0).any(1).double().mean())
    assert round(1 - left.pop(5), 2) == 0.96
    assert 0.29 < 1 - min(left.values()) < 0.30
