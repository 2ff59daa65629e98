"""Verdicts: by hand-computed intervals, and said word by word."""

import dataclasses
import math

import numpy as np
import pytest
from scipy import stats

from headtohead.records.looks import Looks
from headtohead.records.metrics import CLASSIFICATION, INPAINTING
from headtohead.records.per_image import of_classifier
from headtohead.report.collect import collect, runs_table
from headtohead.report.comparison import make_comparison
from headtohead.report.difference import difference, side
from headtohead.report.sentences import sentence, unit_of
from headtohead.report.statistics import level_of_each_look, permutation_test
from headtohead.report.verdicts import Pair, Samples, compare, margin_of, verdict_of
from tests.records.examples import filled, make, other_config, save, with_accuracy

CLASSES = list("0123456789")


def models(*accuracies, data="MNIST", turned=None):
    """Records of models A, B, ... with the given accuracies of seeds 0, 1, ...; at chance if one is below 0.2."""
    found = []
    for index, values in enumerate(accuracies):
        name = "ABCDEF"[index]
        for seed, accuracy in enumerate(values):
            record = with_accuracy(accuracy, seed, data=data, **{**other_config(model=name, data=data), "model": name})
            quality = {**record.quality, "class_names": CLASSES, "val_acc": accuracy}
            quality["test_acc_rot90"] = accuracy if turned is None else turned[index]
            size = {"params": 10 + 10 * index, "macs": 100, "bytes": 40}
            history = [{"epoch": 0, "val_acc": accuracy}]
            found.append(dataclasses.replace(record, quality=quality, size=size, history=history))
    return found


def pair_of(folder, *accuracies, numbers=("test_acc",), margin=0.2, looks=None, **options):
    """The pairs of the first two models, A against B."""
    trials = collect(save(folder, *models(*accuracies, **options)))
    runs = runs_table(trials)
    keys = {record.model: record.config_hash for record in trials.records.values()}
    names = {key: model for model, key in keys.items()}
    samples = Samples(trials, runs, CLASSIFICATION)
    return compare(samples, [(keys["A"], keys["B"])], numbers, dict.fromkeys(numbers, margin), names, looks)


def test_what_an_interval_says():
    assert verdict_of(1.0, 0.5, 0.2) == "better"
    assert verdict_of(-1.0, 0.5, 0.2) == "worse"
    assert verdict_of(1.0, 0.5, 0.2, sign=-1) == "worse"
    assert verdict_of(-1.0, 0.5, 0.2, sign=-1) == "better"
    assert verdict_of(0.1, 0.5, 0.2) == "undecided"
    assert verdict_of(0.05, 0.1, 0.2) == "equal"
    assert verdict_of(0.1, 0.05, 0.2) == "equal"  # 0 is outside, but less than the margin counts as no difference
    assert verdict_of(0.1, 0.1, 0.2) == "undecided"  # an end on 0 or on the margin decides nothing
    assert verdict_of(5.0, math.inf, 0.2) == "undecided"
    assert verdict_of(0.0, math.nan, 0.2) == "undecided"


def test_an_interval_by_hand(tmp_path):
    """Accuracies 96, 97, 98 and 90, 92, 94: difference 5, variances 1/3 and 4/3 of the means."""
    (pair,) = pair_of(tmp_path, [0.96, 0.97, 0.98], [0.90, 0.92, 0.94])
    assert (pair.model, pair.other, pair.n, pair.never) == ("A", "B", (3, 3), (0, 0))
    assert pair.value == pytest.approx(5)
    variance = 1 / 3 + 4 / 3
    degrees = variance**2 / ((1 / 9) / 4 + (16 / 9) / 4) - 2  # Welch (1947), 3.88
    assert pair.half == pytest.approx(stats.t.ppf(0.975, degrees) * math.sqrt(variance))
    assert pair.half == pytest.approx(3.627, abs=2e-3)
    assert pair.verdict == "better"
    assert pair.better[0] == 1
    assert not pair.difference.counted
    assert pair.part("seeds") == pytest.approx(pair.half)
    assert math.isnan(pair.part("images"))


