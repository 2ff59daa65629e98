"""Reads the confusion matrix of a record's test: how many images of each true class were named as which."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from headtohead.records.record import Record

Floats = npt.NDArray[np.float64]


def confusion(found: Iterable[Record]) -> Floats | None:
    """Return the sum of the confusion matrices of some trials, rows are true classes; None if there is none."""
    matrices = []
    for record in found:
        try:
            matrix = np.array(record.quality.get("confusion"), dtype=float)
        except (TypeError, ValueError):
            continue
        if matrix.ndim == 2 and matrix.shape[0] == matrix.shape[1] > 1 and np.isfinite(matrix).all():
            matrices.append(matrix)
    same = [matrix for matrix in matrices if matrix.shape == matrices[0].shape]
    return np.sum(same, axis=0) if same else None
