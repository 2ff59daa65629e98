"""A resumed trial is the uninterrupted one bit for bit, or is refused in one line (docs/kinds.md)."""

import shutil
import sys
from pathlib import Path

import pytest

from headtohead.trial import main as train
from tests.tiny import TINY, Tiny
from tests.trials import fitted, kill_after, record_in, resumes_alike, same

FIT = ["fit", "--model=SimpleCNN", "--model.width=2", *TINY, "--trainer.accelerator=cpu", "--trainer.logger=false"]
RANDOM = """
import random

import numpy as np
import torch
from torch import nn


class Drawing(nn.Module):
    def __init__(self, num_classes: int, widths: list[int], in_channels: int = 1):
        super().__init__()
        self.layers = nn.Sequential(
            nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(16 * in_channels, widths[0]), nn.ReLU(),
            nn.Linear(widths[0], num_classes),
        )

    def forward(self, images):
        if self.training:
            images = images * random.uniform(0.5, 1.5) + np.random.normal() + torch.rand(())
        return self.layers(images)
"""


def refused(capfd, arguments):
    """Return the line by which a call was refused; nothing was trained or written."""
    before = {path: path.stat().st_mtime_ns for path in Path().rglob("*") if path.is_file()}
    capfd.readouterr()
    assert train.main(arguments) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert {path: path.stat().st_mtime_ns for path in Path().rglob("*") if path.is_file()} == before
    return line.removeprefix("train.py: ")


VARIED = {
    "sgd, clipped, accumulated, validated within an epoch, turned": [
        "--task.optimizer=sgd", "--trainer.gradient_clip_val=0.5", "--trainer.accumulate_grad_batches=3",
        "--trainer.val_check_interval=0.5", "--data.augment=rotate",
    ],
    "averaged, validated every other epoch": [
        "--trainer.callbacks+=EMAWeightAveraging", "--trainer.callbacks.decay=0.9",
        "--trainer.check_val_every_n_epoch=2",
    ],
    "in float64, which a checkpoint must not round": ["--trainer.precision=64"],
    "an early end": ["--trainer.callbacks+=EarlyStopping", "--trainer.callbacks.monitor=val_loss"],
}  # fmt: skip


@pytest.mark.parametrize("name", VARIED)
def test_a_killed_trial_goes_on_as_if_it_had_not_been(workplace, name):
    resumes_alike([*FIT, *VARIED[name], "--trainer.max_epochs=4", "--data.batch_size=50", "--data.train_size=0.4"], 3)


def test_a_network_that_draws_from_numpy_and_python_and_takes_a_list_resumes_alike(workplace, monkeypatch):
    Path("drawing.py").write_text(RANDOM)
    monkeypatch.syspath_prepend(workplace)
    monkeypatch.delitem(sys.modules, "drawing", raising=False)
    arguments = ["fit", *(own := ["--model=drawing.Drawing", "--model.widths=[8]"]), *FIT[3:], "--trainer.max_epochs=3"]
    resumes_alike(arguments, 1)
    assert record_in("whole").config["model.widths"] == "[8]"
    assert isinstance(train.resolve(["test", *own, *TINY, "--ckpt_path=broken/checkpoints/last.ckpt"]), dict)


def test_a_network_that_fills_holes_resumes_alike(workplace):
    arguments = [
        "fit",
        "--model=PConvUNet",
        "--model.width=4",
        *FIT[3:],
        "--data.normalize=false",
        "--data.augment=flip",
    ]
    short = ["--trainer.max_epochs=2", "--trainer.limit_train_batches=3", "--trainer.limit_test_batches=1"]
    resumes_alike([*arguments, *short], 1)


def test_a_folder_that_was_moved_goes_on_as_if_it_had_not_been(workplace):
    """With epochs left, and with the test alone."""
    arguments = [*FIT, "--trainer.max_epochs=3", "--task.lr=0.03"]
    fitted(*arguments, folder="whole")
    for epochs in (2, 3):
        kill_after(epochs, [*arguments, "--trainer.default_root_dir=broken"])
        shutil.move("broken", f"moved{epochs}")
        fitted(*arguments, "--ckpt_path=last", folder=f"moved{epochs}")
        same("whole", f"moved{epochs}")
        assert not Path("broken").exists()


def test_a_copied_folder_is_tested_by_its_own_checkpoint(workplace):
    arguments = [*FIT, "--trainer.max_epochs=2"]
    kill_after(2, [*arguments, "--trainer.default_root_dir=first"])
    shutil.copytree("first", "copy")
    Path("first/checkpoints/best.ckpt").write_bytes(b"of another")
    assert fitted(*arguments, "--ckpt_path=last", folder="copy").quality["val_acc"] is not None


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """A trial that was killed after two epochs of three."""
    folder = tmp_path_factory.mktemp("killed")
    kill_after(2, [*FIT, "--trainer.max_epochs=3", f"--trainer.default_root_dir={folder}"])
    return folder


