"""Claim files: each kind of claim by hand, and what is said of wrong ones."""

import dataclasses
import math

import numpy as np
import pytest
from scipy import stats

from headtohead.records import per_image
from headtohead.records.looks import Looks
from headtohead.report import claims
from headtohead.report.claims import Claim, Question
from headtohead.report.collect import collect
from headtohead.report.comparison import find_pairs, make_comparison
from headtohead.report.difference import difference, side
from headtohead.report.figures.forest import claimed as drawn
from headtohead.report.judge import in_words, judge, judge_all
from headtohead.report.main import main
from headtohead.report.statistics import level_of_each_look
from tests.conftest import ROOT
from tests.records.examples import filled, make, other_config, save, with_accuracy
from tests.report.test_claim_files import ask
from tests.report.test_verdicts import models


def claim(number="test_acc", of="EqCNN", data="MNIST", **said):
    return Claim(of=of, data=data, number=number, **said)


def runs(folder, accuracies):
    return collect(save(folder, *(with_accuracy(accuracy, seed) for seed, accuracy in enumerate(accuracies))))


@pytest.mark.parametrize(
    ("value", "margin", "outcome"),
    [
        (97.0, 2.5, "holds"),  # 94.52 to 99.48 lies within 94.5 to 99.5
        (97.0, 2.4, "undecided"),
        (97.1, 2.5, "undecided"),
        (99.0, 0.5, "undecided"),
        (100.0, 0.5, "refuted"),  # 99.48 is below 99.5
        (94.0, 0.5, "refuted"),
        (94.1, 0.5, "undecided"),
    ],
)
def test_a_value_by_hand(tmp_path, value, margin, outcome):
    """96, 97, 98: mean 97, t(0.975; 2) = 4.303, so 97 ± 2.484."""
    (found,) = judge([claim(value=value, margin=margin)], runs(tmp_path, [0.96, 0.97, 0.98]))
    assert (found.measured, found.interval, found.n, found.outcome) == ("97.00", "94.52 to 99.48", "3", outcome)


def test_seeds_added_until_decided_widen_the_intervals_of_claims_too(tmp_path):
    """A claim that is looked at after every seed would hold or be refuted falsely far more often than in 5 %."""
    trials = collect(save(tmp_path, *models([0.96, 0.97, 0.98], [0.90, 0.92, 0.94])))
    said = [claim(of="A", value=97.0, margin=2.5), claim(of="A", better_than="B")]
    assert [line.outcome for line in judge(said, trials)] == ["holds", "holds"]
    value, better = judge(said, dataclasses.replace(trials, looks=Looks(3, 29)))
    level = level_of_each_look(0.05, 3, 29)
    half = stats.t.ppf(1 - level / 2, 2) * 1 / math.sqrt(3)
    assert (value.interval, value.outcome) == (f"{97 - half:.2f} to {97 + half:.2f}", "undecided")
    half = difference(side([96, 97, 98]), side([90, 92, 94])).half(level)
    assert (better.interval, better.outcome) == (f"{5 - half:.2f} to {5 + half:.2f}", "undecided")


@pytest.mark.parametrize("value", [97.0, 50.0])
def test_a_wide_interval_never_holds(tmp_path, value):
    """Two runs of 94 and 100: 97 ± 38; one run has no interval."""
    (two,) = judge([claim(value=value, margin=1)], runs(tmp_path / "two", [0.94, 1.0]))
    assert two.outcome == ("undecided" if value == 97 else "refuted" if value < 97 - 38.12 - 1 else "undecided")
    (one,) = judge([claim(value=value, margin=1)], runs(tmp_path / "one", [0.97]))
    assert (one.outcome, one.interval, one.n) == ("undecided", "–", "1")
    (alike,) = judge([claim(value=value, margin=1)], runs(tmp_path / "alike", [0.97, 0.97]))
    assert (alike.outcome, alike.interval, alike.n) == ("undecided", "–", "2")


