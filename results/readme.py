"""Keeps the verdicts in the README what the records say."""

from __future__ import annotations

import re
from pathlib import Path

from results.claims import in_words
from results.pairs import verdicts
from results.record import write_text
from results.sheet import Sheet
from results.table import Grid

PLACE = re.compile(
    r"(<!-- verdict: (?P<sweep>\w+)(?:/(?P<data>\w+): (?P<model>[^\n]+?) against (?P<other>[^\n]+?))? -->\n)"
    r".*?(?P<end><!-- /verdict -->)",
    re.DOTALL,
)


def update_readme(readme: Path, sheet: Sheet, reported: Grid | None = None) -> bool:
    """Write a sweep's verdicts into their places in a Markdown file.

    A place is what stands between ``<!-- verdict: sweep/data: model against other -->`` and ``<!-- /verdict -->``, or
    ``<!-- verdict: sweep -->`` for how many of the seeds' claims hold. Models are named as in the tables. A place for
    two models that did not both run is left as it is.

    Args:
        readme: the file; it need not exist.
        sheet: of the sweep.
        reported: the claims beside what was measured, if this is the sweep that repeats them.

    Returns:
        Whether the file has a place for this sweep.
    """
    if not readme.is_file():
        return False
    text = readme.read_text(encoding="utf-8")
    if sheet.trials.name not in {place["sweep"] for place in PLACE.finditer(text)}:
        return False

    def said(place: re.Match[str]) -> str:
        if place["sweep"] != sheet.trials.name:
            return place[0]
        if place["data"]:
            sentence = _verdict(sheet, place["data"], {place["model"], place["other"]})
        else:
            sentence = in_words(reported) if reported else None
        return place[0] if sentence is None else f"{place[1]}{sentence}\n{place['end']}"

    changed = PLACE.sub(said, text)
    if changed != text:
        write_text(readme, changed)
    return True


def _verdict(sheet: Sheet, data: str, models: set[str]) -> str | None:
    for part in sheet.parts:
        pairs = [pair for pair in part.pairs if part.data == data and {pair.model, pair.other} == models]
        if pairs:
            return " ".join(verdicts(part.kind, part.rows, pairs))
    return None
