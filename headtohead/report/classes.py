"""Which classes a model gets right: its confusion matrix over all seeds, and what follows of it for each class."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from headtohead.records.confusion import confusion
from headtohead.records.record import Record
from headtohead.report.table import Cell, Column, Grid

Floats = npt.NDArray[np.float64]
MOST_MODELS = 4  # of many the best: each has a hundred numbers


def class_names(models: Mapping[str, Sequence[Record]], count: int) -> list[str]:
    """Return the names of the classes as the first record that has them says, else their numbers."""
    for record in (record for found in models.values() for record in found):
        names = record.quality.get("class_names")
        if isinstance(names, list) and len(names) == count:
            return [str(name) for name in names]
    return [str(index) for index in range(count)]


def by_class(matrix: Floats) -> dict[str, Floats]:
    """Return precision, recall and F1 of each class of a confusion matrix, rows are true classes; NaN where none is.

    Precision is the share of those that are said to be of the class which are; recall the share of those of the class
    that are found; F1 the harmonic mean of the two.
    """
    right, true, said = np.diag(matrix), matrix.sum(1), matrix.sum(0)
    with np.errstate(invalid="ignore"):
        return {"precision": right / said, "recall": right / true, "F1": 2 * right / (true + said)}


def class_table(data: str, models: Mapping[str, Sequence[Record]]) -> Grid | None:
    """Return the table of the classes of the first models of a data set; None where no record has a confusion matrix.

    Args:
        data: name of the data set.
        models: their records, the best model first.
    """
    found = {label: total for label, trials in models.items() if (total := confusion(trials)) is not None}
    seeds = {label: sum(confusion([record]) is not None for record in models[label]) for label in found}
    rows = [
        (label, str(seeds[label]), name, *scores)
        for label, matrix in list(found.items())[:MOST_MODELS]
        for name, *scores in zip(class_names(models, len(matrix)), *by_class(matrix).values(), strict=True)
    ]
    if not rows:
        return None
    of_many = f", the best {MOST_MODELS} of {len(found)} models" if len(found) > MOST_MODELS else ""
    heads = ("model", "n", "class", "precision %", "recall %", "F1 %")
    columns = [
        Column(head, [_cell(value) for value in values], words=head in ("model", "n", "class"))
        for head, values in zip(heads, zip(*rows, strict=True), strict=True)
    ]
    return Grid(f"{data}: each class, all seeds together{of_many}", columns, folded=True)


def _cell(value: str | float) -> Cell:
    if isinstance(value, str):
        return Cell(value, value)
    return Cell("–" if math.isnan(value) else f"{100 * value:.2f}", value)
