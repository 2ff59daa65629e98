"""Mean ranks over data sets: against the worked example of Demšar 2006, section 3.2.1."""

import pandas as pd
import pytest

from headtohead.records.metrics import CLASSIFICATION, INPAINTING
from headtohead.report.ranks import mean_ranks

# AUC of C4.5 and three variants on fourteen data sets, table 6 of the paper
C45 = [0.763, 0.599, 0.954, 0.628, 0.882, 0.936, 0.661, 0.583, 0.775, 1.0, 0.94, 0.619, 0.972, 0.957]
M = [0.768, 0.591, 0.971, 0.661, 0.888, 0.931, 0.668, 0.583, 0.838, 1.0, 0.962, 0.666, 0.981, 0.978]
CF = [0.771, 0.59, 0.968, 0.654, 0.886, 0.916, 0.609, 0.563, 0.866, 1.0, 0.965, 0.614, 0.9751, 0.946]
M_CF = [0.798, 0.569, 0.967, 0.657, 0.898, 0.931, 0.685, 0.625, 0.875, 1.0, 0.962, 0.669, 0.975, 0.97]


def table(number, **models):
    rows = [
        {"data": f"set {index}", "model": name, number: value}
        for name, values in models.items()
        for index, value in enumerate(values)
    ]
    return pd.DataFrame(rows)


def test_the_example_of_the_paper():
    """Mean ranks 3.143, 2.000, 2.893, 1.964; critical difference at 5 % 2.569 sqrt(4 * 5 / (6 * 14)) = 1.25."""
    found = mean_ranks(CLASSIFICATION, table("test_acc", **{"C4.5": C45, "m": M, "cf": CF, "m+cf": M_CF}))
    assert found.mean == pytest.approx({"m+cf": 1.964, "m": 2.000, "cf": 2.893, "C4.5": 3.143}, abs=5e-4)
    assert list(found.mean) == ["m+cf", "m", "cf", "C4.5"]
    assert found.critical == pytest.approx(1.25, abs=0.005)
    assert found.p < 0.05


def test_less_is_better_for_errors_and_models_that_ran_on_some_are_left_out():
    rows = table("test_l1_hole", A=[1, 1, 1], B=[2, 2, 2], C=[3, 3, 3], D=[0, 0])
    assert mean_ranks(INPAINTING, rows).mean == {"A": 1, "B": 2, "C": 3}


def test_fewer_than_three_data_sets_have_no_ranks():
    assert mean_ranks(CLASSIFICATION, table("test_acc", A=[1, 1], B=[2, 2], C=[3, 3])) is None
