"""Confusion matrices: which classes a model takes for which."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Iterator
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from results.figures.captions import count
from results.figures.groups import Floats, Group
from results.figures.style import COLUMNS, Picture, style
from results.record import Record

CLASSES_WITH_NUMBERS = 12  # more in a confusion matrix leave no room for a number in each cell


def confusion_matrices(group: Group) -> Iterator[Picture]:
    """Draw a confusion matrix per model, summed over its seeds."""
    matrices = {label: total for label, found in group.models.items() if (total := confusion(found)) is not None}
    if not matrices:
        return
    shares = {label: 100 * total / np.maximum(total.sum(1, keepdims=True), 1) for label, total in matrices.items()}
    errors = {label: share - np.diag(np.diag(share)) for label, share in shares.items()}
    title = f"Confusion matrices on the test set of {group.data}"
    names = class_names(group, len(next(iter(matrices.values()))))
    worst = "; ".join(_worst_error(label, wrong, names) for label, wrong in list(errors.items())[:4])
    of_many = " (the four best models)" if len(errors) > 4 else ""
    caption = f"{title}, in per cent of each true class, over all seeds. Most frequent error: {worst}{of_many}."
    top = max(1e-9, *(float(wrong.max()) for wrong in errors.values()))
    columns = min(COLUMNS, len(matrices))
    rows = math.ceil(len(matrices) / columns)
    side = 4.6 if columns == 1 else 3.9 if columns == 2 else 3.5
    with style(), matplotlib.rc_context({"axes.grid": False}):
        canvas = Canvas(figsize=(side * columns + 0.6, (side + 0.35) * rows), layout="constrained")
        grid = canvas.subplots(rows, columns, squeeze=False)
        for axes in grid.flat[len(matrices) :]:
            axes.remove()
        for axes, (label, share) in zip(grid.flat, shares.items(), strict=False):
            image = _matrix(axes, share, errors[label], top, names)
            seeds = sum(confusion([record]) is not None for record in group.models[label])
            axes.set_title(textwrap.fill(f"{label}, {count(seeds, 'seed', 'seeds')}", 34), y=1)
        bar = canvas.colorbar(image, ax=list(grid.flat[: len(matrices)]), shrink=0.6, aspect=30, pad=0.02)
        bar.set_label("wrong answers, % of the true class")
        canvas.suptitle(title)
    yield Picture(f"confusion{group.suffix}", title, caption, canvas)


def confusion(found: Iterable[Record]) -> Floats | None:
    """Return the sum of the confusion matrices of some trials, rows are true classes; None if there is none."""
    matrices = []
    for record in found:
        try:
            matrix = np.array(record.quality.get("confusion"), dtype=float)
        except (TypeError, ValueError):
            continue
        if matrix.ndim == 2 and matrix.shape[0] == matrix.shape[1] > 1 and np.isfinite(matrix).all():
            matrices.append(matrix)
    same = [matrix for matrix in matrices if matrix.shape == matrices[0].shape]
    return np.sum(same, axis=0) if same else None


def class_names(group: Group, count: int) -> list[str]:
    """Return the names of the classes as the first record that has them says, else their numbers."""
    for record in (record for found in group.models.values() for record in found):
        names = record.quality.get("class_names")
        if isinstance(names, list) and len(names) == count:
            return [str(name).replace("$", r"\$") for name in names]  # a dollar would begin a formula
    return [str(index) for index in range(count)]


def _matrix(axes: Axes, share: Floats, wrong: Floats, top: float, names: list[str]) -> Any:
    """Draw one matrix: errors in colour, right answers, which would drown them, as numbers on white."""
    classes = len(share)
    image = axes.imshow(np.ma.masked_array(wrong, np.eye(classes, dtype=bool)), cmap="Blues", vmin=0, vmax=top)
    ticks = range(classes) if classes <= CLASSES_WITH_NUMBERS else range(0, classes, math.ceil(classes / 10))
    axes.set(xticks=ticks, yticks=ticks, xlabel="predicted class", ylabel="true class")
    shown = [textwrap.shorten(names[index], 14, placeholder="…") for index in ticks]
    upright = max(map(len, shown)) <= 2
    axes.set_xticklabels(shown, rotation=0 if upright else 45, ha="center" if upright else "right")
    axes.set_yticklabels(shown)
    axes.tick_params(length=0)
    axes.spines[["top", "right"]].set_visible(True)
    if classes <= CLASSES_WITH_NUMBERS:
        for (true, predicted), value in np.ndenumerate(share):
            if value >= 0.05 or true == predicted:
                dark = true != predicted and value > 0.6 * top
                axes.text(
                    predicted,
                    true,
                    f"{value:.1f}" if value < 9.95 else f"{value:.0f}",
                    ha="center",
                    va="center",
                    fontsize=6.5,
                    fontweight="bold" if true == predicted else "normal",
                    color="white" if dark else "black",
                )
    return image


def _worst_error(label: str, wrong: Floats, names: list[str]) -> str:
    true, predicted = np.unravel_index(int(wrong.argmax()), wrong.shape)
    return f"{label} takes {names[true]} for {names[predicted]} in {wrong.max():.1f} %"
