"""Draws what the source documents report beside what was measured here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure as Canvas

from headtohead.report.claims import QUANTITIES, Claim, by_seed
from headtohead.report.figures.captions import count
from headtohead.report.figures.groups import band
from headtohead.report.figures.style import COLORS, WIDTH, Picture, style


def reported_accuracies(runs: pd.DataFrame, claims: Sequence[Claim]) -> Iterator[Picture]:
    """Draw each accuracy that a source document reports, and ours with its interval.

    Args:
        runs: a row per trial.
        claims: those about a number other than an accuracy, or whose system did not run, are left out.
    """
    shown = [
        (claim, values)
        for claim in claims
        if claim.claim is not None and QUANTITIES[claim.quantity].startswith("accuracy")
        for values in [by_seed(runs[(runs.model == claim.model) & (runs.data == claim.data)], claim)]
        if len(values) and values.index.is_unique  # else the system ran by several recipes
    ]
    if not shown:
        return
    title = "Test accuracy: reported by the source documents, and measured here"
    differences = [(float(values.mean()) - float(claim.claim or 0), claim) for claim, values in shown]
    low, high = (pick(differences, key=lambda pair: pair[0]) for pick in (min, max))
    caption = (
        f"{title}, by the source's own recipe, {count(len(shown), 'claim', 'claims')}. Measured minus reported: from "
        f"{low[0]:+.2f} points ({low[1].model}) to {high[0]:+.2f} ({high[1].model}). Bars: 95 % interval of the mean "
        "over the seeds (Student's t); none with one seed.".replace("-", "−")
    )
    with style():
        canvas = Canvas(figsize=(WIDTH, 1.3 + 0.3 * len(shown)), layout="constrained")
        axes = canvas.subplots()
        axes.set_title(title)
        places = np.arange(len(shown))
        means, lows, highs = np.array([band(np.array(values, dtype=np.float64)[:, None]) for _, values in shown])[
            ..., 0
        ].T
        has_bar = ~np.isnan(lows)
        axes.hlines(places[has_bar], lows[has_bar], highs[has_bar], color=COLORS[0], linewidth=1.6)
        axes.plot(means, places, "o", color=COLORS[0], label="measured, mean over n seeds")
        said = [float(claim.claim or 0) for claim, _ in shown]
        axes.plot(said, places, "D", color=COLORS[1], markerfacecolor="none", label="reported, one run")
        axes.set_yticks(places, [_name(claim, len(values)) for claim, values in shown])
        axes.invert_yaxis()
        axes.set_xlabel("test accuracy, %")
        canvas.legend(loc="outside lower center", ncols=2)
    yield Picture("reported", title, caption, canvas)


def _name(claim: Claim, n: int) -> str:
    turned = " at 90°" if claim.quantity.endswith("rot90") else ""
    return f"{claim.model}{turned}, {claim.data}, n = {n}"
