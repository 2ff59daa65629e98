"""Which seeds learnt: by validation alone, three standard errors above naming one class."""

import dataclasses

import pytest

from headtohead.report.collect import collect
from headtohead.report.comparison import make_comparison
from headtohead.report.learning import RULE, learned
from headtohead.report.write import markdown_of
from tests.records.examples import filled, make, other_config, save
from tests.report.test_verdicts import CLASSES, models


def record(*accuracies, best=None, classes=10, images=5_000, **quality):
    """A classifier's record with these validation accuracies."""
    kept = {**make().quality, "class_names": CLASSES[:classes], "val_acc": best, **quality}
    kept = {name: value for name, value in kept.items() if value is not None}
    history = [{"epoch": epoch, "val_acc": value} for epoch, value in enumerate(accuracies)]
    return make(quality=kept, history=history, **other_config(**{"data.val_size": images}))


# ten classes and 5,000 images: 0.1 + 3 * sqrt(0.1 * 0.9 / 5000) = 0.11273
@pytest.mark.parametrize(
    ("found", "said"),
    [
        (record(0.1, 0.1127), False),
        (record(0.1, 0.1128), True),
        (record(0.1128, 0.1), True),  # once is enough
        (record(0.1, best=0.5), True),
        (record(0.05), False),
        (record(0.14, images=500), False),  # 0.1 + 3 * sqrt(0.09 / 500) = 0.1402
        (record(0.141, images=500), True),
        (record(0.52, classes=2, images=5_000), False),  # 0.5 + 3 * 0.00707 = 0.5212
        (record(0.53, classes=2, images=5_000), True),
        (record(0.1, images=None), False),  # 5,000 where the record does not say
        (record(0.1, class_names=None, confusion=[[1] * 10] * 10), False),
        # 9 of 10 images are of one class: 0.9 + 3 * sqrt(0.9 * 0.1 / 5000) = 0.91273
        (record(0.9127, classes=2, confusion=[[90, 0], [10, 0]]), False),
        (record(0.9128, classes=2, confusion=[[80, 10], [9, 1]]), True),
        (record(0.5, classes=2, confusion=[[0, 0], [0, 0]]), False),  # says nothing
        (record(0.1, class_names=None), True),  # chance is not known
        (record(0.0, class_names=["one"]), True),
        (record(None, None), True),  # no validation is known
        (record(), True),
        (record(0.1, test_acc=0.9), False),  # the test set decides nothing
        (filled(0), True),
    ],
)
def test_by_validation_alone(found, said):
    assert learned(found) is said


def test_tables_tell_of_those_that_never_learn(tmp_path):
    comparison = make_comparison(collect(save(tmp_path, *models([0.44, 0.45, 0.46, 0.1], [0.5, 0.51, 0.52]))))
    row = comparison.summary.set_index("model").loc["A"]
    assert (row.n, row.learned) == (4, 3)
    assert (row.test_acc, row.test_acc_all) == (pytest.approx(45), pytest.approx(36.25))
    assert row.test_acc_std == pytest.approx(1)
    text = " ".join(markdown_of(comparison).split())
    assert "MNIST: seeds that never learn" in text
    assert "| A | 1 of 4 | 1% to 81% | 45.00 | 36.25 |" in text
    assert "| 3 of 4 | 45.00 ± 1.00 |" in text
    assert RULE in text
    assert comparison.runs.learned.tolist() == [True, True, True, False, True, True, True]
    none = make_comparison(collect(save(tmp_path / "all", *models([0.44, 0.45], [0.5, 0.51]))))
    assert "never learn" not in markdown_of(none)


def test_where_none_learns_the_mean_is_that_of_all(tmp_path):
    comparison = make_comparison(collect(save(tmp_path, *models([0.1, 0.101, 0.102]))))
    assert comparison.summary.test_acc[0] == pytest.approx(10.1)
    assert dataclasses.replace(comparison).summary.learned[0] == 0
