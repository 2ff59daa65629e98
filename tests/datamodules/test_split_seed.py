"""Another split of training and validation: by its own number, or with the trial's random seed."""

import numpy as np
import pytest

from tests.tiny import Tiny


def validation(monkeypatch, seed=0, **arguments):
    """The validation images of a trial with that random seed, as bytes."""
    monkeypatch.setenv("PL_GLOBAL_SEED", str(seed))
    data = Tiny(val_size=100, **arguments)
    data.setup()
    assert np.bincount(data.val.labels.numpy()).tolist() == [10] * 10  # stratified
    return {image.numpy().tobytes() for image in data.val.images}


def test_the_default_split_is_the_same_in_every_trial(monkeypatch):
    assert validation(monkeypatch, 0) == validation(monkeypatch, 1) == validation(monkeypatch, split_seed=0)


def test_another_number_is_another_split(monkeypatch):
    first, second = validation(monkeypatch, split_seed=1), validation(monkeypatch, split_seed=2)
    # of 600 images 100 are drawn: two independent draws share 16.7 on average
    assert len(first & second) < 40
    assert first == validation(monkeypatch, 7, split_seed=1)


def test_seed_stands_for_the_random_seed_of_the_trial(monkeypatch):
    assert validation(monkeypatch, 2, split_seed="seed") == validation(monkeypatch, 5, split_seed=2)


def test_a_negative_number_is_refused():
    with pytest.raises(ValueError, match="split_seed must be at least 0: got -1"):
        Tiny(split_seed=-1)
