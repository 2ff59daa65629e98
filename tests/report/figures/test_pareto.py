"""Pareto fronts: what lies on them by hand, and what is drawn."""

import itertools

import numpy as np
import pytest
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from headtohead.report.collect import collect
from headtohead.report.comparison import make_comparison
from headtohead.report.figures.frontier import pareto_front
from headtohead.report.figures.groups import groups
from headtohead.report.figures.pareto import clearly_of, cost_points, pareto_fronts
from tests.conftest import ROOT
from tests.report.figures.trials import sweep, trial


@pytest.mark.parametrize(
    ("costs", "scores", "goal", "front"),
    [
        ([1, 2, 3], [10, 20, 30], "max", [0, 1, 2]),  # each step costs more and gives more
        ([3, 2, 1], [10, 20, 30], "max", [2]),  # the cheapest is the best
        ([4, 1, 2, 3], [9, 5, 4, 7], "max", [1, 3, 0]),  # (2, 4) costs more than (1, 5) and is worse
        ([1, 1, 2], [5, 6, 6], "max", [1]),  # equal in one, worse in the other
        ([1, 1, 2], [5, 5, 4], "max", [0, 1]),  # equals stand together
        ([1, 2, 3], [10, 20, 5], "min", [0, 2]),
        ([7], [1], "min", [0]),
        ([], [], "max", []),
    ],
)
def test_pareto_front_by_hand(costs, scores, goal, front):
    assert pareto_front(costs, scores, goal) == front


def test_points_have_costs_and_intervals():
    (group,) = groups(
        sweep(trial(acc=0.8, seconds=2.0), trial(acc=0.9, seconds=4.0, seed=1), trial("B", acc=0.95, macs=0))
    )
    points = cost_points(group, "params")
    assert points.label == ["B", "EqCNN"]
    assert points.mean == pytest.approx([95, 85])
    assert np.isnan(points.low).tolist() == [True, False]
    assert cost_points(group, "macs").label == ["EqCNN"]  # no MACs have no place on a logarithmic axis
    assert cost_points(group, "time").x == pytest.approx([2, 3])


def test_times_of_different_hardware_are_not_drawn():
    (group,) = groups(sweep(trial(), trial("B", hardware={**trial().hardware, "device": "another"})))
    assert cost_points(group, "time").label == []
    assert len(cost_points(group, "params").label) == 2


def test_times_of_shared_machines_are_not_drawn():
    shared = {"hardware": {**trial().hardware, "trials_at_once": 2, "threads": 1}, "seconds": 9.0}
    (group,) = groups(sweep(trial(), trial(seed=1, **shared), trial("B", **shared)))
    points = cost_points(group, "time")
    assert points.label == ["EqCNN"]
    assert points.x == pytest.approx([2])
    assert points.mean == pytest.approx([90])  # of both trials


def test_a_front_as_drawn(pair):
    (axes,) = pair["pareto_params"].canvas.axes
    assert axes.get_xscale() == "log"
    assert {text.get_text(): text.xy for text in axes.texts} == {
        "Slow (100\N{NO-BREAK SPACE}%)": (9_000, pytest.approx(91)),
        "Fast (100\N{NO-BREAK SPACE}%)": (2_000, pytest.approx(70)),
    }
    front = axes.get_lines()[-1]
    assert front.get_xdata()[1:3].tolist() == [2_000, 9_000]
    assert front.get_ydata()[1:3] == pytest.approx([70, 91])


def test_captions_name_the_front(pair):
    assert "from the cheapest to the best: Fast, Slow." in pair["pareto_params"].caption
    assert "from the cheapest to the best: Slow; 1 model is beaten" in pair["pareto_macs"].caption


def test_of_fifteen_models_no_name_covers_another(fifteen):
    canvas = fifteen["pareto_params"].canvas
    canvas.draw_without_rendering()
    (axes,) = canvas.axes
    boxes = [Text.get_window_extent(text) for text in axes.texts]
    assert len(boxes) == 15
    for one, other in itertools.combinations(boxes, 2):
        assert not one.overlaps(other)
    frame = axes.get_window_extent()
    assert all(frame.x0 <= box.x0 and box.x1 <= frame.x1 + 1 for box in boxes)


@pytest.mark.parametrize(
    ("own", "others", "clear"),
    [
        ([-10, 5], [[135, 5]], True),  # 10 to the left of it, the other 15 to the right of it
        ([-10, 5], [[134, 5]], False),
        ([-10, 5], [[60, 16]], False),  # 6 above it
        ([-10, 5], [[60, 5]], False),  # under it
        ([-6, -8], [[60, 25], [126, -12]], False),  # 10 away by a corner, the others 15 and 13.4
        ([-6, -8], [[60, 25], [129, -12]], True),  # the others 15 and 15
        ([-10, 5], np.empty((0, 2)), True),
    ],
)
def test_a_name_is_clearly_of_its_point_by_hand(own, others, clear):
    assert clearly_of(Bbox([[0, 0], [120, 10]]), np.array(own), np.array(others)) is clear


@pytest.fixture(scope="module")
def committed():
    """The fronts of a committed sweep with many points close together."""
    (group,) = groups(make_comparison(collect(ROOT / "results" / "plain_vs_equivariant")).shown)
    return list(pareto_fronts(group))


def test_a_name_is_joined_to_its_point_unless_none_is_nearer(fifteen, committed, pair):
    for picture in (fifteen["pareto_params"], *committed, pair["pareto_params"]):
        picture.canvas.draw_without_rendering()
        (axes,) = picture.canvas.axes
        places = axes.transData.transform([text.xy for text in axes.texts])
        assert len(places) == len(axes.texts) > 1
        for index, text in enumerate(axes.texts):
            box = Text.get_window_extent(text)
            far = np.hypot(*np.maximum(0, np.maximum(box.min - places, places - box.max)).T)
            assert far.argmin() == index or text.arrow_patch.get_visible(), (picture.name, text.get_text())
    assert not any(text.arrow_patch.get_visible() for text in pair["pareto_params"].canvas.axes[0].texts)