def test_all_numbers_of_a_question_share_its_level(tmp_path):
    one, other = pair_of(
        tmp_path, [0.96, 0.97, 0.98], [0.90, 0.92, 0.94], numbers=("test_acc", "test_acc_rot90"), turned=[0.1, 0.9]
    )
    assert (one.level, other.level) == (0.025, 0.025)
    assert one.half == pytest.approx(one.difference.half(0.025))
    assert other.value == pytest.approx(-80)
    assert other.half == math.inf  # no seed differs from another
    assert other.verdict == "undecided"


def test_a_pair_of_one_seed_takes_no_share(tmp_path):
    trials = collect(save(tmp_path, *models([0.96, 0.97, 0.98], [0.90, 0.92, 0.94], [0.5])))
    keys = {record.model: record.config_hash for record in trials.records.values()}
    samples = Samples(trials, runs_table(trials), CLASSIFICATION)
    pairs = [(keys["A"], keys["B"]), (keys["A"], keys["C"])]
    both, single = compare(samples, pairs, ["test_acc"], {"test_acc": 0.2}, {key: m for m, key in keys.items()})
    assert both.level == 0.05
    assert single.difference is None
    assert single.verdict == "undecided"
    assert not single.decided
    assert math.isnan(single.half)
    assert single.seeds_to_decide() is None
    assert single.better[0] == 1
    assert math.isnan(single.better[1])


def test_what_another_question_is_about_is_left_out(tmp_path):
    trials = collect(save(tmp_path, *models([0.96, 0.97], [0.90, 0.92])))
    a, b = dict.fromkeys(record.config_hash for record in trials.records.values())
    samples = Samples(trials, runs_table(trials), CLASSIFICATION)
    numbers = ["test_acc", "test_acc_rot90"]
    left = compare(
        samples, [(a, b)], numbers, dict.fromkeys(numbers, 1), {a: "A", b: "B"}, None, {(frozenset((b, a)), "test_acc")}
    )
    assert [(pair.number, pair.level) for pair in left] == [("test_acc_rot90", 0.05)]


def test_less_error_is_better(tmp_path):
    other = {**other_config(model="ConvUNet"), "model": "ConvUNet"}
    found = [filled(seed, 0.05 + seed / 1000) for seed in range(3)]
    found += [filled(seed, 0.06 + seed / 1000, **other) for seed in range(3)]
    pair = make_comparison(collect(save(tmp_path, *found))).parts[0].others.pairs[0]
    assert (pair.model, pair.other, pair.number, pair.margin) == ("ConvUNet", "PConvUNet", "test_l1_hole", 0.1)
    assert pair.value == pytest.approx(1)
    assert pair.verdict == "worse"
    assert pair.better[0] == 0


def test_looks_cost_level(tmp_path):
    (plain,) = pair_of(tmp_path / "a", [0.96, 0.97, 0.98], [0.90, 0.92, 0.94])
    (looked,) = pair_of(tmp_path / "b", [0.96, 0.97, 0.98], [0.90, 0.92, 0.94], looks=Looks(3, 29))
    assert looked.level == level_of_each_look(0.05, 3, 29) < plain.level
    assert looked.half > plain.half
    (beyond,) = pair_of(tmp_path / "c", [0.96, 0.97, 0.98, 0.97], [0.90, 0.92, 0.94], looks=Looks(2, 3))
    assert beyond.level == level_of_each_look(0.05, 2, 4)  # seeds that somebody added by hand are looks too


LEARNT, DEAD = [0.44, 0.45, 0.46], 0.1


