"""The trials of a figure and the means over their seeds: by hand, and against NumPy and SciPy."""

import math

import numpy as np
import pytest
from scipy import stats

from headtohead.records.metrics import CLASSIFICATION, INPAINTING
from headtohead.report.figures.groups import band, groups
from tests.records.examples import filled
from tests.report.figures.trials import sweep, trial


def test_band_equals_numpy_and_scipy():
    values = np.random.RandomState(0).rand(7, 5)
    mean, low, high = band(values)
    assert mean == pytest.approx(values.mean(0))
    for i, column in enumerate(values.T):
        by_scipy = stats.t.interval(0.95, 6, loc=column.mean(), scale=stats.sem(column))
        assert (low[i], high[i]) == pytest.approx(by_scipy)


def test_band_by_hand_where_seeds_are_missing():
    nan = math.nan
    mean, low, high = band(np.array([[0.96, 1.0, nan], [0.97, nan, nan], [0.98, 3.0, 5.0]]))
    assert mean == pytest.approx([0.97, 2.0, 5.0])
    # t(0.975; 2) = 4.302653 and t(0.975; 1) = 12.7062 degrees of freedom
    assert high - mean == pytest.approx([4.302653 * 0.01 / 3**0.5, 12.7062047, nan], nan_ok=True)
    assert mean - low == pytest.approx(high - mean, nan_ok=True)


def test_models_are_the_best_first_and_data_sets_apart():
    found = sweep(
        trial("A", acc=0.8),
        trial("B", acc=0.9),
        trial("B", acc=0.7, seed=1),
        trial("C", "CIFAR10"),
        filled(0),
        filled(1),
    )
    named = {(group.data, group.kind.main): group for group in groups(found)}
    assert {key: list(group.models) for key, group in named.items()} == {
        ("MNIST", "test_acc"): ["A", "B"],  # B: mean 0.8 too, then by name
        ("CIFAR10", "test_acc"): ["C"],
        ("CIFAR10", "test_l1_hole"): ["PConvUNet"],
    }
    assert [group.suffix for group in named.values()] == ["-CIFAR10-test_acc", "-CIFAR10-test_l1_hole", "-MNIST"]
    assert named["CIFAR10", "test_l1_hole"].kind is INPAINTING
    (alone,) = groups(sweep(trial()))
    assert (alone.suffix, alone.kind) == ("", CLASSIFICATION)


def test_names_of_files_of_data_sets_with_very_long_names():
    long = ["ä" * 1_000, "ä" * 999 + "b", "MNIST"]
    suffixes = [group.suffix for group in groups(sweep(*(trial(data=data) for data in long)))]
    assert len(set(suffixes)) == 3
    assert "-MNIST" in suffixes
    assert max(len(f"training_loss{suffix}.png".encode()) for suffix in suffixes) <= 255
