"""Claims about what is alike: times of one hardware that every seed has, and seeds of one precision."""

import dataclasses
import math

import numpy as np
import pytest
from scipy import stats

from headtohead.cli.errors import UsageError
from headtohead.report.collect import collect
from headtohead.report.comparison import make_comparison
from headtohead.report.judge import judge
from tests.records.examples import other_config, save, with_accuracy
from tests.report.test_claim_files import ask
from tests.report.test_claims import claim, runs
from tests.report.test_verdicts import models


def timed(seconds, others):
    """Records of A and B with these seconds for an epoch."""
    found = models([0.5] * len(seconds), [0.5] * len(others))
    return [
        dataclasses.replace(record, cost={**record.cost, "epoch_seconds": value})
        for record, value in zip(found, [*seconds, *others], strict=True)
    ]


def test_a_time_is_said_with_its_first_digits(tmp_path):
    """Of 0.003 seconds nothing would be left with none or two decimals."""
    trials = collect(save(tmp_path, *timed([0.003, 0.0031, 0.0032], [1.0])))
    (found,) = judge([claim("epoch_seconds", of="A", value=0.0031, margin=0.001)], trials)
    assert (found.said, found.measured, found.interval) == ("0.0031 ± 0.001", "0.0031", "0.00285 to 0.00335")


@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        ({"at_most": 2.2}, "holds"),
        ({"at_most": 2}, "undecided"),
        ({"at_least": 1.8}, "holds"),
        ({"at_least": 3}, "refuted"),
    ],
)
def test_multiples_of_times_by_welchs_test_of_logarithms(tmp_path, said, outcome):
    slow, fast = [2.0, 2.02, 2.04], [1.0, 1.01, 1.03]
    (line,) = judge([claim("epoch_seconds", of="A", times="B", **said)], collect(save(tmp_path, *timed(slow, fast))))
    logs = np.log(slow), np.log(fast)
    variances = [x.var(ddof=1) / 3 for x in logs]
    degrees = sum(variances) ** 2 / sum(v**2 / 4 for v in variances) - 2
    half = stats.t.ppf(0.975, degrees) * math.sqrt(sum(variances))
    middle = logs[0].mean() - logs[1].mean()
    assert line.interval == f"{math.exp(middle - half):.3g} to {math.exp(middle + half):.3g} ×"
    assert (line.measured, line.outcome) == (f"{math.exp(middle):.3g} ×", outcome)


def test_times_of_one_run_or_of_two_machines_decide_nothing(tmp_path):
    said = [claim("epoch_seconds", of="A", times="B", at_most=9)]
    (one,) = judge(said, collect(save(tmp_path / "one", *timed([2], [1]))))
    other = timed([2, 2.1], [1, 1.1])
    other[3] = dataclasses.replace(other[3], hardware={**other[3].hardware, "device": "another"})
    (two,) = judge(said, collect(save(tmp_path / "two", *other)))
    shared = [
        dataclasses.replace(record, hardware={**record.hardware, "trials_at_once": 2}) for record in timed([2], [1])
    ]
    (none,) = judge(said, collect(save(tmp_path / "none", *shared)))
    assert [line.outcome for line in (one, two, none)] == ["undecided", "undecided", "not run"]


def test_macs_that_nobody_could_count_are_not_compared(tmp_path):
    found = [dataclasses.replace(record, size={**record.size, "macs": 0}) for record in models([0.5], [0.5])]
    said = [claim("macs", of="A", times="B", at_most=4), claim("macs", of="A", value=295_000)]
    assert {line.outcome for line in judge(said, collect(save(tmp_path, *found)))} == {"not run"}


@pytest.mark.parametrize("changed", [{"threads": 8}, {"precision": "bf16-mixed"}, {"device": "another"}])
def test_times_of_other_hardware_decide_nothing(tmp_path, changed):
    found = timed([2.0, 2.01, 2.02], [1.0, 1.01, 1.02])
    found[3:] = [dataclasses.replace(record, hardware={**record.hardware, **changed}) for record in found[3:]]
    (line,) = judge([claim("epoch_seconds", of="A", times="B", at_least=1.5)], collect(save(tmp_path / "a", *found)))
    assert (line.measured, line.interval, line.outcome) == ("1.99 ×", "–", "undecided")


def test_a_time_over_two_machines_has_no_mean(tmp_path):
    found = timed([2.0, 2.01, 2.02], [1.0])
    found[0] = dataclasses.replace(found[0], hardware={**found[0].hardware, "device": "another"})
    said = claim("epoch_seconds", of="A", value=2.01, margin=1)
    (line,) = judge([said], collect(save(tmp_path, *found)))
    assert (line.interval, line.outcome) == ("–", "undecided")


