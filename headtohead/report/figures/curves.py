"""Draws curves with their intervals: what is learnt over the epochs, and the accuracy over a rotation sweep."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import MaxNLocator

from headtohead.records.record import Record
from headtohead.report.figures.captions import bands, capital, count, ranking, with_interval
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
    """Draw the validation's main number and the loss over the epochs, each beside the same of the training images."""
    monitor = group.kind.monitor
    called = group.kind.called.removeprefix("test ")
    for name, metric, beside, what in (
        ("validation", monitor, monitor.replace("val_", "train_"), f"validation {called}"),
        ("loss", "val_loss", "train_loss", "validation loss"),
    ):
        curves, training = epoch_curves(group, metric), epoch_curves(group, beside)
        if not curves:  # of a task whose loss is of training alone
            curves, training, what = training, [], what.replace("validation", "training")
        if not curves:
            continue
        share = group.kind.is_share(metric)
        goal = group.goal if metric == monitor else "min"
        ends = _ends(curves, goal, "{:.1f} %" if share else "{:.3g}")
        caption = f"{capital(what)} on {group.data} over the epochs. {ends} {bands(group)}"
        title = f"{capital(what)} per epoch on {group.data}"
        if training:
            title += "; thin: in training"
            caption += " Thin: the same of the training images, while they were learnt from, augmentation included."
        with style():
            log = metric == "val_loss" and min(float(np.nanmin(curve.mean)) for curve in [*curves, *training]) > 0
            canvas, axes = draw_curves(group, curves, title, training, **({"yscale": "log"} if log else {}))
            axes.set(xlabel="epoch", ylabel=what + ", %" * share)
            axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
            if log:
                log_ticks(axes.yaxis)
        yield Picture(name + group.suffix, title, caption, canvas, spots_of(axes, curves, "epoch {:.0f}"))


def _ends(curves: Sequence[Curve], goal: Literal["max", "min"], form: str) -> str:
    """Say where curves end: those of one length together, since another length is another budget."""
    last: dict[int, list[tuple[str, float]]] = {}
    for curve in curves:
        last.setdefault(int(curve.x[-1]), []).append((curve.label, float(curve.mean[-1])))
    said = {epochs: ranking(found, goal, form) for epochs, found in sorted(last.items())}
    if len(said) == 1:
        return f"After the last epoch: {', '.join(said.values())}."
    return " ".join(f"After {count(epochs, 'epoch', 'epochs')}: {of}." for epochs, of in said.items())


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
            scaled = group.scaled(metric.replace("train_", "val_"), values)
            curves.append(Curve(label, np.array(epochs, float), *band(scaled)))
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


def draw_curves(
    group: Group, curves: Sequence[Curve], title: str, beside: Sequence[Curve] = (), **kind: Any
) -> tuple[Canvas, Axes]:
    """Draw curves: the best models in colors, named in the order in which they end, the others in grey.

    What stands beside them is of the best models alone: a thin line each, in the model's colour.
    """
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
    for curve in beside:
        if (index := group.looks.get(curve.label)) is not None:
            axes.plot(curve.x, curve.mean, color=COLORS[index], linestyle=LINES[index], linewidth=0.8, zorder=1.8)
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
