"""The verdicts in the README: between their marks, and what the committed records say."""

import pytest

from results.claims import Claim, in_words, reported
from results.collect import collect
from results.readme import PLACE, update_readme
from results.sheet import make as make_sheet
from results.write import reported_of
from tests.conftest import ROOT
from tests.results.test_record import make
from tests.results.test_tables import other_config, save, with_accuracy

README = """a
<!-- verdict: mine/MNIST: EqCNN (model.lr=0.1) against EqCNN (model.lr=0.001) -->
old \\1
<!-- /verdict -->
b
<!-- verdict: mine/CIFAR10: EqCNN (model.lr=0.1) against EqCNN (model.lr=0.001) -->
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
        with_accuracy(accuracy, seed, **other_config(**{"model.lr": 0.1})) for seed, accuracy in enumerate((0.5, 0.6))
    ]
    high = [with_accuracy(0.9, seed) for seed in (0, 1)]
    sheet = make_sheet(collect(save(tmp_path / "mine", *low, *high)))
    assert update_readme(readme, sheet)
    (verdict,) = sheet.parts[0].verdicts
    assert verdict.startswith(
        "EqCNN (model.lr=0.1) is not shown to differ from EqCNN (model.lr=0.001) upright (−35.00 ± 63"
    )
    assert readme.read_text() == README.replace("old \\1", verdict)


def test_without_a_place_nothing_is_written(tmp_path):
    sheet = make_sheet(collect(save(tmp_path / "third", make())))
    readme = tmp_path / "README.md"
    assert not update_readme(readme, sheet)
    assert not readme.exists()
    readme.write_text(README)
    assert not update_readme(readme, sheet)
    assert readme.read_text() == README


def test_claims_in_words(tmp_path):
    runs = make_sheet(collect(save(tmp_path, *(with_accuracy(0.9 + seed / 1000, seed) for seed in range(3))))).runs
    claims = [Claim("000", "EqCNN", "MNIST", "test_acc", value) for value in (90.1, 95, 10, 10.5)]
    grid = reported(runs, [*claims, Claim("001", "FCNet", "MNIST", "test_acc", 1)])
    assert in_words(grid) == ("5 claims: 2 × lower than here, 1 × holds, 1 × higher than here, 1 × did not run.")


PLACES = list(PLACE.finditer((ROOT / "README.md").read_text()))


@pytest.mark.parametrize("place", PLACES, ids=[place[1].strip("\n <>!-") for place in PLACES])
def test_the_readme_says_what_the_committed_records_say(tmp_path, place):
    folder = ROOT / "results" / place["sweep"]
    sheet = make_sheet(collect(folder))
    readme = tmp_path / "README.md"
    readme.write_text(place[1] + "nothing\n" + place["end"])
    assert update_readme(readme, sheet, reported_of(sheet))
    assert readme.read_text() == place[0]
