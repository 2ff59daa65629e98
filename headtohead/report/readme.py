"""Brings the verdicts in the README up to date with the committed records: ``python -m headtohead.report.readme``."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from headtohead.cli.checkout import CHECKOUT
from headtohead.records.files import write_text
from headtohead.report import judge
from headtohead.report.collect import collect
from headtohead.report.comparison import Asked, Comparison, make_comparison
from headtohead.report.table import brief, markdown

PLACE = re.compile(
    r"(<!-- (?P<what>verdict|rows): (?P<sweep>\w+)(?:: (?P<ask>[^\n]+?))? -->\n).*?(?P<end><!-- /(?P=what) -->)",
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

    A place is what stands between ``<!-- verdict: sweep: question -->`` and ``<!-- /verdict -->``, for the verdicts of
    a question of the sweep's claim file; ``sweep`` alone is for how many of its claims hold. ``rows`` in place of
    ``verdict`` is for the table of the rows that a question is about, without a question of all of them. A place for
    what did not run is left as it is.

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
        about = [asked for asked in comparison.headline if place["ask"] in (None, asked.ask)]
        if place["what"] == "rows":
            return f"{place[1]}{_rows(about)}{place['end']}" if about else place[0]
        if place["ask"]:
            lines = [line for asked in about for line in asked.sentences]
        else:
            lines = [judge.in_words(comparison.judged)] if comparison.judged else []
        return f"{place[1]}{''.join(f'- {line}{chr(10)}' for line in lines)}{place['end']}" if lines else place[0]

    changed = PLACE.sub(said, text)
    if changed != text:
        write_text(readme, changed)
    return True


def _rows(about: Sequence[Asked]) -> str:
    """Return the table of the rows that questions on one data set are about."""
    names = {name for asked in about for pair in asked.pairs for name in (pair.model, pair.other)}
    rows = about[0].rows[about[0].rows.model.isin(names)]
    return markdown([brief(about[0].kind, about[0].data, rows)], [], []).strip() + "\n"


if __name__ == "__main__":
    sys.exit(main())
