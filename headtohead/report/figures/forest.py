"""Draws verdicts and claims as differences with their intervals, and the margin within which they count as none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure as Canvas

from headtohead.records.metrics import CLASSIFICATION
from headtohead.report.claims import Judged, name_of
from headtohead.report.comparison import Asked
from headtohead.report.figures.captions import count
from headtohead.report.figures.style import COLORS, GREY, WIDTH, Picture, style
from headtohead.report.verdicts import margin_of

# by what is decided, with a marker of its own for those who see no colours
LOOKS = {
    "better": (COLORS[0], "o", "better"),
    "worse": (COLORS[1], "s", "worse"),
    "equal": (COLORS[2], "D", "equal within the margin"),
    "undecided": ("#777777", "x", "undecided"),
    "holds": (COLORS[2], "D", "holds"),
    "refuted": (COLORS[1], "s", "refuted"),
}


@dataclass(frozen=True)
class _Line:
    label: str
    value: float
    half: float
    margin: float
    decided: str


def verdicts(asked: Sequence[Asked]) -> Iterator[Picture]:
    """Draw the differences of all pairs that questions are about, a figure per unit of the numbers."""
    units = dict.fromkeys(question.kind.unit for question in asked)
    for unit in units:
        lines = [
            _Line(
                f"{_short(pair.model)}\nagainst {_short(pair.other)}, {question.kind.metrics[pair.number].head}",
                pair.value,
                pair.half,
                pair.margin,
                pair.verdict,
            )
            for question in asked
            if question.kind.unit == unit
            for pair in question.pairs
            if np.isfinite(pair.half) and question.kind.is_share(pair.number)
        ]
        if lines:
            suffix = f"-{unit.split()[0]}" if len(units) > 1 else ""
            yield _forest(
                f"verdicts{suffix}", "Verdicts: differences with their intervals", f"difference, {unit}", lines
            )


def claimed(judged: Sequence[Judged]) -> Iterator[Picture]:
    """Draw what was measured minus what was claimed, of claims of a value in per cent."""
    lines = []
    for line in judged:
        claim, ends = line.claim, line.interval.split(" to ")
        if claim.value is not None and claim.number.startswith("test_acc") and len(ends) == 2:
            low, high = map(float, ends)
            where = "" if claim.number == "test_acc" else " turned"
            lines.append(
                _Line(
                    f"{_short(name_of(claim.of))}{where}, {claim.data}, n = {line.n}",
                    (low + high) / 2 - claim.value,
                    (high - low) / 2,
                    margin_of(CLASSIFICATION, claim.number, claim.data) if claim.margin is None else claim.margin,
                    line.outcome,
                )
            )
    if lines:
        yield _forest("claims", "Claims: measured minus claimed", "measured minus claimed, points", lines)


def _forest(name: str, title: str, unit: str, lines: Sequence[_Line]) -> Picture:
    said = "; ".join(
        f"{line.label.replace(chr(10), ' ')}: {line.value:+.2f} ± {line.half:.2f}, {line.decided}" for line in lines[:6]
    )
    more = f"; and {len(lines) - 6} more" if len(lines) > 6 else ""
    caption = f"{title}, {count(len(lines), 'line', 'lines')}; grey: the margin. {said}{more}.".replace("-", "−")
    extreme = max(abs(line.value) + line.half for line in lines)
    with style():
        canvas = Canvas(figsize=(WIDTH, 1.3 + 0.42 * len(lines)), layout="constrained")
        axes = canvas.subplots()
        axes.set_title(title)
        shown: set[str] = set()
        for place, line in enumerate(lines):
            color, marker, label = LOOKS[line.decided]
            axes.fill_betweenx(
                [place - 0.35, place + 0.35], -line.margin, line.margin, color=GREY, alpha=0.5, linewidth=0
            )
            axes.hlines(place, line.value - line.half, line.value + line.half, color=color, linewidth=1.8)
            axes.plot(line.value, place, marker, color=color, label=None if label in shown else label)
            shown.add(label)
        axes.axvline(0, color="black", linewidth=0.8)
        axes.set_yticks(range(len(lines)), [line.label for line in lines], fontsize=8)
        axes.set_ylim(len(lines) - 0.4, -0.6)
        if extreme > 20 * min(abs(line.value) + line.half for line in lines):  # one huge difference hides the others
            axes.set_xscale("symlog", linthresh=max(line.margin for line in lines) * 2)
            axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}".replace("-", "−"))
        axes.set_xlabel(unit)
        canvas.legend(loc="outside lower center", ncols=4)
    return Picture(name, title, caption, canvas)


def _short(name: str) -> str:
    return name.replace("model.", "").replace("task.", "")
