"""Wrong labels: as many as asked for, of training images alone, any other class; the same at each start."""

import numpy as np
import pytest
import torch

from datamodules.split import with_noise
from headtohead.trial import main as train
from tests.tiny import TINY, Tiny

LABELS = np.arange(6_000) % 3


def test_a_share_gets_one_of_the_other_classes():
    noisy = with_noise(LABELS, 0.2, 3, seed=0)
    wrong = noisy != LABELS
    assert wrong.sum() == 1_200
    moved = np.bincount((noisy - LABELS)[wrong] % 3, minlength=3)
    assert moved[0] == 0
    assert abs(moved[1] - 600) < 4 * np.sqrt(1_200 / 4)  # both others equally likely: four deviations
    assert np.array_equal(np.unique(noisy), [0, 1, 2])
    assert np.array_equal(with_noise(LABELS, 0.2, 3, seed=0), noisy)
    assert not np.array_equal(with_noise(LABELS, 0.2, 3, seed=1), noisy)
    assert np.array_equal(with_noise(LABELS, 0, 3, seed=0), LABELS)
    assert (with_noise(LABELS, 1, 3, seed=0) != LABELS).all()


@pytest.mark.parametrize("train_size", [1, 0.4])
def test_only_training_labels_are_wrong(train_size):
    clean, noisy, again = (Tiny(val_size=100, train_size=train_size, label_noise=n) for n in (0, 0.25, 0.25))
    for data in (clean, noisy, again):
        data.setup()
    assert torch.equal(clean.train.images, noisy.train.images)
    assert (clean.train.labels != noisy.train.labels).sum() == 0.25 * 500 * train_size
    assert torch.equal(noisy.train.labels, again.train.labels)
    for part in ("val", "test", "rotation_sweep"):
        assert torch.equal(getattr(clean, part).labels, getattr(noisy, part).labels)
    assert noisy.test_set == clean.test_set


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_what_is_no_share_of_labels_is_refused(share):
    with pytest.raises(ValueError, match="label_noise must be a share, 0 to 1"):
        Tiny(label_noise=share)


def test_it_is_a_part_of_the_identity_and_its_absence_is_not(workplace):
    fit = ["fit", "--model=FCNet", *TINY]
    plain = train.resolve(fit)
    assert not {"data.label_noise", "data.corruptions"} & set(plain)
    assert train.resolve([*fit, "--data.label_noise=0", "--data.corruptions=false"]) == plain
    noisy = train.resolve([*fit, "--data.label_noise=0.2", "--data.corruptions=true"])
    assert noisy == {**plain, "data.label_noise": 0.2, "data.corruptions": True}
