"""Tables: means, spreads and intervals against numbers by hand; what is left out, and what is never mixed."""

import dataclasses
import io
import math
import re

import pandas as pd
import pytest
from rich.console import Console

from headtohead.report.collect import collect, runs_table
from headtohead.report.comparison import make_comparison
from headtohead.report.main import main
from headtohead.report.summary import LEFT_OUT_OF_TIMES, notes, summarize
from headtohead.report.terminal import terminal
from headtohead.report.write import latex_of, markdown_of, show
from tests.records.examples import filled, make, other_config, save, with_accuracy

COLUMNS = """model data seed params macs bytes
    val_acc test_acc test_acc_rot90 test_acc_rot180 test_acc_rot270 test_acc_rotation_sweep test_ece
    test_loss test_invariance_error test_images
    epoch_seconds total_seconds train_images_per_second inference_images_per_second latency_seconds peak_memory_mb
    learned epochs
    device accelerator devices nodes host precision tf32 memory_format compiled images_on operators threads
    trials_at_once
    contended config_hash commit trial"""
FILES = {"runs.csv", "table.md", "table.tex", "report.html", "records"}
FILES |= {f"{name}.png" for name in ("validation", "rotation", "rotation_polar")}


def summary_of(folder):
    trials = collect(folder)
    return summarize(trials, runs_table(trials))


def markdown_in(folder):
    return markdown_of(make_comparison(collect(folder)))


def shown_in_terminal(folder, name="x"):
    """What a terminal of 100 columns shows."""
    console = Console(width=100, file=io.StringIO(), color_system=None)
    for shown in terminal(name, summary_of(folder)):
        console.print(shown)
    return console.file.getvalue()


def test_mean_spread_and_interval_by_hand(tmp_path):
    table = summary_of(
        save(tmp_path, *(with_accuracy(accuracy, seed) for seed, accuracy in enumerate([0.96, 0.97, 0.98])))
    )
    (row,) = table.to_dict("records")
    assert row["n"] == 3
    assert row["test_acc"] == pytest.approx(97.0)
    assert row["test_acc_std"] == pytest.approx(1.0)
    # t(0.975; 2 degrees of freedom) = 4.302653
    assert row["test_acc_ci"] == pytest.approx(4.302653 / math.sqrt(3), rel=1e-6)
    assert "| 97.00 ± 1.00 |" in markdown_in(tmp_path)
    assert "94.52 to 99.48" in markdown_in(tmp_path)


def test_one_trial_has_no_spread_and_the_table_says_so(tmp_path):
    table = summary_of(save(tmp_path, make()))
    assert math.isnan(table.test_acc_std[0])
    assert "±" not in markdown_in(tmp_path).splitlines()[4]
    assert any("n = 1" in note for note in notes(table))


def test_recipes_are_never_one_row(tmp_path):
    changed = [make(seed=seed, **other_config(**{"task.lr": 0.1})) for seed in (0, 1)]
    table = summary_of(save(tmp_path, make(seed=0), make(seed=1), *changed))
    assert sorted(table.model) == ["EqCNN lr=0.001", "EqCNN lr=0.1"]
    assert table.n.tolist() == [2, 2]


def test_times_are_those_of_trials_that_had_the_machine_to_themselves(tmp_path, capsys):
    shared = {"hardware": {**make().hardware, "trials_at_once": 2, "threads": 1}}
    slow, slower = ({"cost": {**make().cost, "epoch_seconds": seconds}} for seconds in (21.0, 23.0))
    found = make(seed=0, **slow), make(seed=1, **slower), make(seed=2, **shared), make(seed=3, **shared)
    table = summary_of(save(tmp_path, *found))
    assert table.epoch_seconds.tolist() == [22.0]
    assert (table.n[0], table.timed[0]) == (4, 2)
    assert "Times are those of trials that had the machine to themselves: 2 of 4 for EqCNN on MNIST." in notes(table)
    assert make_comparison(collect(tmp_path)).summary.setting.tolist() == [""]
    assert math.isnan(summary_of(save(tmp_path / "shared", make(**shared))).epoch_seconds[0])
    for folder, untimed in ((tmp_path, False), (tmp_path / "shared", True)):
        show(make_comparison(collect(folder)), [])
        said = " ".join(capsys.readouterr().out.split())
        assert (f"{LEFT_OUT_OF_TIMES} runs.csv says which." in said) == untimed


def test_rows_on_different_hardware_are_told_apart(tmp_path):
    other = make(seed=0, hardware={**make().hardware, "device": "another"}, **other_config(**{"task.lr": 0.1}))
    table = summary_of(save(tmp_path, make(seed=0), other))
    assert table.epoch_seconds.notna().all()
    assert any("different hardware" in note for note in notes(table))


