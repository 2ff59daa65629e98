"""Top-5 accuracy by hand: of many classes always, of few on request."""

import pytest
import torch
from torch import nn

from lit_models import Classifier
from tests.lit_models.tasks.quiet import report_of


class Ranks(nn.Module):
    """Finds class 0 the likeliest, then class 1 and so on, whatever it sees."""

    def __init__(self, classes):
        super().__init__()
        self.classes = classes
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, images):
        return self.scale * -torch.arange(float(self.classes)).expand(len(images), -1)


def report(classes, labels, **arguments):
    task = Classifier(Ranks(classes), classes, **arguments)
    return report_of(task, torch.zeros(len(labels), 1, 4, 4), torch.tensor(labels))


def test_by_hand():
    # classes 0 to 4 are among the five likeliest, 5 and above are not; -1 pads
    found = report(12, [0, 1, 4, 5, 11, 4, 10, 2, -1])
    assert found["test_acc"] == 1 / 8
    assert found["test_acc_top5"] == 5 / 8


def test_of_few_classes_on_request():
    assert "test_acc_top5" not in report(10, [0, 9])
    assert report(10, [0, 9], top5=True)["test_acc_top5"] == 0.5


def test_of_five_classes_it_says_nothing():
    with pytest.raises(ValueError, match="top5 must be false for 5 classes: their top-5 accuracy is always 1"):
        Classifier(Ranks(5), 5, top5=True)
