"""Time to a stated quality."""

import math

import pandas as pd
import pytest

from headtohead.records.metrics import CLASSIFICATION, INPAINTING
from headtohead.report.collect import collect, runs_table
from headtohead.report.comparison import make_comparison
from headtohead.report.main import main
from headtohead.report.target import common_level, seconds_to
from headtohead.report.write import markdown_of
from tests.records.examples import make, save


def learning(*accuracies, name="val_acc", **changes):
    history = [{"epoch": i, name: value, "seconds": 10.0 + i} for i, value in enumerate(accuracies)]
    return make(history=history, **changes)


def test_seconds_up_to_the_first_epoch_that_reaches_the_level():
    record = learning(0.5, 0.9, 0.8, 0.95)
    assert seconds_to(record, CLASSIFICATION, 0.5) == 10
    assert seconds_to(record, CLASSIFICATION, 0.9) == 21
    assert seconds_to(record, CLASSIFICATION, 0.91) == 10 + 11 + 12 + 13
    assert math.isnan(seconds_to(record, CLASSIFICATION, 0.96))
    assert math.isnan(seconds_to(make(history=[{"epoch": 0, "val_acc": 0.9}]), CLASSIFICATION, 0.5))


def test_the_level_is_the_best_whole_per_cent_that_all_reach():
    assert common_level([learning(0.5, 0.962), learning(0.97, 0.9)], CLASSIFICATION) == pytest.approx(0.96)
    assert common_level([learning(0.29)], CLASSIFICATION) == 0.29
    assert math.isnan(common_level([learning(0.9), make(history=[])], CLASSIFICATION))
    assert math.isnan(common_level([learning(0.9), make(history=[{"val_acc": None}])], CLASSIFICATION))


def test_less_error_reaches_a_level_from_above():
    records = [learning(0.2, 0.123, name="val_l1"), learning(0.09, name="val_l1")]
    assert common_level(records, INPAINTING) == pytest.approx(0.13)
    assert seconds_to(records[0], INPAINTING, 0.13) == 21


def test_the_table_states_the_level_and_the_mean_time(tmp_path):
    save(tmp_path, learning(0.5, 0.965, seed=0), learning(0.97, 0.9, seed=1))
    runs = runs_table(collect(tmp_path))
    assert runs.target.tolist() == [96, 96]
    assert runs.target_seconds.tolist() == [21, 10]
    text = markdown_of(make_comparison(collect(tmp_path)))
    assert "s to 96 %" in text
    assert " 15.5 (10.0 to 21.0) |" in text


def test_a_level_that_some_do_not_reach_has_no_mean(tmp_path):
    save(tmp_path, learning(0.5, 0.96, seed=0), learning(0.97, 0.9, seed=1))
    assert "1 of 2 reach it" in markdown_of(make_comparison(collect(tmp_path), 0.97))


def test_a_level_from_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "runs" / "mine", learning(0.5, 0.96))
    assert main(["--target", "0.4"]) == 0
    assert pd.read_csv("results/mine/runs.csv").target_seconds.tolist() == [10]
    assert "s to 40 %" in capsys.readouterr().out
    for wrong in ("95", "0", "nan"):
        assert main(["--target", wrong]) == 2
        said = f"report.py: --target: must be a share between 0 and 1, such as 0.95: got {wrong}\n"
        assert capsys.readouterr().err == said


def test_two_data_sets_have_two_levels(tmp_path):
    other = learning(0.7, data="CIFAR10", config_hash="1" * 8)
    runs = runs_table(collect(save(tmp_path, learning(0.9), other)))
    assert dict(zip(runs.data, runs.target, strict=True)) == {"MNIST": 90, "CIFAR10": 70}


CLASSES = {**make().quality, "class_names": list("0123456789"), "confusion": None}


def test_chance_is_no_level(tmp_path, capsys):
    """Of 5,000 validation images in ten classes a network that learnt nothing may have 11.3 % right."""
    learnt, hardly = learning(0.5, 0.9, quality={**CLASSES, "val_acc": 0.9}), {**CLASSES, "val_acc": 0.117}
    save(tmp_path, learnt, learning(0.1, 0.117, quality=hardly, seed=1))
    runs = runs_table(collect(tmp_path))
    assert runs.learned.all()
    assert runs.target.isna().all()  # the best whole per cent that both reach is 11, which chance may give
    assert main([str(tmp_path), "--target", "0.11", "--out", str(tmp_path / "out")]) == 2
    said = "--target: must be more than 0.113, which chance may give on MNIST: got 0.11\n"
    assert capsys.readouterr().err == f"report.py: {said}"
    assert runs_table(collect(tmp_path), 0.12).target.tolist() == [12, 12]


def test_a_level_from_the_sweeps_file(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "runs" / "mine", learning(0.5, 0.96, quality=CLASSES))
    (tmp_path / "sweeps").mkdir()
    for metric, seconds in (
        ("{name: val_acc, goal: maximize, target: 0.4}", 10),
        ("{name: val_acc, goal: maximize}", 21),  # the best that all reach
        ("{name: val_loss, goal: minimize, target: 0.4}", 21),
        ("[", 21),
    ):
        (tmp_path / "sweeps" / "mine.yaml").write_text(f"metric: {metric}\n")
        assert main([]) == 0
        assert pd.read_csv("results/mine/runs.csv").target_seconds.tolist() == [seconds]
    assert main(["--target", "0.4"]) == 0
    assert pd.read_csv("results/mine/runs.csv").target_seconds.tolist() == [10]
    capsys.readouterr()
    for target, said in (
        ("40", "must be a share between 0 and 1, such as 0.95: got 40"),
        ("0.11", "must be more than 0.113, which chance may give on MNIST: got 0.11"),
    ):
        (tmp_path / "sweeps" / "mine.yaml").write_text(f"metric: {{name: val_acc, target: {target}}}\n")
        assert main([]) == 2
        assert capsys.readouterr().err == f"report.py: sweeps/mine.yaml: metric.target: {said}\n"


def test_what_an_hour_costs_gives_what_trial_and_target_cost(tmp_path, capsys):
    alone = {**make().hardware, "trials_at_once": 1}
    cost = {**make().cost, "total_seconds": 7200.0}
    save(tmp_path, learning(0.5, 0.9, cost=cost, hardware=alone))
    grid = make_comparison(collect(tmp_path), price=2.5).parts[0].grids[1]
    cells = {column.head: column.cells[0].text for column in grid.columns}
    assert (cells["price/trial"], cells["price to 90 %"]) == ("5", f"{2.5 * 21 / 3600:.3g}")
    assert "price" not in markdown_of(make_comparison(collect(tmp_path)))
    for wrong in ("0", "nan"):
        with pytest.raises(SystemExit):
            main([str(tmp_path), "--price-per-hour", wrong])
        assert f"--price-per-hour: must be a number above 0, such as 0.2: got {wrong}" in capsys.readouterr().err
