"""How figures are written: once, with what their points stand for, and the same bytes whatever the user's settings."""

import matplotlib
from PIL import Image

from headtohead.report.comparison import make_comparison
from headtohead.report.figures.draw import NAMES, draw_all
from headtohead.report.figures.style import save
from tests.report.figures.trials import sweep, trial


def test_a_figure_is_written_once_and_says_what_its_points_stand_for(pair, tmp_path):
    figure = save(pair["validation"], tmp_path)
    assert figure.title == "Validation accuracy per epoch on <&>"
    with Image.open(figure.png) as drawn:
        assert (drawn.format, drawn.mode, drawn.size) == ("PNG", "P", figure.size)
    said = {said: (x, y) for x, y, said in figure.spots}
    assert len(said) == 2 * 4
    first, last = said["Fast, epoch 1: 60 (60 to 60)"], said["Slow, epoch 4: 88.5 (86.02 to 90.98)"]
    assert 0 < first[0] < last[0] < 1000  # further right
    assert 0 < last[1] < first[1] < 1000  # and higher up


def test_the_same_records_give_the_same_bytes_whatever_the_settings(tmp_path):
    found = make_comparison(sweep(trial("A"), trial("B", acc=0.8), trial("B", acc=0.7, seed=1)))
    draw_all(found, tmp_path / "a")
    with matplotlib.rc_context({"font.size": 20, "axes.grid": False}):
        draw_all(found, tmp_path / "b")
        assert matplotlib.rcParams["font.size"] == 20  # and the settings are left alone
    first = {path.name: path.read_bytes() for path in (tmp_path / "a").iterdir()}
    assert (
        len(first) == len(NAMES) - 9
    )  # A has one run: no verdict to draw; no claim; no ranks; no search; no curves; none of an earlier version
    assert first == {path.name: path.read_bytes() for path in (tmp_path / "b").iterdir()}