def test_the_margin_of_a_value_is_the_data_sets_own_unless_it_says_one(tmp_path):
    trials = runs(tmp_path, [0.9600, 0.9601, 0.9602])  # 96.01 ± 0.025
    within, beyond = judge([claim(value=96.17), claim(value=96.25)], trials)
    assert (within.outcome, beyond.outcome) == ("holds", "refuted")


def test_a_claim_that_is_wrong_by_three_deviations_hardly_holds(tmp_path):
    """At every n from 2, with the functions that judge, of 400 sets of seeds at most 5 % and a simulation's error."""
    random = np.random.default_rng(0)
    trials = runs(tmp_path, [0.5])
    record = next(iter(trials.records.values()))
    for n in (2, 3):
        held = 0
        for _ in range(200):
            values = 0.9 + 0.01 * random.normal(size=n)
            found = {
                str(seed): dataclasses.replace(record, seed=seed, quality={**record.quality, "test_acc": float(value)})
                for seed, value in enumerate(values)
            }
            (line,) = judge([claim(value=93.0, margin=2)], dataclasses.replace(trials, records=found))
            held += line.outcome == "holds"
        assert held / 200 <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 200)


def test_seeds_that_never_learn_do_not_rule_a_value(tmp_path):
    trials = collect(save(tmp_path, *models([0.45, 0.451, 0.452, 0.1], [0.5])))
    (found,) = judge([claim(of="A", value=45.1, margin=1)], trials)
    assert (found.measured, found.n, found.outcome) == ("45.10", "3 of 4 that learnt", "holds")


@pytest.mark.parametrize(
    ("number", "value", "margin", "outcome"),
    [
        ("params", 7834, None, "holds"),
        ("params", 7835, None, "refuted"),
        ("params", 7835, 1, "holds"),
        ("bytes", 31_000, 336, "holds"),
        ("bytes", 31_000, 335, "refuted"),
    ],
)
def test_sizes_are_exact_even_of_one_run(tmp_path, number, value, margin, outcome):
    (found,) = judge([claim(number, value=value, margin=margin)], collect(save(tmp_path, make())))
    assert found.outcome == outcome
    assert found.interval == "–"


@pytest.mark.parametrize(
    ("number", "ours", "others", "measured", "outcome"),
    [
        ("test_l1_hole", [0.05, 0.051, 0.052], [0.06, 0.0611, 0.062], "-1.00", "holds"),
        ("test_l1_hole", [0.06, 0.061, 0.062], [0.05, 0.051, 0.052], "+1.00", "refuted"),
        ("test_l1_hole", [0.05, 0.08, 0.07], [0.07, 0.06, 0.071], "-0.03", "undecided"),
        ("test_l1_hole", [0.05, 0.05001, 0.05002], [0.05001, 0.05002, 0.05], "+0.00", "undecided"),  # they are equal
        # surely better, or worse, and by less than counts as a difference: neither
        ("test_l1_hole", [0.0505, 0.05051, 0.05052], [0.05, 0.05001, 0.05002], "+0.05", "undecided"),
        ("test_l1_hole", [0.05, 0.05001, 0.05002], [0.0505, 0.05051, 0.05052], "-0.05", "undecided"),
        ("test_l1_hole", [0.05], [0.06], "-1.00", "undecided"),
        ("test_l1_hole", [0.05], [], "–", "not run"),
    ],
)
def test_better_than_another(tmp_path, number, ours, others, measured, outcome):
    other = {**other_config(model="ConvUNet"), "model": "ConvUNet"}
    found = [filled(seed, value) for seed, value in enumerate(ours)]
    found += [filled(seed, value, **other) for seed, value in enumerate(others)]
    (line,) = judge(
        [claim(number, of="PConvUNet", data="CIFAR10", better_than="ConvUNet")], collect(save(tmp_path, *found))
    )
    assert (line.measured.replace("-0.00", "+0.00"), line.outcome) == (measured, outcome)


