"""Lists the sweeps of a folder of results with their verdicts: ``index.html`` for a browser, and ``README.md``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup

from headtohead.records import files
from headtohead.report import judge
from headtohead.report.comparison import Comparison
from headtohead.report.html import ENVIRONMENT, TEMPLATES, lead, sha256_of
from headtohead.report.table import markdown, plain


def write_index(comparisons: Sequence[Comparison], folder: Path) -> list[Path]:
    """Write both lists.

    Args:
        comparisons: of the sweeps, each of which has its results in ``folder/<sweep>``.
        folder: of results.

    Returns:
        The two files.
    """
    style = (TEMPLATES / "report.css").read_text(encoding="utf-8")
    sweeps = [(comparison, _said(comparison), _further(comparison)) for comparison in comparisons]
    page = ENVIRONMENT.get_template("index.html").render(
        sweeps=sweeps,
        policy=f"default-src 'none'; style-src '{sha256_of(style)}'; base-uri 'none'; form-action 'none'",
        style=Markup(style),  # noqa: S704 - of templates/
    )
    parts = ["# Results", "Made by `python report.py results --index`. Each sweep's `report.html` has all the rest."]
    for comparison, said, lines in sweeps:
        name = comparison.trials.name
        parts.append(f"## [{name}]({name}/table.md)\n\n{said}")
        if comparison.headline:
            parts.append(markdown([asked.verdicts for asked in comparison.headline], [], []).strip())
        parts += map(plain, lines)
    return [
        files.write_text(folder / "index.html", page + "\n"),
        files.write_text(folder / "README.md", "\n\n".join(parts) + "\n"),
    ]


def _said(comparison: Comparison) -> str:
    """Return how large a sweep is and how many of its claims hold."""
    return " ".join([lead(comparison), *([judge.in_words(comparison.judged)] if comparison.judged else [])])


def _further(comparison: Comparison) -> list[str]:
    """Return what is said beside the verdicts, or that nobody asked for any."""
    if comparison.further or comparison.headline or len(comparison.summary) == 1:
        return comparison.further
    return ["No claim file asks a question of this sweep: its report compares any two rows."]
