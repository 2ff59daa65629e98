"""Seeds of two architectures are not paired: in the committed records they do not go together."""

import itertools

import numpy as np

from headtohead.records.metrics import KINDS
from headtohead.report.collect import collect, find_sweeps, runs_table
from tests.conftest import ROOT


def test_accuracies_of_one_random_seed_do_not_go_together():
    """docs/statistics.md says so; pairs of rows with three common seeds or more."""
    found = []
    for folder in find_sweeps(ROOT / "results"):
        runs = runs_table(collect(folder))
        for kind in (kind for kind in KINDS if kind.main in runs):
            for _, rows in runs[runs.learned].groupby("data"):
                table = rows.pivot_table(index="seed", columns="config_hash", values=kind.main)
                for one, other in itertools.combinations(table, 2):
                    both = table[[one, other]].dropna()
                    if len(both) > 2 and (both.std() > 0).all():
                        found.append(both.corr().iloc[0, 1])
    assert len(found) > 100
    assert abs(np.mean(found)) < 0.1
