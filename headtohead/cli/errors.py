"""Errors for people: one line that names the argument and what would work."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UsageError(Exception):
    """The user asked for something that cannot be done; the message is one line and says what would work."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the end of an error message: the nearest of the known names, or all of them when they are few."""
    names = sorted(set(known) - {name})
    if near := nearest(name, names):
        return f"; did you mean {near}?"
    return f"; there are {', '.join(names)}" if 0 < len(names) <= 30 else ""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that was probably meant, or None where none is near."""
    names = list(known)
    near = difflib.get_close_matches(name, names, n=1)
    if not near:
        near = difflib.get_close_matches(name.lower(), [n.lower() for n in names], n=1)
        near = [n for n in names if n.lower() in near]
    return next(iter(near or [n for n in names if name and n.startswith(name)]), None)


def one_line(error: BaseException) -> str:
    """Return the message of an error without its line breaks."""
    return " ".join(str(error).split()) or type(error).__name__
