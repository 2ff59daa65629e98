"""What a change costs: each kind of thing is added in the place that the design names, and nowhere else.

An augmentation is no file at all: test_augment_lists.py.
"""

import json
import os
import shutil
import subprocess
import sys

import pytest

from tests.conftest import ROOT

NET = '''
"""MyNet: a new architecture of the suite."""

from torch import Tensor, nn


class MyNet(nn.Module):
    """One hidden layer. Nothing more.

    Source: this test.
    """

    def __init__(self, in_channels: int = 1, image_size: int = 28, num_classes: int = 10, width: int = 7) -> None:
        super().__init__()
        pixels = in_channels * image_size**2
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(pixels, width), nn.Linear(width, num_classes))

    def forward(self, images: Tensor) -> Tensor:
        """Return logits ``(B, num_classes)`` for images ``(B, C, H, W)``."""
        return self.layers(images)
'''
DATA = '''
"""MySet: a new data set of the suite."""

import numpy as np

from datamodules.image import ImageDataModule
from datamodules.sources import Arrays


class MySet(ImageDataModule):
    """Two classes: dark and bright."""

    in_channels, image_size, num_classes = 1, 12, 2
    class_names = ("dark", "bright")
    mean, std = (0.5,), (0.3,)

    def load(self) -> Arrays:
        """Make them."""
        labels = np.arange(80) % 2
        images = np.full((80, 1, 12, 12), 200, np.uint8) * labels.astype(np.uint8)[:, None, None, None]
        return Arrays(images[:60], labels[:60], images[60:], labels[60:])
'''


@pytest.mark.slow
def test_an_architecture_and_a_data_set_are_one_file_each(tmp_path):
    """In a copy of the suite, so that this one stays as it is."""
    for room in ("lit_models", "datamodules", "headtohead"):
        shutil.copytree(ROOT / room, tmp_path / room)
    (tmp_path / "lit_models" / "architectures" / "my_net.py").write_text(NET.lstrip())
    (tmp_path / "datamodules" / "my_set.py").write_text(DATA.lstrip())
    fit = ["fit", "--model=MyNet", "--model.width=5", "--data=MySet", "--data.val_size=10", "--trainer.max_epochs=1"]
    fit += ["--trainer.default_root_dir=out", "--trainer.logger=false"]
    both = "from headtohead.trial.main import main; from lit_models.__main__ import main as catalogue; "
    command = [sys.executable, "-c", f"{both}assert main({fit}) == catalogue([]) == 0"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    printed = subprocess.run(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True, check=True
    ).stdout
    record = json.loads((tmp_path / "out" / "record.json").read_text())
    assert (record["model"], record["data"], record["config"]["model.width"]) == ("MyNet", "MySet", 5)
    assert record["size"]["params"] == 12 * 12 * 5 + 5 + 5 * 2 + 2  # told of the images and classes
    assert "MyNet" in printed
    assert "this test" in printed
