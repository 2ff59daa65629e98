"""Intervals and tests: against hand-computed cases, scipy, and simulated sweeps whose truth is known."""

import math

import numpy as np
import pytest
from scipy import stats

from headtohead.report.statistics import (
    holm,
    improvement,
    mean_interval,
    run_interval,
    sampling_error,
    sign_flip_test,
    smallest_adjusted,
)

SWEEPS = 1_000


def test_interval_of_a_mean_by_hand_and_by_scipy():
    low, high = mean_interval([96.0, 97.0, 98.0])
    half = 4.302653 / math.sqrt(3)  # t(0.975; 2 degrees of freedom), standard deviation 1
    assert (low, high) == (pytest.approx(97 - half, abs=1e-6), pytest.approx(97 + half, abs=1e-6))
    values = np.random.default_rng(0).normal(size=(4, 7))
    by_scipy = stats.ttest_1samp(values, 0, axis=-1).confidence_interval(0.95)
    np.testing.assert_allclose(mean_interval(values), (by_scipy.low, by_scipy.high))


def test_interval_of_a_paired_difference_by_scipy():
    a, b = np.random.default_rng(1).normal(size=(2, 10))
    by_scipy = stats.ttest_rel(a, b).confidence_interval(0.95)
    np.testing.assert_allclose(mean_interval(a - b), (by_scipy.low, by_scipy.high))


def test_one_value_has_no_interval_and_equal_values_one_without_width():
    assert np.isnan(mean_interval([1.0])).all()
    assert np.isnan(run_interval([1.0])).all()
    assert mean_interval([2.0, 2.0, 2.0]) == (2, 2)


def test_interval_of_one_further_run_by_hand():
    low, high = run_interval([96.0, 97.0, 98.0])
    half = 4.302653 * math.sqrt(1 + 1 / 3)
    assert (low, high) == (pytest.approx(97 - half, abs=1e-5), pytest.approx(97 + half, abs=1e-5))


def test_sign_flips_by_hand():
    # all six differences positive: of 64 sign patterns only + and - everywhere are as extreme
    assert sign_flip_test([2, 3, 4, 5, 6, 7], [1, 1, 1, 1, 1, 1]) == pytest.approx(2 / 64)
    # differences 1..6 with the smallest negative: sums of 19 and 21 on either side, 2 * 2 / 64
    assert sign_flip_test([-1, 2, 3, 4, 5, 6], np.zeros(6)) == pytest.approx(4 / 64)
    assert sign_flip_test(np.ones(8), np.ones(8)) == 1


def test_sign_flips_by_enumeration():
    a, b = np.random.default_rng(2).normal(size=(2, 9))
    signs = np.array(np.meshgrid(*[[-1, 1]] * 9)).reshape(9, -1)
    sums = np.abs((a - b) @ signs)
    assert sign_flip_test(a, b) == pytest.approx(np.mean(sums >= abs((a - b).sum()) - 1e-12))


def test_fewer_than_six_pairs_have_no_p():
    assert math.isnan(sign_flip_test([1, 2, 3, 4, 5], [0, 0, 0, 0, 0]))


def test_many_pairs_are_tested_at_random_and_alike_each_time():
    a = np.random.default_rng(3).normal(0.3, 1, size=20)
    first, second = (float(sign_flip_test(a, np.zeros(20))) for _ in range(2))
    assert first == second
    assert first == pytest.approx(stats.ttest_1samp(a, 0).pvalue, abs=0.02)


def test_probability_of_improvement_by_hand():
    # of 3 x 2 pairs: (1, 2) loses to both, 3 beats 2 and ties 3, 5 beats both
    assert improvement([1, 3, 5], [2, 3]) == pytest.approx((0 + 1.5 + 2) / 6)
    assert improvement([5, 6], [1, 2]) == 1
    assert improvement([1, 1], [1, 1]) == 0.5


