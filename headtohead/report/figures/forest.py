"""Draws verdicts and claims as differences with their intervals, and the margin within which they count as none."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from headtohead.records.metrics import CLASSIFICATION
from headtohead.report.comparison import Asked
from headtohead.report.figures.captions import count
from headtohead.report.figures.style import COLORS, GREY, WIDTH, Picture, Spot, style
from headtohead.report.judge import Judged
from headtohead.report.sentences import unit_of
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


@dataclass(frozen=True)
class _Panel:
    title: str
    unit: str
    lines: Sequence[_Line]


def verdicts(asked: Sequence[Asked]) -> Iterator[Picture]:
    """Draw the differences of all pairs that questions are about, a panel for each question with a scale of its own."""
    panels = []
    for question in asked:
        lines = [
            _Line(
                f"{pair.model}\nagainst {pair.other}, {question.kind.metrics[pair.number].head}",
                pair.value,
                pair.half,
                pair.margin,
                pair.verdict,
            )
            for pair in question.pairs
            if np.isfinite(pair.half)
        ]
        if lines:
            unit = unit_of(question.kind, question.pairs[0].number)
            panels.append(_Panel(question.ask or "Every two rows", f"difference, {unit}", lines))
    if panels:
        yield _forest("verdicts", "Verdicts: differences with their intervals", panels)


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
                    f"{line.of}{where}, {claim.data}, n = {line.n}",
                    (low + high) / 2 - claim.value,
                    (high - low) / 2,
                    margin_of(CLASSIFICATION, claim.number, claim.data) if claim.margin is None else claim.margin,
                    line.outcome,
                )
            )
    if lines:
        panel = _Panel("Claims: measured minus claimed", "measured minus claimed, points", lines)
        yield _forest("claims", "Claims: measured minus claimed", [panel])


def _forest(name: str, title: str, panels: Sequence[_Panel]) -> Picture:
    every = [line for panel in panels for line in panel.lines]
    said = "; ".join(
        f"{line.label.replace(chr(10), ' ')}: {line.value:+.2f} ± {line.half:.2f}, {line.decided}" for line in every[:6]
    )
    more = f"; and {len(every) - 6} more" if len(every) > 6 else ""
    caption = f"{title}, {count(len(every), 'line', 'lines')}; grey: the margin. {said}{more}.".replace("-", "−")
    longest = max(len(part) for line in every for part in line.label.split("\n"))
    heights = [0.42 * len(panel.lines) + 0.5 for panel in panels]
    with style():
        canvas = Canvas(figsize=(WIDTH + 0.06 * longest, 0.6 + sum(heights) + 0.5 * len(panels)), layout="constrained")
        for axes, panel in zip(np.atleast_1d(canvas.subplots(len(panels), height_ratios=heights)), panels, strict=True):
            _draw(axes, panel)
        # one legend for all panels, each look once
        handles = {
            text: mark for axes in canvas.axes for mark, text in zip(*axes.get_legend_handles_labels(), strict=True)
        }
        canvas.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=4)
        spots = [
            Spot(axes, line.value, place, f"{line.label}: {line.value:+.2f} ± {line.half:.2f}, {line.decided}")
            for axes, panel in zip(canvas.axes, panels, strict=True)
            for place, line in enumerate(panel.lines)
        ]
    return Picture(name, title, caption, canvas, spots)


def _draw(axes: Axes, panel: _Panel) -> None:
    axes.set_title(textwrap.fill(panel.title, 62))
    for place, line in enumerate(panel.lines):
        color, marker, label = LOOKS[line.decided]
        axes.fill_betweenx([place - 0.35, place + 0.35], -line.margin, line.margin, color=GREY, alpha=0.5, linewidth=0)
        axes.hlines(place, line.value - line.half, line.value + line.half, color=color, linewidth=1.8)
        axes.plot(line.value, place, marker, color=color, label=label)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.margins(x=0.06)
    axes.set_yticks(range(len(panel.lines)), [line.label for line in panel.lines], fontsize=8)
    axes.set_ylim(len(panel.lines) - 0.4, -0.6)
    axes.set_xlabel(panel.unit)
