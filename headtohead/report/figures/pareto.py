"""Draws what a model reaches against what it costs, and Pareto fronts: the models that no other beats in both.

Models are compared in this way under one recipe: those trained for other epochs, or otherwise, have a front of their
own, and a model whose recipe no other has is on none. Beside a name stands how often the model is on its front when
seeds and images are drawn anew (:mod:`headtohead.report.figures.frontier`).
"""

from __future__ import annotations

import itertools
import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.text import Text
from matplotlib.ticker import EngFormatter
from matplotlib.transforms import Bbox

from headtohead.records.record import HARDWARE
from headtohead.report.collect import alone
from headtohead.report.figures.captions import capital, count, with_interval
from headtohead.report.figures.frontier import DRAWS, Front, drawn_scores, fronts_of, recipe_of
from headtohead.report.figures.groups import Floats, Group, band, has_numbers
from headtohead.report.figures.style import COLORS, HEIGHT, LINES, MARKERS, WIDTH, Picture, Spot, log_ticks, style

COSTS = {"params": "parameters", "macs": "MACs for one image", "time": "seconds per epoch"}
FAR = 12  # points from a point to its name, from which on a line joins them
CLEARER = 1.5  # times as far from a name as its own point every other is to be; else a line joins the two


@dataclass(frozen=True)
class Points:
    """Models as points.

    Args:
        label: their names.
        recipe: equal for those that may be compared.
        seeds: how many each ran.
        x: what they cost.
        mean: their main number.
        low: the lower end of its interval.
        high: the upper end.
        costs: what they cost as measured and as drawn, ``(models, 1 + draws)``.
        scores: their main number, likewise.
    """

    label: list[str]
    recipe: list[str]
    seeds: list[int]
    x: Floats
    mean: Floats
    low: Floats
    high: Floats
    costs: Floats
    scores: Floats


def pareto_fronts(group: Group) -> Iterator[Picture]:
    """Draw the main number against each cost, with the front of what nothing beats."""
    main = group.kind.main
    called = group.kind.called
    unit = ", %" if group.kind.is_share(main) else ""
    scores, images = drawn_scores(group)
    for cost, what in COSTS.items():
        points = cost_points(group, cost, scores)
        if len(points.label) < 2:
            continue
        fronts = fronts_of(points.recipe, points.seeds, points.costs, points.scores, group.goal)
        share = _shares(points, fronts)
        caption = (
            f"{capital(called)} on {group.data} against {what}. {_in_words(points, fronts, images)} "
            "Bars: 95 % interval of the mean over the seeds (Student's t)."
        )
        title = f"{capital(called)} against {what}, {group.data}"
        with style():
            canvas = Canvas(figsize=(WIDTH, HEIGHT + 0.12 * len(points.label)), layout="constrained")
            axes = canvas.subplots()
            axes.set_title(title, y=1)
            stairs = _scatter(axes, points, fronts, group)
            axes.set(xlabel=f"{what} (log scale)", ylabel=f"{called}{unit}")
            log_ticks(axes.xaxis)
            if cost != "time":
                axes.xaxis.set_major_formatter(EngFormatter(sep=" "))
            if axes.get_legend_handles_labels()[0]:
                canvas.legend(loc="outside lower center", handlelength=3.2)
            _name_points(canvas, axes, points, stairs, share)
        spots = [
            Spot(axes, x, mean, f"{label}: {with_interval(mean, low, high)}{unit.strip(',')} at {x:,.4g} {what}{often}")
            for label, x, mean, low, high, often in zip(
                points.label,
                points.x,
                points.mean,
                points.low,
                points.high,
                ["" if math.isnan(of) else f"; on the front in {of:.0%} of {DRAWS:,} draws" for of in share],
                strict=True,
            )
        ]
        yield Picture(f"pareto_{cost}{group.suffix}", title, caption, canvas, spots)


