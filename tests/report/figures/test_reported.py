"""The figure of the sources' claims beside what was measured."""

import pytest

from headtohead.report.claims import Claim
from headtohead.report.collect import runs_table
from headtohead.report.figures.draw import draw
from headtohead.report.figures.reported import reported_accuracies
from tests.report.figures.trials import sweep, trial


def test_claims_as_drawn():
    claims = [
        Claim("000", "EqCNN", "MNIST", "test_acc", 96.0),
        Claim("001", "FCNet", "MNIST", "test_acc", 97.0),  # did not run
        Claim("000", "EqCNN", "MNIST", "params", 13978),
        Claim("003", "INN", "MNIST", "test_acc", 50.0),
        Claim("003", "INN", "MNIST", "test_acc", None, "EqCNN"),
    ]
    found = [trial(acc=accuracy, seed=seed) for seed, accuracy in enumerate((0.96, 0.97, 0.98))]
    (picture,) = reported_accuracies(runs_table(sweep(*found, trial("INN", acc=0.4))), claims)
    (axes,) = picture.canvas.axes
    measured, reported = axes.get_lines()
    assert measured.get_xdata() == pytest.approx([97, 40])
    assert reported.get_xdata() == pytest.approx([96, 50])
    assert [text.get_text() for text in axes.get_yticklabels()] == ["EqCNN, MNIST, n = 3", "INN, MNIST, n = 1"]
    ((bar,),) = [collection.get_segments() for collection in axes.collections]
    assert bar[:, 0] == pytest.approx([94.516, 99.484], abs=1e-3)  # 97 ± 4.303 * 1 / sqrt(3)
    assert "2 claims" in picture.caption
    assert "from −10.00 points (INN) to +1.00 (EqCNN)" in picture.caption


def test_only_the_sweep_that_repeats_the_claims_has_it():
    trials = sweep(trial())
    assert "reported" not in [picture.name for picture in draw(trials)]
    trials.name = "reproduce"
    assert "reported" in [picture.name for picture in draw(trials)]
    assert (
        list(reported_accuracies(runs_table(sweep(trial("Mine"))), [Claim("0", "EqCNN", "MNIST", "test_acc", 9)])) == []
    )
