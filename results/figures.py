"""Figures of a sweep, readable in print and by the colour-blind; the same records give the same files."""

from __future__ import annotations

import io
import itertools
import math
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import matplotlib.style
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure as Canvas  # not pyplot's: no window, no state that a caller would share
from matplotlib.text import Text
from matplotlib.ticker import EngFormatter, FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from matplotlib.transforms import Bbox
from PIL import Image
from scipy import stats

from results.collect import Trials, labels
from results.faults import RIG
from results.kinds import Kind, kind_of
from results.record import Record, write_bytes

Floats = npt.NDArray[np.float64]

# Okabe and Ito's palette, told apart in every common colour blindness; styles and markers tell them apart in grey.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
LINES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1, 1, 1)), (0, (1, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
GREY = "#BBBBBB"
STYLE = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "lines.markersize": 4.5,
    # Letters stay letters: smaller than outlines, found by a search and read aloud by a screen reader.
    "svg.fonttype": "none",
}
WIDTH, HEIGHT = 6.4, 4.2  # of a single panel, in inches
COLUMNS = 3  # of panels, where there are several
MOST_MODELS = 15  # in a figure: the names of more have no room
CLASSES_WITH_NUMBERS = 12  # more in a confusion matrix leave no room for a number in each cell
COSTS = {"params": "parameters", "macs": "MACs for one image", "time": "seconds per epoch"}
NAMES = (
    "validation",
    "training_loss",
    "rotation",
    "rotation_polar",
    *(f"pareto_{cost}" for cost in COSTS),
    "confusion",
)


@dataclass(frozen=True)
class Figure:
    """A figure that was written.

    Args:
        name: of the files, without their suffix.
        title: a heading for it.
        caption: what there is to see, in a sentence or two; it stands in for the figure where that is not seen.
        svg: the file for screens and print.
        png: the same for what shows no SVG.
    """

    name: str
    title: str
    caption: str
    svg: Path
    png: Path


@dataclass(frozen=True)
class Curve:
    """What one model did: the mean over its seeds at each x, and the 95 % interval of the mean (NaN for one seed)."""

    label: str
    x: Floats
    mean: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True)
class Group:
    """The trials of one kind on one data set, by model, the best first.

    Args:
        data: name of the data set; of very many models also how many are shown.
        kind: of its trials.
        models: their records by what the model is called.
        suffix: of the names of its figures, where there is more than one group.
    """

    data: str
    kind: Kind
    models: Mapping[str, Sequence[Record]]
    suffix: str = ""

    @property
    def goal(self) -> Literal["max", "min"]:
        """Which way is better."""
        return self.kind.shown[self.kind.main].goal

    def scaled(self, name: str, values: Floats) -> Floats:
        """Return shares in per cent, other numbers as they are."""
        return 100 * values if name in self.kind.per_cent else values


def draw_all(trials: Trials, folder: Path) -> list[Figure]:
    """Draw every figure for which the records have the numbers, and remove those of an earlier call that have not.

    Args:
        trials: of a sweep.
        folder: where ``<name>.svg`` and ``<name>.png`` are written.

    Returns:
        For each data set: learning curves (``validation``, ``training_loss``), accuracy over the angle
        (``rotation``, ``rotation_polar``), Pareto fronts (``pareto_params``, ``pareto_macs``, ``pareto_time``) and
        ``confusion``. With several data sets their names end in that of the data set.
    """
    draws = (_learning_curves, _rotation, _pareto_fronts, _confusion)
    figures = [figure for group in groups(trials) for draw in draws for figure in draw(group, folder)]
    written = {path for figure in figures for path in (figure.svg, figure.png)}
    for name in NAMES:
        for pattern in (f"{name}.svg", f"{name}.png", f"{name}-*.svg", f"{name}-*.png"):
            for stale in set(folder.glob(pattern)) - written:
                stale.unlink()
    return figures


