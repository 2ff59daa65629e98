"""How often the verdicts of a sweep are looked at while its seeds are drawn, kept beside its records.

The intervals of verdicts depend on it (:func:`headtohead.report.statistics.level_of_each_look`), so it is written down
before the first look and goes wherever the records go.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from headtohead.cli.errors import UsageError, one_line
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

    Raises:
        ValueError: ``first`` is below 2 or above ``most``, or ``at_once`` below 1.
    """

    first: int
    most: int
    at_once: int = 1

    def __post_init__(self) -> None:
        if not 2 <= self.first <= self.most:
            raise ValueError(f"first must be 2 to most, {self.most}: got {self.first}")
        if self.at_once < 1:
            raise ValueError(f"at_once must be 1 or more: got {self.at_once}")


def read_looks(folder: Path) -> Looks | None:
    """Return how often a sweep is looked at, or None where nothing of it is in its folder.

    Raises:
        UsageError: what is there cannot be read: intervals made without it would be too narrow.
    """
    path = folder / FILE_NAME
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        return Looks(int(kept["first"]), int(kept["most"]), int(kept.get("at_once", 1)))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f'{path}: must say how often the sweep is looked at, such as {{"first": 3, "most": 29}}: {one_line(error)}'
        ) from None


def write_looks(looks: Looks, folder: Path) -> Path:
    """Keep in the sweep's folder how often it is looked at."""
    return files.write_text(folder / FILE_NAME, json.dumps(asdict(looks)) + "\n")
