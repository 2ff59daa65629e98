"""The variance over seeds and images: by hand, and where the truth is known."""

import dataclasses

import numpy as np
import pytest
from scipy import stats

from headtohead.report.difference import difference, half_of_paired, side


def crossed(a, b):
    """Compare tables of single images."""
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    return difference(side(a.mean(-1), a), side(b.mean(-1), b))


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
    assert found.counted
    assert found.value == pytest.approx(a.mean() - b.mean())
    shared = sum((mean - means.mean()) ** 2 for mean in means) / 3 / 4
    both = residual(a) + residual(b)
    assert bool(both < shared) is images_matter
    assert found.interaction == pytest.approx(min(both, shared))
    assert found.images == pytest.approx(max(shared - both, 0))
    seeds = [sum((seed.mean() - x.mean()) ** 2 for seed in x) / (len(x) - 1) / len(x) for x in (a, b)]
    assert found.seeds == pytest.approx(max(seeds[0] - residual(a), 0) + max(seeds[1] - residual(b), 0))
    whole = shared + found.seeds
    assert found.variance == pytest.approx(whole)
    # 4 images, 3 and 2 seeds: 3, 2 and 1 degrees of freedom; those of both sides' seeds are at most twice the fewer
    own = min(max(sum(seeds) ** 2 / (seeds[0] ** 2 / 4 + seeds[1] ** 2 / 3) - 2, 1), 2)
    assert found.degrees == pytest.approx(own)
    of_seeds = stats.t.ppf(0.95, own) ** 2 * (found.seeds + found.interaction)
    of_images = 2.353363**2 * found.images  # t(0.95; 3)
    assert found.half(0.1) == pytest.approx(np.sqrt(of_seeds + of_images), rel=1e-6)
    assert (found.half_of_seeds(0.1), found.half_of_images(0.1)) == (
        pytest.approx(np.sqrt(of_seeds)),
        pytest.approx(np.sqrt(of_images), rel=1e-6),
    )


def test_without_images_it_is_welchs_test():
    """Variances 1 and 32 of three and four seeds."""
    found = difference(side([96, 97, 98]), side([86, 86, 98, 90]))
    assert not found.counted
    assert found.value == 7
    assert (found.images, found.interaction) == (0, 0)
    assert found.seeds == pytest.approx(1 / 3 + 32 / 4)
    # three and four seeds: 2 and 3 degrees of freedom, each plus 2
    assert found.degrees == pytest.approx((1 / 3 + 8) ** 2 / ((1 / 9) / 4 + 64 / 5) - 2)
    assert found.half() == pytest.approx(stats.t.ppf(0.975, found.degrees) * np.sqrt(1 / 3 + 8))


def test_degrees_stay_within_those_of_one_side_and_of_both():
    assert difference(side([0, 1, 2]), side([5, 5, 5])).degrees == 2  # 1 / (1 / 4) - 2
    assert difference(side([0, 10]), side([5, 5.001])).degrees == pytest.approx(1)  # 3 - 2
    # of equal variances of n seeds each (2v)^2 / (2 v^2 / (n + 1)) - 2 = 2 (n + 1) - 2 would be 2 more than there are
    assert difference(side([0, 1, 2]), side([5, 6, 7])).degrees == 4
    assert difference(side([0, 1]), side([5, 6])).degrees == 2
    # variances of 1 / 3 and 9 / 28 of three and eight seeds would have 8.9: they are cut to twice 2
    assert difference(side([0, 1, 2]), side([-1.5] * 4 + [1.5] * 4)).degrees == 4
    assert difference(side([1, 1, 1]), side([2, 2])).degrees == 2


@pytest.mark.parametrize("apart", [0, 1])
def test_what_never_varies_has_an_interval_without_end(apart):
    for found in (crossed(np.full((2, 5), apart), np.zeros((3, 5))), difference(side([apart, apart]), side([0, 0, 0]))):
        assert found.value == apart
        assert found.variance == 0
        assert found.half() == np.inf


def test_two_numbers_that_never_differ_are_told_row_by_row():
    apart, same = np.array([[0.0, 0.0], [1.0, 2.0]]), np.zeros((2, 2, 4))
    assert half_of_paired(apart, [same]).tolist()[0] == 0
    assert half_of_paired(apart, [same])[1] == half_of_paired(apart[1], [same[1]]) > 0
    assert half_of_paired([0.0, 0.0]) == np.inf


def test_seeds_that_give_the_same_answers_say_nothing_of_others_whatever_the_images_vary():
    """As of a sweep whose random seed changes nothing."""
    answers = np.random.default_rng(0).random((2, 1000)) < [[0.95], [0.90]]
    a, b = (np.repeat(one[None].astype(float), 2, axis=0) for one in answers)
    found = difference(side(a.mean(-1), a), side(b.mean(-1), b))
    assert found.images > 0
    assert found.half() == np.inf


@pytest.mark.parametrize("n", [3, 5, 6, 7, 10])
def test_rounding_makes_no_spread_of_seeds_that_end_alike(n):
    """Some equal values have a mean that is not quite theirs: without care 93.71 thrice varies by 1e-14."""
    for value in np.round(np.random.default_rng(n).uniform(10, 99.9, 200), 2):
        found = difference(side([value] * n), side([value + 0.01] * n))
        assert (found.variance, found.half()) == (0, np.inf)