def test_a_faster_machine_wins_no_column(tmp_path):
    fast = {"cost": {**make().cost, "epoch_seconds": 1.25}, **other_config(**{"task.lr": 0.1})}
    alone = {**make().hardware, "trials_at_once": 1}
    assert "**1.25**" in markdown_in(save(tmp_path / "same", make(hardware=alone), make(hardware=alone, **fast)))
    other = make(hardware={**alone, "device": "another"}, **fast)
    assert "| 1.25 |" in " ".join(markdown_in(save(tmp_path / "other", make(hardware=alone), other)).split())


def test_the_best_comes_first_and_is_bold(tmp_path):
    low, high = with_accuracy(0.5, 0), with_accuracy(0.9, 0, **other_config(**{"task.lr": 0.1}))
    table = summary_of(save(tmp_path, low, high))
    assert table.test_acc.tolist() == pytest.approx([90.0, 50.0])
    assert "**90.00**" in markdown_in(tmp_path)
    assert "**50.00**" not in markdown_in(tmp_path)
    assert " 90.0* " in shown_in_terminal(tmp_path)
    assert "50.0*" not in shown_in_terminal(tmp_path)


def test_runs_csv_has_a_row_per_trial_in_per_cent(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "runs" / "mine", make(seed=1), make(seed=0))
    assert main([]) == 0
    runs = pd.read_csv(tmp_path / "results" / "mine" / "runs.csv")
    assert list(runs.columns) == COLUMNS.split()
    assert runs.seed.tolist() == [0, 1]
    assert runs.test_acc.tolist() == [96.84, 96.84]
    assert runs.params.tolist() == [7834, 7834]
    made = {path.name for path in (tmp_path / "results" / "mine").iterdir()}
    assert made == FILES


def test_records_that_left_the_sweep_leave_the_results(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "runs" / "mine", make(seed=0), make(seed=1))
    main([])
    (tmp_path / "runs" / "mine" / "trial1" / "record.json").unlink()
    main([])
    assert [path.name for path in (tmp_path / "results" / "mine" / "records").iterdir()] == ["trial0.json"]


def test_filled_holes_by_hand(tmp_path):
    found = [filled(seed, l1) for seed, l1 in enumerate([0.07, 0.08, 0.09])]
    table = summary_of(save(tmp_path, *found))
    (row,) = table.to_dict("records")
    assert row["test_l1_hole"] == pytest.approx(8.0)
    assert row["test_l1_hole_std"] == pytest.approx(1.0)
    assert row["test_l1_hole_ci"] == pytest.approx(4.302653 / math.sqrt(3), rel=1e-6)
    assert "test_acc" not in table
    text = markdown_in(tmp_path)
    _, _, head, _, line = text.splitlines()[:5]
    cells = {name.strip(): cell.strip() for name, cell in zip(head.split("|"), line.split("|"), strict=True)}
    assert cells["n"] == "3"
    assert cells["L1 hole %"] == "8.00 ± 1.00"
    assert cells["L1 valid %"] == "2.00 ± 0.00"
    assert cells["PSNR dB"] == "22.50 ± 1.00"
    assert cells["SSIM"] == "0.8123 ± 0.0000"
    assert cells["95 % interval, L1 hole"] == "5.52 to 10.48"
    assert "accuracy" not in text
    assert any("over all pixels in holes" in note for note in notes(table))


def test_the_smallest_error_in_holes_comes_first_and_is_bold(tmp_path):
    config = {"config": {"model.width": 1}, "config_hash": "1" * 8, "model": "ConvUNet"}
    table = summary_of(save(tmp_path, filled(0, 0.09), filled(1, 0.07, **config)))
    assert table.model.tolist() == ["ConvUNet", "PConvUNet"]
    shown = shown_in_terminal(tmp_path)
    assert re.search(r"model +L1 hole % +PSNR dB", shown)
    assert re.search(r"ConvUNet +7.00\* +22.50\*", shown)
    assert re.search(r"PConvUNet +9.00 +21.50 ", shown)