def _in_words(points: Points, fronts: Sequence[Front], images: bool) -> str:
    """Say who is on the front of each recipe, how many are not, and what the shares beside the names are."""
    if not fronts:
        return "Every model has a recipe of its own, other epochs or arguments than any other: no front."
    best = "; ".join(", ".join(points.label[i] for i in front.best) for front in fronts)
    rest = sum(len(front.alike) - len(front.best) for front in fronts)
    single = len(points.label) - sum(len(front.alike) for front in fronts)
    a_front = "the front" if len(fronts) == 1 else "a front for each recipe that several models have"
    said = f"On {a_front}, from the cheapest to the best: {best}"
    said += f"; {count(rest, 'model is', 'models are')} beaten in both by another." if rest else "."
    if single:
        said += f" {count(single, 'model has', 'models have')} a recipe that no other has: no front."
    if any(not np.isnan(front.share).any() for front in fronts):
        drawn = "seeds and test images are" if images else "seeds are"
        said += f" Per cent: how often a model is on its front when {drawn} drawn anew, {DRAWS:,} times."
    if any(np.isnan(front.share).any() for front in fronts):
        said += " How sure a front is cannot be said where one of its models ran one seed."
    return said


def _shares(points: Points, fronts: Sequence[Front]) -> Floats:
    """Return of each model the share of draws in which it is on its front; NaN where it has none."""
    share = np.full(len(points.label), np.nan)
    for front in fronts:
        share[front.alike] = front.share
    return share


def cost_points(group: Group, cost: str, drawn: Mapping[str, Floats] | None = None) -> Points:
    """Return what each model costs and reaches.

    Args:
        group: of trials.
        cost: ``params``, ``macs`` or ``time``.
        drawn: what :func:`drawn_scores` gives for the group.

    Returns:
        A point per model that has a positive cost. Times are those of trials that had the machine to themselves, and
        are compared only where all of these ran on one hardware: otherwise there is no point.
    """
    comparable, random = _comparable(group), np.random.default_rng(0)
    drawn = drawn_scores(group)[0] if drawn is None else drawn
    names, recipes, seeds, rows, costs, scores = [], [], [], [], [], []
    for label, found in group.models.items():
        cost_of, counted = np.full(1 + DRAWS, float(found[0].size.get(cost, 0))), len(found)
        if cost == "time":
            times = [
                record.cost["epoch_seconds"] for record in alone(found) if has_numbers(record.cost, "epoch_seconds")
            ]
            counted = min(counted, len(times))  # one time shows no spread
            if times and comparable:
                again = np.array(times)[random.integers(len(times), size=(DRAWS, len(times)))]
                cost_of = np.concatenate([[np.median(times)], np.median(again, axis=1)])
        if cost_of[0] > 0:
            values = group.scaled(group.kind.main, np.array([[record.quality[group.kind.main]] for record in found]))
            names.append(label)
            recipes.append(recipe_of(found[0]))
            seeds.append(counted)
            rows.append([cost_of[0], *(part[0] for part in band(values))])
            costs.append(cost_of)
            scores.append(drawn[label])
    x, mean, low, high = np.array(rows, dtype=float).reshape(-1, 4).T
    return Points(names, recipes, seeds, x, mean, low, high, np.array(costs), np.array(scores))


def _comparable(group: Group) -> bool:
    """Say whether times can be compared: the trials that had the machine to themselves ran on one hardware."""
    timed = [record for found in group.models.values() for record in alone(found)]
    return len({tuple(str(record.hardware.get(name)) for name in HARDWARE) for record in timed}) == 1