def test_holm_by_hand():
    # sorted 0.01, 0.02, 0.03, 0.04 times 4, 3, 2, 1, never falling
    np.testing.assert_allclose(holm([0.03, 0.01, 0.04, 0.02]), [0.06, 0.04, 0.06, 0.06])
    np.testing.assert_allclose(holm([0.9, 0.8]), [1, 1])
    np.testing.assert_allclose(holm([[0.01, 0.2], [0.5, 0.01]]), [[0.02, 0.2], [0.5, 0.02]])


def test_what_six_pairs_can_reach():
    np.testing.assert_allclose(smallest_adjusted([6]), [1 / 32])
    np.testing.assert_allclose(smallest_adjusted([6, 6]), [1 / 16, 1 / 16])
    # the pair with ten seeds goes first and leaves the other the whole level
    np.testing.assert_allclose(smallest_adjusted([6, 10]), [1 / 32, 2 / 512])


def test_sampling_error_by_hand():
    assert sampling_error(0.9, 10_000) == pytest.approx(0.003)


def simulated(rng, models, n, effects=0.0):
    """Accuracies (sweeps, models, n) on 10,000 images: each seed shifts all models, each run scatters."""
    level = 0.95 + rng.normal(0, 0.003, (SWEEPS, 1, n)) + np.asarray(effects).reshape(-1, 1)
    level = level + rng.normal(0, 0.004, (SWEEPS, models, n))
    return rng.binomial(10_000, np.clip(level, 0, 1)) / 10_000


@pytest.mark.parametrize("n", [3, 5, 10])
def test_intervals_of_simulated_differences_hold_the_truth(n):
    runs = simulated(np.random.default_rng(n), 2, n, [0.0, 0.01])
    low, high = mean_interval(runs[:, 1] - runs[:, 0])
    covered = np.mean((low <= 0.01) & (high >= 0.01))
    assert 0.93 <= covered <= 0.97


@pytest.mark.parametrize("n", [3, 5, 10])
def test_intervals_of_simulated_means_hold_the_truth(n):
    runs = simulated(np.random.default_rng(10 + n), 1, n)[:, 0]
    low, high = mean_interval(runs)
    assert 0.93 <= np.mean((low <= 0.95) & (high >= 0.95)) <= 0.97
    low, high = run_interval(runs[:, :-1]) if n > 3 else run_interval(runs)
    further = simulated(np.random.default_rng(20 + n), 1, 1)[:, 0, 0]
    assert 0.93 <= np.mean((low <= further) & (high >= further)) <= 0.97


def test_bootstrap_falls_short_where_student_does_not():
    rng = np.random.default_rng(0)
    runs = rng.normal(size=(SWEEPS, 5))
    bca = stats.bootstrap((runs,), np.mean, axis=-1, method="BCa", n_resamples=499, batch=50, rng=rng)
    low, high = bca.confidence_interval
    assert np.mean((low <= 0) & (high >= 0)) < 0.9
    low, high = mean_interval(runs)
    assert 0.93 <= np.mean((low <= 0) & (high >= 0)) <= 0.97


@pytest.mark.parametrize(("models", "n"), [(2, 6), (3, 8), (4, 10)])
def test_without_a_difference_a_table_finds_one_in_at_most_five_per_cent(models, n):
    runs = simulated(np.random.default_rng(models), models, n)
    first, second = np.triu_indices(models, 1)
    p = holm(sign_flip_test(runs[:, first], runs[:, second]))
    wrong = np.mean((p < 0.05).any(-1))
    assert 0.005 <= wrong <= 0.05  # a test that never rejects would pass for a good one


def test_a_simulated_difference_is_found():
    runs = simulated(np.random.default_rng(5), 3, 10, [0.0, 0.01, 0.02])
    first, second = np.triu_indices(3, 1)
    assert np.mean(holm(sign_flip_test(runs[:, first], runs[:, second])) < 0.05, axis=0).min() > 0.8
