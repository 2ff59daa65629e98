"""Compares models over several data sets by their ranks: which differ by more than chance would make them.

Source: Demšar, "Statistical Comparisons of Classifiers over Multiple Data Sets", JMLR 7 (2006) 1-30: Friedman's test,
then Nemenyi's critical difference of mean ranks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from headtohead.records.metrics import Kind
from headtohead.report.statistics import LEVEL

LEAST = 3  # data sets


@dataclass(frozen=True)
class Ranks:
    """The mean ranks of models over data sets.

    Args:
        kind: of the trials.
        data: the data sets.
        mean: mean rank by model, 1 is best, the best first.
        p: of Friedman's test that all models are alike.
        critical: two models whose mean ranks differ by less are not told apart (Nemenyi, 5 % over all pairs).
    """

    kind: Kind
    data: list[str]
    mean: dict[str, float]
    p: float
    critical: float


def mean_ranks(kind: Kind, summary: pd.DataFrame) -> Ranks | None:
    """Rank models on every data set by their main number, and average; None below three data sets or three models.

    Args:
        kind: of the trials.
        summary: rows of that kind; models that did not run on all data sets are left out.
    """
    table = summary.pivot_table(index="data", columns="model", values=kind.main, sort=False).dropna(axis="columns")
    sets, models = table.shape
    if sets < LEAST or models < LEAST:
        return None
    sign = -kind.metrics[kind.main].sign
    from scipy import stats  # here: half a second, and few sweeps have three data sets

    ranks = stats.rankdata(sign * table.to_numpy(), axis=1)
    critical = (
        stats.studentized_range.isf(LEVEL, models, np.inf) / np.sqrt(2) * np.sqrt(models * (models + 1) / (6 * sets))
    )
    p = float(stats.friedmanchisquare(*table.to_numpy().T).pvalue)
    means = dict(zip(map(str, table.columns), ranks.mean(0).tolist(), strict=True))
    ordered = dict(sorted(means.items(), key=lambda item: item[1]))
    return Ranks(kind, [str(name) for name in table.index], ordered, p, float(critical))