def groups(trials: Trials) -> list[Group]:
    """Split trials by data set and kind."""
    names = labels(trials)
    found: dict[tuple[str, str], dict[str, list[Record]]] = {}
    kinds: dict[str, Kind] = {}
    for record in sorted(trials.records.values(), key=lambda record: (record.data, record.seed)):
        if kind := kind_of(record.quality):
            kinds[kind.main] = kind
            models = found.setdefault((record.data, kind.main), {})
            # shown in full beside the model's own name, so that its options need not say whose they are
            models.setdefault(names[record.config_hash].replace("model.", ""), []).append(record)
    result = []
    for (data, main), models in found.items():
        sign = -1 if kinds[main].shown[main].goal == "max" else 1
        means = {name: sign * np.mean([record.quality[main] for record in models[name]]) for name in models}
        several_kinds = sum(other == data for other, _ in found) > 1
        suffix = f"-{data}" * (len(found) > 1) + f"-{main}" * several_kinds
        ranked = sorted(models, key=lambda name: (means[name], name))
        if len(models) > MOST_MODELS:
            data += f" (the best {MOST_MODELS} of {len(models)})"
        shown = {name: models[name] for name in ranked[:MOST_MODELS]}
        result.append(Group(data, kinds[main], shown, re.sub(r"[^\w-]+", "_", suffix)))
    return result