@pytest.fixture
def trained(workplace, killed):
    """The checkpoints of that trial, in a folder of this test's own."""
    return shutil.copytree(killed, workplace / "here") / "checkpoints"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ("--trainer.max_epochs=8", "trainer.max_epochs=3 there, 8 here"),
        ("--trainer.max_epochs=1", "trainer.max_epochs=3 there, 1 here"),
        ("--task.lr=0.1", "task.lr=0.001 there, 0.1 here"),
        ("--task.lr=0.1 --data.augment=flip", "task.lr=0.001 there, 0.1 here; data.augment=none there, flip here"),
        ("--model.width=3", "model.width=2 there, 3 here"),
        ("--trainer.gradient_clip_val=1", "trainer.gradient_clip_val is not given there, 1.0 here"),
        ("--seed_everything=1", "seed_everything=0 there, 1 here"),
    ],
)
def test_another_trial_is_not_gone_on_with(trained, capfd, changed, said):
    for path in ("last", "here/checkpoints/last.ckpt"):
        arguments = [*FIT, "--trainer.max_epochs=3", "--trainer.default_root_dir=here", f"--ckpt_path={path}"]
        line = refused(capfd, [*arguments, *changed.split()])
        assert line == f"--ckpt_path: here/checkpoints/last.ckpt is of another trial: {said}"


def test_a_trial_of_a_constant_rate_may_go_on_for_longer(workplace):
    arguments = [*FIT, "--task.schedule=constant"]
    fitted(*arguments, "--trainer.max_epochs=3", folder="whole")
    fitted(*arguments, "--trainer.max_epochs=2", folder="longer")
    fitted(*arguments, "--trainer.max_epochs=3", "--ckpt_path=last", folder="longer")
    same("whole", "longer")


def test_what_the_checkpoint_has_and_nobody_gave_is_taken_from_it(trained):
    arguments = [argument for argument in FIT if argument != "--model.width=2"]
    record = fitted(*arguments, "--trainer.max_epochs=3", "--ckpt_path=here/checkpoints/last.ckpt")
    assert record.config["model.width"] == 2


def test_in_a_test_what_contradicts_the_checkpoint_is_refused(trained, capfd):
    arguments = ["test", "--model=SimpleCNN", *TINY, "--ckpt_path=here/checkpoints/last.ckpt"]
    assert isinstance(train.resolve([*arguments, "--model.width=2"]), dict)
    line = refused(capfd, [*arguments, "--model.width=3"])
    assert line == "--ckpt_path: here/checkpoints/last.ckpt is of another trial: model.width=2 there, 3 here"
    few = ["--data=tests.tiny.Few", "--data.val_size=20"]
    line = refused(capfd, ["test", "--model=SimpleCNN", *few, "--ckpt_path=here/checkpoints/last.ckpt"])
    assert line == (
        "--ckpt_path: here/checkpoints/last.ckpt was trained on images of 1×28×28 in 10 classes: "
        "--data=Few has 3×32×32 in 10"
    )


def test_weights_alone_cannot_be_trained_on(trained, capfd):
    line = refused(capfd, [*FIT, "--trainer.max_epochs=3", "--ckpt_path=here/checkpoints/best.ckpt"])
    assert line == (
        "--ckpt_path: here/checkpoints/best.ckpt holds weights and no state of a training, which cannot go on "
        "from it: give last.ckpt"
    )


def test_last_without_a_checkpoint_is_no_new_trial(workplace, capfd):
    line = refused(capfd, [*FIT, "--ckpt_path=last"])
    assert line.startswith("--ckpt_path: there is no runs/train/SimpleCNN-Tiny-seed0-")
    assert line.endswith("/checkpoints/last.ckpt to go on from: leave --ckpt_path out to begin")


def test_data_that_have_changed_since_are_refused(trained, capfd, monkeypatch):
    """One pixel of one training image; the same images go on."""
    arguments = [*FIT, "--trainer.max_epochs=3", "--trainer.default_root_dir=here", "--ckpt_path=last"]
    load = Tiny.load

    def other(self):
        arrays = load(self)
        arrays.train_images[7, 0, 3, 3] ^= 1
        return arrays

    monkeypatch.setattr(Tiny, "load", other)
    assert train.main(arguments) == 2
    assert capfd.readouterr().err == ("train.py: --ckpt_path: the data have changed since it was written: begin anew\n")
    monkeypatch.setattr(Tiny, "load", load)
    assert train.main(arguments) == 0
