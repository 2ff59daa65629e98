"""The verdicts in the README: between their marks, and what the committed records say."""

import math

import pytest

from headtohead.report import readme as update
from headtohead.report.claims import Claim, in_words, reported
from headtohead.report.collect import collect
from headtohead.report.comparison import make_comparison
from headtohead.report.readme import PLACE, update_readme
from tests.conftest import ROOT
from tests.records.examples import make, other_config, save, with_accuracy

README = """a
<!-- verdict: mine/MNIST: EqCNN (task.lr=0.1) against EqCNN (task.lr=0.001) -->
old \\1
<!-- /verdict -->
b
<!-- verdict: mine/CIFAR10: EqCNN (task.lr=0.1) against EqCNN (task.lr=0.001) -->
kept
<!-- /verdict -->
<!-- verdict: other -->
kept too
<!-- /verdict -->
"""


def test_a_verdict_is_written_between_its_marks_only(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text(README)
    low = [
        with_accuracy(accuracy, seed, **other_config(**{"task.lr": 0.1})) for seed, accuracy in enumerate((0.5, 0.6))
    ]
    high = [with_accuracy(0.9, seed) for seed in (0, 1)]
    comparison = make_comparison(collect(save(tmp_path / "mine", *low, *high)))
    assert update_readme(readme, comparison)
    (verdict,) = comparison.parts[0].verdicts
    assert verdict.startswith(
        "EqCNN (task.lr=0.1) is not shown to differ from EqCNN (task.lr=0.001) upright (−35.00 ± 63"
    )
    assert readme.read_text() == README.replace("old \\1", verdict)


def test_a_ranking_names_the_first_three_and_how_sure_the_first_place_is(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text("<!-- verdict: mine/MNIST -->\n<!-- /verdict -->")
    models = [
        with_accuracy(accuracy + seed / 100, seed, **other_config(**{"task.lr": lr}))
        for lr, accuracy in ((0.1, 0.5), (0.2, 0.8), (0.3, 0.6), (0.4, 0.7))
        for seed in (0, 1)
    ]
    comparison = make_comparison(collect(save(tmp_path / "mine", *models)))
    assert update_readme(readme, comparison)
    # two values a point apart: Student's t of one degree of freedom is 12.706, times 1 / 2 points
    assert (
        readme.read_text()
        .splitlines()[1]
        .startswith(
            "Of 4 models by test accuracy on MNIST: EqCNN (task.lr=0.2) (80.50 ± 6.35 %, n = 2), then "
            "EqCNN (task.lr=0.4) (70.50 ± 6.35 %, n = 2), then EqCNN (task.lr=0.3) (60.50 ± 6.35 %, n = 2). "
            "EqCNN (task.lr=0.4) is 10.00 ± 0.00 points below EqCNN (task.lr=0.2) upright"
        )
    )


def test_without_a_place_nothing_is_written(tmp_path):
    comparison = make_comparison(collect(save(tmp_path / "third", make())))
    readme = tmp_path / "README.md"
    assert not update_readme(readme, comparison)
    assert not readme.exists()
    readme.write_text(README)
    assert not update_readme(readme, comparison)
    assert readme.read_text() == README


def test_claims_in_words(tmp_path):
    runs = make_comparison(collect(save(tmp_path, *(with_accuracy(0.9 + seed / 1000, seed) for seed in range(3))))).runs
    claims = [Claim("000", "EqCNN", "MNIST", "test_acc", value) for value in (90.1, 95, 10, 10.5)]
    grid = reported(runs, [*claims, Claim("001", "FCNet", "MNIST", "test_acc", 1)])
    assert in_words(grid) == ("5 claims: 2 × lower than here, 1 × holds, 1 × higher than here, 1 × did not run.")


def test_the_command_brings_every_place_up_to_date(tmp_path, monkeypatch, capsys):
    readme = tmp_path / "README.md"
    readme.write_text(README.replace("<!-- verdict: other -->\nkept too\n<!-- /verdict -->\n", ""))
    found = [with_accuracy(0.9 - seed / 100, seed) for seed in (0, 1)]
    found += [with_accuracy(0.8, seed, **other_config(**{"task.lr": 0.1})) for seed in (0, 1)]
    save(tmp_path / "results" / "mine", *found)
    monkeypatch.setattr(update, "CHECKOUT", tmp_path)
    assert update.main() == 0
    assert "\nEqCNN (task.lr=0.1) is 9.50 ± 6.35 points below EqCNN (task.lr=0.001) upright" in readme.read_text()
    monkeypatch.setattr(update, "CHECKOUT", None)
    assert update.main() == 2
    assert "there is no checkout" in capsys.readouterr().err


PLACES = list(PLACE.finditer((ROOT / "README.md").read_text()))


@pytest.mark.parametrize("place", PLACES, ids=[place[1].strip("\n <>!-") for place in PLACES])
def test_the_readme_says_what_the_committed_records_say(tmp_path, place):
    folder = ROOT / "results" / place["sweep"]
    comparison = make_comparison(collect(folder))
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
        f"One of INN's six seeds, {lost}, never learns: its loss is log 10 from the first epoch on. "
        f"The other five end between {others[0]:.1f} and {others[-1]:.1f} %."
    )
    assert len(others) == 5
    assert said in (ROOT / "README.md").read_text()
