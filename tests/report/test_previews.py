"""Pictures of augmentations that trials left: one of each in the report, folded, from the trials' own folders alone."""

import base64

import pytest
from PIL import Image

from headtohead.records.record import PREVIEW
from headtohead.report import html as pages
from headtohead.report.main import main
from tests.records.examples import make, other_config, save


@pytest.fixture
def sweep(tmp_path, monkeypatch):
    """Two recipes of two seeds; one trial of the first has a picture, both of the second have."""
    monkeypatch.chdir(tmp_path)
    recipes = [other_config(**{"data.augment": augment}) for augment in ("flip", '["<b>"]')]
    folder = save(tmp_path / "runs" / "mine", *(make(seed=seed, **one) for one in recipes for seed in (0, 1)))
    for trial, grey in ((1, 10), (2, 20), (3, 30)):
        Image.new("L", (40, 30 + trial), grey).save(folder / f"trial{trial}" / PREVIEW)
    return folder


def test_a_report_has_one_of_each_augmentation(sweep):
    assert main([]) == 0
    page = (sweep.parents[1] / "results" / "mine" / "report.html").read_text()
    _, _, folded = page.partition("<summary>Images before and after their augmentation</summary>")
    kept = [base64.b64encode((sweep / f"trial{trial}" / PREVIEW).read_bytes()).decode() for trial in (1, 2, 3)]
    assert [picture in folded for picture in kept] == [True, True, False]
    assert folded.count('<figure id="figure-augmentation-') == 2
    assert "<h3>MNIST, augment=flip</h3>" in folded
    assert "<h3>MNIST, augment=[&#34;&lt;b&gt;&#34;]</h3>" in folded
    assert 'width="32" height="24"' in folded  # four fifths of 40 x 31, as all figures


def test_kept_records_have_none(sweep):
    assert main([]) == 0
    assert main(["results/mine"]) == 0
    assert "figure-augmentation-" not in (sweep.parents[1] / "results" / "mine" / "report.html").read_text()


def test_of_many_augmentations_the_first_are_shown(sweep, monkeypatch):
    monkeypatch.setattr(pages, "MOST_PREVIEWS", 1)
    assert main([]) == 0
    page = (sweep.parents[1] / "results" / "mine" / "report.html").read_text()
    assert page.count('<figure id="figure-augmentation-') == 1


@pytest.mark.slow
def test_in_the_dark_figures_are_inverted_and_photographs_are_not(sweep, open_page):
    assert main([]) == 0
    page = open_page(sweep.parents[1] / "results" / "mine" / "report.html", color_scheme="dark")
    script = "[...document.images].map((one) => [one.closest('figure').id, getComputedStyle(one).filter !== 'none'])"
    inverted = dict(page.evaluate(script))
    assert {name: yes for name, yes in inverted.items() if "augmentation" in name} == {
        "figure-augmentation-0": False,
        "figure-augmentation-1": False,
    }
    assert inverted["figure-validation"]
