"""How figures are written: text that stays text, and the same bytes whatever the user's settings."""

import re
from xml.etree import ElementTree

import matplotlib

from headtohead.report.comparison import make_comparison
from headtohead.report.figures.draw import NAMES, draw_all
from headtohead.report.figures.style import save
from tests.report.figures.trials import sweep, trial


def test_svg_keeps_text_and_says_what_it_is(pair, tmp_path):
    figure = save(pair["validation"], tmp_path)
    text = figure.svg
    root = ElementTree.fromstring(text)
    shown = ["".join(element.itertext()).strip() for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"epoch", "validation accuracy, %", "Slow"} <= set(shown)
    assert root.findtext("{http://www.w3.org/2000/svg}title") == figure.title == "Validation accuracy per epoch on <&>"
    assert figure.caption in "".join(root.itertext())
    assert not re.search(r"20\d\d-\d\d-\d\d", text)  # no date
    assert figure.png.read_bytes().startswith(b"\x89PNG")


def test_the_same_records_give_the_same_bytes_whatever_the_settings(tmp_path):
    found = make_comparison(sweep(trial("A"), trial("B", acc=0.8), trial("B", acc=0.7, seed=1)))
    draw_all(found, tmp_path / "a")
    with matplotlib.rc_context({"font.size": 20, "axes.grid": False, "svg.fonttype": "path"}):
        draw_all(found, tmp_path / "b")
        assert matplotlib.rcParams["font.size"] == 20  # and the settings are left alone
    first = {path.name: path.read_bytes() for path in (tmp_path / "a").iterdir()}
    assert (
        len(first) == len(NAMES) - 4
    )  # A has one run: no verdict to draw; no claim; no ranks; none of an earlier version
    assert first == {path.name: path.read_bytes() for path in (tmp_path / "b").iterdir()}