def _scatter(axes: Axes, points: Points, fronts: Sequence[Front], group: Group) -> list[Floats]:
    """Draw the points, filled on a front, and each front as a staircase, the best that a budget buys; return those."""
    axes.set_xscale("log")
    cheapest, dearest = float(points.x.min()), float(points.x.max())
    room = max(1.2, (dearest / cheapest) ** 0.16)
    axes.set_xlim(cheapest / room, dearest * room)
    axes.margins(y=0.16)
    has_bar = ~np.isnan(points.low)
    axes.vlines(points.x[has_bar], points.low[has_bar], points.high[has_bar], color="#777777", linewidth=1)
    filled = {index for front in fronts for index in front.best}
    single = set(range(len(points.label))) - {index for front in fronts for index in front.alike}
    for index, label in enumerate(points.label):
        look = group.looks.get(label)
        color, marker = ("#555555", "o") if look is None else (COLORS[look], MARKERS[look])
        axes.plot(
            points.x[index],
            points.mean[index],
            marker,
            color=color,
            markerfacecolor=color if index in filled else "white",
            markersize=6.5,
        )
    right, worst = axes.get_xlim()[1], axes.get_ylim()[0 if group.goal == "max" else 1]
    axes.autoscale(False)
    stairs = []
    for front, line in zip(fronts, itertools.cycle(LINES)):
        x, y = points.x[front.best], points.mean[front.best]
        stairs.append(np.column_stack([[x[0], *x, right], [worst, *y, y[-1]]]))
        names = textwrap.shorten(", ".join(points.label[i] for i in front.alike), 60, placeholder=" …")
        drawn: dict[str, Any] = {
            "color": "#555555",
            "linewidth": 1.1,
            "linestyle": line,
            "zorder": 1.8,
            "label": f"recipe of {names}" if len(fronts) > 1 or single else "_one recipe",
        }
        axes.plot(*stairs[-1].T, drawstyle="steps-post", **drawn)
    if single:
        names = textwrap.shorten(", ".join(points.label[i] for i in sorted(single)), 44, placeholder=" …")
        said = f"no front: {names}, of other epochs or arguments than the rest"
        axes.plot([], [], "|", color="#555555", label=textwrap.fill(said, 80))
    return stairs


def _name_points(canvas: Canvas, axes: Axes, points: Points, stairs: Sequence[Floats], share: Floats) -> None:
    """Write each model's name, and how often it is on its front, near its point, where it covers nothing.

    A line joins the two where they are far apart, or where the name could be taken for another point's.
    """
    often = ["" if math.isnan(of) else f" ({100 * of:.0f}\N{NO-BREAK SPACE}%)" for of in share]
    canvas.draw_without_rendering()  # sets where the axes lie, in pixels
    canvas.set_layout_engine("none")  # names are written where there is room, and move nothing
    frame, scale = axes.get_window_extent(), canvas.dpi / 72
    places = axes.transData.transform(np.column_stack([points.x, points.mean]))
    taken = [Bbox([place, place]).padded(4 * scale) for place in places]
    low, high = (
        axes.transData.transform(np.column_stack([points.x, np.where(np.isnan(y), points.mean, y)]))
        for y in (points.low, points.high)
    )
    taken += [Bbox(list(ends)).padded(scale) for ends in zip(low, high, strict=True)]
    for front in stairs:
        for (x, y), (next_x, next_y) in itertools.pairwise(axes.transData.transform(front)):
            taken += [Bbox([(x, y), (next_x, y)]).padded(scale), Bbox([(next_x, y), (next_x, next_y)]).padded(scale)]
    names: list[Bbox] = []
    # the most crowded first: the others find a place more easily
    crowd = [float(np.sort(np.hypot(*(places - place).T))[1:4].sum()) for place in places]
    for i in sorted(range(len(places)), key=lambda i: crowd[i]):
        text = axes.annotate(
            textwrap.fill(points.label[i] + often[i], 24),
            (points.x[i], points.mean[i]),
            xytext=(0, 0),
            textcoords="offset points",
            fontsize=8,
            linespacing=1.0,
            arrowprops={"arrowstyle": "-", "color": "#777777", "linewidth": 0.7, "shrinkA": 0, "shrinkB": 3},
        )
        text.set_in_layout(False)
        extent = Text.get_window_extent(text)  # an annotation's own counts its arrow
        others = np.delete(places, i, axis=0)
        crossed = [*(Bbox([place, place]).padded(4 * scale) for place in others), *names]
        dx, dy, box = _free_place(places[i], others, (extent.width, extent.height), frame, taken, crossed, scale)
        names.append(box.padded(scale))
        taken.append(names[-1])
        text.set_position((dx, dy))
        text.set_horizontalalignment(("right", "center", "left")[_sign(dx) + 1])
        text.set_verticalalignment(("top", "center", "bottom")[_sign(dy) + 1])
        joined = _needs_line(dx, dy, box, places[i], others)
        if joined:
            taken += [Bbox([spot, spot]).padded(scale) for spot in _line(places[i], box)]
        if text.arrow_patch is not None:
            text.arrow_patch.set_visible(joined)


