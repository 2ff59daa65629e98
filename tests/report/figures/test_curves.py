"""Learning curves and accuracy over the angle: their numbers by hand, and what is drawn of them."""

import dataclasses
import math

import numpy as np
import pytest
from scipy import stats

from headtohead.report.figures.curves import angle_curves, epoch_curves
from headtohead.report.figures.groups import groups
from tests.report.figures.trials import ANGLES, drawn, lines, sweep, trial


def test_learning_curves_have_the_mean_of_each_epoch():
    short = trial(seed=1, acc=0.8)
    short = dataclasses.replace(short, history=[*short.history[:2], {"epoch": 2, "val_acc": None}])
    (group,) = groups(sweep(trial(acc=0.9), short))
    (curve,) = epoch_curves(group, "val_acc")
    assert curve.x.tolist() == [1, 2, 3, 4]
    assert curve.mean == pytest.approx([75, 80, 100 * (0.9 - 0.1 / 3), 87.5])
    assert np.isnan(curve.low).tolist() == [False, False, True, True]
    (loss,) = epoch_curves(group, "train_loss")
    assert loss.mean == pytest.approx([1, 1 / 2, 1 / 3, 1 / 4])  # no share: not in per cent
    assert epoch_curves(group, "val_l1") == []


def test_angle_curves_end_where_they_began():
    (group,) = groups(sweep(trial(acc=0.8), trial(acc=1.0, seed=1)))
    (curve,) = angle_curves(group)
    assert curve.x.tolist() == [*ANGLES, 360]
    assert curve.mean[:-1] == pytest.approx([90 * (1 - angle / 1_000) for angle in ANGLES])
    assert (curve.mean[-1], curve.low[-1]) == (curve.mean[0], curve.low[0])
    half = stats.t.ppf(0.975, 1) * np.std([80, 100], ddof=1) / 2**0.5
    assert curve.high[0] == pytest.approx(90 + half)


def test_learning_curves_as_drawn(pair):
    (axes,) = pair["validation"].canvas.axes
    assert axes.get_ylabel() == "validation accuracy, %"
    assert list(lines(pair["validation"])) == ["Slow", "Fast"]
    assert lines(pair["validation"])["Slow"].get_ydata() == pytest.approx([81, 86, 91 - 10 / 3, 88.5])
    assert len(axes.collections) == 2  # the bands
    assert [text.get_text() for text in pair["validation"].canvas.legends[0].get_texts()] == ["Slow", "Fast"]
    (axes,) = pair["loss"].canvas.axes
    assert axes.get_yscale() == "log"


def test_training_stands_beside_validation_in_the_same_unit():
    history = [{"epoch": e, "val_acc": 0.5, "train_acc": 0.7, "val_loss": 2, "train_loss": 1} for e in range(3)]
    pictures = drawn(dataclasses.replace(trial(), history=history))
    for name, validation, training in (("validation", 50, 70), ("loss", 2, 1)):
        (axes,) = pictures[name].canvas.axes
        drawn_lines = axes.get_lines()
        assert [line.get_ydata().tolist() for line in drawn_lines] == [[validation] * 3, [training] * 3]
        assert drawn_lines[0].get_linewidth() > 1.5 * drawn_lines[1].get_linewidth()
        assert drawn_lines[0].get_color() == drawn_lines[1].get_color()
        assert pictures[name].title.endswith("; thin: in training")
    assert pictures["loss"].canvas.axes[0].get_ylabel() == "validation loss"


def test_captions_rank_only_models_of_one_length():
    long = [{"epoch": epoch, "val_acc": 0.9, "train_loss": 1.0} for epoch in range(9)]
    pictures = drawn(trial("A"), trial("B", acc=0.8), dataclasses.replace(trial("C"), history=long))
    said = "on MNIST over the epochs. After 4 epochs: A 87.5 %, B 77.5 %. After 9 epochs: C 90.0 %. Mean of one seed"
    assert said in pictures["validation"].caption


def test_a_seed_that_never_learns_rules_no_curve():
    quality = {**trial(acc=0.5).quality, "val_acc": 0.5}
    dead = trial(seed=2, quality=quality, history=[{"epoch": e, "val_acc": 0.5} for e in range(4)])
    pictures = drawn(trial(acc=0.9), trial(acc=0.9, seed=1), dead)  # of two classes: 0.5 is chance
    assert lines(pictures["validation"])["EqCNN"].get_ydata()[-1] == pytest.approx(87.5)
    assert "Mean of 2 seeds" in pictures["validation"].caption
    assert pictures["validation"].caption.endswith("Left out: 1 seed that never learns.")
    assert lines(pictures["rotation"])["EqCNN"].get_ydata()[0] == pytest.approx(90)


def test_the_rotation_sweep_as_drawn(pair):
    (axes,) = pair["rotation_polar"].canvas.axes
    assert axes.name == "polar"
    fast = lines(pair["rotation_polar"])["Fast"]
    assert fast.get_xdata()[6] == pytest.approx(math.pi / 2)
    assert fast.get_ydata()[6] == pytest.approx(70 * 0.91)


def test_captions_say_what_is_to_be_seen(pair):
    assert "After the last epoch: Slow 88.5 %, Fast 67.5 %." in pair["validation"].caption
    assert "Mean of 2 to 3 seeds; band: 95 % interval of the mean (Student's t)." in pair["validation"].caption
    assert "After the last epoch: Slow 0.25, Fast 0.25." in pair["loss"].caption
    seen = "Upright: Slow 91.0 %, Fast 70.0 %. At the worst angle: Slow 59.6 %, Fast 45.8 %."
    assert seen in pair["rotation"].caption
