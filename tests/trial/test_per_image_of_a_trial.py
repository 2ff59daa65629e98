"""What a record says of every image is what the test counted."""

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from headtohead.records import record as records
from headtohead.trial import main as train
from lit_models import EqCNN
from tests.conftest import ROOT
from tests.tiny import TINY, Tiny

FIT = ["fit", "--model=EqCNN", "--model.width=3", *TINY, "--trainer.max_epochs=1", "--trainer.accelerator=cpu"]


@pytest.fixture(scope="module", params=[1, pytest.param(3, marks=pytest.mark.slow)], ids=["alone", "three processes"])
def trial(request, tmp_path_factory):
    """The folder of a trial; 200 images do not divide by three processes."""
    folder = tmp_path_factory.mktemp("trial")
    fit = [*FIT, "--trainer.logger=false", f"--trainer.default_root_dir={folder}", "--data.batch_size=60"]
    if request.param == 1:
        assert train.main(fit) == 0
    else:
        command = [sys.executable, ROOT / "train.py", *fit, f"--trainer.devices={request.param}"]
        subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=300)
    return folder


def test_the_bits_are_the_networks_own_answers(trial):
    """Against the network of the checkpoint, image by image in the data set's order."""
    record = records.read(trial / records.FILE_NAME)
    weights = torch.load(trial / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
    net = EqCNN(width=3).eval()
    net.load_state_dict({name.removeprefix("net."): value for name, value in weights.items()})
    arrays = Tiny().load()
    images = (torch.from_numpy(arrays.test_images).float() / 255 - 0.3) / 0.3
    assert record.per_image.images == len(images) == 200
    for turn, name in enumerate(("test_acc", "test_acc_rot90", "test_acc_rot180", "test_acc_rot270")):
        with torch.no_grad():
            right = net(images.rot90(turn, (2, 3))).argmax(1).numpy() == arrays.test_labels
        found = record.per_image.values(str(90 * turn))
        assert np.array_equal(found, right)
        assert found.mean() == pytest.approx(record.quality[name], abs=1e-6)


def test_the_fingerprint_is_of_the_test_set(trial):
    arrays = Tiny().load()
    said = hashlib.sha256(b"(200, 1, 28, 28)" + arrays.test_images.tobytes() + arrays.test_labels.tobytes())
    assert records.read(trial / records.FILE_NAME).per_image.test_set == said.hexdigest()[:16]


def test_inpainting_keeps_the_error_of_every_image(tmp_path):
    fit = ["fit", "--model=ConvUNet", "--model.width=2", *TINY, "--data.normalize=false", "--trainer.max_epochs=1"]
    fit += ["--trainer.accelerator=cpu", "--trainer.logger=false"]
    assert train.main([*fit, f"--trainer.default_root_dir={tmp_path}"]) == 0
    record = records.read(tmp_path / records.FILE_NAME)
    errors = record.per_image.values("error")
    assert errors.shape == (200,)
    # the mean over images, of holes of 10 to 50 %, is near the mean over pixels, and not the same
    assert errors.mean() == pytest.approx(record.quality["test_l1_hole"], rel=0.2)
    assert (errors > 0).all()
