"""Figures of a sweep, readable in print and by the colour-blind."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np

from results.collect import Trials
from results.collect import labels as label_configurations

matplotlib.use("agg")
import matplotlib.pyplot as plt  # after the backend is chosen: there may be no screen

# Okabe and Ito's palette, told apart in every common colour blindness; line styles tell them apart in grey.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
STYLES = ("-", "--", "-.", ":")


@dataclass(frozen=True)
class Figure:
    """A figure that was written: its name, heading and caption, and its files for screens and for what shows no SVG."""

    name: str
    title: str
    caption: str
    svg: Path
    png: Path


def draw_all(trials: Trials, folder: Path) -> list[Figure]:
    """Draw every figure for which the records have the numbers."""
    paths = rotation_curves(trials, folder)
    caption = "Mean over the seeds, the band is ± one standard deviation."
    return [Figure("rotation", "Test accuracy over the rotation angle", caption, paths[1], paths[0])] if paths else []


def rotation_curves(trials: Trials, folder: Path) -> list[Path]:
    """Plot accuracy against the angle by which the test images are turned, a panel per data set.

    Args:
        trials: those without a circle are left out.
        folder: where ``rotation.png`` and ``rotation.svg`` are written.

    Returns:
        The files; none if no trial was tested over the circle.
    """
    names = label_configurations(trials)
    curves: dict[str, dict[str, list[list[float]]]] = {}
    angles: list[float] = []
    for record in trials.records.values():
        circle = record.quality.get("circle")
        if not circle:
            continue
        if not angles:
            angles = [float(angle) for angle in circle]
        if len(circle) == len(angles):
            curves.setdefault(record.data, {}).setdefault(names[record.config_hash], []).append(list(circle.values()))
    if not curves:
        return []
    figure, axes = plt.subplots(
        1, len(curves), figsize=(1 + 5 * len(curves), 4), sharey=True, squeeze=False, layout="constrained"
    )
    for axis, (data, models) in zip(axes[0], sorted(curves.items()), strict=True):
        for index, (model, values) in enumerate(sorted(models.items())):
            accuracy = 100 * np.array(values)
            x, mean = np.array([*angles, 360.0]), np.append(accuracy.mean(0), accuracy.mean(0)[0])
            color = COLORS[index % len(COLORS)]
            axis.plot(x, mean, STYLES[index % len(STYLES)], color=color, label=f"{model}, n = {len(values)}")
            if len(values) > 1:
                std = np.append(accuracy.std(0, ddof=1), accuracy.std(0, ddof=1)[0])
                axis.fill_between(x, mean - std, mean + std, color=color, alpha=0.2, linewidth=0)
        axis.set(
            title=data, xlabel="test images turned by, degrees", xticks=range(0, 361, 90), xlim=(0, 360), ylim=(0, 100)
        )
        axis.grid(alpha=0.3)
        axis.legend(frameon=False)
    axes[0][0].set_ylabel("test accuracy, % (mean, band ± std)")
    paths = [folder / "rotation.png", folder / "rotation.svg"]
    with plt.rc_context({"svg.hashsalt": "rotation"}):  # the same records give the same file
        for path in paths:
            figure.savefig(path, dpi=150, metadata={"Date": None} if path.suffix == ".svg" else {})
    plt.close(figure)
    return paths
