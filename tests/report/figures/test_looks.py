"""One look for a model in all figures of a sweep, legends in the order of the lines, fronts of one recipe each."""

import dataclasses

import pytest

from headtohead.records import record as records
from headtohead.report.figures.frontier import fronts_of
from headtohead.report.figures.groups import choose_looks, groups
from headtohead.report.figures.pareto import cost_points
from headtohead.report.figures.style import COLORS
from tests.report.figures.trials import drawn, lines, sweep, trial


def test_looks_by_hand():
    assert choose_looks([["A", "B"], ["C", "B"]]) == {"B": 0, "A": 1, "C": 1}
    full = [f"m{i}" for i in range(7)]
    assert sorted(choose_looks([full]).values()) == list(range(7))


def test_a_model_has_one_color_in_all_figures_of_a_sweep():
    found = [
        trial(name, data=data, acc=acc, params=int(1000 * acc))
        for data, models in (
            ("MNIST", {"A": 0.9, "B": 0.8, "C": 0.7}),
            ("CIFAR10", {"B": 0.6, "C": 0.7, "D": 0.5}),
        )
        for name, acc in models.items()
    ]
    pictures = drawn(*found)
    seen = {}
    for name, picture in pictures.items():
        if name.startswith(("validation", "loss", "rotation-")):
            for label, line in lines(picture).items():
                seen.setdefault(label, set()).add(line.get_color())
    for group in groups(sweep(*found)):
        axes = pictures[f"pareto_params{group.suffix}"].canvas.axes[0]
        points = [line for line in axes.get_lines() if line.get_linestyle() == "None"]
        for label, line in zip(cost_points(group, "params").label, points, strict=True):
            seen[label].add(line.get_color())
    assert sorted(seen) == ["A", "B", "C", "D"]
    assert all(len(colors) == 1 for colors in seen.values())
    assert len({*seen["A"], *seen["B"], *seen["C"]}) == len({*seen["B"], *seen["C"], *seen["D"]}) == 3


def test_legends_are_in_the_order_in_which_the_lines_end():
    fast = trial("Fast", acc=0.7, seed=0)
    slow = trial("Slow", acc=0.9, seed=0)
    slow = dataclasses.replace(slow, history=[{"epoch": e, "val_acc": 0.1, "train_loss": 3 - e} for e in range(3)])
    pictures = drawn(fast, slow)
    for name in ("validation", "loss"):
        legend = [text.get_text() for text in pictures[name].canvas.legends[0].get_texts()]
        ends = {label: line.get_ydata()[-1] for label, line in lines(pictures[name]).items()}
        assert legend == sorted(ends, key=lambda label: -ends[label])
    assert [text.get_text() for text in pictures["validation"].canvas.legends[0].get_texts()] == ["Fast", "Slow"]


def with_epochs(model, epochs, acc, params):
    config = {"model": model, "data": "MNIST", "model.width": params, "trainer.max_epochs": epochs}
    named = {"config": config, "config_hash": records.config_hash(config)}
    return trial(model, acc=acc, params=params, **named)


def test_a_front_never_mixes_recipes():
    found = [
        with_epochs("A", 3, 0.5, 1000),
        with_epochs("B", 3, 0.6, 2000),
        with_epochs("C", 3, 0.4, 3000),
        with_epochs("D", 20, 0.9, 500),
        with_epochs("E", 20, 0.95, 700),
        with_epochs("F", 7, 0.99, 10),
    ]
    (group,) = groups(sweep(*found))
    points = cost_points(group, "params")
    fronts = fronts_of(points.recipe, points.seeds, points.costs, points.scores, "max")
    names = [[[points.label[i] for i in indices] for indices in (front.best, front.alike)] for front in fronts]
    assert sorted(names) == [
        [["A", "B"], ["B", "A", "C"]],  # C costs more than B and is worse; D and E would beat all three
        [["D", "E"], ["E", "D"]],
    ]
    picture = drawn(*found)["pareto_params"]
    assert "1 model is beaten in both by another. 1 model has a recipe that no other has: no front." in picture.caption
    legend = [text.get_text() for text in picture.canvas.legends[0].get_texts()]
    single = "no front: F, of other epochs or arguments than the rest"
    assert sorted(legend) == [single, "recipe of B, A, C", "recipe of E, D"]
    stairs = [line for line in picture.canvas.axes[0].get_lines() if line.get_drawstyle() == "steps-post"]
    assert sorted(line.get_ydata()[-1] for line in stairs) == pytest.approx([60, 95])


def test_of_fifteen_models_the_best_seven_are_in_color_and_the_others_in_grey(fifteen):
    (axes,) = fifteen["validation"].canvas.axes
    assert len(axes.get_lines()) == 15
    assert {line.get_color() for line in lines(fifteen["validation"]).values()} == set(COLORS)
    legend = fifteen["validation"].canvas.legends[0]
    assert legend.get_title().get_text() == "the best 7 of 15"
    assert len({spot.said for spot in fifteen["validation"].spots}) == len(fifteen["validation"].spots) >= 15
