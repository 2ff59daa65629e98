"""Claims of the source documents beside what was measured."""

import dataclasses
import re

import pytest

from headtohead.report import claims
from headtohead.report.claims import Claim, read, reported
from headtohead.report.collect import collect, runs_table
from headtohead.report.comparison import make_comparison
from headtohead.report.write import write
from tests.conftest import ROOT
from tests.records.examples import filled, make, other_config, save, with_accuracy
from tests.report.test_tables import FILES

FIELDS = ("source", "model", "data", "quantity", "claim", "note")


def rows(folder, *items):
    grid = reported(runs_table(collect(folder)), [Claim(**dict(zip(FIELDS, item, strict=False))) for item in items])
    heads = [column.head for column in grid.columns]
    return [dict(zip(heads, (cell.text for cell in row), strict=True)) for row in grid.rows]


def test_a_claim_beside_three_runs_by_hand(tmp_path):
    save(tmp_path, *(with_accuracy(accuracy, seed) for seed, accuracy in enumerate([0.96, 0.97, 0.98])))
    within, low, high = rows(
        tmp_path, *(("000", "EqCNN", "MNIST", "test_acc", value, "so") for value in (93.0, 90.0, 99.99))
    )
    assert within == {
        "source": "000",
        "system": "EqCNN",
        "data": "MNIST",
        "what": "accuracy, %",
        "reported": "93.00",
        "measured": "97.00",
        "95 % interval": "94.52 to 99.48",
        "one run": "92.03 to 100.00",
        "verdict": "holds",
        "n": "3",
        "note": "so",
    }
    assert low["verdict"] == "lower than here"
    assert high["verdict"] == "holds"
    save(tmp_path, *(with_accuracy(accuracy, seed) for seed, accuracy in enumerate([0.91, 0.90, 0.92])))
    (high,) = rows(tmp_path, ("000", "EqCNN", "MNIST", "test_acc", 97.0))  # one run: 86.03 to 95.97
    assert high["verdict"] == "higher than here"


def test_parameters_hold_or_do_not(tmp_path):
    save(tmp_path, make())
    same, other = rows(tmp_path, *(("000", "EqCNN", "MNIST", "params", value) for value in (7834, 13978)))
    assert (same["measured"], same["verdict"]) == ("7,834", "holds")
    assert (other["reported"], other["verdict"]) == ("13,978", "does not hold")


@pytest.mark.parametrize(
    ("quantity", "ours", "others", "measured", "verdict"),
    [
        ("test_l1_hole", [0.05, 0.06, 0.07], [0.06, 0.071, 0.08], "-1.03", "holds"),
        ("test_l1_hole", [0.06, 0.071, 0.08], [0.05, 0.06, 0.07], "+1.03", "does not hold"),
        ("test_l1_hole", [0.05, 0.08, 0.07], [0.07, 0.06, 0.071], "-0.03", "not shown"),
        ("test_psnr", [0.05], [0.06], "+0.00", "one seed proves nothing"),
        ("test_psnr", [0.05], [], "–", "did not run"),
    ],
)
def test_a_claim_about_two_systems(tmp_path, quantity, ours, others, measured, verdict):
    other = {**other_config(model="ConvUNet"), "model": "ConvUNet"}
    found = [filled(seed, value) for seed, value in enumerate(ours)]
    found += [filled(seed, value, **other) for seed, value in enumerate(others)]
    claim = Claim("001", "PConvUNet", "CIFAR10", quantity, against="ConvUNet")
    grid = reported(runs_table(collect(save(tmp_path, *found))), [claim])
    row = dict(zip([column.head for column in grid.columns], [cell.text for cell in grid.rows[0]], strict=True))
    assert (row["reported"], row["measured"], row["verdict"]) == ("better than ConvUNet", measured, verdict)


def test_what_cannot_be_compared_is_said(tmp_path):
    save(tmp_path, make(), make(data="CIFAR10", **other_config(a=1)), make(data="CIFAR10", **other_config(a=2)))
    one, missing, several = rows(
        tmp_path,
        ("000", "EqCNN", "MNIST", "test_acc", 96.5),
        ("001", "FCNet", "MNIST", "test_acc", 98.0),
        ("002", "EqCNN", "CIFAR10", "test_acc", 98.0),
    )
    assert one["verdict"] == "one seed proves nothing"
    assert (missing["verdict"], missing["n"]) == ("did not run", "0")
    assert several["measured"] == "several recipes"


def test_every_claim_names_a_recipe_and_its_data():
    found = read()
    assert len({(claim.model, claim.quantity) for claim in found}) == len(found)
    for claim in found:
        recipe = (ROOT / "recipes" / f"{claim.model}.yaml").read_text()
        assert f"class_path: {claim.data}," in recipe
        assert claim.quantity in claims.QUANTITIES
        assert re.search(rf"Document {claim.source}\b", recipe)


@pytest.mark.parametrize("claim", [claim for claim in read() if claim.quantity.startswith("test_acc")], ids=str)
def test_claims_are_those_that_the_recipes_name(claim):
    recipe = (ROOT / "recipes" / f"{claim.model}.yaml").read_text()
    said = {f"{claim.claim:g} %", f"{claim.claim:.2f} %"} | ({"98 %"} if claim.model == "FCNet" else set())
    assert any(text in recipe for text in said)


def test_without_a_checkout_there_are_no_claims_and_no_table(tmp_path, monkeypatch):
    monkeypatch.setattr(claims.read, "__defaults__", (None,))
    trials = collect(save(tmp_path, make(seed=0), make(seed=1)))
    assert make_comparison(dataclasses.replace(trials, name="reproduce")).reported is None


def test_only_the_sweep_of_that_name_has_the_table(tmp_path):
    trials = collect(save(tmp_path / "runs" / "mine", make(seed=0), make(seed=1)))
    write(make_comparison(trials), tmp_path / "results" / "mine")
    assert not (tmp_path / "results" / "mine" / "reported.md").exists()
    write(make_comparison(dataclasses.replace(trials, name="reproduce")), tmp_path / "results" / "reproduce")
    folder = tmp_path / "results" / "reproduce"
    text = (folder / "reported.md").read_text()
    assert "| 000      | EqCNN     | MNIST" in text
    assert "did not run" in text
    assert {path.name for path in folder.iterdir()} == FILES | {"reported.md", "reported.png"}
    report = (folder / "report.html").read_text()
    assert 'id="reported"' in report
    assert "a single run of the source document" in report
