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
    sweeps = [(comparison, lead(comparison), _judged(comparison)) for comparison in comparisons]
    page = ENVIRONMENT.get_template("index.html").render(
        sweeps=sweeps,
        policy=f"default-src 'none'; style-src '{sha256_of(style)}'; base-uri 'none'; form-action 'none'",
        style=Markup(style),  # noqa: S704 - of templates/
    )
    parts = ["# Results", "Made by `python report.py results --index`. Each sweep's `report.html` has all the rest."]
    for comparison, said, judged in sweeps:
        name = comparison.trials.name
        parts.append(f"## [{name}]({name}/table.md)\n\n{said}{' ' + judged if judged else ''}")
        if comparison.headline:
            parts.append(markdown([asked.verdicts for asked in comparison.headline], [], []).strip())
        parts += [plain(line) for line in comparison.not_run]
    return [
        files.write_text(folder / "index.html", page + "\n"),
        files.write_text(folder / "README.md", "\n\n".join(parts) + "\n"),
    ]


def _judged(comparison: Comparison) -> str:
    return judge.in_words(comparison.judged) if comparison.judged else ""