def test_each_kind_of_trial_has_its_own_table(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "runs" / "mixed", make(seed=0), filled(0), filled(1))
    assert main([]) == 0
    folder = tmp_path / "results" / "mixed"
    text = (folder / "table.md").read_text()
    accuracies, holes = text.split("\n\nCIFAR10: filling holes in test images")
    assert "EqCNN" in accuracies
    assert "PConvUNet" not in accuracies
    assert "PConvUNet" in holes
    assert "EqCNN" not in holes
    assert "nan" not in text
    assert "Test accuracy" in text
    runs = pd.read_csv(folder / "runs.csv").set_index("trial")
    assert runs.test_acc.tolist() == pytest.approx([float("nan"), float("nan"), 96.84], nan_ok=True)
    assert runs.loc["trial1", "test_l1_hole"] == 8
    assert runs.loc["trial1", "val_l1"] == 8
    assert runs.loc["trial2", "test_psnr"] == 22.5
    assert len(list(terminal("x", summary_of(tmp_path / "runs" / "mixed")))) == 2
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert main(["results/mixed"]) == 0
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_markup_in_a_name_is_text(tmp_path):
    save(tmp_path, make(model="[red]x"), make(model="a|b_<i>&%", **other_config(**{"task.lr": 1})))
    shown = shown_in_terminal(tmp_path, "[blue]")
    assert "[blue], MNIST" in shown
    assert "[red]x" in shown
    assert "a\\|b_&lt;i>&%" in markdown_in(tmp_path)
    assert r"a|b\_<i>\&\%" in latex_of(make_comparison(collect(tmp_path)))


def test_the_widest_table_fits_a_terminal_of_100_columns(tmp_path):
    size = {"params": 138_357_544, "macs": 15_470_314_496, "bytes": 553_430_176}
    cost = {"epoch_seconds": 13_836.0, "train_images_per_second": 123_456.0, "inference_images_per_second": 1_234_567.0}
    cost |= {"latency_seconds": 0.1234, "peak_memory_mb": 12_345.0}
    history = [{"epoch": 0, "val_acc": 0.96, "seconds": 12_345.0}]
    wide = {"size": size, "cost": cost, "history": history, "hardware": {**make().hardware, "trials_at_once": 1}}
    found = [with_accuracy(1 - i / 10, seed, **wide, **other_config(a=i)) for i in range(2) for seed in range(12)]
    found[12:] = [  # what all rows have alike is not shown
        dataclasses.replace(
            record, size={name: value // 2 for name, value in size.items()}, cost={"epoch_seconds": 9.0}
        )
        for record in found[12:]
    ]
    shown = shown_in_terminal(save(tmp_path, *found), "a_sweep_with_a_long_name")
    assert max(map(len, shown.splitlines())) <= 100
    for text in (
        "138,357,544",
        "15.5 G",
        "13,836",
        "100.0 ± 0.0*",
    ):
        assert text in shown


def test_ties_and_single_rows_have_no_best(tmp_path):
    one = markdown_in(save(tmp_path / "one", make()))
    same = markdown_in(save(tmp_path / "same", make(), make(**other_config(**{"task.lr": 1}))))
    assert "**" not in one
    assert "**" not in same


def test_latex_has_rules_and_bold_winners(tmp_path):
    low = [with_accuracy(accuracy, seed) for seed, accuracy in enumerate((0.49, 0.51))]
    other = other_config(**{"task.weight_decay": 0.1})
    high = [with_accuracy(accuracy, seed, **other) for seed, accuracy in enumerate((0.89, 0.91))]
    text = latex_of(make_comparison(collect(save(tmp_path, *low, *high))))
    assert text.count("\\begin{tabular}") == text.count("\\end{tabular}") == text.count("\\toprule") == 3
    assert "EqCNN weight\\_decay=0.1 & 2 & " in text
    assert "\\textbf{90.00 ± 1.41}" in text
    assert "\\textbf{50.00" not in text
    assert "$-$40.00" in text


def test_what_is_folded_away_comes_last(tmp_path):
    """After the notes: of a sweep without a question there may be hundreds of pairs."""
    configs = [other_config(**{"task.lr": lr}) for lr in range(3)]
    found = [with_accuracy(0.9 - i / 10 + s / 100, s, **one) for i, one in enumerate(configs) for s in (0, 1)]
    text = markdown_in(save(tmp_path, *found))
    places = ["MNIST: test accuracy in %", "MNIST: what it costs", "Test accuracy, mean ± standard deviation"]
    places += ["MNIST, in numbers: pairs that no question names, of two seeds or more"]
    assert [text.count(place) for place in places] == [1] * 4
    assert sorted(places, key=text.index) == places
    assert len(text.rpartition(places[-1])[2].strip().splitlines()) == 2 + 6  # a head; three pairs in two numbers


def test_rows_of_which_as_many_trials_had_the_machine_are_named_together(tmp_path):
    shared = {"hardware": {**make().hardware, "trials_at_once": 2}}
    found = []
    for lr, alone in ((1, 1), (2, 1), (3, 2)):
        config = other_config(**{"task.lr": lr})
        found += [make(seed=seed, **config, **({} if seed < alone else shared)) for seed in range(3)]
    (said,) = [note for note in notes(summary_of(save(tmp_path, *found))) if "to themselves" in note]
    assert said == (
        "Times are those of trials that had the machine to themselves: 1 of 3 each for EqCNN lr=1 and EqCNN lr=2 on "
        "MNIST; 2 of 3 for EqCNN lr=3 on MNIST."
    )