def clearly_of(box: Bbox, own: Floats, others: Floats) -> bool:
    """Tell whether a name is clearly nearer to its own point than to any other.

    Args:
        box: of the name.
        own: the point, ``(2,)``.
        others: all others, ``(n, 2)``.
    """
    points = np.vstack([own, others])
    off = np.maximum(0, np.maximum(box.min - points, points - box.max))
    far = np.hypot(*off.T)
    return bool((far[1:] >= CLEARER * far[0]).all())


def _needs_line(dx: float, dy: float, box: Bbox, own: Floats, others: Floats) -> bool:
    return math.hypot(dx, dy) >= FAR or not clearly_of(box, own, others)


def _line(own: Floats, box: Bbox) -> Floats:
    """Return points of the line that joins a point and the middle of its name, but for those under the name."""
    middle: Floats = np.asarray([box.min, box.max]).mean(0)
    line: Floats = own + np.linspace(0, 1, 30)[:, None] * (middle - own)
    return line[((line < box.min) | (line > box.max)).any(1)]


def _free_place(
    place: Floats,
    others: Floats,
    size: tuple[float, float],
    frame: Bbox,
    taken: Sequence[Bbox],
    crossed: Sequence[Bbox],
    scale: float,
) -> tuple[float, float, Bbox]:
    """Return the nearest offset in points from ``place``, and the box there, that overlaps least with what is taken.

    Of those that overlap as little, the nearest that needs no line to its point. Other points and names, which are
    ``crossed`` too, count for more, and a line through one of them as if a quarter of the box overlapped.
    """
    (width, height), corners, over = size, *(np.array([box.extents for box in boxes]) for boxes in (taken, crossed))
    best: tuple[tuple[float, bool], float, float, Bbox] | None = None
    for distance in (7, 11, 16, 24, 34, 46, 60):
        for angle in np.deg2rad([0, 90, 270, 180, 45, 135, 225, 315, 20, 160, 200, 340, 70, 110, 250, 290]):
            dx, dy = distance * math.cos(angle), distance * math.sin(angle)
            left = place[0] + dx * scale - width * (1 - _sign(dx)) / 2
            bottom = place[1] + dy * scale - height * (1 - _sign(dy)) / 2
            box = Bbox.from_bounds(left, bottom, width, height)
            covered = _overlap(box, corners) + 10 * _overlap(box, over)
            if not (frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1):
                covered += width * height
            joined = _needs_line(dx, dy, box, place, others)
            if joined:
                spots = _line(place, box)[:, None]
                through = (spots > over[:, :2]) & (spots < over[:, 2:])
                covered += width * height / 4 * bool(through.all(2).any())
            key = covered, joined
            if best is None or key < best[0]:
                best = key, dx, dy, box
        if best is not None and (best[0] == (0, False) or (best[0][0] == 0 and distance >= FAR)):
            break
    assert best is not None
    return best[1:]


def _overlap(box: Bbox, corners: Floats) -> float:
    """Return how much of a box others cover, whose corners are ``(n, 4)``."""
    sides = np.minimum(box.max, corners[:, 2:]) - np.maximum(box.min, corners[:, :2])
    return float(sides.clip(min=0).prod(1).sum())


def _sign(offset: float) -> int:
    return 0 if abs(offset) < 1e-6 else 1 if offset > 0 else -1
