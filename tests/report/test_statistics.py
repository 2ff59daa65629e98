"""Intervals and tests: against hand-computed cases, published tables, scipy, direct loops and simulations."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from headtohead.report.statistics import (
    SPARED,
    boundary,
    improvement,
    level_of_each_look,
    mean_interval,
    permutation_test,
    sampling_error,
    share_interval,
    too_high,
)


def test_interval_of_a_mean_by_hand_and_by_scipy():
    low, high = mean_interval([96.0, 97.0, 98.0])
    half = 4.302653 / math.sqrt(3)  # t(0.975; 2 degrees of freedom), standard deviation 1
    assert (low, high) == (pytest.approx(97 - half, abs=1e-6), pytest.approx(97 + half, abs=1e-6))
    values = np.random.default_rng(0).normal(size=(4, 7))
    by_scipy = stats.ttest_1samp(values, 0, axis=-1).confidence_interval(0.99)
    np.testing.assert_allclose(mean_interval(values, 0.01), (by_scipy.low, by_scipy.high))


def test_one_value_and_equal_values_have_no_interval():
    assert np.isnan(mean_interval([1.0])).all()
    assert np.isnan(mean_interval([[1.0], [2.0]])).all()
    assert np.isnan(mean_interval([2.0, 2.0, 2.0])).all()
    assert np.isnan(mean_interval([93.71] * 3)).all()  # whose variance rounding makes 3e-28
    low, high = mean_interval([[93.71] * 3, [96.0, 97.0, 98.0]])
    assert np.isnan([low[0], high[0]]).all()
    assert high[1] - low[1] == pytest.approx(2 * 4.302653 / math.sqrt(3), abs=1e-6)


def test_intervals_of_few_answers_hold_the_truth_or_are_none():
    """Two seeds, 200 images of which 99 % are answered right: of what has an interval, at least 95 %."""
    right = np.random.default_rng(0).binomial(200, 0.99, (20_000, 2)) / 2
    low, high = mean_interval(right)
    none = np.isnan(low)
    assert none.mean() == pytest.approx(np.mean(right[:, 0] == right[:, 1]), abs=1e-9)
    assert np.mean((low <= 99) & (high >= 99), where=~none) >= 0.95


@pytest.mark.parametrize("n", [3, 5, 10])
def test_intervals_of_simulated_means_hold_the_truth(n):
    low, high = mean_interval(np.random.default_rng(10 + n).normal(0.95, 0.004, (4_000, n)))
    assert 0.94 <= np.mean((low <= 0.95) & (high >= 0.95)) <= 0.96


def test_probability_of_improvement_by_hand():
    # of 3 x 2 pairs: 1 loses to both, 3 beats 2 and ties 3, 5 beats both
    assert improvement([1, 3, 5], [2, 3])[0] == pytest.approx((0 + 1.5 + 2) / 6)
    assert improvement([5, 6], [1, 2])[0] == 1
    assert improvement([1, 1], [1, 1])[0] == 0.5


@pytest.mark.parametrize("share", [0, 0.25, 0.5, 0.75, 1])
def test_its_interval_by_a_grid(share):
    """Its ends are where the estimate is 1.96 standard errors off; of equal shares it lies symmetrically."""
    a = np.arange(8.0)
    b = np.full(4, 8 * share - 0.5 if share != 0.5 else 3.5)
    found, low, high = improvement(a, b)
    grid = np.linspace(1e-6, 1 - 1e-6, 400_001)
    half = (8 + 4) / 2 - 1
    variance = grid * (1 - grid) * (1 + half * ((1 - grid) / (2 - grid) + grid / (1 + grid))) / 32
    held = grid[(found - grid) ** 2 <= 1.959964**2 * variance]
    assert (low, high) == (pytest.approx(held[0], abs=1e-5), pytest.approx(held[-1], abs=1e-5))
    if found == 0.5:
        assert low == pytest.approx(1 - high, abs=1e-6)


def test_its_interval_holds_the_truth():
    """Of two normals half a deviation apart in 95 %, with a simulation's error, from six values on."""
    random = np.random.default_rng(3)
    true = stats.norm.cdf(0.5 / math.sqrt(2))
    found = [improvement(random.normal(0.5, 1, 6), random.normal(0, 1, 6)) for _ in range(800)]
    assert 0.93 <= np.mean([low <= true <= high for _, low, high in found]) <= 0.99


def test_one_run_has_a_share_and_no_interval():
    share, low, high = improvement([2.0], [1.0, 3.0])
    assert share == 0.5
    assert math.isnan(low)
    assert math.isnan(high)


def test_clopper_and_pearson_by_hand():
    # none of 6: 1 - 0.025^(1/6); one of 6: the beta distribution's quantiles, 0.0042 and 0.6412 in tables
    assert share_interval(0, 6) == (0, pytest.approx(1 - 0.025 ** (1 / 6)))
    assert share_interval(1, 6) == (pytest.approx(0.00421, abs=1e-5), pytest.approx(0.64123, abs=1e-5))
    low, high = share_interval(3, 10)
    assert stats.binom.sf(2, 10, low) == pytest.approx(0.025)
    assert stats.binom.cdf(3, 10, high) == pytest.approx(0.025)


