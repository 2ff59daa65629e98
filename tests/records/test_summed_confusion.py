"""Confusion matrices of records: summed, and what is none is left out."""

from headtohead.records.confusion import confusion
from tests.records.examples import make
from tests.report.figures.trials import trial


def test_confusion_matrices_are_summed():
    matrix = [[5, 1], [2, 8]]
    broken = [{"confusion": value} for value in (None, "x", [[1, 2]], [[1, "a"], [2, 3]], [[1, None], [0, 1]])]
    found = [trial(quality={**make().quality, **quality}) for quality in ({"confusion": matrix}, *broken)]
    assert confusion([*found, trial()]).tolist() == [[14, 2], [5, 15]]
    assert confusion(found[1:]) is None
