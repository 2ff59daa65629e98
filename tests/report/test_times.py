"""Which times count, their medians and spread, and ratios with their intervals, by hand (docs/kinds.md)."""

import dataclasses
import json
import math

import numpy as np
import pytest
from scipy import stats

from headtohead.report import times
from headtohead.report.collect import collect, runs_table
from headtohead.report.comparison import make_comparison
from headtohead.report.main import main
from headtohead.report.summary import summarize
from headtohead.report.time_again import grid
from headtohead.report.write import markdown_of
from tests.records.examples import make, other_config, save, with_accuracy

QUIET = {"load": 0.5, "others": 0.01, "stolen": 0.0}
BUSY = {"load": 3.0, "others": 0.4, "stolen": 0.0}


def trial(seed, seconds, shares=QUIET, **changes):
    record = with_accuracy(0.97 + seed / 1000, seed, **changes)
    history = [{"epoch": epoch, "val_acc": 0.9, "seconds": seconds} for epoch in range(5)]
    cost = {**record.cost, "epoch_seconds": seconds, "latency_seconds": seconds / 1000}
    contention = None if shares is None else {"epochs": [shares] * 5, "inference": QUIET}
    return dataclasses.replace(record, history=history, cost=cost, contention=contention)


def other(seed, seconds, shares=QUIET):
    return trial(seed, seconds, shares, model="Slow", **other_config(model="Slow"))


def summary_of(folder):
    trials = collect(folder)
    return summarize(trials, runs_table(trials))


def test_columns_of_times_are_medians_with_their_spread(tmp_path):
    save(tmp_path, *(trial(seed, seconds) for seed, seconds in enumerate([2.0, 3.0, 10.0])))
    (row,) = summary_of(tmp_path).to_dict("records")
    assert [row[f"epoch_seconds{end}"] for end in ("", "_low", "_high")] == [3.0, 2.0, 10.0]
    table = markdown_of(make_comparison(collect(tmp_path)))
    assert "| 3.00 (2.00 to 10.0) |" in " ".join(table.split())


def test_a_contended_trial_is_left_out_of_times_by_name(tmp_path):
    save(tmp_path, trial(0, 2.0), trial(1, 4.0), trial(2, 23.0, BUSY))
    comparison = make_comparison(collect(tmp_path))
    (row,) = comparison.summary.to_dict("records")
    assert (row["n"], row["timed"], row["epoch_seconds"]) == (3, 2, 3.0)
    assert row["test_acc"] == pytest.approx(97.1)  # what it learnt counts
    assert [line.partition("Left out")[2] for line in comparison.notes if "contended" in line] == [
        " of the times: trial2 (40% in training)."
    ]
    assert comparison.runs.contended.tolist() == [False, False, True]
    assert not any("unknown" in line for line in comparison.notes)


def test_of_many_contended_trials_ten_are_named(tmp_path):
    comparison = make_comparison(collect(save(tmp_path, *(trial(seed, 2.0, BUSY) for seed in range(12)))))
    (note,) = (line for line in comparison.notes if "contended" in line and "Left out" in line)
    assert note.count("(40% in training)") == 10
    assert note.endswith(" and 2 more, which runs.csv has as contended.")
    assert comparison.runs.contended.all()


def test_old_records_count_and_their_contention_is_unknown(tmp_path):
    save(tmp_path, trial(0, 2.0, None), trial(1, 4.0))
    comparison = make_comparison(collect(tmp_path))
    assert comparison.summary.epoch_seconds[0] == 3.0
    (line,) = [line for line in comparison.notes if "unknown" in line]
    assert line.startswith("Contention unknown: 1 of 2 timed records do not say")
    shared = {"hardware": {**make().hardware, "trials_at_once": 2}}
    save(tmp_path / "shared", trial(0, 2.0, None, **shared))
    assert not any("unknown" in line for line in make_comparison(collect(tmp_path / "shared")).notes)  # no time shown


def test_a_ratio_of_times_is_welchs_of_the_logarithms():
    mine, theirs = [4.0, 5.0, 4.5, 4.2], [2.0, 2.1, 2.3]
    found = times.ratio(mine, theirs)
    interval = stats.ttest_ind(np.log(mine), np.log(theirs), equal_var=False).confidence_interval()
    assert found.value == pytest.approx(stats.gmean(mine) / stats.gmean(theirs))
    assert found.low < math.exp(interval.low) * 1.02  # Welch's (1947) degrees of freedom are a little fewer
    assert found.low == pytest.approx(math.exp(interval.low), rel=0.05)
    assert found.high == pytest.approx(math.exp(interval.high), rel=0.05)
    inverse = times.ratio(theirs, mine)
    assert [inverse.value, inverse.low, inverse.high] == pytest.approx([1 / found.value, 1 / found.high, 1 / found.low])


def test_one_trial_or_no_spread_gives_no_interval():
    assert times.ratio([4.0], [2.0, 2.1]).in_words() == "1.95 ×"
    assert math.isnan(times.ratio([4.0, 4.0], [2.0, 2.0]).low)


def test_the_interval_of_a_ratio_holds_it_in_95_of_100():
    random = np.random.default_rng(0)
    held = 0
    for _ in range(2000):
        found = times.ratio(np.exp(random.normal(1, 0.05, 4)), np.exp(random.normal(0, 0.1, 4)))
        held += found.low <= math.e <= found.high
    assert 0.935 < held / 2000 < 0.975


