"""Tells the seeds that learnt from those that never did, so that one dead run does not rule a mean."""

from __future__ import annotations

import math

from headtohead.records.confusion import confusion
from headtohead.records.metrics import CLASSIFICATION, is_number, kind_of
from headtohead.records.record import Record

RULE = (
    "A seed never learns if no epoch's validation accuracy is more than three standard errors above that of a network "
    "that names one class for all images. Means and verdicts are those of the seeds that learnt."
)
FALLBACK = 5_000  # validation images, where the record does not say


def learned(record: Record) -> bool:
    """Tell whether a trial learnt, by its validation alone: the test set decides nothing.

    Trials of another kind than classification, of which chance is not known, and trials without a history all learnt.
    """
    seen = [epoch.get(CLASSIFICATION.monitor) for epoch in record.history]
    accuracies = [value for value in [*seen, record.quality.get(CLASSIFICATION.monitor)] if is_number(value)]
    return not accuracies or not max(accuracies) <= by_chance(record)


def by_chance(record: Record) -> float:
    """Return the validation accuracy up to which a classifier may have learnt nothing; NaN for other kinds.

    One class for all images is right for the share of the largest: 11.35 % of MNIST. How many images each class has is
    taken from the rows of the confusion matrix, which are the same whatever a network answers; without one the classes
    count as equally large.
    """
    if kind_of(record.quality) is not CLASSIFICATION:
        return math.nan
    matrix = confusion([record])
    classes = record.quality.get("class_names") if matrix is None else matrix.sum(1)
    if classes is None or len(classes) < 2:
        return math.nan
    size = record.config.get("data.val_size")
    images = size if is_number(size) and size > 0 else FALLBACK
    chance = 1 / len(classes) if matrix is None or not classes.sum() else float(classes.max() / classes.sum())
    return chance + 3 * math.sqrt(chance * (1 - chance) / images)