def studentised(x, y):
    variance = np.var(x, ddof=1) / len(x) + np.var(y, ddof=1) / len(y)
    return abs(np.mean(x) - np.mean(y)) / math.sqrt(max(variance, 1e-24))


@pytest.mark.parametrize(("a", "b"), [((1, 5, 3), (7, 4, 9, 8)), ((0, 0, 10, 45), (44, 45, 46)), ((1, 2), (3, 4))])
def test_permutations_by_brute_force(a, b):
    """Every way to deal the values; what deviates as much or more is counted."""
    pooled = [float(value) for value in (*a, *b)]
    values = []
    for chosen in itertools.combinations(range(len(pooled)), len(a)):
        x = [pooled[i] for i in chosen]
        y = [pooled[i] for i in range(len(pooled)) if i not in chosen]
        values.append(studentised(x, y))
    expected = np.mean([value >= studentised(a, b) * (1 - 1e-9) for value in values])
    assert permutation_test(a, b) == pytest.approx(expected)


def test_many_permutations_are_drawn_alike_each_time():
    a, b = np.random.default_rng(3).normal(size=(2, 12)) + np.array([[0.8], [0]])
    assert permutation_test(a, b) == permutation_test(a, b)
    assert permutation_test(a, b) == pytest.approx(stats.ttest_ind(a, b, equal_var=False).pvalue, abs=0.02)


def test_permutations_of_equal_values_say_nothing():
    assert permutation_test([1, 1, 1], [1, 1]) == 1


def test_permutations_of_bimodal_values_err_as_often_as_they_say():
    random = np.random.default_rng(0)
    values = np.where(random.random((400, 2, 5)) < 1 / 6, 10, 45) + random.normal(0, 0.5, (400, 2, 5))
    assert np.mean([permutation_test(a, b) <= 0.05 for a, b in values]) <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 400)


def test_sampling_error_by_hand():
    assert sampling_error(0.9, 10_000) == pytest.approx(0.003)


@pytest.mark.parametrize(
    ("rows", "expected"),
    # expected maxima of standard normal values (Tippett, 1925); of 2 and 3 they are 1 / sqrt(pi) and 3 / 2 of that
    [(1, 0), (2, 0.56419), (3, 0.84628), (4, 1.02938), (5, 1.16296), (10, 1.53875), (15, 1.73591)],
)
def test_the_best_of_several_by_published_values(rows, expected):
    assert too_high(rows) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("level", "looks", "published"),
    # Jennison and Turnbull (2000), table 2.1
    [(0.05, 2, 2.178), (0.05, 3, 2.289), (0.05, 5, 2.413), (0.05, 10, 2.555), (0.05, 20, 2.672), (0.01, 5, 2.986)],
)
def test_equally_spaced_looks_have_pococks_constants(level, looks, published):
    assert boundary(level, 1, looks) == pytest.approx(published, abs=6e-4)


def test_two_looks_by_the_bivariate_normal_distribution():
    """Means after 4 and after 5 values correlate by sqrt(4 / 5)."""
    bound, part = boundary(0.05, 4, 5), math.sqrt(4 / 5)
    inside = stats.multivariate_normal([0, 0], [[1, part], [part, 1]]).cdf([bound] * 2, lower_limit=[-bound] * 2)
    assert inside == pytest.approx(0.95, abs=1e-5)


@pytest.mark.parametrize(("level", "first", "most"), [(0.05, 3, 29), (0.2, 2, 10), (0.05 / 6, 2, 29)])
def test_looks_cross_the_boundary_as_often_as_they_may(level, first, most):
    sums = np.random.default_rng(0).normal(size=(60_000, most)).cumsum(1) / np.sqrt(np.arange(1, most + 1))
    crossed = (np.abs(sums[:, first - 1 :]) > boundary(level, first, most)).any(1).mean()
    assert crossed == pytest.approx(level, abs=3 * math.sqrt(level * (1 - level) / 60_000))


def test_the_level_of_each_look():
    assert level_of_each_look(0.05, 4, 4) == 0.05  # one look has all of it
    assert level_of_each_look(0.05, 3, 29) == SPARED * 2 * stats.norm.sf(boundary(0.05, 3, 29))
    each = [level_of_each_look(0.05, 3, most) for most in (4, 10, 29)]
    assert each == sorted(each, reverse=True)
    assert 0.05 / 27 < each[-1] < 0.05  # never less than Bonferroni's share of so many looks
    for first, most in ((1, 5), (6, 5), (0, 0)):
        with pytest.raises(ValueError, match=rf"first must be 2 to most \({most}\): got {first}"):
            level_of_each_look(0.05, first, most)