def test_seeds_that_never_learn(tmp_path):
    """One of four is at chance: half of the level for the other three, half for a permutation test of all."""
    (pair,) = pair_of(tmp_path, [*LEARNT, DEAD], [0.50, 0.51, 0.52, 0.53])
    assert (pair.n, pair.never) == ((3, 4), (1, 0))
    assert pair.value == pytest.approx(45 - 51.5)
    assert pair.level == 0.05
    assert pair.half == pytest.approx(difference(side([44, 45, 46]), side([50, 51, 52, 53])).half(0.025))
    assert pair.verdict == "worse"
    assert pair.value_of_all == pytest.approx(36.25 - 51.5)
    p = permutation_test([44, 45, 46, 10], [50, 51, 52, 53])
    assert pair.p_of_all == pytest.approx(2 * p)
    assert pair.better[0] == 0
    said = sentence(CLASSIFICATION, pair)
    low, high = (f"{pair.value + sign * pair.half:.2f}".replace("-", "−") for sign in (-1, 1))
    assert said == (
        f"A is worse than B upright (−6.50 points, {low} to {high}) when it learns: A does not in 1 of 4 seeds "
        f"(1% to 81% of all seeds); over all seeds −15.25 points, {pair.verdict_of_all} "
        f"(permutation test, p = {2 * p:.2g}); test set not counted"
    )


def test_the_level_of_a_permutation_test_is_shared_with_other_pairs(tmp_path):
    numbers = ("test_acc", "test_acc_rot90")
    pairs = pair_of(tmp_path, [*LEARNT, DEAD], [0.50, 0.51, 0.52, 0.53], numbers=numbers)
    p = permutation_test([44, 45, 46, 10], [50, 51, 52, 53])
    assert [pair.p_of_all for pair in pairs] == [pytest.approx(4 * p)] * 2  # two numbers, two tests each


def test_a_pair_that_only_all_seeds_can_decide_counts_for_the_level(tmp_path):
    """One seed of A learns: no interval, but a permutation test of all in both numbers, each at half of a half."""
    pairs = pair_of(tmp_path, [0.45, DEAD, DEAD], [0.50, 0.51, 0.52], numbers=("test_acc", "test_acc_rot90"))
    assert [pair.difference for pair in pairs] == [None, None]
    p = permutation_test([45, 10, 10], [50, 51, 52])
    assert [pair.p_of_all for pair in pairs] == [pytest.approx(4 * p)] * 2


def test_all_seeds_may_decide_where_those_that_learn_do_not(tmp_path):
    (pair,) = pair_of(tmp_path, [0.5, 0.52, DEAD, DEAD, DEAD, DEAD, DEAD], [0.49, 0.51, 0.5, 0.52, 0.53, 0.5, 0.51])
    assert pair.verdict == "undecided"
    assert pair.verdict_of_all == "worse"
    assert pair.decided


def test_one_that_never_learns_has_no_verdict_but_that_of_all(tmp_path):
    (pair,) = pair_of(tmp_path, [DEAD] * 3, [0.5, 0.51, 0.52])
    assert math.isnan(pair.value)
    assert pair.difference is None
    said = sentence(CLASSIFICATION, pair)
    assert said.startswith(
        "A against B upright: nothing to compare: A does not learn in 3 of 3 seeds (29% to 100% of all seeds); "
    )
    assert "over all seeds −41.00 points" in said
    (pair,) = pair_of(tmp_path / "one", [DEAD, DEAD, 0.6], [0.5, 0.51, 0.52])
    said = sentence(CLASSIFICATION, pair)
    assert said.startswith(
        "A against B upright: one seed that learns decides nothing (+9.00 points): A does not learn in 2 of"
    )


def with_images(records, bits, test_set="t"):
    """Give records their answers to single images; the accuracy follows."""
    found = []
    for record, right in zip(records, bits, strict=True):
        quality = {**record.quality, "test_acc": float(np.mean(right))}
        kept = of_classifier(test_set, {0: right})
        found.append(dataclasses.replace(record, quality=quality, per_image=kept))
    return found


BITS = np.random.default_rng(0).random((6, 200)) < np.repeat([0.9, 0.6], 3)[:, None]


def counted_pair(folder, found):
    return make_comparison(collect(save(folder, *found))).parts[0].others.pairs[0]