def test_one_side_without_images_leaves_seeds_alone():
    random = np.random.default_rng(0)
    a, b = random.normal(size=(3, 40)), random.normal(size=(4, 40))
    half_known = difference(side(a.mean(-1), a), side(b.mean(-1)))
    unknown = difference(side(a.mean(-1)), side(b.mean(-1)))
    assert not half_known.counted
    assert (half_known.variance, half_known.degrees) == (unknown.variance, unknown.degrees)


def test_many_tables_at_once_are_each_as_one():
    random = np.random.default_rng(0)
    a, b = random.normal(size=(4, 3, 20)), random.normal(size=(4, 2, 20))
    together = crossed(a, b)
    for index in range(4):
        alone = crossed(a[index], b[index])
        assert together.half()[index] == pytest.approx(alone.half())
        assert together.images[index] == pytest.approx(alone.images)


def draw(random, tables, n, images, seeds=1.0, shared=1.0, own=1.0, both=1.0, apart=0.0):
    """Draw tables of two architectures with known standard deviations of each part."""
    common = random.normal(0, shared, (tables, 1, images))
    return [
        mean
        + common
        + random.normal(0, own, (tables, 1, images))
        + random.normal(0, seeds, (tables, count, 1))
        + random.normal(0, both, (tables, count, images))
        for mean, count in ((apart, n[0]), (0.0, n[1]))
    ]


def test_each_part_is_estimated_without_bias():
    """Of 4,000 tables the mean of every estimate is the truth; what images have in common to both cancels."""
    tables, n, images = 4_000, (3, 5), 40
    found = crossed(*draw(np.random.default_rng(0), tables, n, images, seeds=0.5, shared=3.0, own=0.7, both=0.9))
    assert found.images.mean() == pytest.approx(2 * 0.7**2 / images, rel=0.03)
    assert found.interaction.mean() == pytest.approx(0.9**2 / images * (1 / 3 + 1 / 5), rel=0.03)
    assert found.seeds.mean() == pytest.approx(0.5**2 * (1 / 3 + 1 / 5), rel=0.05)
    assert found.variance.mean() == pytest.approx(found.value.var(), rel=0.06)


@pytest.mark.parametrize("n", [(2, 2), (3, 3), (3, 6), (10, 10)])
@pytest.mark.parametrize(("seeds", "own"), [(0.3, 0.2), (0.05, 1.0), (1.0, 0.0)])
def test_intervals_hold_the_truth(n, seeds, own):
    """Whether seeds or images make most of it, 95 % of 4,000 intervals hold the truth; with two seeds up to all."""
    random = np.random.default_rng(1)
    found = crossed(*draw(random, 4_000, n, 30, seeds=seeds, own=own, both=1.0, apart=0.4))
    share = (np.abs(found.value - 0.4) <= found.half()).mean()
    assert 0.935 <= share <= (0.995 if min(n) > 2 else 0.9995)


@pytest.mark.parametrize("level", [0.05, 0.01])
@pytest.mark.parametrize(("n", "share"), [((2, 2), 0.8), ((2, 2), 0.95), ((3, 3), 0.8), ((2, 6), 0.8)])
def test_intervals_hold_the_truth_where_few_seeds_are_most_of_the_variance(n, share, level):
    """With one t for seeds and images 9 % of two seeds' intervals at 5 %, and 3.5 % at 1 %, did not."""
    random = np.random.default_rng(4)
    images = np.sqrt((1 - share) * 50) * random.normal(size=(20_000, 50))
    drawn = [np.sqrt(share / (1 / n[0] + 1 / n[1])) * random.normal(size=(20_000, count)) for count in n]
    a, b = (
        dataclasses.replace(side(values), mean=values.mean(-1) + of_image.mean(-1), per_image=of_image)
        for values, of_image in zip(drawn, (images, np.zeros_like(images)), strict=True)
    )
    found = difference(a, b)
    assert found.counted
    assert (np.abs(found.value) > found.half(level)).mean() <= 1.15 * level


@pytest.mark.parametrize(
    ("n", "most"), [((2, 2), 0.975), ((3, 3), 0.967), ((10, 10), 0.96), ((3, 10), 0.965), ((2, 6), 0.99)]
)
def test_welchs_degrees_are_hardly_too_few(n, most):
    """Of seeds alone 94 to 97.5 % of the intervals hold the truth, with two against six a little more."""
    random = np.random.default_rng(2)
    found = difference(side(random.normal(size=(20_000, n[0]))), side(random.normal(size=(20_000, n[1]))))
    assert 0.94 <= (np.abs(found.value) <= found.half()).mean() <= most


@pytest.mark.parametrize(
    ("a", "b", "said"),
    [
        (np.ones((2, 3)), np.ones((2, 4)), "both need the same images: got 3 and 4"),
        (np.ones((2, 1)), np.ones((2, 1)), "two images are needed at least: got 1"),
        (np.ones((1, 3)), np.ones((2, 3)), "two seeds are needed at least: got 1"),
    ],
)
def test_what_cannot_be_compared_is_refused(a, b, said):
    with pytest.raises(ValueError, match=said):
        crossed(a, b)
