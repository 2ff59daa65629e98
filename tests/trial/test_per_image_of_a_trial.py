"""What a record says of every image is what the test counted."""

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from lit_models import SimpleCNN
from tests.conftest import ROOT
from tests.tiny import TINY, Tiny
from tests.trials import best, fitted, record_in

FIT = ["fit", "--model=SimpleCNN", "--model.width=4", *TINY, "--trainer.max_epochs=3", "--trainer.accelerator=cpu"]


@pytest.fixture(scope="module", params=[1, pytest.param(3, marks=pytest.mark.slow)], ids=["alone", "three processes"])
def trial(request, tmp_path_factory):
    """The folder of a trial; 200 images do not divide by three processes."""
    folder = tmp_path_factory.mktemp("trial")
    fit = [*FIT, "--trainer.logger=false", "--data.batch_size=60", "--task.lr=0.01"]
    if request.param == 1:
        fitted(*fit, folder=folder)
    else:
        command = [sys.executable, ROOT / "train.py", *fit, f"--trainer.default_root_dir={folder}"]
        command += [f"--trainer.devices={request.param}"]
        subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=300)
    return folder


def test_the_bits_are_the_networks_own_answers(trial):
    """Against the network of the checkpoint, image by image in the data set's order."""
    record = record_in(trial)
    net = best(trial, SimpleCNN(width=4))
    arrays = Tiny().load()
    images = (torch.from_numpy(arrays.test_images).float() / 255 - 0.3) / 0.3
    assert record.per_image.images == len(images) == 200
    for turn, name in enumerate(("test_acc", "test_acc_rot90", "test_acc_rot180", "test_acc_rot270")):
        with torch.no_grad():
            right = net(images.rot90(turn, (2, 3))).argmax(1).numpy() == arrays.test_labels
        found = record.per_image.values(str(90 * turn))
        assert np.array_equal(found, right)
        assert found.mean() == pytest.approx(record.quality[name], abs=1e-6)
    assert record.per_image.right["90"] != record.per_image.right["270"]  # a turn the other way would show


def test_the_fingerprint_is_of_the_test_set(trial):
    arrays = Tiny().load()
    said = hashlib.sha256(b"(200, 1, 28, 28)" + arrays.test_images.tobytes() + arrays.test_labels.tobytes())
    assert record_in(trial).per_image.test_set == said.hexdigest()[:16]


def test_inpainting_keeps_the_error_of_every_image(tmp_path):
    fit = ["fit", "--model=ConvUNet", "--model.width=2", *TINY, "--data.normalize=false", "--trainer.max_epochs=1"]
    fit += ["--trainer.accelerator=cpu", "--trainer.logger=false"]
    record = fitted(*fit, folder=tmp_path)
    errors = record.per_image.values("error")
    assert errors.shape == (200,)
    # the mean over images, of holes of 10 to 50 %, is near the mean over pixels, and not the same
    assert errors.mean() == pytest.approx(record.quality["test_l1_hole"], rel=0.2)
    assert (errors > 0).all()