def test_the_test_set_is_counted_where_every_image_is_known(tmp_path):
    found = with_images(models([0.9] * 3, [0.6] * 3), BITS)
    pair = counted_pair(tmp_path, found)
    assert (pair.model, pair.other) == ("B", "A")
    by_hand = difference(side(100 * BITS[3:].mean(-1), 100 * BITS[3:]), side(100 * BITS[:3].mean(-1), 100 * BITS[:3]))
    assert pair.difference.counted
    assert pair.difference.images > 0
    assert pair.half == pytest.approx(by_hand.half(0.025))
    assert pair.part("images") == pytest.approx(stats.t.isf(0.0125, 199) * math.sqrt(by_hand.images))
    assert pair.half == pytest.approx(math.hypot(pair.part("images"), pair.part("seeds")))
    assert pair.test_set_alone == pytest.approx(stats.norm.isf(0.0125) * math.sqrt(by_hand.images))
    assert "test set not counted" not in sentence(CLASSIFICATION, pair)


@pytest.mark.parametrize(
    "change",
    [
        lambda found: [*found[:5], dataclasses.replace(found[5], per_image=None)],
        lambda found: [*found[:3], *with_images(found[3:], BITS[3:], "another")],
        lambda found: [*found[:5], *with_images(found[5:], BITS[5:], "another")],
        lambda found: [*found[:5], *with_images(found[5:], BITS[5:, :100])],
        lambda found: with_images(found, BITS[:, :1]),
    ],
    ids=["one keeps none", "another test set", "of one seed", "another number of images", "one image"],
)
def test_otherwise_it_is_seeds_alone_and_said_so(tmp_path, change):
    found = change(with_images(models([0.9] * 3, [0.6] * 3), BITS))
    comparison = make_comparison(collect(save(tmp_path, *found)))
    pair = comparison.parts[0].others.pairs[0]
    assert not pair.difference.counted
    assert pair.difference.images == 0
    assert sentence(CLASSIFICATION, pair).endswith("; test set not counted")
    (note,) = (note for note in comparison.notes if note.startswith("Test set not counted"))
    assert note.startswith("Test set not counted in 0°, 90° of pairs without ± test set: not all their records keep")
    assert comparison.headline[0].verdicts.title == "MNIST: every two rows (test set not counted)"


def made(value=0.4, seeds=0.09, images=0.0, n=(3, 3), margin=0.2, level=0.05):
    """A pair whose difference has variances as given."""
    array = np.asarray
    found = difference(side([0, 1, 2][: n[0]] if n[0] < 3 else [0, 1, 2]), side([0, 1, 2]))
    found = dataclasses.replace(
        found, value=array(value), seeds=array(seeds), images=array(images), counted=images > 0, degrees=array(4.0)
    )
    return Pair("A", "B", "test_acc", 1, margin, n, (0, 0), value, found, (0.5, 0.1, 0.9), value, level=level)


def test_seeds_to_decide_by_hand():
    """Variance 0.09 of 3 seeds is 0.27 / n of n: the first n with 0.4 > t(0.975; 2 n - 2) sqrt(0.27 / n)."""
    pair = made()
    assert pair.verdict == "undecided"
    needed = next(n for n in range(4, 100) if stats.t.ppf(0.975, 2 * n - 2) * math.sqrt(0.27 / n) < 0.4)
    assert pair.seeds_to_decide() == needed == 8
    assert made(n=(3, 6)).seeds_to_decide() == next(
        n for n in range(4, 100) if stats.t.ppf(0.975, 2 * n - 2) * math.sqrt(0.09 * 4 / n) < 0.4
    )
    equal = made(value=0.0)
    needed = next(n for n in range(4, 100) if stats.t.ppf(0.975, 2 * n - 2) * math.sqrt(0.27 / n) < 0.2)
    assert equal.seeds_to_decide() == needed == 28
    assert made(value=0.2).seeds_to_decide() is not None  # that it is not 0, sooner or later
    assert made(value=0.1, images=0.04).seeds_to_decide() is None
    assert sentence(CLASSIFICATION, made(value=0.1, images=0.04)).endswith(
        "; too few seeds to say how many would decide it"
    )
    assert sentence(CLASSIFICATION, made(value=0.1, images=0.04, n=(8, 8))).endswith(
        "; if the difference stayed as it is, no number of seeds would decide it: the test set alone leaves ± 0.39"
    )
    slow = made(value=0.2, seeds=9.0, images=1e-6)
    assert slow.seeds_to_decide() is None
    assert sentence(CLASSIFICATION, slow).endswith(
        "; if the difference stayed as it is, more than 1,000 seeds of each would be needed"
    )