@pytest.mark.parametrize(
    ("ours", "theirs", "outcome", "n"),
    [
        # five of seven never learn: by those that do nothing is decided, by all it is (p = 0.012)
        ([0.5, 0.52, *[0.1] * 5], [0.49, 0.51, 0.5, 0.52, 0.53, 0.5, 0.51], "refuted", "2 of 7 that learnt–7"),
        # better when it learns, worse over all: neither
        ([0.6, 0.601, 0.602, *[0.1] * 9], [0.5 + i / 1000 for i in range(12)], "undecided", "3 of 12 that learnt–12"),
        ([0.1] * 7, [0.49, 0.51, 0.5, 0.52, 0.53, 0.5, 0.51], "refuted", "0 of 7 that learnt–7"),
        ([0.9, 0.901, 0.902, 0.1], [0.5, 0.501, 0.502, 0.503], "holds", "3 of 4 that learnt–4"),
    ],
)
def test_better_than_another_where_seeds_never_learn(tmp_path, ours, theirs, outcome, n):
    trials = collect(save(tmp_path, *models(ours, theirs)))
    (line,) = judge([claim(of="A", better_than="B")], trials)
    assert (line.outcome, line.n) == (outcome, n)


@pytest.mark.parametrize(
    ("theirs", "margin", "outcome"),
    [
        ([0.9700, 0.9702, 0.9704], 0.2, "holds"),
        ([0.9730, 0.9732, 0.9734], 0.2, "refuted"),
        ([0.9718, 0.9720, 0.9722], 0.2, "undecided"),  # the difference is the margin
        ([0.90, 0.97, 0.99], 0.2, "undecided"),
    ],
)
def test_equal_to_another(tmp_path, theirs, margin, outcome):
    trials = collect(save(tmp_path, *models([0.9700, 0.9702, 0.9704], theirs)))
    (line,) = judge([claim(of="A", equal_to="B", margin=margin)], trials)
    assert line.outcome == outcome
    mine = 100 * np.array([0.9700, 0.9702, 0.9704])
    half = float(difference(side(mine), side(100 * np.array(theirs))).half())
    value = mine.mean() - 100 * np.mean(theirs)
    assert line.interval == f"{value - half:.2f} to {value + half:.2f}"


@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        ({"at_most": 2}, "holds"),  # A has 10 parameters, B 20
        ({"at_most": 1.9}, "refuted"),
        ({"at_least": 2}, "holds"),
        ({"at_least": 2.1}, "refuted"),
    ],
)
def test_multiples_of_sizes_are_exact(tmp_path, said, outcome):
    trials = collect(save(tmp_path, *models([0.5], [0.6])))
    (line,) = judge([claim("params", of="B", times="A", **said)], trials)
    assert (line.measured, line.interval, line.outcome) == ("2 ×", "–", outcome)


@pytest.mark.parametrize("apart", [0, 1])
def test_two_numbers_of_the_same_images_are_paired_over_them(tmp_path, apart):
    """What an invariant network makes of turned images differs on none; another's on as many images as is said.

    Of none of 5,000 images, 1 - 0.05^(1/5000) = 0.06 % of all may be others.
    """
    random = np.random.default_rng(0)
    found = []
    for seed in range(4):
        upright = random.random(5000) < 0.9
        turned = upright.copy()
        turned[: apart * 5] = ~turned[: apart * 5]
        record = with_accuracy(float(upright.mean()), seed)
        quality = {**record.quality, "test_acc_rot90": float(turned.mean())}
        kept = per_image.of_classifier("t", {0: upright, 90: turned})
        found.append(dataclasses.replace(record, quality=quality, per_image=kept))
    trials = collect(save(tmp_path, *found))
    (line,) = judge([claim("test_acc_rot90", no_worse_than="test_acc", margin=0.2)], trials)
    if not apart:
        assert (line.measured, line.interval, line.outcome) == ("+0.00", "-0.06 to 0.06", "holds")
        return
    low, high = map(float, line.interval.split(" to "))
    assert 0.06 < (high - low) / 2 < 0.4  # a number by itself has 1.96 sqrt(0.9 0.1 / 5000) = 0.83


