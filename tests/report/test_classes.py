"""What follows of a confusion matrix for each class: as torchmetrics has it, and as the report shows it."""

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import multiclass_f1_score, multiclass_precision, multiclass_recall

from headtohead.report.classes import MOST_MODELS, by_class, class_table
from tests.report.figures.trials import trial


def test_scores_of_each_class_are_those_of_torchmetrics():
    random = torch.Generator().manual_seed(0)
    true, said = torch.randint(5, (2, 300), generator=random)
    said = torch.where(torch.rand(300, generator=random) < 0.5, true, said)
    matrix = np.zeros((5, 5))
    np.add.at(matrix, (true.numpy(), said.numpy()), 1)
    peers = {"precision": multiclass_precision, "recall": multiclass_recall, "F1": multiclass_f1_score}
    for name, scores in by_class(matrix).items():
        assert scores == pytest.approx(peers[name](said, true, 5, average="none").numpy(), abs=1e-6), name


def test_classes_as_a_table():
    matrix = [[6, 2, 0], [1, 1, 0], [0, 0, 0]]
    named = trial(quality={**trial().quality, "confusion": matrix, "class_names": ["cat", "dog", "cow"]})
    without = trial(quality={"test_acc": 0.9})  # of an earlier version
    grid = class_table("MNIST", {"A": [named, named, without], "B": [without]})
    assert [[cell.text for cell in row] for row in grid.rows] == [
        ["A", "2", "cat", "85.71", "75.00", "80.00"],
        ["A", "2", "dog", "33.33", "50.00", "40.00"],
        ["A", "2", "cow", "–", "–", "–"],  # no image of it, and none said to be of it
    ]
    many = class_table("MNIST", {f"M{index}": [named] for index in range(MOST_MODELS + 2)})
    assert len(many.rows) == 3 * MOST_MODELS
    assert many.title == "MNIST: each class, all seeds together, the best 4 of 6 models"
    assert class_table("MNIST", {"B": [trial(quality={"test_acc": 0.9})]}) is None
