"""Benchmarks run, and their two sides compute the same; how fast they are is no test."""

import importlib
import math
import sys

import pandas as pd
import pytest

from benchmarks import NAMES, __main__, augmentations, group, involution
from benchmarks.timing import Missing, Row, compare, rate

SLOW = {"sweep", "ddp", "group"}  # they start processes, or import e2cnn, which computes its bases
LONG = SLOW | {"train", "equivariant"}  # they train for seconds


def marked(slow):
    return [pytest.param(name, marks=[pytest.mark.slow] if name in slow else []) for name in NAMES]


def module_of(name):
    module = importlib.import_module(f"benchmarks.{name}")
    try:
        getattr(module, "available", lambda: None)()
    except Missing as missing:
        pytest.skip(str(missing))
    return module


@pytest.mark.parametrize("name", marked(SLOW))
def test_both_sides_compute_the_same(name):
    module_of(name).check()


@pytest.mark.parametrize("name", marked(LONG))
def test_it_runs(name):
    for row in module_of(name).run(tiny=True):
        assert row.peer > 0
        assert row.low <= row.high
        if name != "sweep":  # a difference of two sweeps, which noise may turn round where both are this short
            assert row.ours > 0
            assert row.ratio > 0
        assert (row.target == "") == (row.met is None)


@pytest.mark.slow
def test_peak_memory_is_that_of_the_copies():
    shape = (8, 64, 32, 32)
    copies = 49 * 4 * math.prod(shape) / 1e6
    assert copies < involution.peak_memory("peer", shape) < 8 * copies
    assert involution.peak_memory("ours", shape) < copies


def test_ratios_by_hand():
    row = compare("a", "ms", [1.0, 2.0, 4.0], [6.0, 8.0, 8.0], "less", 4.0)
    assert (row.ours, row.peer, row.ratio, row.low, row.high, row.met) == (2, 8, 4, 2, 6, True)
    assert not compare("a", "ms", [2.0], [7.9], "less", 4.0).met
    more = compare("a", "images/s", [30.0], [10.0], "more", 3.5)
    assert (more.ratio, more.met, more.target) == (3, False, "at least 3.5×")
    share = compare("a", "ms", [10.7], [10.0], "share", 1.08)
    assert (round(share.ratio, 6), share.met, share.target) == (1.07, True, "at most 1.08×")


def test_a_rate_leaves_the_first_steps_out():
    assert rate([0.0, 9.0, 10.0, 11.0], batch_size=5) == 2 * 5 / 2


def test_a_rerun_replaces_its_rows_and_no_others(tmp_path):
    def row(case, ours):
        return Row(case, "ms", ours, 2.0, 2.0 / ours, 1.0, 3.0, note="a, b")

    __main__.keep("train", [row("CNN", 1.0), row("EqCNN", 1.5)], "abc", tmp_path)
    __main__.keep("involution", [row("time", 1 / 3)], "abc", tmp_path)
    path = __main__.keep("train", [row("CNN", 0.5)], "abc", tmp_path)
    table = pd.read_csv(path)
    assert table.benchmark.tolist() == ["involution", "train"]
    assert table.case.tolist() == ["time", "CNN"]
    assert table.ours.tolist() == [0.3333, 0.5]
    assert table.note.tolist() == ["a, b"] * 2
    assert {"hardware", "threads", "date", "commit"} <= set(table.columns)
    assert path.name == f"{__main__.slug(__main__.hardware())}.csv"


def test_the_name_of_a_rig_is_the_name_of_a_file():
    assert __main__.slug("Intel(R) Xeon(R) CPU @ 2.0GHz (2 cores), torch 2.9.1+cpu") == (
        "intel-xeon-cpu-2.0ghz-2-cores-torch-2.9.1-cpu"
    )


@pytest.mark.parametrize("arguments", [["involutoin"], [], ["involution", "grop"]])  # before any of them runs
def test_a_wrong_name_is_one_line(capsys, arguments):
    assert __main__.main(arguments) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "NAME: must be all or one of involution, " in error


def test_list(capsys):
    assert __main__.main(["--list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(NAMES)


def test_what_is_not_installed_is_left_out_and_said(monkeypatch, capsys, workplace):
    monkeypatch.setitem(sys.modules, "e2cnn", None)
    monkeypatch.setitem(sys.modules, "e2cnn.gspaces", None)
    with pytest.raises(Missing, match="pip install e2cnn"):
        group.available()
    assert __main__.main(["group"]) == 0
    assert "group        left out: e2cnn cannot be imported" in capsys.readouterr().out
    assert not list(workplace.iterdir())


def test_the_documents_table_has_a_line_for_each_operation():
    rows = [
        compare(f"{name}, batch {batch}, {peer}", "ms/image", [ours], [theirs], "less")
        for name in augmentations.OPERATIONS
        for batch, ours in zip(augmentations.BATCHES, (3.0, 2.0, 0.5), strict=True)
        for peer, theirs in (("torchvision", 4.0), ("albumentations", 1.5))
    ]
    lines = augmentations.page(rows, "some processor").splitlines()
    assert "| RandomCrop | 4 (4.09) | 1.5 (4.03) | 3 (3.84) | 2 (0.16) | 0.5 (0.08) | 8 (51.1) |" in lines
    alone = [row for row in rows if "albumentations" not in row.case]
    assert "| RandomCrop | 4 (4.09) | 3 (3.84) | 2 (0.16) | 0.5 (0.08) | 8 (51.1) |" in augmentations.page(alone, "x")


@pytest.mark.parametrize(
    ("args", "said"),
    [(["overhead", "--device=cuda"], "goes with augmentations"), (["augmentations", "--device=cuda:99"], "cuda:99: ")],
)
def test_a_device_that_cannot_be(args, said, capsys):
    assert __main__.main(args) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("python -m benchmarks: --device: ")
    assert said in line
