"""Pairs of models by seed: differences and verdicts by hand, and what too few seeds cannot say."""

import dataclasses
import math

import pytest

from headtohead.report.collect import collect
from headtohead.report.comparison import make_comparison
from headtohead.report.pairs import p_value
from tests.records.examples import filled, make, other_config, save, with_accuracy

UP = [0.970, 0.972, 0.974, 0.976, 0.978, 0.980, 0.982]


def sweep(folder, *models, turned=None):
    """A comparison of models A, B, … with the given accuracies of seeds 0, 1, …; None leaves a seed out."""
    found = []
    for index, accuracies in enumerate(models):
        name = "ABCDEF"[index]
        for seed, accuracy in enumerate(accuracies):
            if accuracy is not None:
                record = with_accuracy(accuracy, seed, **{**other_config(model=name), "model": name})
                turn = record.quality["test_acc"] if turned is None else turned[index]
                record = dataclasses.replace(record, quality={**record.quality, "test_acc_rot90": turn})
                found.append(dataclasses.replace(record, size={"params": 10 + 10 * index, "macs": 100, "bytes": 40}))
    return make_comparison(collect(save(folder, *found)))


def test_a_pair_by_hand(tmp_path):
    comparison = sweep(tmp_path, UP, [value - 0.01 - 0.001 * (i % 2) for i, value in enumerate(UP)], turned=[0.1, 0.9])
    upright, turned = comparison.parts[0].pairs
    assert (upright.model, upright.other, upright.number, upright.n) == ("B", "A", "test_acc", 7)
    # differences -1.0 four times and -1.1 three times: mean -1.042857, deviation 0.0534522, t(0.975; 6) = 2.446912
    assert upright.difference == pytest.approx(-1.042857, abs=1e-6)
    assert upright.half == pytest.approx(2.446912 * 0.0534522 / math.sqrt(7), rel=1e-5)
    assert upright.p == pytest.approx(2 / 128)
    assert upright.adjusted == pytest.approx(4 / 128)  # two tests, equal p
    assert turned.difference == pytest.approx(80)
    assert turned.better == 1
    # B's best run, 97.2, beats A's 97.0 and ties with its 97.2; all others are below all of A
    assert upright.better == pytest.approx(1.5 / 49)
    assert comparison.parts[0].verdicts == [
        "B is 1.04 ± 0.05 points below A upright and 80.00 ± 0.00 points above it at 90°, n = 7. "
        "It takes 2 × the parameters, 1 × the MACs and 1 × the time of an epoch."
    ]


def test_pairs_are_of_the_same_seeds(tmp_path):
    comparison = sweep(tmp_path, [0.5, 0.6, 0.7, None], [None, 0.5, 0.5, 0.1])
    pair = comparison.parts[0].pairs[0]
    assert pair.n == 2  # seeds 1 and 2
    assert pair.difference == pytest.approx(-15)


def test_fewer_than_six_pairs_have_no_p_and_the_table_says_so(tmp_path):
    comparison = sweep(tmp_path, UP[:5], [value - 0.01 for value in UP[:5]])
    pairs = comparison.parts[0].pairs
    assert p_value(pairs[0], pairs) == "none: n < 6"
    assert math.isnan(pairs[0].adjusted)
    assert "(too few seeds for a test)" in comparison.parts[0].verdicts[0]
    assert any("cannot reach p < 0.05" in note for note in comparison.notes)


def test_six_pairs_are_too_few_for_several_tests(tmp_path):
    comparison = sweep(tmp_path, UP[:6], [value - 0.01 for value in UP[:6]])
    pairs = comparison.parts[0].pairs
    assert p_value(pairs[0], pairs) == "none: n = 6 is too few for 2 tests"
    assert "(too few seeds for a test)" in comparison.parts[0].verdicts[0]
    assert "For 2 tests in a table 7 seeds are the fewest with which all can be decided." in comparison.notes
    seven = sweep(tmp_path / "seven", UP, [value - 0.01 for value in UP]).parts[0].pairs
    assert p_value(seven[0], seven) == "0.031"


def test_what_is_not_shown_to_differ_is_said_so(tmp_path):
    comparison = sweep(tmp_path, UP, [UP[0], *UP[2:], UP[1] - 0.001])
    assert comparison.parts[0].verdicts[0].startswith("B is not shown to differ from A upright (−0.01 ± ")


def test_one_seed_proves_nothing(tmp_path):
    comparison = sweep(tmp_path, [0.9], [0.8])
    assert (
        comparison.parts[0]
        .verdicts[0]
        .startswith(
            "B is 10.00 points below A upright and 10.00 points below it at 90°, n = 1 (one seed proves nothing)."
        )
    )


def test_three_models_are_three_pairs_and_all_are_tests_of_one_table(tmp_path):
    comparison = sweep(tmp_path, *([value - 0.01 * step for value in UP] for step in range(3)))
    part = comparison.parts[0]
    assert [(pair.model, pair.other) for pair in part.pairs[::2]] == [("B", "A"), ("C", "A"), ("C", "B")]
    assert p_value(part.pairs[0], part.pairs) == "none: n = 7 is too few for 6 tests"
    assert len(part.verdicts) == 3
    assert len(part.verdicts_against_best) == 2


def test_less_error_is_better(tmp_path):
    other = {**other_config(model="ConvUNet"), "model": "ConvUNet"}
    found = [filled(seed, 0.05 + seed / 1000) for seed in range(3)]
    found += [filled(seed, 0.06 + seed / 1000, **other) for seed in range(3)]
    part = make_comparison(collect(save(tmp_path, *found))).parts[0]
    holes = part.pairs[0]
    assert (holes.model, holes.other) == ("ConvUNet", "PConvUNet")
    assert holes.difference == pytest.approx(1)
    assert holes.better == 0
    assert part.verdicts[0].startswith("ConvUNet is 1.00 ± 0.00 points of L1 error above PConvUNet in holes and ")


def test_a_cost_on_other_hardware_is_not_compared(tmp_path):
    other = make(seed=0, hardware={**make().hardware, "device": "another"}, **other_config(**{"task.lr": 0.1}))
    (verdict,) = make_comparison(collect(save(tmp_path, make(seed=0), other))).parts[0].verdicts
    assert "the time of an epoch" not in verdict
    assert "the MACs" in verdict