def band(values: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the mean over seeds and the 95 % interval of that mean by Student's t.

    Args:
        values: ``(seeds, points)``, NaN where a seed has no value.

    Returns:
        Mean, low and high, each ``(points,)``; low and high are NaN where fewer than two seeds have a value.
    """
    n = (~np.isnan(values)).sum(0)
    total = np.where(n > 0, n, np.nan)
    mean = np.nansum(values, 0) / total
    degrees = np.where(n > 1, n - 1.0, np.nan)
    std = np.sqrt(np.nansum((values - mean) ** 2, 0) / degrees)
    half = stats.t.ppf(0.975, degrees) * std / np.sqrt(total)
    return mean, mean - half, mean + half


def pareto_front(costs: Sequence[float], scores: Sequence[float], goal: Literal["max", "min"] = "max") -> list[int]:
    """Find what nothing else beats: no other is at least as cheap and as good, and better in one of the two.

    Args:
        costs: the lower the better.
        scores: as ``goal`` says.
        goal: ``max`` if a high score is good.

    Returns:
        Indices of the front, the cheapest first; equals are all on it.
    """
    sign = -1 if goal == "max" else 1
    points = [(cost, sign * score) for cost, score in zip(costs, scores, strict=True)]

    def beaten(point: tuple[float, float]) -> bool:
        return any(other != point and other[0] <= point[0] and other[1] <= point[1] for other in points)

    return sorted((i for i, point in enumerate(points) if not beaten(point)), key=lambda i: (*points[i], i))


def style() -> AbstractContextManager[None]:
    """Return the context in which figures are drawn and saved: whatever the user's own settings, they look alike."""
    return matplotlib.style.context(["default", STYLE])


def save(canvas: Canvas, folder: Path, name: str, title: str, caption: str) -> Figure:
    """Write a figure as SVG and PNG; drawn again, it gives the same bytes."""
    figure = Figure(name, title, caption, folder / f"{name}.svg", folder / f"{name}.png")
    folder.mkdir(parents=True, exist_ok=True)
    if (engine := canvas.get_layout_engine()) is not None:
        engine.execute(canvas)
    canvas.set_layout_engine("none")  # it has done its work, and would do it again for either file
    about = {"Title": title, "Description": caption, "Date": None, "Creator": None}
    svg, png = io.BytesIO(), io.BytesIO()
    backends: Any = FigureCanvasSVG, FigureCanvasAgg  # which have no types; savefig would draw it twice for each
    with matplotlib.rc_context({"svg.hashsalt": name}):
        backends[0](canvas).print_svg(svg, metadata=about)
    canvas.set_dpi(150)
    pixels = backends[1](canvas)
    pixels.draw()
    # 256 colours are plenty, and a third of the bytes
    Image.fromarray(np.asarray(pixels.buffer_rgba())).convert("RGB").quantize(256).save(png, "png", optimize=True)
    for path, content in ((figure.svg, svg), (figure.png, png)):
        write_bytes(path, content.getvalue(), durable=False)
    return figure


def _learning_curves(group: Group, folder: Path) -> Iterator[Figure]:
    """Draw the validation's main number and the training loss over the epochs."""
    validation = group.kind.before[0]
    called = group.kind.called.removeprefix("test ")
    unit = ", %" if validation in group.kind.per_cent else ""
    for name, metric, what in (
        ("validation", validation, f"validation {called}{unit}"),
        ("training_loss", "train_loss", "training loss"),
    ):
        curves = epoch_curves(group, metric)
        if not curves:
            continue
        last = [(curve.label, float(curve.mean[-1])) for curve in curves]
        form = "{:.1f} %" if metric in group.kind.per_cent else "{:.3g}"
        goal = group.goal if metric == validation else "min"
        caption = (
            f"{_capital(what.removesuffix(unit))} on {group.data} over the epochs. After the last epoch: "
            f"{_ranking(last, goal, form)}. {_bands(group)}"
        )
        title = f"{_capital(what.removesuffix(unit))} per epoch on {group.data}"
        with style():
            canvas, panels = _panels(curves, title)
            low = min(float(np.nanmin(curve.mean)) for curve in curves)
            _name_axes(panels, "epoch", what)
            for axes in panels:
                axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
                if metric == "train_loss" and low > 0:
                    axes.set_yscale("log")
                    _log_ticks(axes.yaxis)
            yield save(canvas, folder, name + group.suffix, title, caption)


def epoch_curves(group: Group, metric: str) -> list[Curve]:
    """Return a curve per model of a number that histories keep, epochs counted from 1; models without are left out."""
    curves = []
    for label, found in group.models.items():
        histories = [
            {entry["epoch"] + 1: entry[metric] for entry in record.history if _has(entry, "epoch", metric)}
            for record in found
        ]
        epochs = sorted({epoch for history in histories for epoch in history})
        if epochs:
            values = np.array([[history.get(epoch, math.nan) for epoch in epochs] for history in histories])
            curves.append(Curve(label, np.array(epochs, float), *band(group.scaled(metric, values))))
    return curves


def _rotation(group: Group, folder: Path) -> Iterator[Figure]:
    """Draw the accuracy over the angle by which the test images are turned, on a line and on a circle."""
    curves = angle_curves(group)
    if not curves:
        return
    upright = [(curve.label, float(curve.mean[0])) for curve in curves]
    lowest = [(curve.label, float(curve.mean.min())) for curve in curves]
    caption = (
        f"Accuracy on a part of the test set of {group.data} over the angle by which it is turned. Upright: "
        f"{_ranking(upright, 'max', '{:.1f} %')}. At the worst angle: {_ranking(lowest, 'max', '{:.1f} %')}. "
        f"{_bands(group)}"
    )
    title = f"Test accuracy over the angle on {group.data}"
    with style():
        canvas, panels = _panels(curves, title)
        _name_axes(panels, "test images turned by, degrees", "test accuracy, %")
        for axes in panels:
            axes.set(xticks=range(0, 361, 90), xlim=(0, 360), ylim=(0, 100))
        yield save(canvas, folder, f"rotation{group.suffix}", title, caption)
        title += ", as a circle"
        canvas, panels = _panels(curves, title, polar=True)
        for axes in panels:
            polar: Any = axes
            polar.set_theta_zero_location("N")  # upright images at the top, turned counter-clockwise as they are
            axes.set(ylim=(0, 100), yticks=(25, 50, 75, 100), xticks=np.deg2rad(range(0, 360, 45)))
            axes.tick_params(labelsize=8)
        yield save(canvas, folder, f"rotation_polar{group.suffix}", title, f"{caption} Radius: accuracy in %.")


def angle_curves(group: Group) -> list[Curve]:
    """Return the accuracy in per cent over the whole circle, 0 to 360 degrees, per model that was tested over it."""
    curves = []
    for label, found in group.models.items():
        circles = [_circle(record) for record in found]
        angles = sorted({angle for circle in circles for angle in circle})
        if angles:
            values = np.array([[circle.get(angle, math.nan) for angle in angles] for circle in circles])
            closed = np.concatenate([values, values[:, :1]], axis=1)  # 360 degrees are 0
            curves.append(Curve(label, np.array([*angles, angles[0] + 360]), *band(100 * closed)))
    return curves


def _pareto_fronts(group: Group, folder: Path) -> Iterator[Figure]:
    """Draw the main number against each cost, with the front of what nothing beats."""
    main = group.kind.main
    called = group.kind.called
    unit = ", %" if main in group.kind.per_cent else ""
    for cost, what in COSTS.items():
        points = cost_points(group, cost)
        if len(points.label) < 2:
            continue
        front = pareto_front(points.x.tolist(), points.mean.tolist(), group.goal)
        best = ", ".join(points.label[i] for i in front)
        rest = len(points.label) - len(front)
        caption = (
            f"{_capital(called)} on {group.data} against {what}. On the front, from the cheapest to the best: {best}"
            + (f"; {_count(rest, 'model is', 'models are')} beaten in both by another. " if rest else ". ")
            + "Bars: 95 % interval of the mean over the seeds (Student's t)."
        )
        title = f"{_capital(called)} against {what}, {group.data}"
        with style():
            canvas = Canvas(figsize=(WIDTH, HEIGHT + 0.05 * len(points.label)), layout="constrained")
            axes = canvas.subplots()
            axes.set_title(title, y=1)
            stairs = _scatter(axes, points, front, group.goal)
            axes.set(xlabel=f"{what} (log scale)", ylabel=f"{called}{unit}")
            _log_ticks(axes.xaxis)
            if cost != "time":
                axes.xaxis.set_major_formatter(EngFormatter(sep=" "))
            _name_points(canvas, axes, points, stairs)
            yield save(canvas, folder, f"pareto_{cost}{group.suffix}", title, caption)


@dataclass(frozen=True)
class Points:
    """Models as points: their names, what they cost, and their main number with its interval."""

    label: list[str]
    x: Floats
    mean: Floats
    low: Floats
    high: Floats


def cost_points(group: Group, cost: str) -> Points:
    """Return what each model costs and reaches.

    Args:
        group: of trials.
        cost: ``params``, ``macs`` or ``time``.

    Returns:
        A point per model that has a positive cost. Times are compared only where all trials ran on one rig, one at
        a time: otherwise there is no point.
    """
    every = [record for found in group.models.values() for record in found]
    rigs = {tuple(str(record.rig.get(name)) for name in RIG) for record in every}
    comparable = len(rigs) == 1 and every[0].rig.get("trials_at_once") == 1
    names, rows = [], []
    for label, found in group.models.items():
        if cost == "time":
            times = [record.cost["epoch_seconds"] for record in found if _has(record.cost, "epoch_seconds")]
            x = float(np.mean(times)) if comparable and times else 0.0
        else:
            x = float(found[0].size[cost])
        if x > 0:
            values = group.scaled(group.kind.main, np.array([[record.quality[group.kind.main]] for record in found]))
            names.append(label)
            rows.append([x, *(part[0] for part in band(values))])
    return Points(names, *np.array(rows, dtype=float).reshape(-1, 4).T)


def _scatter(axes: Axes, points: Points, front: list[int], goal: Literal["max", "min"]) -> Floats:
    """Draw the points, filled on the front, and the front as a staircase, the best that a budget buys; return that."""
    x, y = points.x[front], points.mean[front]
    axes.set_xscale("log")
    cheapest, dearest = float(points.x.min()), float(points.x.max())
    room = max(1.2, (dearest / cheapest) ** 0.16)
    axes.set_xlim(cheapest / room, dearest * room)
    axes.margins(y=0.16)
    has_bar = ~np.isnan(points.low)
    axes.vlines(points.x[has_bar], points.low[has_bar], points.high[has_bar], color="#777777", linewidth=1)
    axes.plot(points.x, points.mean, "o", color="#555555", markerfacecolor="white", markersize=5.5)
    axes.plot(x, y, "o", color=COLORS[0], markersize=6.5)
    right, worst = axes.get_xlim()[1], axes.get_ylim()[0 if goal == "max" else 1]
    axes.autoscale(False)
    stairs = np.column_stack([[x[0], *x, right], [worst, *y, y[-1]]])
    axes.plot(*stairs.T, color=COLORS[0], linewidth=1.2, drawstyle="steps-post")
    return stairs


def _name_points(canvas: Canvas, axes: Axes, points: Points, stairs: Floats) -> None:
    """Write each model's name near its point, where it covers no point, bar, line or other name."""
    canvas.draw_without_rendering()  # sets where the axes lie, in pixels
    frame, scale = axes.get_window_extent(), canvas.dpi / 72
    places = axes.transData.transform(np.column_stack([points.x, points.mean]))
    taken = [Bbox([place, place]).padded(4 * scale) for place in places]
    low, high = (
        axes.transData.transform(np.column_stack([points.x, np.where(np.isnan(y), points.mean, y)]))
        for y in (points.low, points.high)
    )
    taken += [Bbox(list(ends)).padded(scale) for ends in zip(low, high, strict=True)]
    for (x, y), (next_x, next_y) in itertools.pairwise(axes.transData.transform(stairs)):
        taken += [Bbox([(x, y), (next_x, y)]).padded(scale), Bbox([(next_x, y), (next_x, next_y)]).padded(scale)]
    # the most crowded first: the others find a place more easily
    crowd = [float(np.sort(np.hypot(*(places - place).T))[1:4].sum()) for place in places]
    for i in sorted(range(len(places)), key=lambda i: crowd[i]):
        text = axes.annotate(
            textwrap.fill(points.label[i], 24),
            (points.x[i], points.mean[i]),
            xytext=(0, 0),
            textcoords="offset points",
            fontsize=8,
            linespacing=1.0,
            arrowprops={"arrowstyle": "-", "color": "#999999", "linewidth": 0.6, "shrinkA": 0, "shrinkB": 3},
        )
        text.set_in_layout(False)
        extent = Text.get_window_extent(text)  # an annotation's own counts its arrow
        dx, dy, box = _free_place(places[i], extent.width, extent.height, frame, taken, scale)
        taken.append(box.padded(scale))
        text.set_position((dx, dy))
        text.set_horizontalalignment(("right", "center", "left")[_sign(dx) + 1])
        text.set_verticalalignment(("top", "center", "bottom")[_sign(dy) + 1])
        if math.hypot(dx, dy) < 12 and text.arrow_patch is not None:
            text.arrow_patch.set_visible(False)


def _free_place(
    place: Floats, width: float, height: float, frame: Bbox, taken: list[Bbox], scale: float
) -> tuple[float, float, Bbox]:
    """Return the nearest offset in points from ``place``, and the box there, that overlaps least with what is taken."""
    corners = np.array([box.extents for box in taken])
    best: tuple[float, float, float, Bbox] | None = None
    for distance in (7, 11, 16, 24, 34, 46, 60):
        for angle in np.deg2rad([0, 90, 270, 180, 45, 135, 225, 315, 20, 160, 200, 340, 70, 110, 250, 290]):
            dx, dy = distance * math.cos(angle), distance * math.sin(angle)
            left = place[0] + dx * scale - width * (1 - _sign(dx)) / 2
            bottom = place[1] + dy * scale - height * (1 - _sign(dy)) / 2
            box = Bbox.from_bounds(left, bottom, width, height)
            across = np.minimum(box.x1, corners[:, 2]) - np.maximum(box.x0, corners[:, 0])
            along = np.minimum(box.y1, corners[:, 3]) - np.maximum(box.y0, corners[:, 1])
            covered = float((across.clip(min=0) * along.clip(min=0)).sum())
            if not (frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1):
                covered += width * height
            if best is None or covered < best[0]:
                best = covered, dx, dy, box
        if best is not None and best[0] == 0:
            break
    assert best is not None
    return best[1:]


def _sign(offset: float) -> int:
    return 0 if abs(offset) < 1e-6 else 1 if offset > 0 else -1


def _confusion(group: Group, folder: Path) -> Iterator[Figure]:
    """Draw a confusion matrix per model, summed over its seeds."""
    matrices = {label: total for label, found in group.models.items() if (total := confusion(found)) is not None}
    if not matrices:
        return
    shares = {label: 100 * total / np.maximum(total.sum(1, keepdims=True), 1) for label, total in matrices.items()}
    errors = {label: share - np.diag(np.diag(share)) for label, share in shares.items()}
    title = f"Confusion matrices on the test set of {group.data}"
    worst = "; ".join(_worst_error(label, wrong) for label, wrong in list(errors.items())[:4])
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
            image = _matrix(axes, share, errors[label], top)
            seeds = sum(confusion([record]) is not None for record in group.models[label])
            axes.set_title(textwrap.fill(f"{label}, {_count(seeds, 'seed', 'seeds')}", 34), y=1)
        bar = canvas.colorbar(image, ax=list(grid.flat[: len(matrices)]), shrink=0.6, aspect=30, pad=0.02)
        bar.set_label("wrong answers, % of the true class")
        canvas.suptitle(title)
        yield save(canvas, folder, f"confusion{group.suffix}", title, caption)


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


def _matrix(axes: Axes, share: Floats, wrong: Floats, top: float) -> Any:
    """Draw one matrix: errors in colour, right answers, which would drown them, as numbers on white."""
    classes = len(share)
    image = axes.imshow(np.ma.masked_array(wrong, np.eye(classes, dtype=bool)), cmap="Blues", vmin=0, vmax=top)
    ticks = range(classes) if classes <= CLASSES_WITH_NUMBERS else range(0, classes, math.ceil(classes / 10))
    axes.set(xticks=ticks, yticks=ticks, xlabel="predicted class", ylabel="true class")
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


def _worst_error(label: str, wrong: Floats) -> str:
    true, predicted = np.unravel_index(int(wrong.argmax()), wrong.shape)
    return f"{label} takes {true} for {predicted} in {wrong.max():.1f} %"


def _panels(curves: Sequence[Curve], title: str, polar: bool = False) -> tuple[Canvas, list[Axes]]:
    """Draw curves into one panel; if they are too many to tell apart, each into its own before the others in grey."""
    kind = {"projection": "polar"} if polar else {}
    if len(curves) <= len(COLORS):
        height = HEIGHT + 0.17 * len(curves) + (1.2 if polar else 0)
        canvas = Canvas(figsize=(WIDTH, height), layout="constrained")
        axes = canvas.subplots(subplot_kw=kind)
        axes.set_title(title, y=None if polar else 1)  # above the numbers of the circle
        order = sorted(curve.label for curve in curves)
        for curve in curves:
            _draw(axes, curve, order.index(curve.label), polar)
        longest = max(len(curve.label) for curve in curves)
        canvas.legend(
            loc="outside lower center", ncols=1 if longest > 36 else 2 if longest > 18 else 4, handlelength=3.2
        )
        return canvas, [axes]
    rows = math.ceil(len(curves) / COLUMNS)
    canvas = Canvas(figsize=(9.6, (2.9 if polar else 2.3) * rows + 0.5), layout="constrained")
    canvas.suptitle(title)
    grid = canvas.subplots(rows, COLUMNS, squeeze=False, sharex=True, sharey=True, subplot_kw=kind)
    for axes in grid.flat[len(curves) :]:
        axes.remove()
    panels = list(grid.flat[: len(curves)])
    for axes, curve in zip(panels, curves, strict=True):
        lines = [np.column_stack([np.deg2rad(other.x) if polar else other.x, other.mean]) for other in curves]
        axes.add_collection(LineCollection(lines, colors=GREY, linewidths=0.7, zorder=1.5))
        _draw(axes, curve, 0, polar)
        axes.set_title(textwrap.fill(curve.label, 36), y=None if polar else 1, fontsize=9)
    if not polar:
        for index, axes in enumerate(panels):
            axes.tick_params(labelbottom=index + COLUMNS >= len(panels))
    return canvas, panels


def _draw(axes: Axes, curve: Curve, index: int, polar: bool) -> None:
    """Draw one curve and its band."""
    x = np.deg2rad(curve.x) if polar else curve.x
    every = max(1, len(x) // 8)
    axes.plot(
        x,
        curve.mean,
        color=COLORS[index],
        linestyle=LINES[index],
        marker=MARKERS[index],
        markevery=(index % every, every),  # markers of curves that lie on each other do not
        label=textwrap.fill(curve.label, 70),
    )
    low, high = (np.clip(curve.low, 0, 100), np.clip(curve.high, 0, 100)) if polar else (curve.low, curve.high)
    axes.fill_between(x, low, high, color=COLORS[index], alpha=0.2, linewidth=0)


def _name_axes(panels: list[Axes], x: str, y: str) -> None:
    """Say what the axes are, in a grid of panels at its edge only."""
    for index, axes in enumerate(panels):
        axes.set_ylabel("" if index % COLUMNS else y)
        axes.set_xlabel("" if index + COLUMNS < len(panels) else x)


def _log_ticks(axis: Any) -> None:
    """Write numbers, not powers, on a logarithmic axis, also within one power of ten."""
    low, high = axis.get_view_interval()
    decades = math.log10(high / low) if low > 0 else 9.0
    subs = (1, 1.5, 2, 3, 4, 5, 6, 8) if decades < 0.8 else (1, 2, 5) if decades < 2 else (1,)
    axis.set_major_locator(LogLocator(subs=subs))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def _circle(record: Record) -> dict[float, float]:
    """Return a record's accuracy by angle in degrees."""
    circle = record.quality.get("circle")
    return {float(angle): float(value) for angle, value in circle.items()} if isinstance(circle, dict) else {}


def _has(entry: Any, *names: str) -> bool:
    """Say whether ``entry`` is a dict with a finite number under each of the names."""
    if not isinstance(entry, dict):
        return False
    values = [entry.get(name) for name in names]
    return all(isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v) for v in values)


def _bands(group: Group) -> str:
    """Say what the bands are."""
    counts = sorted({len(found) for found in group.models.values()})
    seeds = (
        "one seed, which shows no spread"
        if counts == [1]
        else f"{' to '.join(map(str, counts[:1] + counts[1:][-1:]))} seeds"
    )
    spread = "" if counts == [1] else "; band: 95 % interval of the mean (Student's t)"
    return f"Mean of {seeds}{spread}."


def _ranking(values: Sequence[tuple[str, float]], goal: Literal["max", "min"], form: str) -> str:
    """Say who has what, the best first; of many only the first and the last."""
    ranked = sorted(values, key=lambda pair: -pair[1] if goal == "max" else pair[1])
    said = [f"{label} {form.format(value)}" for label, value in ranked]
    return ", ".join(said) if len(said) <= 4 else f"{said[0]}, {said[1]} first, {said[-1]} last of {len(said)}"


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
