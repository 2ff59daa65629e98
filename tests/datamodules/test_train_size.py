"""A share of the training set: of every class alike, one within the other; validation and test stay."""

from itertools import pairwise

import numpy as np
import pytest

from datamodules.split import nested_share
from tests.tiny import Tiny

LABELS = np.repeat(np.arange(4), [100, 50, 10, 1])


def test_every_class_keeps_its_share():
    kept = nested_share(LABELS, 0.25, seed=0)
    assert np.bincount(LABELS[kept]).tolist() == [25, 13, 3, 1]  # to the nearest whole, at least one
    assert (np.diff(kept) > 0).all()
    assert (nested_share(LABELS, 1.0, seed=0) == np.arange(len(LABELS))).all()


def test_a_larger_share_holds_a_smaller_one():
    shares = [1 / 64, 1 / 32, 0.1, 0.11, 0.5, 1]
    kept = [set(nested_share(LABELS, share, seed=3)) for share in shares]
    assert all(small <= large for small, large in pairwise(kept))
    assert set(nested_share(LABELS, 0.5, seed=4)) != kept[4]


def test_validation_and_test_stay():
    whole, tenth = Tiny(val_size=100), Tiny(val_size=100, train_size=0.1)
    for data in (whole, tenth):
        data.setup()
    assert (len(whole.train), len(tenth.train)) == (500, 50)
    assert set(tenth.train.indices.tolist()) < set(whole.train.indices.tolist())
    assert tenth.val.indices.tolist() == whole.val.indices.tolist()
    assert tenth.test_set == whole.test_set


@pytest.mark.parametrize("share", [0, -0.1, 1.1, float("nan")])
def test_what_is_no_share_is_refused(share):
    with pytest.raises(ValueError, match="train_size must be a share above 0, up to 1"):
        Tiny(train_size=share)
