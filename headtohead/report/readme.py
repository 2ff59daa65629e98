"""Brings the verdicts in the README up to date with the committed records: ``python -m headtohead.report.readme``."""

from __future__ import annotations

import math
import re
import sys
from pathlib import Path

from headtohead.cli.checkout import CHECKOUT
from headtohead.records.files import write_text
from headtohead.report.claims import in_words
from headtohead.report.collect import collect
from headtohead.report.comparison import Comparison, make_comparison
from headtohead.report.pairs import verdicts

PLACE = re.compile(
    r"(<!-- verdict: (?P<sweep>\w+)(?:/(?P<data>\w+)(?:: (?P<model>[^\n]+?) against (?P<other>[^\n]+?))?)? -->\n)"
    r".*?(?P<end><!-- /verdict -->)",
    re.DOTALL,
)


def main() -> int:
    """Bring every verdict in the checkout's README up to date; return 2 outside a checkout."""
    if CHECKOUT is None:
        print("readme: there is no checkout with a README.md: the suite is installed", file=sys.stderr)
        return 2
    readme = CHECKOUT / "README.md"
    for sweep in dict.fromkeys(place["sweep"] for place in PLACE.finditer(readme.read_text(encoding="utf-8"))):
        update_readme(readme, make_comparison(collect(CHECKOUT / "results" / sweep)))
        print(f"{sweep}: verdicts in {readme} are those of results/{sweep}/records")
    return 0


def update_readme(readme: Path, comparison: Comparison) -> bool:
    """Write a sweep's verdicts into their places in a Markdown file.

    A place is what stands between ``<!-- verdict: sweep/data: model against other -->`` and ``<!-- /verdict -->``;
    ``sweep/data`` alone is for which models rank first, ``sweep`` alone for how many of the sources' claims hold.
    Models are named as in the tables. A place for models that did not run is left as it is.

    Args:
        readme: the file; it need not exist.
        comparison: of the sweep.

    Returns:
        Whether the file has a place for this sweep.
    """
    if not readme.is_file():
        return False
    text = readme.read_text(encoding="utf-8")
    if comparison.trials.name not in {place["sweep"] for place in PLACE.finditer(text)}:
        return False

    def said(place: re.Match[str]) -> str:
        if place["sweep"] != comparison.trials.name:
            return place[0]
        if place["model"]:
            sentence = _verdict(comparison, place["data"], {place["model"], place["other"]})
        elif place["data"]:
            sentence = _ranking(comparison, place["data"])
        else:
            sentence = in_words(comparison.reported) if comparison.reported else None
        return place[0] if sentence is None else f"{place[1]}{sentence}\n{place['end']}"

    changed = PLACE.sub(said, text)
    if changed != text:
        write_text(readme, changed)
    return True


def _verdict(comparison: Comparison, data: str, models: set[str]) -> str | None:
    for part in comparison.parts:
        pairs = [pair for pair in part.pairs if part.data == data and {pair.model, pair.other} == models]
        if pairs:
            return " ".join(verdicts(part.kind, part.rows, pairs))
    return None


def _ranking(comparison: Comparison, data: str) -> str | None:
    """Name the models that rank first on a data set, with their main number, and how sure the first place is."""
    part = next((part for part in comparison.parts if part.data == data and len(part.rows) > 1), None)
    if part is None:
        return None
    shown, rows = part.kind.shown[part.kind.main], [row for _, row in part.rows.iterrows()]
    names = []
    for row in rows[:3]:
        half = row[f"{part.kind.main}_ci"]
        spread = "" if math.isnan(half) else f" ± {half:.{shown.digits}f}"
        names.append(f"{row.model} ({row[part.kind.main]:.{shown.digits}f}{spread}{shown.unit}, n = {row.n})")
    first_two = [pair for pair in part.pairs if (pair.other, pair.model) == (rows[0].model, rows[1].model)]
    sure = " ".join(verdicts(part.kind, part.rows, first_two))
    return f"Of {len(rows)} models by {part.kind.called} on {data}: {', then '.join(names)}. {sure}".rstrip()


if __name__ == "__main__":
    sys.exit(main())
