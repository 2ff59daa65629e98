"""Draws curves with their intervals: what is learnt over the epochs, and the accuracy over a rotation sweep."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import MaxNLocator

from headtohead.records.record import Record
from headtohead.report.figures.captions import bands, capital, ranking, with_interval
from headtohead.report.figures.groups import Floats, Group, band, has_numbers
from headtohead.report.figures.style import (
    COLORS,
    GREY,
    HEIGHT,
    LINES,
    MARKERS,
    WIDTH,
    Picture,
    Spot,
    log_ticks,
    style,
)

ABOVE_POLAR = 1.1  # of a panel's height: where a title is above the number at the top of polar axes


@dataclass(frozen=True)
class Curve:
    """What one model did: the mean over its seeds at each x, and the 95 % interval of the mean (NaN for one seed)."""

    label: str
    x: Floats
    mean: Floats
    low: Floats
    high: Floats


def learning_curves(group: Group) -> Iterator[Picture]:
    """Draw the validation's main number and the training loss over the epochs."""
    validation = group.kind.monitor
    called = group.kind.called.removeprefix("test ")
    unit = ", %" if group.kind.is_share(validation) else ""
    for name, metric, what in (
        ("validation", validation, f"validation {called}{unit}"),
        ("training_loss", "train_loss", "training loss"),
    ):
        curves = epoch_curves(group, metric)
        if not curves:
            continue
        last = [(curve.label, float(curve.mean[-1])) for curve in curves]
        form = "{:.1f} %" if group.kind.is_share(metric) else "{:.3g}"
        goal = group.goal if metric == validation else "min"
        caption = (
            f"{capital(what.removesuffix(unit))} on {group.data} over the epochs. After the last epoch: "
            f"{ranking(last, goal, form)}. {bands(group)}"
        )
        title = f"{capital(what.removesuffix(unit))} per epoch on {group.data}"
        with style():
            low = min(float(np.nanmin(curve.mean)) for curve in curves)
            log = metric == "train_loss" and low > 0
            canvas, axes = draw_curves(group, curves, title, **({"yscale": "log"} if log else {}))
            axes.set(xlabel="epoch", ylabel=what)
            axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
            if log:
                log_ticks(axes.yaxis)
        yield Picture(name + group.suffix, title, caption, canvas, spots_of(axes, curves, "epoch {:.0f}"))


def epoch_curves(group: Group, metric: str) -> list[Curve]:
    """Return a curve per model of a number that histories keep, epochs counted from 1; models without are left out."""
    curves = []
    for label, found in group.models.items():
        histories = [
            {entry["epoch"] + 1: entry[metric] for entry in record.history if has_numbers(entry, "epoch", metric)}
            for record in found
        ]
        epochs = sorted({epoch for history in histories for epoch in history})
        if epochs:
            values = np.array([[history.get(epoch, math.nan) for epoch in epochs] for history in histories])
            curves.append(Curve(label, np.array(epochs, float), *band(group.scaled(metric, values))))
    return curves


def rotation(group: Group) -> Iterator[Picture]:
    """Draw the accuracy over the angle by which the test images are turned, on a line and on a circle."""
    curves = angle_curves(group)
    if not curves:
        return
    upright = [(curve.label, float(curve.mean[0])) for curve in curves]
    lowest = [(curve.label, float(curve.mean.min())) for curve in curves]
    caption = (
        f"Accuracy on a part of the test set of {group.data} over the angle by which it is turned. Upright: "
        f"{ranking(upright, 'max', '{:.1f} %')}. At the worst angle: {ranking(lowest, 'max', '{:.1f} %')}. "
        f"{bands(group)}"
    )
    title = f"Test accuracy over the angle on {group.data}"
    with style():
        canvas, axes = draw_curves(group, curves, title)
        axes.set(xticks=range(0, 361, 90), xlim=(0, 360), ylim=(0, 100))
        axes.set(xlabel="test images turned by, degrees", ylabel="test accuracy, %")
    yield Picture(f"rotation{group.suffix}", title, caption, canvas, spots_of(axes, curves, "{:.0f}°"))
    if len(curves) > len(COLORS):  # on a circle so many lie on each other
        return
    title += ", as a circle"
    with style():
        canvas, axes = draw_curves(group, curves, title, projection="polar")
        polar: Any = axes
        polar.set_theta_zero_location("N")  # upright images at the top, turned counter-clockwise as they are
        axes.set(ylim=(0, 100), yticks=(25, 50, 75, 100), xticks=np.deg2rad(range(0, 360, 45)))
        axes.tick_params(labelsize=8)
    yield Picture(f"rotation_polar{group.suffix}", title, f"{caption} Radius: accuracy in %.", canvas)


