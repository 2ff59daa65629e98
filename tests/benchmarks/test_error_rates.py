"""The error rates of verdicts, simulated: few tables here, as many as the issue on verdicts asks for each night."""

import math

import numpy as np
import pytest
from scipy import stats

from benchmarks import verdicts
from benchmarks.verdicts import MODELS, MOST, SEEDS, TEST_SETS
from headtohead.report.difference import difference, side
from headtohead.report.statistics import LEVEL

KNOWN = verdicts.distributions()
DRAWS = pytest.mark.parametrize("name", KNOWN)
COUNTS = pytest.mark.parametrize("n", SEEDS)


def most(share, tables, errors=3.0):
    """What a share that is right is at most in a simulation."""
    return share + errors * math.sqrt(share * (1 - share) / tables)


def test_distributions_have_mean_0_and_deviation_1():
    for name, draw in KNOWN.items():
        values = draw(np.random.default_rng(1), (200_000,))
        assert values.mean() == pytest.approx(0, abs=0.02), name
        assert values.std() == pytest.approx(1, abs=0.1), name  # of t with 3 degrees it converges slowly


def test_a_table_without_a_difference_hardly_ever_shows_one_quickly():
    found = [verdicts.false_verdicts(draw, k, n, 400) for draw in KNOWN.values() for k in (2, 5) for n in (2, 6)]
    assert max(found) <= most(0.05, 400)
    assert np.mean(found) > 0.01  # a test that never rejects would pass for a good one


def test_coverage_and_power_quickly():
    for draw in KNOWN.values():
        assert 0.92 <= verdicts.coverage(draw, 6, 1_000) <= 0.98
        assert verdicts.power(draw, 4, 2.5, 1_000)[0] >= 0.75
        assert verdicts.equal(draw, 3, 1_000) <= most(0.05, 1_000)
        assert verdicts.wrong_claim(draw, 2, 1_000) <= most(0.05, 1_000)
    found = verdicts.until_decided(KNOWN["normal"], 0, 1_000)
    assert 0.01 < found.false <= most(0.05, 1_000)
    far = verdicts.until_decided(KNOWN["normal"], 3, 500)
    assert far.false == 1
    assert 3 <= far.seeds < 7


def test_the_first_editions_rule_by_hand():
    """Six differences of one sign have p = 2 / 64; five were never tested; of 5 : 1 the smallest may flip, 4 / 64."""
    paired = np.array([[1, 2, 3, 4, 5, 6], [-1, 2, 3, 4, 5, 6], [1, 1, 1, -1, -1, -1.0]])
    assert verdicts._sign_flips(paired).tolist() == [True, False, False]
    assert not verdicts._sign_flips(paired[:, :5]).any()


def halves(a, b, splits):
    """How often the differences on two halves of a test set lie as near to each other as their intervals say.

    The halves have the seeds in common, so that only what varies with the images may part them: of both halves.

    Args:
        a: what each seed of a model made of each image, ``(n, N)``, as right or wrong.
        b: the same of another, ``(m, N)``.
        splits: how often the images are dealt.
    """
    x, y = a.astype(float), b.astype(float)
    random = np.random.default_rng(0)
    held = 0
    for _ in range(splits):
        one_half, other_half = np.split(random.permutation(x.shape[1]), 2)
        one, other = (
            difference(side(x[:, half].mean(-1), x[:, half]), side(y[:, half].mean(-1), y[:, half]))
            for half in (one_half, other_half)
        )
        variance = one.images + one.interaction + other.images + other.interaction
        near = stats.t.ppf(1 - LEVEL / 2, 2 * (len(one_half) - 1)) * np.sqrt(variance)
        held += bool(abs(one.value - other.value) <= near)
    return held / splits


def test_halves_of_a_test_set_predict_each_other():
    """Of answers that are drawn independently, in 95 %."""
    random = np.random.default_rng(0)
    chance = random.random(2_000)
    a, b = ((random.random((3, 2_000)) < chance) for _ in range(2))
    assert 0.92 <= halves(a, b, 400) <= 0.98


@pytest.mark.nightly
@DRAWS
@COUNTS
@pytest.mark.parametrize("models", MODELS)
def test_false_verdicts(name, n, models):
    assert verdicts.false_verdicts(KNOWN[name], models, n, 3_000) <= most(0.05, 3_000)


@pytest.mark.nightly
@COUNTS
@pytest.mark.parametrize("models", [2, 3])
@pytest.mark.parametrize("name", TEST_SETS)
def test_false_verdicts_on_a_test_set(name, models, n):
    assert verdicts.on_a_test_set(models, n, 10_000, TEST_SETS[name], 3_000) <= most(0.05, 3_000)


@pytest.mark.nightly
@COUNTS
def test_false_verdicts_where_one_seed_in_six_never_learns(n):
    assert verdicts.never_learning(n, 1_000) <= most(0.05, 1_000)


@pytest.mark.nightly
@DRAWS
@COUNTS
def test_coverage_equality_and_wrong_claims(name, n):
    draw = KNOWN[name]
    slack = 3 * math.sqrt(0.05 * 0.95 / 3_000)
    assert 0.93 - slack <= verdicts.coverage(draw, n, 3_000) <= 0.97 + slack
    assert verdicts.equal(draw, n, 3_000) <= most(0.05, 3_000)
    assert verdicts.wrong_claim(draw, n, 3_000) <= most(0.05, 3_000)


@pytest.mark.nightly
@DRAWS
def test_power(name):
    ours, first_editions = verdicts.power(KNOWN[name], 4, 2.5, 3_000)
    assert ours >= 0.75
    assert first_editions == 0


@pytest.mark.nightly
@DRAWS
def test_a_look_after_every_seed(name):
    assert verdicts.until_decided(KNOWN[name], 0, 10_000).false <= most(0.05, 10_000)


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("name", "bound"),
    [("normal", 0.05), ("t, 3 degrees", 0.05), ("committed runs", 0.08), ("log-normal, σ 0.5", 0.095)],
)
def test_looks_where_one_model_scatters_three_times_as_much(name, bound):
    """Where seeds are skewed too the level does not hold: 7.2 % and 8.9 % were measured, which may not grow."""
    assert verdicts.until_decided(KNOWN[name], 0, 10_000, wider=3.0).false <= most(bound, 10_000)


@pytest.mark.nightly
def test_looks_save_seeds():
    seeds = [verdicts.until_decided(KNOWN["normal"], apart, 3_000).seeds for apart in (1, 1.5, 2, 3)]
    assert seeds == sorted(seeds, reverse=True)
    assert seeds[-1] < 6 < 15 < seeds[0] < MOST
