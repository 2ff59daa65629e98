"""Finds Pareto frontiers, the models that no other beats in cost and quality, and how sure each place on one is.

Only models of one recipe are compared: the same data, epochs and arguments, but for those of the model. A bootstrap
says how sure a place is: seeds are drawn anew for each model, and the test images, where the records keep every image's
answer, once for all models, because all were tested on the same. The share of draws in which a model is on the frontier
stands beside it, where every model of the recipe ran two seeds or more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt

from headtohead.records.record import Record
from headtohead.report.figures.groups import Floats, Group
from headtohead.report.statistics import drawn_means

DRAWS = 1000


@dataclass(frozen=True)
class Front:
    """The models of one recipe and which of them are on their frontier.

    Args:
        best: indices of those on it, the cheapest first.
        alike: indices of all models of the recipe.
        share: of the draws in which each of ``alike`` is on it; NaN where one of them ran one seed, so that nobody
            knows how much it varies.
    """

    best: list[int]
    alike: list[int]
    share: Floats


def pareto_front(costs: Sequence[float], scores: Sequence[float], goal: Literal["max", "min"] = "max") -> list[int]:
    """Find what nothing else beats: no other is at least as cheap and as good, and better in one of the two.

    Args:
        costs: the lower the better.
        scores: as ``goal`` says.
        goal: ``max`` if a high score is good.

    Returns:
        Indices of the front, the cheapest first; equals are all on it.
    """
    x, y = np.asarray(costs, float), (1 if goal == "max" else -1) * np.asarray(scores, float)
    on_it = unbeaten(x[:, None], y[:, None])[:, 0]
    return sorted(np.flatnonzero(on_it).tolist(), key=lambda i: (x[i], -y[i], i))


def unbeaten(costs: Floats, scores: Floats) -> npt.NDArray[np.bool_]:
    """Tell who is on the frontier of each draw.

    Args:
        costs: ``(models, draws)``, the lower the better.
        scores: ``(models, draws)``, the higher the better.

    Returns:
        ``(models, draws)``.
    """
    cost, score = costs[:, None], scores[:, None]  # of each model (first axis) beside every other (second)
    beaten = (costs <= cost) & (scores >= score) & ((costs < cost) | (scores > score))
    return np.asarray(~beaten.any(1))


def fronts_of(
    recipes: Sequence[str], seeds: Sequence[int], costs: Floats, scores: Floats, goal: Literal["max", "min"]
) -> list[Front]:
    """Return the frontier of each recipe that several models have.

    Args:
        recipes: of each model.
        seeds: how many each ran.
        costs: ``(models, 1 + draws)``: what was measured, then the draws.
        scores: likewise.
        goal: ``max`` if a high score is good.
    """
    by_recipe: dict[str, list[int]] = {}
    for index, recipe in enumerate(recipes):
        by_recipe.setdefault(recipe, []).append(index)
    found = []
    for alike in (indices for indices in by_recipe.values() if len(indices) > 1):
        x, y = costs[alike], scores[alike]
        best = pareto_front(x[:, 0].tolist(), y[:, 0].tolist(), goal)
        share = unbeaten(x, y if goal == "max" else -y)[:, 1:].mean(1)
        known = min(seeds[i] for i in alike) > 1
        found.append(Front([alike[i] for i in best], alike, share if known else np.full(len(alike), np.nan)))
    return found


def recipe_of(record: Record) -> str:
    """Return all arguments but those of the model, and but the precision, which the hardware chooses."""
    own = {name: value for name, value in record.config.items() if name.partition(".")[0] != "model"}
    said = sorted((name, repr(value)) for name, value in own.items() if name != "trainer.precision")
    return repr([record.data, *said])


def drawn_scores(group: Group) -> tuple[dict[str, Floats], bool]:
    """Return the main number of each model as measured and as drawn, ``(1 + draws,)``, in the units of the table.

    Also whether test images were drawn: only where every record keeps its answer to every image of one test set.
    """
    main, random = group.kind.main, np.random.default_rng(0)
    found = {label: np.array([record.quality[main] for record in rows]) for label, rows in group.models.items()}
    drawn = {label: drawn_means(values, DRAWS, random) for label, values in found.items()}
    images = _per_image(group)
    if images is not None:
        drawn = {label: draws + shift for (label, draws), shift in zip(drawn.items(), _of_images(images), strict=True)}
    scores = {label: np.concatenate([[found[label].mean()], draws]) for label, draws in drawn.items()}
    return {label: group.scaled(main, values) for label, values in scores.items()}, images is not None


def _per_image(group: Group) -> Floats | None:
    """Return each model's mean over its seeds for each image ``(models, images)``; None where that is not kept."""
    name, rows, sets = group.kind.metrics[group.kind.main].per_image, [], set()
    for records in group.models.values():
        kept = [(record.per_image, record.per_image.values(name)) for record in records if record.per_image and name]
        values = [of_image for _, of_image in kept if of_image is not None and np.isfinite(of_image).all()]
        sets |= {one.images_of(name) for one, _ in kept}
        if len(values) < len(records) or len(sets) != 1 or len({len(one) for one in values}) != 1:
            return None
        rows.append(np.asarray(np.mean(values, axis=0, dtype=np.float64)))
    return np.array(rows) if len({len(row) for row in rows}) == 1 else None


def _of_images(per_image: Floats) -> Floats:
    """Return by how much each model's mean changes when the images are drawn anew, ``(models, draws)``."""
    images = per_image.shape[1]
    off = (per_image - per_image.mean(1, keepdims=True)).astype(np.float32)
    return np.asarray(off @ _counts(images) / images, dtype=np.float64)


@lru_cache(maxsize=2)
def _counts(images: int) -> npt.NDArray[np.float32]:
    """Return how often each image is drawn, ``(images, draws)``."""
    random = np.random.default_rng(1)
    counts = [np.bincount(random.integers(images, size=images), minlength=images) for _ in range(DRAWS)]
    return np.array(counts, dtype=np.float32).T
