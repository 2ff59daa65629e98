"""Draws confusion matrices: which classes a model takes for which."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from headtohead.records.confusion import confusion
from headtohead.report.classes import MOST_MODELS, class_names
from headtohead.report.figures.captions import count
from headtohead.report.figures.groups import Floats, Group
from headtohead.report.figures.style import Picture, style

COLUMNS = 3
LONGEST_NAME = 14  # of a class, in letters
CLASSES_WITH_NUMBERS = 12  # more in a confusion matrix leave no room for a number in each cell


def confusion_matrices(group: Group) -> Iterator[Picture]:
    """Draw a confusion matrix for each of the best models, summed over its seeds."""
    every = {label: total for label, found in group.models.items() if (total := confusion(found)) is not None}
    if not every:
        return
    matrices = {label: every[label] for label in list(every)[:MOST_MODELS]}
    shares = {label: 100 * total / np.maximum(total.sum(1, keepdims=True), 1) for label, total in matrices.items()}
    errors = {label: share - np.diag(np.diag(share)) for label, share in shares.items()}
    title = f"Confusion matrices on the test set of {group.data}"
    names = class_names(group.models, len(next(iter(matrices.values()))))
    worst = "; ".join(_worst_error(label, wrong, names) for label, wrong in list(errors.items())[:4])
    of_many = f" (the best {len(matrices)} of {len(every)} models)" if len(matrices) < len(every) else ""
    caption = f"{title}{of_many}, in per cent of each true class, over all seeds. Most frequent error: {worst}."
    top = max(1e-9, *(float(wrong.max()) for wrong in errors.values()))
    columns = min(COLUMNS, len(matrices))
    rows = math.ceil(len(matrices) / columns)
    room = 0.08 * min(LONGEST_NAME, max(map(len, names)))  # for the names of classes
    named = 2 if rows > 1 and len(matrices) % columns else 1  # rows with names below: two where the last is not full
    with style(), matplotlib.rc_context({"axes.grid": False}):
        canvas = Canvas(figsize=(1.4 + room + 2.9 * columns, 1.4 + room * named + 3.1 * rows), layout="constrained")
        canvas.suptitle(textwrap.fill(title, 14 + 34 * columns))
        panels = list(canvas.subplots(rows, columns, squeeze=False).flat)
        for index, (axes, label) in enumerate(zip(panels, matrices, strict=False)):
            seeds = sum(confusion([record]) is not None for record in group.models[label])
            image = _matrix(axes, shares[label], errors[label], top)
            _name_classes(axes, names, left=index % columns == 0, bottom=index + columns >= len(matrices))
            axes.set_title(textwrap.fill(f"{label}, {count(seeds, 'seed', 'seeds')}", 34))
        for axes in panels[len(matrices) :]:
            axes.remove()
        bar = canvas.colorbar(image, ax=panels[: len(matrices)], aspect=30, shrink=1 / rows)
        bar.set_label("wrong answers, % of the true class")
    yield Picture(f"confusion{group.suffix}", title, caption, canvas)


def _name_classes(axes: Axes, names: list[str], left: bool, bottom: bool) -> None:
    """Name the classes, in a grid at its left and its bottom only: they are the same for all."""
    every = 1 if len(names) <= CLASSES_WITH_NUMBERS else math.ceil(len(names) / 10)
    ticks = range(0, len(names), every)
    shown = [textwrap.shorten(names[index], LONGEST_NAME, placeholder="…") for index in ticks]
    upright = max(map(len, shown)) <= 2
    shown = [name.replace("$", r"\$") for name in shown]  # a dollar would begin a formula
    axes.set(xticks=ticks if bottom else [], yticks=ticks if left else [])
    axes.tick_params(length=0)
    if bottom:
        axes.set_xlabel("predicted class")
        axes.set_xticklabels(shown, rotation=0 if upright else 90)
    if left:
        axes.set_ylabel("true class")
        axes.set_yticklabels(shown)


def _matrix(axes: Axes, share: Floats, wrong: Floats, top: float) -> Any:
    """Draw one matrix: errors in colour, right answers, which would drown them, as numbers on white."""
    classes = len(share)
    image = axes.imshow(np.ma.masked_array(wrong, np.eye(classes, dtype=bool)), cmap="Blues", vmin=0, vmax=top)
    axes.spines[["top", "right"]].set_visible(True)
    if classes <= CLASSES_WITH_NUMBERS:
        for (true, predicted), value in np.ndenumerate(share):
            if value >= 0.5 or true == predicted:
                dark = true != predicted and value > 0.6 * top
                axes.text(
                    predicted,
                    true,
                    f"{value:.1f}" if value < 9.95 else f"{value:.0f}",
                    ha="center",
                    va="center",
                    fontsize=6.5,
                    in_layout=False,  # hundreds of numbers within their cells need not be measured
                    fontweight="bold" if true == predicted else "normal",
                    color="white" if dark else "black",
                )
    return image


def _worst_error(label: str, wrong: Floats, names: list[str]) -> str:
    true, predicted = np.unravel_index(int(wrong.argmax()), wrong.shape)
    return f"{label} takes {names[true]} for {names[predicted]} in {wrong.max():.1f} %"