def angle_curves(group: Group) -> list[Curve]:
    """Return the accuracy in per cent over the rotation sweep, 0 to 360 degrees, per model that was tested by one."""
    curves = []
    for label, found in group.models.items():
        sweeps = [_rotation_sweep(record) for record in found]
        angles = sorted({angle for sweep in sweeps for angle in sweep})
        if angles:
            values = np.array([[sweep.get(angle, math.nan) for angle in angles] for sweep in sweeps])
            closed = np.concatenate([values, values[:, :1]], axis=1)  # 360 degrees are 0
            curves.append(Curve(label, np.array([*angles, angles[0] + 360]), *band(100 * closed)))
    return curves


def draw_curves(group: Group, curves: Sequence[Curve], title: str, **kind: Any) -> tuple[Canvas, Axes]:
    """Draw curves: the best models in colors, named in the order in which they end, the others in grey."""
    polar = "projection" in kind
    ends = sorted((curve for curve in curves if curve.label in group.looks), key=lambda curve: -curve.mean[-1])
    names = [textwrap.fill(curve.label, 26) for curve in ends]
    longest = max(len(line) for name in names for line in name.split("\n")) if names else 0
    canvas = Canvas(figsize=(WIDTH + 0.08 * longest, HEIGHT + 0.8 * polar), layout="constrained")
    axes = canvas.subplots(subplot_kw=kind)
    axes.set_title(title, y=ABOVE_POLAR if polar else 1)
    for curve in curves:
        x, index = np.deg2rad(curve.x) if polar else curve.x, group.looks.get(curve.label)
        if index is None:
            axes.plot(x, curve.mean, color=GREY, linewidth=0.8, zorder=1.5)
            continue
        every = max(1, len(x) // 8)
        axes.plot(
            x,
            curve.mean,
            color=COLORS[index],
            linestyle=LINES[index],
            marker=MARKERS[index],
            markevery=(index % every, every),  # markers of curves that lie on each other do not
            label=curve.label,
        )
        low, high = (np.clip(curve.low, 0, 100), np.clip(curve.high, 0, 100)) if polar else (curve.low, curve.high)
        axes.fill_between(x, low, high, color=COLORS[index], alpha=0.2, linewidth=0)
    handles, labels = axes.get_legend_handles_labels()
    handles = [handles[labels.index(curve.label)] for curve in ends]
    title = f"the best {len(ends)} of {len(curves)}" if len(ends) < len(curves) else ""
    canvas.legend(handles, names, loc="outside right upper", handlelength=3.2, title=title or None)
    return canvas, axes


def spots_of(axes: Axes, curves: Sequence[Curve], at: str) -> list[Spot]:
    """Return what the points of curves stand for."""
    return [
        Spot(axes, x, mean, f"{curve.label}, {at.format(x)}: {with_interval(mean, low, high)}")
        for curve in curves
        for x, mean, low, high in zip(curve.x, curve.mean, curve.low, curve.high, strict=True)
    ]


def _rotation_sweep(record: Record) -> dict[float, float]:
    """Return a record's accuracy by angle in degrees."""
    found = record.quality.get("rotation_sweep") or {}
    return {float(angle): value for angle, value in found.items() if value is not None}
