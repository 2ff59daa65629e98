"""The images that a network is shown, as it was trained on them."""

import numpy as np
import pytest
from PIL import Image

import lit_models
from headtohead.pictures.images import first_image, read_images
from headtohead.pictures.main import draw
from headtohead.trial.opening import find_data, load
from tests.pictures.networks import saved
from tests.tiny import Tiny


def test_the_first_test_image_is_normalised_as_in_training(trained):
    data = find_data(trained, "tests.tiny.Tiny")
    found = first_image(load(trained)[1], data)
    raw = Tiny().load().test_images[0] / 255
    assert found.shown == pytest.approx(raw[0].astype(np.float32))
    assert found.inputs[0][0].numpy() == pytest.approx((raw - 0.3) / 0.3, abs=1e-5)


def test_data_that_are_not_here_are_not_fetched(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = {"class_path": "datamodules.MNIST", "init_args": {"data_dir": "nowhere", "normalize": False}}
    path = saved(tmp_path, lit_models.EqCNN(), data=data)
    data = find_data(path)
    assert data.data_dir == "nowhere"
    found = first_image(load(path)[1], data)
    assert found.name == "a drawn letter"
    turns = [np.rot90(found.shown, k) for k in range(4)]
    assert all(np.abs(found.shown - other).max() == 1 for other in (*turns[1:], found.shown[:, ::-1]))
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.data
def test_the_first_digit_is_a_seven(tmp_path, real_data):
    data = {"class_path": "datamodules.MNIST", "init_args": {"data_dir": real_data}}
    path = saved(tmp_path, lit_models.EqCNN(), data=data)
    assert first_image(load(path)[1], find_data(path)).name == "first test image, 7"


def test_images_of_ones_own(tmp_path, trained):
    Image.fromarray(np.full((56, 40), 51, np.uint8)).save(tmp_path / "grey.png")
    Image.fromarray(np.full((9, 9, 3), 255, np.uint8)).save(tmp_path / "white.jpg")
    found = read_images([tmp_path / "grey.png", tmp_path / "white.jpg"], load(trained)[1], None)
    assert [one.inputs[0].shape for one in found] == [(1, 1, 28, 28)] * 2
    assert [float(one.inputs[0].mean()) for one in found] == pytest.approx([0.2, 1.0])
    pictures = draw(load(trained)[0], found)
    assert [p.name for p in pictures] == [
        "first_layer",
        *(f"{n}-{i}" for i in (1, 2) for n in ("layers", "filters", "turned")),
    ]