@pytest.mark.parametrize(
    ("pair", "said"),
    [
        (made(value=2.0), "A is better than B upright (+2.00 points, +1.17 to +2.83)"),
        (made(value=-2.0), "A is worse than B upright (−2.00 points, −2.83 to −1.17)"),
        (
            made(value=0.03, seeds=0.0009),
            "A and B are equal upright within ± 0.2 points (+0.03 points, −0.05 to +0.11)",
        ),
        (
            made(),
            "A against B upright: undecided (+0.40 points, −0.43 to +1.23); if the difference stayed as it is, 8 seeds "
            "of each would decide it",
        ),
    ],
    ids=["better", "worse", "equal", "undecided"],
)
def test_sentences_word_by_word(pair, said):
    """With 4 degrees of freedom t(0.975) is 2.776: times 0.3 it is 0.83, times 0.03 it is 0.08."""
    assert sentence(CLASSIFICATION, pair) == f"{said}; test set not counted"


def test_what_is_said_of_a_cap():
    assert ", more than the 5 allowed" in sentence(CLASSIFICATION, made(), Looks(3, 5))
    assert "allowed" not in sentence(CLASSIFICATION, made(), Looks(3, 29))


def test_what_has_no_spread_is_said_so():
    assert sentence(CLASSIFICATION, made(value=1.0, seeds=0.0)) == (
        "A against B upright: undecided (+1.00 points, with no spread between seeds to judge it by); "
        "test set not counted"
    )


def test_one_seed_decides_nothing(tmp_path):
    comparison = make_comparison(collect(save(tmp_path, *models([0.9], [0.8]))))
    assert comparison.parts[0].others.sentences[0] == (
        "B against A upright: one seed decides nothing (−10.00 points); n = 1."
    )


def test_the_first_lines_of_a_pair_end_with_what_it_costs(tmp_path):
    comparison = make_comparison(collect(save(tmp_path, *models([0.97, 0.98, 0.99], [0.90, 0.92, 0.94]))))
    upright, turned = comparison.verdicts
    assert upright.startswith("B is worse than A upright (−6.00 points, −10.")
    assert upright.endswith("; test set not counted; n = 3.")
    assert turned.startswith("B is worse than A at 90° (−6.00 points, ")
    assert turned.endswith(
        "n = 3. B takes 2 × the parameters, 1 × the MACs and 1 × the time of training (no spread: no interval). Times "
        "on CPU (2 cores), 2 threads, precision 32-true."
    )


def test_a_cost_on_other_hardware_is_not_compared(tmp_path):
    other = make(seed=0, hardware={**make().hardware, "device": "another"}, **other_config(**{"task.lr": 0.1}))
    *_, verdict = make_comparison(collect(save(tmp_path, make(seed=0), other))).verdicts
    assert "the time of training" not in verdict
    assert "the MACs" in verdict


def test_margins_and_units():
    assert margin_of(CLASSIFICATION, "test_acc", "MNIST") == 0.2
    assert margin_of(CLASSIFICATION, "test_acc_rot90", "MNIST") == 0.2
    assert margin_of(CLASSIFICATION, "test_acc", "CIFAR10") == 0.5
    assert margin_of(CLASSIFICATION, "test_ece", "MNIST") == 0.5
    assert margin_of(INPAINTING, "test_l1_hole", "MNIST") == 0.1
    assert (unit_of(CLASSIFICATION, "test_acc"), unit_of(INPAINTING, "test_psnr")) == ("points", "dB")


def test_three_models_are_three_pairs_of_one_family(tmp_path):
    values = [[0.97 - 0.01 * step + 0.001 * seed for seed in range(3)] for step in range(3)]
    others = make_comparison(collect(save(tmp_path, *models(*values)))).parts[0].others
    assert [(pair.model, pair.other) for pair in others.pairs[::2]] == [("B", "A"), ("C", "A"), ("C", "B")]
    assert {pair.level for pair in others.pairs} == {0.05 / 6}