def test_what_slows_a_turn_slows_both():
    slowed = np.array([1.0, 5.0, 2.0, 1.0])
    found = times.ratio_in_turn([2.0, 2.1, 2.2, 2.1] * slowed, np.ones(4) * slowed)
    logs = np.log([2.0, 2.1, 2.2, 2.1])
    half = stats.t.ppf(0.975, 3) * logs.std(ddof=1) / 2
    assert [found.low, found.high] == pytest.approx([math.exp(logs.mean() - half), math.exp(logs.mean() + half)])


def test_a_sentence_says_the_hardware_and_the_interval(tmp_path):
    save(tmp_path, *(trial(s, t) for s, t in enumerate([2.0, 2.1])), *(other(s, t) for s, t in enumerate([4.0, 4.4])))
    comparison = make_comparison(collect(tmp_path))
    said = times.ratio([4.0, 4.4], [2.0, 2.1])
    row = dict(zip(comparison.summary.model, comparison.summary.to_dict("records"), strict=True))
    assert row["Slow"]["training_seconds"] == (20.0, 22.0)  # of 5 epochs
    last = comparison.verdicts[-1]
    one, two = (said, "Slow takes") if "Slow takes" in last else (times.ratio([2.0, 2.1], [4.0, 4.4]), "EqCNN takes")
    assert last.endswith(
        f"{two} 1 × the parameters, 1 × the MACs and {one.value:.3g} × the time of training ({one.low:.3g} to "
        f"{one.high:.3g}). Times on CPU (2 cores), 2 threads, precision 32-true."
    )
    assert one.in_words() in markdown_of(comparison)


def test_where_epochs_differ_the_times_of_all_of_them_are_compared(tmp_path):
    """A short recipe of slow epochs against a long one of fast epochs."""
    slow = [trial(seed, 4.0 + seed / 100, None) for seed in (0, 1)]
    fast = [other(seed, 2.0 + seed / 100, None) for seed in (0, 1)]
    long = [dataclasses.replace(one, history=[{"epoch": epoch, "val_acc": 0.9} for epoch in range(50)]) for one in fast]
    comparison = make_comparison(collect(save(tmp_path, *slow, *long)))
    (grid,) = (asked.verdicts for asked in comparison.headline)
    column = next(column for column in grid.columns if column.head == "time of training")
    model = next(column for column in grid.columns if column.head == "model").cells[0].text
    assert column.cells[0].text.startswith("0.2 ×" if model == "EqCNN" else "5.01 ×")


def test_of_one_trial_each_it_says_that_there_is_no_interval(tmp_path):
    save(tmp_path, trial(0, 2.0), other(0, 4.0))
    last = make_comparison(collect(tmp_path)).verdicts[-1]
    assert last.endswith("(one trial: no interval). Times on CPU (2 cores), 2 threads, precision 32-true.")


def again(folder, names, **changes):
    row = {"latency_seconds": [0.5, 0.1, 0.2], "inference_images_per_second": [10.0, 30.0, 20.0]}
    said = {"date": "2026-01-02", "hardware": "CPU", "contention": QUIET, "rows": dict.fromkeys(names, row)}
    (folder / times.FILE).write_text(json.dumps({**said, **changes}))


def test_what_was_measured_again_comes_before_the_records_where_all_rows_were(tmp_path):
    sweep = tmp_path / "runs" / "it"
    save(sweep, trial(0, 2.0), trial(1, 4.0), other(0, 9.0))
    again(sweep, ["trial0"])
    assert summary_of(sweep).latency_seconds.tolist() != [0.2, 0.2]  # one row alone: two procedures in a column
    again(sweep, ["trial0", "trial2"])
    found = summary_of(sweep)
    assert found.latency_seconds.tolist() == [0.2, 0.2]
    assert found.latency_seconds_low.tolist() == [0.1, 0.1]
    assert found.inference_images_per_second.tolist() == [20.0, 20.0]
    assert sorted(found.epoch_seconds) == [3.0, 9.0]
    (line,) = [line for line in make_comparison(collect(sweep)).notes if "again" in line]
    assert line == (
        "Latency and throughput of inference were measured again on 2026-01-02, of all rows in turn, on CPU."
    )
    again(sweep, ["trial0", "trial2"], contention=BUSY)
    assert any("on CPU, while others took 40% of the CPU time." in n for n in make_comparison(collect(sweep)).notes)
    title = grid(make_comparison(collect(sweep))).title  # in a terminal no note is below it
    assert title == (
        "Times again, in turn, on CPU on 2026-01-02, while others took 40% of the CPU time: ratios with 95 % intervals"
    )
    assert main([str(sweep), f"--out={tmp_path / 'results'}"]) == 0
    assert collect(tmp_path / "results" / "it").again == collect(sweep).again
    (sweep / times.FILE).unlink()
    assert main([str(sweep), f"--out={tmp_path / 'results'}"]) == 0
    assert not (tmp_path / "results" / "it" / times.FILE).exists()
    (sweep / times.FILE).write_text("[]")
    assert collect(sweep).again is None


def test_without_checkpoints_nothing_can_be_timed_again(tmp_path, capsys):
    save(tmp_path / "it", trial(0, 2.0))
    assert main([str(tmp_path / "it"), f"--out={tmp_path / 'results'}", "--time-again"]) == 2
    assert "report.py: --time-again: no trial in" in capsys.readouterr().err
    assert main(["me/project", "--time-again"]) == 2
    assert "--time-again: RUNS must be a folder of sweeps" in capsys.readouterr().err
