"""The picture of what a trial's augmentation does: what is on it, and that no number of the trial depends on it."""

import random
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from PIL import Image
from torch import nn

from datamodules.__main__ import DRAWS, GAP
from headtohead.records import record as records
from headtohead.trial import main as train
from headtohead.trial.preview import IMAGES, LARGEST, Preview
from tests.tiny import TINY, Few, Tiny
from tests.trials import without_times


class Noisy(nn.Module):
    """Draws from every generator that an augmentation may draw from, and counts in a buffer how often it did."""

    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, images):
        self.calls += 1
        return images * (torch.rand(()) + np.random.rand() + random.random()) / 3


class Large(Few):
    """Images of which five in a row are wider than a picture may be."""

    image_size = 128


def draw(folder, data):
    data.setup()
    Preview(folder).setup(SimpleNamespace(datamodule=data, is_global_zero=True), None, "fit")
    return folder / records.PREVIEW


def test_it_has_the_first_training_images_and_below_each_what_becomes_of_it(tmp_path):
    data = Tiny(augment="flip", val_size=100)
    with Image.open(draw(tmp_path, data)) as picture:
        pixels = np.asarray(picture)
    size = 84 + GAP  # each pixel of 28 thrice
    assert pixels.shape == ((1 + DRAWS) * size, IMAGES * size)
    rows = [[pixels[r * size :, c * size :][:84:3, :84:3] for c in range(IMAGES)] for r in range(1 + DRAWS)]
    assert (np.array(rows[0]) == data.train.images[:IMAGES, 0].numpy()).all()
    flipped = [(one == image[:, ::-1]).all() for row in rows[1:] for one, image in zip(row, rows[0], strict=True)]
    kept = [(one == image).all() for row in rows[1:] for one, image in zip(row, rows[0], strict=True)]
    assert [not one for one in flipped] == kept


def test_a_large_one_is_made_smaller_and_keeps_its_colours(tmp_path):
    data = Large(augment="flip", val_size=20)
    with Image.open(draw(tmp_path, data)) as picture:
        assert picture.size == (LARGEST, LARGEST)
        shown = np.asarray(picture.convert("RGB")).astype(float)
    first, side = data.train.images[0].numpy().transpose(1, 2, 0), LARGEST // IMAGES - 2
    assert abs(shown[:side, :side].mean((0, 1)) - first.mean((0, 1))).max() < 8  # of 255


def test_random_numbers_and_buffers_are_left_as_they_were(tmp_path):
    data = Few(augment=Noisy(), val_size=20)
    data.setup()

    def drawn_after(act):
        torch.manual_seed(0)
        np.random.seed(0)
        random.seed(0)
        act()
        return float(torch.rand(())), float(np.random.rand()), random.random()

    assert drawn_after(lambda: draw(tmp_path, data)) == drawn_after(lambda: None)
    assert (tmp_path / records.PREVIEW).is_file()
    assert data.augment.calls == 0


def test_what_augments_nothing_has_none_and_leaves_none_of_another_trial(tmp_path):
    assert draw(tmp_path, Tiny(augment="flip", val_size=100)).is_file()
    assert not draw(tmp_path, Tiny(augment="none", val_size=100)).exists()


def test_a_trial_learns_the_same_with_and_without_it(workplace, monkeypatch):
    augment = "--data.augment=[shift, {class_path: tests.trial.test_picture_of_augmentation.Noisy}]"
    arguments = ["fit", "--model=SimpleCNN", *TINY, augment, "--trainer.max_epochs=2", "--trainer.accelerator=cpu"]
    found = []
    for folder in ("with", "without"):
        if folder == "without":
            monkeypatch.setattr(Preview, "setup", lambda *_, **__: None)
        assert train.main([*arguments, "--trainer.logger=false", f"--trainer.default_root_dir={folder}"]) == 0
        assert Path(folder, records.PREVIEW).is_file() == (folder == "with")
        found.append(without_times(records.read(Path(folder, records.FILE_NAME))))
    assert found[0] == found[1]
    assert len(found[0]["history"]) == 2