def test_runs_of_the_same_configuration_count_from_other_sweeps_too(tmp_path):
    mine = runs(tmp_path / "mine", [0.96])
    more = [
        with_accuracy(0.97, 1),
        with_accuracy(0.98, 2),
        with_accuracy(0.5, 0),
        with_accuracy(0.1, 9, **other_config(a=1)),
    ]
    others = collect(save(tmp_path / "more", *more))
    (line,) = judge([claim(value=97.0, margin=3)], mine, [others])
    assert (line.measured, line.n, line.outcome) == ("97.00", "3", "holds")  # seed 0 is there already
    assert len(mine.records) == 1
    # the others drew seeds until something was decided: their level counts
    (line,) = judge([claim(value=97.0, margin=3)], mine, [dataclasses.replace(others, looks=Looks(2, 29))])
    half = stats.t.isf(level_of_each_look(0.05, 2, 29) / 2, 2) / math.sqrt(3)
    assert (line.interval, line.outcome) == (f"{97 - half:.2f} to {97 + half:.2f}", "undecided")
    # of rows of which they have no further seeds it does not
    alike = collect(save(tmp_path / "alike", with_accuracy(0.5, 0)))
    three = runs(tmp_path / "three", [0.96, 0.97, 0.98])
    (line,) = judge([claim(value=97.0, margin=3)], three, [dataclasses.replace(alike, looks=Looks(2, 29))])
    assert line.outcome == "holds"


def test_all_files_are_judged_by_the_sweeps_in_a_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(claims, "CHECKOUT", None)
    (tmp_path / "claims").mkdir()
    said = "claims: [{of: EqCNN, data: MNIST, number: test_acc, value: 97, margin: 3, source: me}]"
    (tmp_path / "claims" / "mine.yaml").write_text(said)
    (tmp_path / "claims" / "gone.yaml").write_text(said)
    runs(tmp_path / "results" / "mine", [0.96])
    save(tmp_path / "results" / "more", with_accuracy(0.97, 1), with_accuracy(0.98, 2))
    found = judge_all(tmp_path / "results")
    assert [(line.sweep, line.outcome, line.n) for line in found] == [("gone", "not run", "0"), ("mine", "holds", "3")]
    assert in_words(found) == "2 claims: 1 × not run, 1 × holds."
    assert main(["--claims"]) == 0
    printed = capsys.readouterr().out
    assert "holds      me: EqCNN on MNIST, test_acc: claimed 97 ± 3; measured 97.00 (94.52 to 99.48), n = 3" in printed
    assert "| me       | EqCNN | MNIST  | accuracy 0° % | 97 ± 3" in (tmp_path / "results" / "claims.md").read_text()


