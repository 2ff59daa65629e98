"""Confusion matrices: sums by hand, and what is drawn of them."""

import pytest

from headtohead.report.classes import class_names
from headtohead.report.figures.groups import groups
from tests.report.figures.trials import drawn, sweep, trial


@pytest.mark.parametrize("count", [1, 3, 4])
def test_confusion_matrices_of_any_number_of_models_share_one_bar(count):
    pictures = drawn(*(trial(f"Model{index}") for index in range(count)))
    assert len(pictures["confusion"].canvas.axes) == count + 1


def test_matrices_as_drawn(pair):
    slow, fast, _bar = pair["confusion"].canvas.axes
    assert (slow.get_title(), fast.get_title()) == ("Slow, 3 seeds", "Fast, 2 seeds")
    assert [text.get_text() for text in slow.texts] == ["90", "10", "30", "70"]
    assert slow.images[0].get_array().filled(0).tolist() == [[0, 10], [30, 0]]
    assert "Slow takes 1 for 0 in 30.0 %" in pair["confusion"].caption


def test_classes_have_their_names():
    named = {**trial().quality, "class_names": ["cat", "$dog"]}
    picture = drawn(trial(quality=named))["confusion"]
    axes = picture.canvas.axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["cat", r"\$dog"]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["cat", r"\$dog"]
    assert "EqCNN takes $dog for cat in 30.0 %" in picture.caption
    (group,) = groups(sweep(trial(quality={**named, "class_names": ["one"]})))
    assert class_names(group.models, 2) == ["0", "1"]
