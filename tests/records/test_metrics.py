"""The table of metrics: an entry is all that a new metric or a new cost needs."""

import dataclasses

import pytest

from headtohead.records.metrics import CLASSIFICATION, COSTS, Cost, Metric, in_words, is_number
from headtohead.report.collect import collect
from headtohead.report.comparison import make_comparison
from headtohead.report.html import html
from headtohead.report.write import latex_of, markdown_of
from tests.records.examples import filled, make, save, with_accuracy


def cells(text, head):
    """The cells of the one column of that head in the Markdown tables of a text."""
    rows = [[cell.strip() for cell in line.split("|")] for line in text.splitlines()]
    (start,) = (index for index, row in enumerate(rows) if head in row)
    column = rows[start].index(head)
    found = []
    for row in rows[start + 2 :]:
        if len(row) == 1:
            break
        found.append(row[column].strip("*"))
    return found


def test_a_metric_is_one_entry(tmp_path, monkeypatch):
    metric = Metric("top 5", share=True, unit=" %", compared="in the first five", words="top 5 {:.1%}")
    monkeypatch.setitem(CLASSIFICATION.metrics, "test_top5", metric)
    found = [with_accuracy(0.9, seed) for seed in range(2)]
    found = [dataclasses.replace(r, quality={**r.quality, "test_top5": 0.99}) for r in found]
    other = {"model": "INN", "config": {"model": "INN"}, "config_hash": "1" * 8}
    found += [dataclasses.replace(r, quality={**r.quality, "test_top5": 0.98}, **other) for r in found]
    comparison = make_comparison(collect(save(tmp_path, *found)))
    assert comparison.runs.test_top5.tolist() == [99, 99, 98, 98]
    assert "test_top5" in comparison.csv.splitlines()[0].split(",")
    assert cells(markdown_of(comparison), "top 5 %") == ["99.00 ± 0.00", "98.00 ± 0.00"]
    assert "top 5 \\%" in latex_of(comparison)
    assert "top 5 %</th>" in html(comparison)
    assert comparison.verdicts[2].startswith(
        "INN against EqCNN in the first five: undecided (−1.00 points, with no spread"
    )
    assert in_words(found[0].quality) == "test accuracy 90.00%, at 90 degrees 90.00%, top 5 99.0%"


def test_a_column_of_costs_is_one_entry(tmp_path, monkeypatch):
    monkeypatch.setitem(COSTS, "energy_joules", Cost("energy, kJ", narrow="kJ", factor=1e-3))
    found = [make(seed=seed, cost={**make().cost, "energy_joules": 1500.0 + seed}) for seed in range(3)]
    comparison = make_comparison(collect(save(tmp_path, *found)))
    assert comparison.runs.energy_joules.tolist() == [1500, 1501, 1502]
    assert cells(markdown_of(comparison), "energy, kJ") == ["1.50"]


@pytest.mark.parametrize("value", [0, 1, -3.5, 1e300, 10**300])
def test_numbers(value):
    assert is_number(value)


@pytest.mark.parametrize("value", [None, True, False, "1", float("nan"), float("inf"), 10**400, [1], {}])
def test_what_is_no_number(value):
    assert not is_number(value)


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (make(), "test accuracy 96.84%, at 90 degrees 96.84%"),
        (filled(0), "L1 in holes 8.00%, PSNR 21.50 dB"),
        (make(quality={}), "no number that a table shows"),
        (make(quality={"test_acc": 0.5}), "test accuracy 50.00%"),
    ],
)
def test_a_record_in_words(record, said):
    assert in_words(record.quality) == said