def test_claims_of_an_empty_folder_are_not_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    assert main(["empty", "--claims"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert all(line.startswith("not run ") for line in printed[:-2])
    assert main(["nowhere", "--claims"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    monkeypatch.setattr(claims, "CHECKOUT", None)
    assert main(["empty", "--claims"]) == 2
    assert "there is no claim" in capsys.readouterr().err


def test_pairs_of_which_one_did_not_run_or_both_are_the_same_are_left_out(tmp_path):
    trials = collect(save(tmp_path, *models([0.5], [0.6])))
    pairs = [("A", "B"), ("A", "C"), ("A", {"model": "A"})]
    asked = Question("a", pairs, ["test_acc"], "MNIST")
    keys = {record.model: record.config_hash for record in trials.records.values()}
    assert find_pairs(trials, asked) == [(keys["A"], keys["B"])]
    assert find_pairs(trials, dataclasses.replace(asked, data="CIFAR10")) == []


ASK = "ask: a, data: MNIST, numbers: [test_acc]"


def test_pairs_that_have_not_run_yet_keep_their_share_of_the_error_rate(tmp_path, monkeypatch):
    ask(tmp_path, monkeypatch, f"questions: [{{{ASK}, pairs: [[B, A], [C, A], [D, A]]}}]")
    half_run = make_comparison(collect(save(tmp_path / "mine", *models([0.9, 0.91], [0.92, 0.93]))))
    assert [pair.level for pair in half_run.headline[0].pairs] == [pytest.approx(0.05 / 3)]


def test_a_question_is_the_headline_and_a_family_of_its_own(tmp_path, monkeypatch):
    ask(tmp_path, monkeypatch, f"questions: [{{{ASK}, pairs: [[B, A]], margin: 0.3}}, {{{ASK}, pairs: [[C, A]]}}]")
    values = [[0.97 - 0.01 * step + 0.001 * seed for seed in range(3)] for step in range(3)]
    comparison = make_comparison(collect(save(tmp_path / "mine", *models(*values))))
    first, second = comparison.headline
    assert [(pair.model, pair.other, pair.level, pair.margin) for pair in first.pairs] == [("B", "A", 0.05, 0.3)]
    assert [(pair.model, pair.other, pair.level, pair.margin) for pair in second.pairs] == [("C", "A", 0.05, 0.2)]
    assert comparison.verdicts[0] == "a"
    # the rest is of what was not asked: 3 pairs in 2 numbers but those two
    others = comparison.parts[0].others.pairs
    assert {(pair.model, pair.other, pair.number) for pair in others} == {
        ("C", "B", "test_acc"),
        *((one, other, "test_acc_rot90") for one, other in (("B", "A"), ("C", "A"), ("C", "B"))),
    }
    assert {pair.level for pair in others} == {0.05 / 4}
    changed = make_comparison(comparison.trials, margin=0.7).headline
    assert [pair.margin for asked in changed for pair in asked.pairs] == [0.7, 0.7]


def test_asked_rows_stay_however_they_rank(tmp_path, monkeypatch):
    """Of 130 rows the best 120 are shown, and the two worst because they are asked about."""
    pair = "{model: EqCNN, task.lr: 128}, {model: EqCNN, task.lr: 129}"
    ask(tmp_path, monkeypatch, f"questions: [{{{ASK}, pairs: [[{pair}]]}}]")
    found = [
        with_accuracy(0.95 - lr / 1000 + seed / 10_000, seed, **other_config(**{"task.lr": lr}))
        for lr in range(130)
        for seed in (0, 1)
    ]
    comparison = make_comparison(collect(save(tmp_path / "mine", *found)))
    assert len(comparison.summary) == 122
    ((asked,),) = [question.pairs for question in comparison.headline]
    assert (asked.model, asked.other) == ("EqCNN lr=128", "EqCNN lr=129")
    assert asked.value == pytest.approx(0.1)
    assert comparison.verdicts[1].startswith("EqCNN lr=128 and EqCNN lr=129 are equal upright within ± 0.2")
    assert "The best 122 of 130 rows are shown" in " ".join(comparison.notes)


def test_claims_are_drawn_as_differences_with_their_margin(tmp_path):
    found = [
        claim(value=96.0),
        claim(value=97.5, margin=3),
        claim("params", value=13978),
        claim(of="FCNet", value=1),
        claim("test_acc_rot90", value=96),
    ]
    (picture,) = drawn(judge(found, runs(tmp_path, [0.96, 0.97, 0.98])))
    (axes,) = picture.canvas.axes
    assert [line.get_xdata()[0] for line in axes.get_lines()[:3]] == pytest.approx([1, -0.5, 1])
    assert [text.get_text() for text in axes.get_yticklabels()] == [
        "EqCNN, MNIST, n = 3",
        "EqCNN, MNIST, n = 3",
        "EqCNN turned, MNIST, n = 3",
    ]
    bands = [path.vertices[:, 0].max() for collection in axes.collections[::2] for path in collection.get_paths()]
    assert bands == pytest.approx([0.2, 3, 0.2])  # of MNIST where the claim has none
    assert "EqCNN, MNIST, n = 3: +1.00 ± 2.48, undecided" in picture.caption
    assert list(drawn(judge(found[2:4], runs(tmp_path, [0.96])))) == []


def test_inn_at_60_is_refuted_by_the_committed_seeds():
    trials = collect(ROOT / "results" / "conv_vs_involution")
    (line,) = judge([claim(of="INN", data="CIFAR10", value=60.0, margin=1)], trials)
    assert (line.n, line.outcome) == ("11 of 12 that learnt", "refuted")
