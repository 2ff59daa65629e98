"""No text of a figure is cut off by its edge or covers another text: every text's box is looked at as it is drawn."""

import itertools

import pytest
from matplotlib.figure import Figure as Canvas
from matplotlib.text import Text

from headtohead.report.collect import collect
from headtohead.report.comparison import make_comparison
from headtohead.report.figures.style import Picture, save
from tests.conftest import ROOT
from tests.report.figures.trials import draw

SWEEPS = sorted(path.parent.name for path in (ROOT / "results").glob("*/records"))
QUICK = "plain_vs_equivariant"


def faults(picture, folder):
    """Say which texts of a picture are cut off or overlap by more than a pixel."""
    drawn = {}
    own = Text.draw

    def draw_text(text, renderer, *args, **options):
        if text.get_visible() and text.get_text().strip():
            drawn[id(text)] = text
        return own(text, renderer, *args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Text, "draw", draw_text)
        width, height = save(picture, folder).size
    renderer = picture.canvas.canvas.get_renderer()
    boxes = [(text.get_text(), Text.get_window_extent(text, renderer)) for text in drawn.values()]
    found = [
        f"{picture.name}: {said!r} is cut off"
        for said, box in boxes
        if min(box.x0, box.y0) < -0.5 or box.x1 > width + 0.5 or box.y1 > height + 0.5
    ]
    for (said, one), (other_said, other) in itertools.combinations(boxes, 2):
        across = min(one.x1, other.x1) - max(one.x0, other.x0)
        along = min(one.y1, other.y1) - max(one.y0, other.y0)
        if across > 1 and along > 1:
            found.append(f"{picture.name}: {said!r} covers {other_said!r}")
    assert boxes
    return found


@pytest.mark.parametrize(
    "sweep", [pytest.param(sweep, marks=() if sweep == QUICK else pytest.mark.slow) for sweep in SWEEPS]
)
def test_every_text_of_a_committed_sweep_can_be_read(sweep, tmp_path):
    pictures = list(draw(make_comparison(collect(ROOT / "results" / sweep))))
    assert pictures
    assert [fault for picture in pictures for fault in faults(picture, tmp_path)] == []


def test_texts_that_are_cut_off_or_overlap_are_found(tmp_path):
    canvas = Canvas(figsize=(3, 2))
    canvas.text(0.9, 0.5, "beyond the edge")
    canvas.text(0.1, 0.2, "one")
    canvas.text(0.12, 0.2, "other")
    assert faults(Picture("bad", "", "", canvas), tmp_path) == [
        "bad: 'beyond the edge' is cut off",
        "bad: 'one' covers 'other'",
    ]
