"""Figures that are drawn by other processes while the tables are made: the same files, in the same order."""

import subprocess
import sys

import pytest

from headtohead.report.comparison import make_comparison
from headtohead.report.figures import Drawing
from headtohead.report.figures import draw as draws
from headtohead.report.figures.style import save
from tests.conftest import ROOT
from tests.report.figures.trials import draw, sweep, trial

BARE = {"history": [{"epoch": epoch, "train_loss": 1.0 / (1 + epoch)} for epoch in range(3)]}


def test_they_are_those_that_are_drawn_one_after_the_other(tmp_path, monkeypatch):
    monkeypatch.setattr(draws, "FEW", 0)
    trials = sweep(trial(**BARE))
    drawing = Drawing(tmp_path / "early")
    shown = []
    comparison = make_comparison(trials, begin=lambda found: (shown.append(found), drawing.begin(found)))
    assert drawing._pool is not None  # it has begun
    early = drawing.finish(comparison)
    assert drawing._pool is None
    (given,) = shown
    assert given.records == comparison.shown.records
    late = [save(picture, tmp_path / "late") for picture in draw(comparison)]
    assert [figure.name for figure in early] == [figure.name for figure in late] != []
    for one, other in zip(early, late, strict=True):
        assert one.png.read_bytes() == other.png.read_bytes()
        assert (one.caption, one.size, one.spots) == (other.caption, other.size, other.spots)


@pytest.mark.slow
def test_a_report_imports_no_distributions_and_no_torch():
    code = "import sys, headtohead.report.main; print(sorted({'scipy.stats', 'torch', 'wandb'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "[]\n"
