"""What a user's network or task may be: it works to the end, or is refused in one line before training."""

import sys
from pathlib import Path

import pytest
import torch

from headtohead.records import record as records
from headtohead.trial import main as train
from tests.tiny import TINY

OWN = '''
import torch
import torch.nn.functional as F
from torch import nn

from lit_models import Classifier


class LeNet(nn.Module):
    """As in every tutorial."""

    def __init__(self, in_channels: int = 1, num_classes: int = 10):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(in_channels, 6, 5), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(256, 120), nn.Linear(120, 84), nn.Linear(84, num_classes)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = x.view(x.size(0), -1)
        return self.fc3(F.relu(self.fc2(F.relu(self.fc1(x)))))


class Small(nn.Module):
    def __init__(self, num_classes: int = 10):
        super().__init__()
        self.layers = nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(16, num_classes))

    def forward(self, images):
        return self.layers(images)


class Normed(Small):
    def __init__(self, num_classes: int = 10):
        super().__init__(num_classes)
        self.norm = nn.BatchNorm1d(num_classes)

    def forward(self, images):
        return self.norm(super().forward(images))


class OneLogit(Small):
    def __init__(self):
        super().__init__(1)


class Nothing(nn.Module):
    def forward(self, images):
        return images.flatten(1)[:, :10]


class Auxiliary(Small):
    def forward(self, images):
        logits = super().forward(images)
        return (logits, logits) if self.training else logits


class InPlace(Small):
    def forward(self, images):
        logits = super().forward(images).sigmoid()
        kept = logits * logits
        logits += 1
        return kept


class Detached(Small):
    def forward(self, images):
        return super().forward(images).detach()


class Counting(Small):
    def __init__(self, num_classes: int = 10):
        super().__init__(num_classes)
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, images):
        if self.training:
            self.seen += len(images)
        return super().forward(images)


class Mixup(Classifier):
    """Has a training step of its own, and logs what it likes."""

    def training_step(self, batch, batch_idx):
        images, labels = batch
        share, other = torch.rand(()).item(), torch.randperm(len(images))
        logits = self(share * images + (1 - share) * images[other])
        loss = share * F.cross_entropy(logits, labels) + (1 - share) * F.cross_entropy(logits, labels[other])
        self.log("train_mixed", loss, on_epoch=True, on_step=False)
        return {"loss": loss}


class Shrink(nn.Module):
    def forward(self, images):
        return images[..., 1:]
'''
FIT = ["fit", *TINY, "--trainer.accelerator=cpu", "--trainer.logger=false", "--trainer.max_epochs=2"]
FIT += ["--trainer.default_root_dir=here"]


@pytest.fixture(autouse=True)
def _mine(workplace, monkeypatch):
    (workplace / "own_things.py").write_text(OWN)
    monkeypatch.syspath_prepend(workplace)
    monkeypatch.delitem(sys.modules, "own_things", raising=False)


def trained(*args):
    assert train.main([*FIT, *args]) == 0
    return records.read(Path("here") / records.FILE_NAME)


def test_the_network_of_every_tutorial_is_tested_on_grey_images_too(workplace):
    record = trained("--model=own_things.LeNet")
    assert record.quality["test_images"] == 200
    assert record.size["params"] == 44_426
    (workplace / "here" / records.FILE_NAME).unlink()
    again = trained("--model=own_things.LeNet", "--ckpt_path=last")  # its test alone
    assert again.quality == record.quality


def test_a_task_may_have_a_training_step_of_its_own():
    record = trained("--model=own_things.Small", "--task=own_things.Mixup")
    for epoch in record.history:
        assert epoch["train_mixed"] > 0
        assert epoch["val_acc"] >= 0
        assert "train_loss" not in epoch
    assert record.config["task"] == "own_things.Mixup"


def test_trying_a_network_leaves_its_buffers_as_they_were():
    trained("--model=own_things.Counting")
    seen = torch.load("here/checkpoints/last.ckpt", weights_only=True)["state_dict"]["net.seen"]
    assert seen == 2 * 500


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--model=own_things.OneLogit"], "--model: OneLogit must return logits of shape (2, 10) (images, classes): "
         "got (2, 1); one for each class, of two too"),
        (["--model=own_things.Nothing"], "--model: Nothing has no parameters that could be trained"),
        (["--model=own_things.Auxiliary"], "--model: Auxiliary in training must return logits of shape (2, 10): got a"),
        (["--model=own_things.InPlace"], "--model: InPlace cannot be trained on images of shape (2, 1, 28, 28): "),
        (["--model=own_things.Detached"], "--model: Detached cannot be trained on images of shape (2, 1, 28, 28): "),
        (["--model=own_things.Small", "--data.augment=own_things.Shrink"], "--data.augment: Shrink must return images "
         "of shape (2, 1, 28, 28): got (2, 1, 28, 27)"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused_before_training_and_by_the_check_of_a_sweep(capfd, args, said):
    assert str(train.check([*FIT, *args])).startswith(said)
    assert train.main([*FIT, *args]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith(f"train.py: {said}")
    assert not Path("here").exists()


def test_a_last_batch_of_one_image_is_refused_where_batch_norm_cannot_take_it(capfd):
    assert train.main([*FIT, "--model=own_things.Normed", "--data.batch_size=499"]) == 2
    out, err = capfd.readouterr()
    assert err.startswith(
        "train.py: --data.batch_size: 499 leaves one image for the last batch of an epoch, on which Normed cannot be "
        "trained (Expected more than 1 value per channel when training"
    )
    assert err.endswith("): give another\n")
    assert "epoch" not in out
    assert not Path("here").exists()
    assert trained("--model=own_things.Small", "--data.batch_size=499").quality["test_images"] == 200
    assert trained("--model=own_things.Normed", "--data.batch_size=498").quality["test_images"] == 200


@pytest.mark.parametrize("precision", ["bf16-true", "64-true"])
@pytest.mark.parametrize("model", ["own_things.LeNet", pytest.param("EqCNN", marks=pytest.mark.slow)])
def test_every_precision_works_to_the_end(precision, model):
    record = trained(f"--model={model}", f"--trainer.precision={precision}", "--trainer.max_epochs=1")
    assert record.hardware["precision"] == precision
    assert record.quality["test_images"] == 200
