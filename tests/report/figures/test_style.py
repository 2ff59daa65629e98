"""How figures are written: once, with what their points stand for, and the same bytes whatever the user's settings."""

import matplotlib
import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure as Canvas
from PIL import Image

from headtohead.report.comparison import make_comparison
from headtohead.report.figures.draw import NAMES, Drawing
from headtohead.report.figures.style import COLORS, DPI, Picture, save
from tests.report.figures.trials import drawn, sweep, trial


def test_a_figure_is_written_once_and_says_what_its_points_stand_for(pair, tmp_path):
    figure = save(pair["validation"], tmp_path)
    assert figure.title == "Validation accuracy per epoch on <&>"
    with Image.open(figure.png) as image:
        assert (image.format, image.mode, image.size) == ("PNG", "P", figure.size)
    said = {said: (x, y) for x, y, said in figure.spots}
    assert len(said) == 2 * 4
    first, last = said["Fast, epoch 1: 60 (60 to 60)"], said["Slow, epoch 4: 88.5 (86.02 to 90.98)"]
    assert 0 < first[0] < last[0] < 1000  # further right
    assert 0 < last[1] < first[1] < 1000  # and higher up


def test_the_same_records_give_the_same_bytes_whatever_the_settings(tmp_path):
    found = make_comparison(sweep(trial("A"), trial("B", acc=0.8), trial("B", acc=0.7, seed=1)))
    Drawing(tmp_path / "a").finish(found)
    with matplotlib.rc_context({"font.size": 20, "axes.grid": False}):
        Drawing(tmp_path / "b").finish(found)
        assert matplotlib.rcParams["font.size"] == 20  # and the settings are left alone
    first = {path.name: path.read_bytes() for path in (tmp_path / "a").iterdir()}
    assert (
        len(first) == len(NAMES) - 8
    )  # A has one run: no verdict to draw; no claim; no ranks; no search; no curves; none of earlier versions
    assert first == {path.name: path.read_bytes() for path in (tmp_path / "b").iterdir()}


def test_a_band_keeps_its_color_among_many(tmp_path):
    """Of few colors in the file: those that most pixels have stay what they are."""
    trials = [
        trial(f"M{index}", acc=0.3 + 0.1 * index + 0.01 * seed, seed=seed) for index in range(7) for seed in (0, 1)
    ]
    picture = drawn(*trials)["validation"]
    wanted = {tuple(np.round(255 * np.array(to_rgb(color)) * 0.2 + 255 * 0.8).astype(int)) for color in COLORS}
    image = Image.open(save(picture, tmp_path).png)
    assert image.mode == "P"
    found = np.array(sorted({color for _, color in image.convert("RGB").getcolors()}))
    for color in wanted:
        assert np.abs(found - color).max(1).min() <= 2, color


def test_photographs_keep_every_color(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)  # more colors than a chart's file has
    canvas = Canvas(figsize=(60 / DPI, 40 / DPI))
    canvas.figimage(pixels)
    picture = Picture("noise", "", "", canvas)
    with Image.open(save(picture, tmp_path, photographs=True).png) as image:
        assert np.array_equal(np.asarray(image), pixels)
    with Image.open(save(picture, tmp_path).png) as image:
        assert not np.array_equal(np.asarray(image.convert("RGB")), pixels)
