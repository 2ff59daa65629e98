"""What the command prints last: the verdicts, a table of each data set in 100 columns, one line for the files."""

import re

import pytest

from headtohead.report.collect import collect
from headtohead.report.comparison import make_comparison
from headtohead.report.main import main
from headtohead.report.write import show
from tests.conftest import ROOT
from tests.records.examples import filled, make, other_config, save, with_accuracy
from tests.report.test_verdicts import models

SWEEPS = sorted(path.parent.name for path in (ROOT / "results").glob("*/records"))


def screen(folder, capsys, terminal=False):
    comparison = make_comparison(collect(folder))
    with pytest.MonkeyPatch.context() as patch:
        if terminal:
            patch.setenv("FORCE_COLOR", "1")
            patch.setenv("COLUMNS", "100")
        patch.chdir(folder.parents[1])
        there = folder.relative_to(folder.parents[1])
        show(comparison, [there / "report.html", there / "runs.csv"])
    return re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)


@pytest.mark.parametrize("sweep", SWEEPS)
def test_no_line_of_a_committed_sweep_is_wider_than_100(sweep, capsys):
    folder = ROOT / "results" / sweep
    piped, shown = (screen(folder, capsys, terminal) for terminal in (False, True))
    assert piped == shown
    assert max(map(len, shown.splitlines())) <= 100
    trials = len(list((folder / "records").glob("*.json")))
    assert shown.splitlines()[-1].replace("\n", "").startswith(f"{2 + trials} files in ")
    assert "wrote" not in shown


def test_verdicts_come_first_and_files_last(tmp_path, capsys):
    found = [with_accuracy(0.9 + seed / 1000, seed, model="A", **other_config(model="A")) for seed in range(3)]
    found += [with_accuracy(0.8 + seed / 1000, seed, model="B", **other_config(model="B")) for seed in range(3)]
    lines = screen(save(tmp_path / "two", *found), capsys).splitlines()
    assert lines[0].startswith("  B is worse than A upright (−10.00 points, ")
    table = next(i for i, line in enumerate(lines) if line.startswith("two, MNIST: test accuracy in %"))
    assert "n = 3" in lines[table]
    assert lines[-2].startswith("* the best")
    there = f"{tmp_path.name}/two"
    assert lines[-1] == f"8 files in {there}; open {there}/report.html"


def test_what_all_rows_have_alike_is_no_column(tmp_path, capsys):
    rows = [with_accuracy(0.5 + i / 10, seed, **other_config(a=i)) for i in range(2) for seed in (0, 1)]
    shown = screen(save(tmp_path / "same", *rows), capsys)
    heads = next(line for line in shown.splitlines() if line.startswith(" model")).split()
    assert heads == ["model", "0°", "90°", "180°", "270°"]  # not n, nor sizes, nor times


def test_the_least_important_columns_make_room(tmp_path, capsys):
    """A name of 36 letters leaves room for the compared numbers, sizes and time, not for all quarter turns."""
    quality = {**make().quality}
    rows = []
    for i in range(2):
        for seed in range(2):
            varied = {name: 0.5 + i / 10 + seed / 50 for name in quality if name.startswith("test_acc")}
            size = {"params": 10**8 * (i + 1), "macs": 10**9 * (i + 1), "bytes": 10**9 * (i + 1)}
            hardware = {**make().hardware, "trials_at_once": 1}
            cost = {**make().cost, "epoch_seconds": 1000.0 * (i + 1)}
            changed = {"quality": {**quality, **varied}, "size": size, "hardware": hardware, "cost": cost}
            rows.append(make(seed=seed, **changed, **other_config(**{"task.an_argument_of_some_length": i})))
    shown = screen(save(tmp_path / "wide", *rows), capsys)
    heads = next(line for line in shown.splitlines() if line.startswith(" model")).split()
    assert heads[:3] == ["model", "0°", "90°"]
    assert {"params", "MACs", "s/epoch"} <= set(heads)
    assert "270°" not in heads
    assert max(map(len, shown.splitlines()[:-1])) <= 100  # but for the folder of a test


def test_each_kind_has_a_table_and_the_command_says_where_the_report_is(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "runs" / "mixed", make(seed=0), filled(0), filled(1))
    assert main([]) == 0
    shown = capsys.readouterr().out
    assert shown.count("\nmixed, ") == 2
    files = [path for path in (tmp_path / "results" / "mixed").rglob("*") if path.is_file()]
    assert shown.endswith(f"\n{len(files)} files in results/mixed; open results/mixed/report.html\n")


def test_the_main_metric_is_shown_where_all_rows_have_it_alike(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([str(save(tmp_path / "same", *models([0.9, 0.9], [0.9, 0.9])))]) == 0
    assert capsys.readouterr().out.count("90.0 ± 0.0") == 2
