"""Benchmarks run, and their two sides compute the same; how fast they are is no test."""

import importlib
import math
import os
import re
import sys
from pathlib import Path

import pandas as pd
import pytest

from benchmarks import NAMES, __main__, augmentations, group, involution
from benchmarks.timing import Missing, Row, compare, rate
from tests.conftest import ROOT

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


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="a busy process needs a core of its own")
def test_involution_beside_a_busy_process_is_compared_with_unfolding_beside_it():
    rows = {row.case.partition("fp32, ")[2]: row for row in involution.run(tiny=True)}
    row = rows["over F.unfold, both beside a busy process"]
    assert (row.target, row.unit) == ("at least 1×", "ms")
    assert row.ratio == pytest.approx(row.peer / row.ours)


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


def augmentation_rows(peers=("torchvision", "albumentations")):
    """The same times for each operation: kornia's by batch, those of a peer by batch, deviations in the note."""
    times = {"torchvision": (4.0, 3.5, 3.0), "albumentations": (1.5, 1.5, 1.0)}
    return [
        compare(
            f"{name}, batch {batch}, {peer}", "ms/image", [ours], [theirs], "less",
            note=f"± {ours / 10} and ± {theirs / 100:.3f}; the document has 1 and 2",
        )
        for name in augmentations.OPERATIONS
        for peer in peers
        for batch, ours, theirs in zip(augmentations.BATCHES, (3.0, 2.0, 0.5), times[peer], strict=True)
    ]  # fmt: skip


def test_the_documents_table_has_a_line_for_each_operation():
    lines = augmentations.page(augmentation_rows(), "some processor").splitlines()
    crops = [line for line in lines if line.startswith("| RandomCrop |")]
    kornia = "3 ± 0.3 (3.84 ± 3.07) | 2 ± 0.2 (0.16 ± 1.17) | 0.5 ± 0.05 (0.08 ± 9.42)"
    assert crops == [
        f"| RandomCrop | 4 ± 0.04 (4.09 ± 3.41) | 1.5 ± 0.015 (4.03 ± 4.94) | {kornia} |",
        # 4 / 3, 3.5 / 2 and 3 / 0.5 at equal batch; 4 / 0.5 of one image against 128, as 4.09 / 0.08
        "| RandomCrop | 1.33 | 1.75 | 6 | 0.5 | 0.75 | 2 | 8 (51.1) |",
    ]
    heads = [line for line in lines if line.startswith("| operation |")]
    assert heads == [
        "| operation | torchvision, batch 1 | albumentations, batch 1 "
        "| kornia, batch 1 | kornia, batch 32 | kornia, batch 128 |",
        "| operation | torchvision, batch 1 | torchvision, batch 32 | torchvision, batch 128 | albumentations, batch 1 "
        "| albumentations, batch 32 | albumentations, batch 128 | torchvision, batch 1, over kornia, batch 128 |",
    ]
    alone = augmentations.page(augmentation_rows(["torchvision"]), "x")
    assert f"| RandomCrop | 4 ± 0.04 (4.09 ± 3.41) | {kornia} |" in alone
    assert "| RandomCrop | 1.33 | 1.75 | 6 | 8 (51.1) |" in alone


def test_the_page_of_augmentations_is_made_of_the_table_that_was_kept(monkeypatch, capsys, workplace):
    path = __main__.keep("augmentations", augmentation_rows(), "abc", workplace)
    assert __main__.main(["augmentations", f"--page={path}"]) == 0
    page = __main__.FOLDER / "augmentations.md"
    assert capsys.readouterr().out == f"{page}\n"
    assert page.read_text() == augmentations.page(augmentation_rows(), __main__.hardware())


def test_the_committed_page_is_that_of_the_committed_table():
    page = (ROOT / __main__.FOLDER / "augmentations.md").read_text()
    tables = [__main__.kept(path, "augmentations") for path in (ROOT / __main__.FOLDER).glob("*.csv")]
    assert page in [augmentations.page(*table) for table in tables if table[0]]
    assert "| RandomPerspective | 0.755 ± 0.11 (4.88 ± 1.82) |" in page
    assert re.search(r"\| RandomPerspective .* 21\.9 \|.* 18\.4 \(24\.4\) \|", page)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["overhead", "--page=a.csv"], "goes with augmentations alone: got overhead"),
        (["augmentations", "--page=a.csv"], "no file a.csv"),
        (["augmentations", "--page=empty.csv"], "empty.csv has no rows of augmentations"),
    ],
)
def test_a_page_that_cannot_be(args, said, capsys, workplace):
    Path("empty.csv").write_text("benchmark,hardware\n")
    assert __main__.main(args) == 2
    assert capsys.readouterr().err == f"python -m benchmarks: --page: {said}\n"


@pytest.mark.parametrize(
    ("args", "said"),
    [(["overhead", "--device=cuda"], "goes with augmentations"), (["augmentations", "--device=cuda:99"], "cuda:99: ")],
)
def test_a_device_that_cannot_be(args, said, capsys):
    assert __main__.main(args) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("python -m benchmarks: --device: ")
    assert said in line
