"""Computes intervals and tests for a handful of seeds, along the last axis, so that simulations are quick.

Why Student's t and not a bootstrap: of 10,000 simulated means of normal values, Student's interval held the truth in
94.7 % (5 values), 95.2 % (10) and 95.2 % (20), the BCa bootstrap's in 84.0 %, 90.1 % and 92.5 %. Where errors are
skewed (log-normal, sigma 0.5) it was 91.8 %, 92.4 % and 93.6 % against 80.7 %, 88.4 % and 91.5 %. A test simulates it
again.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from scipy import stats

Floats = npt.NDArray[np.float64]

LEVEL = 0.05  # of tests; intervals hold 95 %
LEAST_PAIRS = 6  # with 5 the smallest p that flipping signs can give is 2 / 2^5 = 0.0625
MOST_NUMBERS = 2**22  # in memory at once
MOST_FLIPS = 2**14  # all sign flips of up to 14 pairs are tried, of more pairs this many at random


def mean_interval(values: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Return the ends of the 95 % interval of the mean, Student's t; NaN for fewer than two values.

    Args:
        values: (..., n).
    """
    x = np.asarray(values, dtype=float)
    n = x.shape[-1]
    if n < 2:
        nothing = np.full(x.shape[:-1], np.nan)
        return nothing, nothing
    # not t.interval, which is NaN where all values are equal
    half = stats.t.ppf(1 - LEVEL / 2, n - 1) * stats.sem(x, axis=-1)
    return x.mean(-1) - half, x.mean(-1) + half


def run_interval(values: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Return the ends of the interval that holds one further run with 95 % (a prediction interval, Student's t).

    Args:
        values: (..., n).
    """
    x = np.asarray(values, dtype=float)
    low, high = mean_interval(x)
    half = (high - low) / 2 * np.sqrt(x.shape[-1] + 1)
    return x.mean(-1) - half, x.mean(-1) + half


def sign_flip_test(a: npt.ArrayLike, b: npt.ArrayLike) -> Floats:
    """Return the two-sided p-value of a paired permutation test of the mean difference; NaN below 6 pairs.

    Not scipy's permutation_test: it takes sums that rounding alone tells apart for different, which changes the p of
    accuracies with ties, and 20 s for the 870 tests of a table with 100 seeds, where this takes 0.4 s.

    Args:
        a: (..., n) paired with ``b``: value i of both has the same seed.
        b: (..., n).
    """
    difference = np.asarray(a, dtype=float) - np.asarray(b, dtype=float)
    n = difference.shape[-1]
    if n < LEAST_PAIRS:
        return np.full(difference.shape[:-1], np.nan)
    rows = difference.reshape(-1, n)
    # the margin: sums that differ by rounding alone are equal
    least = np.abs(rows.sum(-1)) - 1e-12 * np.abs(rows).sum(-1)
    extreme = np.zeros(len(rows))
    for signs in _flips(n, max(1, MOST_NUMBERS // max(n, len(rows)))):
        extreme += (np.abs(rows @ signs.T) >= least[:, None]).sum(-1)
    p = extreme / 2 ** (n - 1) if 2**n <= MOST_FLIPS else (extreme + 1) / (MOST_FLIPS + 1)
    return np.asarray(p.reshape(difference.shape[:-1]))


def _flips(n: int, size: int) -> Iterator[Floats]:
    """Yield blocks of up to ``size`` sign flips of n values: all with a positive first, or as many random ones.

    The others are their mirror images, whose sums are as far from zero. The random ones are the same at each call, so
    that the same records give the same table.
    """
    rng = np.random.default_rng(0)
    count = 2 ** (n - 1) if 2**n <= MOST_FLIPS else MOST_FLIPS
    for start in range(0, count, size):
        some = min(size, count - start)
        if 2**n <= MOST_FLIPS:
            ones = np.arange(start, start + some)[:, None] >> np.arange(n) & 1
        else:
            ones = rng.integers(0, 2, (some, n), dtype=np.int8)
        yield np.where(ones, -1.0, 1.0)


def improvement(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    """Return P(a > b), the share of all pairs of a run of each that ``a`` wins; a tie is half a win.

    This is Agarwal et al. 2021's probability of improvement, and Mann and Whitney's U divided by the number of pairs.
    """
    x, y = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    return float(stats.mannwhitneyu(x, y, method="asymptotic").statistic / (x.size * y.size))


def holm(p: npt.ArrayLike) -> Floats:
    """Return Holm's adjustment of p-values, by which any false rejection among them has at most the stated level.

    Args:
        p: (..., m), the p-values of all tests of a table, without NaN.
    """
    values = np.asarray(p, dtype=float)
    order = np.argsort(values, axis=-1)
    steps = np.arange(values.shape[-1], 0, -1)
    rising = np.maximum.accumulate(np.take_along_axis(values, order, -1) * steps, axis=-1)
    adjusted = np.empty_like(values)
    np.put_along_axis(adjusted, order, np.minimum(rising, 1), -1)
    return adjusted


def smallest_adjusted(pairs: npt.ArrayLike) -> Floats:
    """Return the smallest p-value that each test of a table could have after Holm's adjustment.

    Args:
        pairs: (m,) number of pairs of each test, of which flipping signs gives a p of at least 2 / 2^pairs.
    """
    n = np.asarray(pairs, dtype=float)
    sampled = 1 / (MOST_FLIPS + 1)
    return holm(np.maximum(2.0 ** (1 - n), np.where(n > np.log2(MOST_FLIPS), sampled, 0)))


def sampling_error(share: float, images: float) -> float:
    """Return the binomial standard error of a share of right answers on ``images`` images, the same for every seed."""
    return float(np.sqrt(share * (1 - share) / images))
