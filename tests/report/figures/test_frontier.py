"""How sure a place on a Pareto frontier is: against probabilities that are known."""

import dataclasses

import numpy as np
import pytest
from scipy import stats

from headtohead.records import record as records
from headtohead.records.per_image import of_classifier
from headtohead.report.figures.frontier import drawn_scores, fronts_of, pareto_front, recipe_of, unbeaten
from headtohead.report.figures.groups import groups
from headtohead.report.statistics import drawn_means
from tests.report.figures.trials import drawn, sweep, trial


def of_images(right, seed, model, params=1000):
    right = np.asarray(right, bool)
    record = trial(model, acc=float(right.mean()), seed=seed, params=params)
    return dataclasses.replace(record, per_image=of_classifier("of a test", {0: right}))


def test_unbeaten_of_every_draw_is_the_front_of_that_draw():
    random = np.random.default_rng(0)
    costs, scores = random.integers(5, size=(6, 200)), random.integers(5, size=(6, 200))  # with many ties
    found = unbeaten(costs.astype(float), scores.astype(float))
    for draw in range(200):
        pairs = list(zip(costs[:, draw], scores[:, draw], strict=True))
        by_hand = [
            not any(c <= x and s >= y and (c, s) != (x, y) for c, s in pairs)  # none as cheap and as good, but it
            for x, y in pairs
        ]
        assert found[:, draw].tolist() == by_hand
        assert np.flatnonzero(found[:, draw]).tolist() == sorted(pareto_front(costs[:, draw], scores[:, draw]))


def test_drawn_means_vary_as_the_standard_error_says():
    values = np.array([1.0, 2.0, 4.0])
    draws = drawn_means(values, 1000, np.random.default_rng(0))
    assert draws.mean() == pytest.approx(values.mean(), abs=0.1)
    assert draws.std() == pytest.approx(stats.sem(values), rel=0.1)  # the plain bootstrap's is 0.816 times that
    assert set(drawn_means(values[:1], 9, np.random.default_rng(0))) == {1.0}


def test_the_share_is_the_probability_of_beating_the_cheaper_one():
    """A dear model is on the front where it is better than the cheap one: by seeds whose means nearly tie."""
    cheap = [trial("Cheap", acc=acc, seed=seed, params=10) for seed, acc in enumerate([0.90, 0.92, 0.94, 0.96])]
    dear = [trial("Dear", acc=acc + 0.005, seed=seed, params=20) for seed, acc in enumerate([0.90, 0.92, 0.94, 0.96])]
    (group,) = groups(sweep(*cheap, *dear))
    scores, images = drawn_scores(group)
    assert not images
    table = np.array([scores["Dear"], scores["Cheap"]])
    costs = np.repeat([[20.0], [10.0]], table.shape[1], axis=1)
    (front,) = fronts_of(["same", "same"], [4, 4], costs, table, "max")
    assert front.best == [1, 0]
    error = np.hypot(*[stats.sem([90, 92, 94, 96])] * 2)
    assert front.share[1] == 1  # the cheapest is never beaten
    assert front.share[0] == pytest.approx(stats.norm.cdf(0.5 / error), abs=0.05)
    texts = drawn(*cheap, *dear)["pareto_params"]
    assert f"Dear ({front.share[0]:.0%})" in [
        text.get_text().replace("\N{NO-BREAK SPACE}", "") for text in texts.canvas.axes[0].texts
    ]
    assert "when seeds are drawn anew, 1,000 times." in texts.caption


def test_images_are_drawn_for_all_models_at_once():
    """Two models that differ in 30 of 400 images, one better in 20 and worse in 10: as much as paired answers vary."""
    easy, a, b = np.ones(370), np.repeat([1, 0], [20, 10]), np.repeat([0, 1], [20, 10])
    found = [of_images([*easy, *a], seed, "Dear", 20) for seed in range(2)]
    found += [of_images([*easy, *b], seed, "Cheap", 10) for seed in range(2)]
    (group,) = groups(sweep(*found))
    scores, images = drawn_scores(group)
    assert images
    apart = (scores["Dear"] - scores["Cheap"])[1:]
    assert apart.mean() == pytest.approx(2.5, abs=0.15)
    assert apart.std() == pytest.approx(100 * np.sqrt(30 / 400 - 0.025**2) / 20, rel=0.08)
    assert "when seeds and test images are drawn anew" in drawn(*found)["pareto_params"].caption


def test_images_are_left_out_where_they_are_not_of_one_test_set():
    one, other = of_images([1, 1, 0, 0], 0, "A"), of_images([1, 0, 0, 0], 0, "B", 20)
    other = dataclasses.replace(other, per_image=dataclasses.replace(other.per_image, test_set="another"))
    for found in ([one, other], [one, dataclasses.replace(other, per_image=None)]):
        (group,) = groups(sweep(*found))
        scores, images = drawn_scores(group)
        assert not images
        assert set(scores["A"]) == {50.0}


def test_one_seed_says_nothing_of_how_sure_a_front_is():
    found = [trial("A", acc=0.9, params=10), trial("A", acc=0.8, seed=1, params=10), trial("B", acc=0.95, params=20)]
    picture = drawn(*found)["pareto_params"]
    assert [text.get_text() for text in picture.canvas.axes[0].texts] == ["B", "A"]
    assert "How sure a front is cannot be said where one of its models ran one seed." in picture.caption
    assert "Per cent" not in picture.caption


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"trainer.max_epochs": 20}, False),
        ({"task.lr": 0.01}, False),
        ({"data.train_size": 0.1}, False),
        ({"model.width": 16}, True),
        ({"model": "Another"}, True),
        ({"trainer.precision": "bf16-mixed"}, True),
    ],
)
def test_what_may_differ_within_a_frontier_is_the_architecture(change, same):
    config = {"model": "A", "data": "MNIST", "trainer.max_epochs": 2, "task.lr": 0.001}
    other = {**config, **change}
    found = [trial("A", config=one, config_hash=records.config_hash(one)) for one in (config, other)]
    assert (recipe_of(found[0]) == recipe_of(found[1])) is same
