"""How often the verdicts of a sweep are looked at while its seeds are drawn, kept beside its records.

The intervals of verdicts depend on it (:func:`headtohead.report.statistics.level_of_each_look`), so it is written down
before the first look and goes wherever the records go.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from headtohead.records import files

FILE_NAME = "looks.json"  # in the folder of a sweep


@dataclass(frozen=True)
class Looks:
    """A look after every seed, from ``first`` to ``most`` seeds of a model.

    Args:
        first: seeds of the sweep file.
        most: seeds at the last look.
        at_once: trials that a look asks for, at least: those that can run at the same time. The verdicts do not depend
            on it, but all machines that share a sweep must ask for the same.
    """

    first: int
    most: int
    at_once: int = 1


def read_looks(folder: Path) -> Looks | None:
    """Return how often a sweep is looked at, or None where that is not written in its folder."""
    try:
        kept = json.loads((folder / FILE_NAME).read_text(encoding="utf-8"))
        looks = Looks(int(kept["first"]), int(kept["most"]), int(kept.get("at_once", 1)))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return looks if 2 <= looks.first <= looks.most and looks.at_once >= 1 else None


def write_looks(looks: Looks, folder: Path) -> Path:
    """Keep in the sweep's folder how often it is looked at."""
    return files.write_text(folder / FILE_NAME, json.dumps(asdict(looks)) + "\n")
