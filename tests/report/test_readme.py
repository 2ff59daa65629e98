"""The verdicts in the README: between their marks, and what the committed records say."""

import functools
import math

import pytest

from headtohead.report import readme as update
from headtohead.report.collect import collect
from headtohead.report.comparison import make_comparison
from headtohead.report.readme import PLACE, update_readme
from tests.conftest import ROOT
from tests.records.examples import make, save
from tests.report.test_verdicts import models

README = """a
<!-- verdict: mine: Is B better? -->
old \\1
<!-- /verdict -->
b
<!-- verdict: mine: Nobody asks this -->
kept
<!-- /verdict -->
<!-- verdict: other -->
kept too
<!-- /verdict -->
"""
CLAIMS = """
questions:
  - {ask: "Is B better?", data: MNIST, numbers: [test_acc, test_acc_rot90], pairs: [[B, A]]}
claims:
  - {of: A, data: MNIST, number: test_acc, value: 50, margin: 9}
  - {of: C, data: MNIST, number: test_acc, value: 50}
"""


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """A folder with a claim file of the sweep ``mine``."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "claims").mkdir()
    (tmp_path / "claims" / "mine.yaml").write_text(CLAIMS)
    return tmp_path


def records():
    return models([0.5, 0.51, 0.52], [0.9, 0.91, 0.92])


def test_the_verdicts_of_a_question_are_written_between_its_marks_only(asked):
    readme = asked / "README.md"
    readme.write_text(README)
    comparison = make_comparison(collect(save(asked / "mine", *records())))
    assert update_readme(readme, comparison)
    one, other = comparison.headline[0].sentences
    assert one.startswith("B is better than A upright (+40.00 points, ")
    assert readme.read_text() == README.replace("old \\1", f"- {one}\n- {other}")


def test_a_sweep_alone_is_a_place_for_how_many_claims_hold(asked):
    readme = asked / "README.md"
    readme.write_text("<!-- verdict: mine -->\n<!-- /verdict -->")
    assert update_readme(readme, make_comparison(collect(save(asked / "mine", *records()))))
    assert readme.read_text() == ("<!-- verdict: mine -->\n- 2 claims: 1 × holds, 1 × not run.\n<!-- /verdict -->")


def test_the_rows_of_a_question_have_a_small_table(asked):
    readme = asked / "README.md"
    readme.write_text("<!-- rows: mine: Is B better? -->\nold\n<!-- /rows -->\n<!-- rows: mine: no -->\n<!-- /rows -->")
    third = make(model="C", config_hash="c")
    assert update_readme(readme, make_comparison(collect(save(asked / "mine", *records(), third))))
    lines = readme.read_text().splitlines()
    assert [line.split("|")[1].strip() for line in lines if line.startswith("| ")] == ["model", "B", "A"]
    heads, best = (line.replace("*", "").split("|") for line in lines[3:6:2])
    found = {head.strip(): cell.strip() for head, cell in zip(heads, best, strict=True)}
    assert (found["0° %"], found["n"]) == ("91.00 ± 1.00", "3")
    assert set(found) == {"", "model", "n", "0° %", "90° %", "parameters", "MACs", "s/epoch"}
    assert lines[-2:] == ["<!-- rows: mine: no -->", "<!-- /rows -->"]


def test_without_a_place_nothing_is_written(tmp_path):
    comparison = make_comparison(collect(save(tmp_path / "third", make())))
    readme = tmp_path / "README.md"
    assert not update_readme(readme, comparison)
    assert not readme.exists()
    readme.write_text(README)
    assert not update_readme(readme, comparison)
    assert readme.read_text() == README


def test_the_command_brings_every_place_up_to_date(asked, monkeypatch, capsys):
    readme = asked / "README.md"
    readme.write_text(README.replace("<!-- verdict: other -->\nkept too\n<!-- /verdict -->\n", ""))
    save(asked / "results" / "mine", *records())
    monkeypatch.setattr(update, "CHECKOUT", asked)
    assert update.main() == 0
    assert "\n- B is better than A upright (+40.00 points, " in readme.read_text()
    monkeypatch.setattr(update, "CHECKOUT", None)
    assert update.main() == 2
    assert "there is no checkout" in capsys.readouterr().err


@functools.cache
def committed(sweep):
    return make_comparison(collect(ROOT / "results" / sweep))


PLACES = list(PLACE.finditer((ROOT / "README.md").read_text()))


@pytest.mark.parametrize("place", PLACES, ids=[place[1].strip("\n <>!-") for place in PLACES])
def test_the_readme_says_what_the_committed_records_say(tmp_path, place):
    comparison = committed(place["sweep"])
    readme = tmp_path / "README.md"
    readme.write_text(place[1] + "nothing\n" + place["end"])
    assert update_readme(readme, comparison)
    assert readme.read_text() == place[0]


def test_the_seed_of_inn_that_never_learns():
    found = list(collect(ROOT / "results" / "conv_vs_involution").records.values())
    accuracy = {record.seed: 100 * record.quality["test_acc"] for record in found if record.model == "INN"}
    lost = min(accuracy, key=accuracy.__getitem__)
    losses = [epoch["train_loss"] for r in found if (r.model, r.seed) == ("INN", lost) for epoch in r.history]
    assert losses == pytest.approx([math.log(10)] * 20, abs=1e-3)
    others = sorted(value for seed, value in accuracy.items() if seed != lost)
    said = (
        f"One of INN's 12 seeds, {lost}, never learns: its loss is log 10 from the first epoch on. "
        f"The others end between {others[0]:.1f} and {others[-1]:.1f} %."
    )
    assert len(others) == 11
    assert said in (ROOT / "README.md").read_text()


def test_the_one_seed_of_each_operator():
    """Ten epochs of ResNet-8, which no verdict is about yet: what two pages say of them, beside the first edition's."""
    summary = committed("conv_vs_involution").summary.set_index("model")
    conv, separable, involution = (
        summary.loc[f"ResNet {name}"] for name in ("conv ×16", "separable ×46", "involution ×34")
    )
    then = (
        summary.loc["ResNet involution ×34, 3 epochs"].epoch_seconds
        / summary.loc["ResNet conv ×16, 3 epochs"].epoch_seconds
    )
    said = (
        f"convolution {conv.test_acc:.1f} %, separable {separable.test_acc:.1f} %, "
        f"involution {involution.test_acc:.1f} %, "
        f"at {conv.epoch_seconds:.0f}, {separable.epoch_seconds:.0f} and {involution.epoch_seconds:.0f} s an epoch"
    )
    readme = " ".join((ROOT / "README.md").read_text().split())
    assert said in readme
    slower = involution.epoch_seconds / conv.epoch_seconds
    assert (
        f"involution takes {slower:.1f} times as long as convolution, where the first edition's took {then:.1f} times"
        in readme
    )
    page = (ROOT / "results" / "benchmarks" / "README.md").read_text()
    assert f"| {involution.epoch_seconds:.0f} | {slower:.2f} × |" in page
    assert f"| {separable.epoch_seconds:.0f} | {separable.epoch_seconds / conv.epoch_seconds:.2f} × |" in page
