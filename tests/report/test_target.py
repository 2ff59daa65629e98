"""Time to a stated quality."""

import math

import pandas as pd
import pytest

from headtohead.records.metrics import CLASSIFICATION, INPAINTING
from headtohead.report.collect import collect, runs_table
from headtohead.report.comparison import make_comparison
from headtohead.report.main import main
from headtohead.report.target import seconds_to, stated
from headtohead.report.write import latex_of, markdown_of
from tests.conftest import ROOT
from tests.records.examples import filled, make, save


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


def test_less_error_reaches_a_level_from_above():
    record = learning(0.2, 0.123, name="val_l1")
    assert seconds_to(record, INPAINTING, 0.2) == 10
    assert seconds_to(record, INPAINTING, 0.13) == 21
    assert math.isnan(seconds_to(record, INPAINTING, 0.12))


def test_the_table_states_the_level_and_the_mean_time(tmp_path):
    save(tmp_path, learning(0.5, 0.965, seed=0), learning(0.97, 0.9, seed=1))
    runs = runs_table(collect(tmp_path), 0.96)
    assert runs.target.tolist() == [96, 96]
    assert runs.target_seconds.tolist() == [21, 10]
    text = markdown_of(make_comparison(collect(tmp_path), 0.96))
    assert "s to 96 %" in text
    assert " 15.5 (10.0 to 21.0) |" in text


def test_where_nobody_states_a_target_there_is_none(tmp_path):
    comparison = make_comparison(collect(save(tmp_path, learning(0.5, 0.965), learning(0.97, seed=1))), price=2.5)
    for text in (markdown_of(comparison), latex_of(comparison)):
        assert "s/epoch" in text
        assert "price/trial" in text
        assert "s to" not in text
        assert "Seconds to" not in text
        assert "price to" not in text
    assert "target" not in comparison.csv
    assert not {"target", "target_seconds"} & set(comparison.runs)


def test_a_level_that_some_do_not_reach_has_no_mean(tmp_path):
    save(tmp_path, learning(0.5, 0.96, seed=0), learning(0.97, 0.9, seed=1))
    assert "| 1 of 2 reached it |" in " ".join(markdown_of(make_comparison(collect(tmp_path), 0.97)).split())


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


CLASSES = {**make().quality, "class_names": list("0123456789"), "confusion": None}


def test_chance_is_no_level(tmp_path, capsys):
    """Of 5,000 validation images in ten classes a network that learnt nothing may have 11.3 % right."""
    learnt, hardly = learning(0.5, 0.9, quality={**CLASSES, "val_acc": 0.9}), {**CLASSES, "val_acc": 0.117}
    save(tmp_path, learnt, learning(0.1, 0.117, quality=hardly, seed=1))
    assert runs_table(collect(tmp_path)).learned.all()
    assert main([str(tmp_path), "--target", "0.11", "--out", str(tmp_path / "out")]) == 2
    said = "--target: must be more than 0.113, which chance may give on MNIST: got 0.11\n"
    assert capsys.readouterr().err == f"report.py: {said}"
    assert runs_table(collect(tmp_path), 0.12).target.tolist() == [12, 12]


def test_a_level_from_the_sweeps_file(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "runs" / "mine", learning(0.5, 0.96, quality=CLASSES))
    (tmp_path / "sweeps").mkdir()
    for metric, named in (
        ("{name: val_acc, goal: maximize, target: 0.4}", True),
        ("{name: val_acc, goal: maximize}", False),
        ("{name: val_loss, goal: minimize, target: 0.4}", False),
        ("{name: [], target: 0.4}", False),
        ("[", False),
    ):
        (tmp_path / "sweeps" / "mine.yaml").write_text(f"metric: {metric}\n")
        assert main([]) == 0
        runs = pd.read_csv("results/mine/runs.csv")
        assert ("target_seconds" in runs) == ("target" in runs) == named
        assert not named or runs.target_seconds.tolist() == [10]
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


@pytest.mark.parametrize(("name", "target", "seconds"), [("val_acc", 0.9, [21, None]), ("val_l1", 0.1, [None, 31])])
def test_a_target_is_of_the_trials_that_have_its_metric(tmp_path, monkeypatch, name, target, seconds):
    monkeypatch.chdir(tmp_path)
    history = [{"epoch": 0, "val_l1": 0.2, "seconds": 15.0}, {"epoch": 1, "val_l1": 0.1, "seconds": 16.0}]
    (tmp_path / "sweeps").mkdir()
    (tmp_path / "sweeps" / "mine.yaml").write_text(f"metric: {{name: {name}, target: {target}}}\n")
    trials = collect(save(tmp_path / "mine", learning(0.5, 0.96), filled(0, history=history)))
    runs = runs_table(trials).sort_values("data", ascending=False)  # MNIST, CIFAR10
    assert [None if math.isnan(value) else value for value in runs.target_seconds] == seconds
    assert [None if math.isnan(value) else value for value in runs.target] == [x and 100 * target for x in seconds]
    assert markdown_of(make_comparison(trials)).count(" s to ") == 1


def test_the_suites_own_target_is_about_the_accuracy_of_eqcnn():
    records = collect(ROOT / "results" / "plain_vs_equivariant").records.values()
    best = [max(epoch["val_acc"] for epoch in record.history) for record in records if record.model == "EqCNN"]
    assert min(best) > stated("plain_vs_equivariant")["val_acc"] == 0.96
    assert min(best) < 0.97


def test_what_an_hour_costs_gives_what_trial_and_target_cost(tmp_path, capsys):
    alone = {**make().hardware, "trials_at_once": 1}
    cost = {**make().cost, "total_seconds": 7200.0}
    save(tmp_path, learning(0.5, 0.9, cost=cost, hardware=alone))
    grid = make_comparison(collect(tmp_path), 0.9, price=2.5).parts[0].grids[1]
    cells = {column.head: column.cells[0].text for column in grid.columns}
    assert (cells["price/trial"], cells["price to 90 %"]) == ("5", f"{2.5 * 21 / 3600:.3g}")
    assert "price" not in markdown_of(make_comparison(collect(tmp_path)))
    for wrong in ("0", "nan"):
        with pytest.raises(SystemExit):
            main([str(tmp_path), "--price-per-hour", wrong])
        assert f"--price-per-hour: must be a number above 0, such as 0.2: got {wrong}" in capsys.readouterr().err
