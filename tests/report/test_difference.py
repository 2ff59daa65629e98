"""The variance over seeds and images: by hand, and where the truth is known."""

import numpy as np
import pytest
from scipy import stats

from headtohead.report.crossed import crossed


def residual(x):
    """The interaction's mean square of one table, cell by cell, as a share of the variance of the table's mean."""
    n, images = x.shape
    cells = ((x[s, i] - x[s].mean() - x[:, i].mean() + x.mean()) ** 2 for s in range(n) for i in range(images))
    return sum(cells) / ((n - 1) * (images - 1)) / (n * images)


@pytest.mark.parametrize("images_matter", [True, False])
def test_by_hand(images_matter):
    """By sums over cells; in the second case the interaction explains all that images seem to do."""
    a = np.array([[1, 1, 0, 1], [1, 0, 0, 1], [0, 1, 0, 1]])
    b = np.array([[1, 0, 0, 0], [0, 0, 0, 1]])
    if images_matter:
        a, b = np.array([[9, 1, 0, 1], [9, 0, 0, 1], [8, 1, 0, 1]]), b
    found = crossed(a, b)
    means = a.mean(0) - b.mean(0)
    assert found.difference == pytest.approx(a.mean() - b.mean())
    shared = sum((mean - means.mean()) ** 2 for mean in means) / 3 / 4
    both = residual(a) + residual(b)
    assert bool(both < shared) is images_matter
    assert found.interaction == pytest.approx(min(both, shared))
    assert found.images == pytest.approx(max(shared - both, 0))
    seeds = [sum((seed.mean() - x.mean()) ** 2 for seed in x) / (len(x) - 1) / len(x) for x in (a, b)]
    assert found.seeds == pytest.approx(max(seeds[0] - residual(a), 0) + max(seeds[1] - residual(b), 0))
    whole = shared + found.seeds
    degrees = whole**2 / (shared**2 / 3 + seeds[0] ** 2 / 2 + seeds[1] ** 2 / 1)
    assert found.degrees == pytest.approx(max(degrees, 1))
    assert found.variance == pytest.approx(whole)
    assert found.half() == pytest.approx(stats.t.ppf(0.975, found.degrees) * np.sqrt(whole))
    assert found.p() == pytest.approx(2 * stats.t.sf(abs(found.difference) / np.sqrt(whole), found.degrees))


def draw(random, tables, n, images, seeds=1.0, shared=1.0, own=1.0, both=1.0, difference=0.0):
    """Draw tables of two architectures with known standard deviations of each part."""
    common = random.normal(0, shared, (tables, 1, images))
    return [
        mean
        + common
        + random.normal(0, own, (tables, 1, images))
        + random.normal(0, seeds, (tables, count, 1))
        + random.normal(0, both, (tables, count, images))
        for mean, count in ((difference, n[0]), (0.0, n[1]))
    ]


def test_each_part_is_estimated_without_bias():
    """Of 4,000 tables the mean of every estimate is the truth; what images have in common to both cancels."""
    tables, n, images = 4_000, (3, 5), 40
    a, b = draw(np.random.default_rng(0), tables, n, images, seeds=0.5, shared=3.0, own=0.7, both=0.9)
    found = crossed(a, b)
    assert found.images.mean() == pytest.approx(2 * 0.7**2 / images, rel=0.03)
    assert found.interaction.mean() == pytest.approx(0.9**2 / images * (1 / 3 + 1 / 5), rel=0.03)
    assert found.seeds.mean() == pytest.approx(0.5**2 * (1 / 3 + 1 / 5), rel=0.05)
    assert found.variance.mean() == pytest.approx(found.difference.var(), rel=0.06)


@pytest.mark.parametrize("n", [(2, 2), (3, 3), (3, 6), (10, 10)])
@pytest.mark.parametrize(("seeds", "own"), [(0.3, 0.2), (0.05, 1.0), (1.0, 0.0)])
def test_intervals_hold_the_truth(n, seeds, own):
    """Whether seeds or images make most of it, 95 % of 4,000 intervals hold the truth; with two seeds a few more."""
    random = np.random.default_rng(1)
    a, b = draw(random, 4_000, n, 30, seeds=seeds, own=own, both=1.0, difference=0.4)
    found = crossed(a, b)
    share = (np.abs(found.difference - 0.4) <= found.half()).mean()
    assert 0.935 <= share <= 0.995


def test_what_never_varies_has_no_p_below_one():
    same = np.ones((2, 5))
    assert crossed(same, same).p() == 1
    assert crossed(same, 0 * same).p() == 0


@pytest.mark.parametrize(
    ("a", "b", "said"),
    [
        (np.ones((2, 3)), np.ones((2, 4)), "the same images, two at least: got 3 and 4"),
        (np.ones((2, 1)), np.ones((2, 1)), "two at least: got 1 and 1"),
        (np.ones((1, 3)), np.ones((2, 3)), "two seeds at least: got 1 and 2"),
    ],
)
def test_what_cannot_be_compared_is_refused(a, b, said):
    with pytest.raises(ValueError, match=said):
        crossed(a, b)
