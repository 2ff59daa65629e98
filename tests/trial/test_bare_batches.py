"""A data module of the user's that yields no labels, and predict's arguments: one line each."""

import pytest
import torch
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader

from headtohead.trial import main as train

FIT = ["fit", "--model=SimpleCNN", "--trainer.max_epochs=1", "--trainer.accelerator=cpu", "--trainer.logger=false"]


class Bare(LightningDataModule):
    """Images without labels, in training and validation."""

    in_channels, image_size, num_classes = 1, 28, 10

    def train_dataloader(self):
        return DataLoader(torch.rand(16, 1, 28, 28), batch_size=8)

    val_dataloader = test_dataloader = train_dataloader


class Three(Bare):
    """Images, labels and something more, in training alone."""

    def train_dataloader(self):
        labels = torch.zeros(16, dtype=torch.long)
        return DataLoader(list(zip(torch.rand(16, 1, 28, 28), labels, labels, strict=True)), batch_size=8)

    def val_dataloader(self):
        labels = torch.arange(16) % 10
        return DataLoader(list(zip(torch.rand(16, 1, 28, 28), labels, strict=True)), batch_size=8)


@pytest.mark.parametrize(("data", "got"), [("Bare", "a Tensor"), ("Three", "3 things")])
def test_batches_without_labels(workplace, capsys, data, got):
    assert train.main([*FIT, f"--data=tests.trial.test_bare_batches.{data}", "--trainer.default_root_dir=here"]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said == f"train.py: --data: {data} must yield batches of images and labels: got {got}"
    assert not (workplace / "here").exists()


@pytest.mark.parametrize("argument", ["--data.val_size=3", "--model.width=4"])
def test_what_predict_takes_from_the_checkpoint(capsys, argument):
    assert train.main(["predict", "--ckpt_path=best.ckpt", argument]) == 2
    name = argument.partition("=")[0]
    assert capsys.readouterr().err == f"train.py: {name}: predict takes it from the checkpoint: leave it out\n"