def test_a_target_that_some_seeds_never_reach_decides_nothing(tmp_path, monkeypatch):
    """Two of six reach it, and fast: what the other four take is not known."""
    (tmp_path / "sweeps").mkdir()
    (tmp_path / "sweeps" / "mine.yaml").write_text("metric: {name: val_acc, goal: maximize, target: 0.85}")
    monkeypatch.chdir(tmp_path)

    def reaching(record, best, seconds):
        history = [{"epoch": 0, "val_acc": best, "seconds": seconds}]
        return dataclasses.replace(record, history=history, quality={**record.quality, "val_acc": best})

    found = models([0.9] * 6, [0.9] * 6)
    found = [
        reaching(
            record,
            0.8 if record.model == "A" and record.seed > 1 else 0.9,
            (1 if record.model == "A" else 5) + record.seed / 100,
        )
        for record in found
    ]
    found = [dataclasses.replace(r, cost={**r.cost, "epoch_seconds": 1.0 + r.seed / 100}) for r in found]
    said = claim("target_seconds", of="A", times="B", at_most=0.5)
    (line,) = judge([said], collect(save(tmp_path / "mine", *found)))
    assert (line.measured, line.outcome) == ("0.2 ×", "undecided")


def test_seeds_of_another_precision_are_of_another_row(tmp_path):
    other = with_accuracy(0.5, 2)
    other = dataclasses.replace(other, hardware={**other.hardware, "precision": "bf16-mixed"})
    others = collect(save(tmp_path / "more", with_accuracy(0.97, 1), other))
    (line,) = judge([claim(value=97.0, margin=3)], runs(tmp_path / "mine", [0.96]), [others])
    assert (line.measured, line.n) == ("96.50", "2")


def in_precision(record, precision):
    return dataclasses.replace(record, hardware={**record.hardware, "precision": precision})


def test_a_claim_is_judged_in_the_precision_of_which_both_rows_have_most_seeds(tmp_path):
    """Not in that of which the one has most; and not at all where they have none in common."""
    found = models([0.96 + i / 1000 for i in range(9)], [0.90 + i / 1000 for i in range(5)])
    for index in (5, 6, 7, 8, 10, 11, 12, 13):
        found[index] = in_precision(found[index], "bf16-mixed")
    (line,) = judge([claim(of="A", better_than="B")], collect(save(tmp_path / "both", *found)))
    assert (line.n, line.outcome) == ("4", "holds")
    for index in range(9, 14):
        found[index] = in_precision(found[index], "16-mixed")
    (line,) = judge([claim(of="A", better_than="B")], collect(save(tmp_path / "none", *found)))
    assert (line.n, line.outcome) == ("0", "not run")


def test_where_records_do_not_say_their_precision_the_configuration_tells_rows_apart(tmp_path):
    found = [in_precision(with_accuracy(0.9 + i / 100, i), None) for i in range(2)]
    named = other_config(**{"trainer.precision": "16-mixed"})
    found.append(in_precision(with_accuracy(0.5, 7, **named), None))
    trials = collect(save(tmp_path, *found))
    with pytest.raises(UsageError, match=r"fits 2 rows: name one by its trainer.precision"):
        judge([claim(value=90.0)], trials)
    (line,) = judge([claim(of={"model": "EqCNN", "trainer.precision": "16-mixed"}, value=90.0)], trials)
    assert (line.measured, line.n) == ("50.00", "1")


def test_what_earlier_records_do_not_say_of_their_hardware_is_no_other_hardware(tmp_path):
    found = timed([2.0, 2.01, 2.02], [1.0, 1.01, 1.02])
    more = {"accelerator": "cpu", "compiled": False, "tf32": False}
    found[3:] = [dataclasses.replace(record, hardware={**record.hardware, **more}) for record in found[3:]]
    (line,) = judge([claim("epoch_seconds", of="A", times="B", at_least=1.5)], collect(save(tmp_path, *found)))
    assert line.outcome == "holds"


def test_a_row_that_ran_in_two_precisions_is_compared_in_each_that_both_have(tmp_path, monkeypatch):
    """And a claim about it is judged in that of which both have most seeds."""
    asked = "ask: a, data: MNIST, numbers: [test_acc], pairs: [[A, B]]"
    claimed = "of: A, data: MNIST, number: test_acc, value: 97"
    ask(tmp_path, monkeypatch, f"{{questions: [{{{asked}}}], claims: [{{{claimed}}}]}}")
    found = models([0.969, 0.97, 0.971, 0.5], [0.90, 0.91, 0.92])
    found[3] = dataclasses.replace(found[3], hardware={**found[3].hardware, "precision": "bf16-mixed"})
    comparison = make_comparison(collect(save(tmp_path / "mine", *found)))
    (pair,) = comparison.headline[0].pairs
    assert (pair.n, round(pair.value, 6)) == ((3, 3), 6)
    (line,) = comparison.judged
    assert (line.measured, line.n, line.outcome) == ("97.00", "3", "undecided")
