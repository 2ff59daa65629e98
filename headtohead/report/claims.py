"""Compares what the source documents report with what their systems give here by the same recipe."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from headtohead.cli.checkout import CHECKOUT
from headtohead.report.statistics import mean_interval, run_interval
from headtohead.report.table import Cell, Column, Grid

SWEEP = "reproduce"  # its trials have the sources' own recipes
CLAIMS = CHECKOUT / "claims" / f"{SWEEP}.yaml" if CHECKOUT else None
NOTES = [
    "Reported: a single run of the source document. Measured: mean over n seeds and its 95 % interval. One run: the "
    "interval that holds one further run like ours with 95 %; a reported accuracy within it is what this recipe gives.",
    "Better than another: the difference of the two over the seeds that both ran, with its interval.",
    "Here the validation split comes from the training set and the best checkpoint on it is tested once; most sources "
    "train on all training images and test the last state.",
]


@dataclass(frozen=True)
class Claim:
    """A number that a source document reports of a system.

    Args:
        source: the document's number.
        model: the system.
        data: the data set.
        quantity: a column of ``runs.csv``.
        claim: the number, accuracies in per cent; None for a claim about two systems.
        against: the system than which this one is said to be better.
        note: where the document errs, or ours deviates.
    """

    source: str
    model: str
    data: str
    quantity: str
    claim: float | None = None
    against: str = ""
    note: str = ""


QUANTITIES = {
    "test_acc": "accuracy, %",
    "test_acc_rot90": "accuracy at 90°, %",
    "params": "parameters",
    "test_l1_hole": "L1 in holes, %",
    "test_psnr": "PSNR, dB",
    "test_ssim": "SSIM",
}
LESS_IS_BETTER = {"test_l1_hole"}


def read(path: Path | None = CLAIMS) -> list[Claim]:
    """Return the claims in the order of the file; none where the suite is installed, which brings no claims."""
    if path is None or not path.is_file():
        return []
    found: list[dict[str, Any]] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return [Claim(**item) for item in found]


def reported(runs: pd.DataFrame, claims: list[Claim]) -> Grid:
    """Return the table of each claim beside what was measured.

    Args:
        runs: a row per trial of the sweep in which each system has its source's recipe.
        claims: from :func:`read`; those whose system did not run say so.
    """
    rows = []
    for claim in claims:
        alike = runs[(runs.model == claim.model) & (runs.data == claim.data)]
        if alike.config_hash.nunique() > 1:
            cells = ["several recipes", "–", "–", "–"]
        elif claim.claim is None:
            other = runs[(runs.model == claim.against) & (runs.data == claim.data)]
            cells = _better(by_seed(alike, claim), by_seed(other, claim), claim)
        elif claim.quantity == "params":
            cells = _parameters(alike, claim.claim)
        else:
            cells = _accuracy(by_seed(alike, claim).to_numpy(dtype=float), claim.claim)
        what = [claim.source, claim.model, claim.data, QUANTITIES[claim.quantity], _said(claim)]
        rows.append([*what, *cells, str(len(alike)), claim.note])
    heads = ["source", "system", "data", "what", "reported"]
    heads += ["measured", "95 % interval", "one run", "verdict", "n", "note"]
    numbers = {"reported", "measured", "n"}
    columns = [
        Column(head, [Cell(text, _value(text) if head in numbers else text) for text in texts], head not in numbers)
        for head, texts in zip(heads, zip(*rows, strict=True), strict=True)
    ]
    return Grid("Reported by the sources and measured here", columns)


def in_words(grid: Grid) -> str:
    """Return in a sentence how many of the claims got which verdict."""
    verdicts = [cell.text for column in grid.columns if column.head == "verdict" for cell in column.cells]
    return f"{len(verdicts)} claims: {', '.join(f'{n} × {said}' for said, n in Counter(verdicts).most_common())}."


def _said(claim: Claim) -> str:
    if claim.claim is None:
        return f"better than {claim.against}"
    return f"{claim.claim:,.0f}" if claim.quantity == "params" else f"{claim.claim:.2f}"


def by_seed(runs: pd.DataFrame, claim: Claim) -> pd.Series[float]:
    """Return what was measured by seed; nothing where no trial has that number."""
    return runs.set_index("seed").reindex(columns=[claim.quantity])[claim.quantity].dropna()


def _parameters(runs: pd.DataFrame, claim: float) -> list[str]:
    if runs.empty:
        return ["–", "–", "–", "did not run"]
    measured = int(runs.params.iloc[0])
    return [f"{measured:,}", "–", "–", "holds" if measured == claim else "does not hold"]


def _accuracy(values: Any, claim: float) -> list[str]:
    if not len(values):
        return ["–", "–", "–", "did not run"]
    mean = f"{values.mean():.2f}"
    if len(values) == 1:
        return [mean, "–", "–", "one seed proves nothing"]
    (low, high), (lowest, highest) = mean_interval(values), run_interval(values)
    verdict = "holds" if lowest <= claim <= highest else "lower than here" if claim < lowest else "higher than here"
    # Student's interval knows no bounds, an accuracy does
    return [mean, f"{low:.2f} to {min(high, 100):.2f}", f"{max(lowest, 0):.2f} to {min(highest, 100):.2f}", verdict]


def _better(ours: pd.Series[float], others: pd.Series[float], claim: Claim) -> list[str]:
    """Compare by the mean difference over the seeds that both ran: its sign must be sure."""
    difference = (ours - others).dropna().to_numpy(dtype=float)
    if not len(difference):
        return ["–", "–", "–", "did not run"]
    digits = 4 if claim.quantity == "test_ssim" else 2
    mean = f"{difference.mean():+.{digits}f}"
    if len(difference) == 1:
        return [mean, "–", "–", "one seed proves nothing"]
    low, high = mean_interval(difference)
    better, worse = (high < 0, low > 0) if claim.quantity in LESS_IS_BETTER else (low > 0, high < 0)
    verdict = "holds" if better else "does not hold" if worse else "not shown"
    return [mean, f"{low:.{digits}f} to {high:.{digits}f}", "–", verdict]


def _value(text: str) -> float:
    try:
        return float(text.replace(",", ""))
    except ValueError:
        return math.nan
