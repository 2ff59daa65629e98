"""Errors for people: one line that names the argument and what would work."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UsageError(Exception):
    """The user asked for something that cannot be done; the message is one line and says what would work."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the end of an error message: the nearest of the known names, or all of them when they are few."""
    names = sorted(set(known) - {name})
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if not near:
        near = difflib.get_close_matches(name.lower(), [n.lower() for n in names], n=1, cutoff=0.6)
        near = [n for n in names if n.lower() in near][:1]
    if near := near or [n for n in names if name and n.startswith(name)]:
        return f"; did you mean {near[0]}?"
    return f"; there are {', '.join(names)}" if 0 < len(names) <= 30 else ""


def one_line(error: BaseException) -> str:
    """Return the message of an error without its line breaks."""
    return " ".join(str(error).split()) or type(error).__name__
