"""Which figures a sweep has."""

import pytest

from headtohead.records import record as records
from headtohead.report.comparison import make_comparison
from headtohead.report.figures.draw import NAMES, Drawing
from tests.records.examples import filled
from tests.report.figures.trials import drawn, lines, sweep, trial

SCALING = {"scaling_params", "scaling_macs", "scaling_seconds", "scaling_images"}


def compared(*found):
    return make_comparison(sweep(*found))


def test_classifiers_have_every_figure(pair):
    assert {*pair, "claims", "ranks", "best_of_k", *SCALING} == set(NAMES)


def test_other_kinds_draw_what_they_have():
    history = [{"epoch": epoch, "val_l1": 0.2 / (epoch + 1)} for epoch in range(3)]
    config = {**filled(0).config, "model": "ConvUNet"}
    other = {"model": "ConvUNet", "config": config, "config_hash": records.config_hash(config)}
    worse = filled(0, 0.2, history=history, size={"params": 5, "macs": 9, "bytes": 20}, **other)
    pictures = drawn(filled(0, 0.1, history=history), worse)
    assert list(pictures) == ["validation", "pareto_params", "pareto_macs", "pareto_time"]
    (axes,) = pictures["validation"].canvas.axes
    assert axes.get_ylabel() == "validation L1 error in holes, %"
    assert lines(pictures["validation"])["PConvUNet"].get_ydata() == pytest.approx([20, 10, 20 / 3])
    assert pictures["pareto_params"].canvas.axes[0].get_lines()[-1].get_ydata()[1:3] == pytest.approx([20, 10])


def test_figures_of_an_earlier_call_do_not_stay(tmp_path):
    bare = {"quality": {"test_acc": 0.9}}
    Drawing(tmp_path).finish(compared(trial(**bare), trial(data="CIFAR10", **bare)))
    assert (tmp_path / "validation-CIFAR10.png").is_file()
    (tmp_path / "notes.png").write_bytes(b"mine")
    Drawing(tmp_path).finish(compared(trial(**bare)))
    names = {"validation", "loss"}
    assert {path.name for path in tmp_path.iterdir()} == {f"{name}.png" for name in names} | {"notes.png"}


def test_nothing_to_draw_draws_nothing(tmp_path):
    bare = trial(quality={"test_acc": 0.9}, history=[])
    assert Drawing(tmp_path).finish(compared(bare)) == []
    assert list(tmp_path.iterdir()) == []
