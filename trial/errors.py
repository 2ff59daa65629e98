"""Error messages for people: one line that names the argument and what would work."""

from __future__ import annotations

import difflib
import re
import signal
from collections.abc import Iterable

TERMINATED = 128 + signal.SIGTERM  # exit code, by the convention of shells


class UsageError(Exception):
    """The user asked for something that cannot be; the message is one line."""


class Terminated(SystemExit):
    """The process was asked by SIGTERM to end."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the end of an error message: the nearest of the known names, or all of them when they are few."""
    names = sorted(set(known))
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if not near:
        near = difflib.get_close_matches(name.lower(), [n.lower() for n in names], n=1, cutoff=0.6)
        near = [n for n in names if n.lower() in near][:1]
    if near:
        return f"; did you mean {near[0]}?"
    return f"; there are {', '.join(names)}" if 0 < len(names) <= 30 else ""


def explain(message: str, classes: dict[str, list[str]], options: Iterable[str]) -> str:
    """Turn a message of jsonargparse, several lines on its own types, into one line on the user's argument.

    Args:
        message: as jsonargparse raised it.
        classes: for ``model`` and ``data``, the names that can be given.
        options: every option there is, such as ``--trainer.max_epochs``.
    """
    options = list(options)
    key = ".".join(re.findall(r'Parser key "([^"]+)"', message))
    value = _first(r"Got value: (.*)", message) or _first(r"Given value: (.*)", message)
    if missing := _first(r"arguments are required: (?:\w+\.)?(\w+)", message):
        return f"--{missing} is required: one of {', '.join(classes.get(missing, []))}"
    if unknown := _first(r"[Uu]nrecognized arguments: (.*)", message):
        name = unknown.split()[0].split("=")[0]
        return f"{name}: no such argument" + did_you_mean(name, options)
    if option := _first(r"Option '([^']+)' is not accepted", message) or _first(
        r"Key '([^']+)' is not expected", message
    ):
        owner = (_first(r"class_path '([^']+)'", message) or key).rpartition(".")[2]
        prefix = f"--{key}." if key else "--"
        known = [o for o in options if o.startswith(prefix)] or options
        return f"{prefix}{option}: {owner} has no such argument" + did_you_mean(prefix + option, known)
    if key in classes and (
        wrong := _first(r"Expected a dot import path string: (.*)", message) or _first(r"class_path '([^']+)'", message)
    ):
        reason = _first(r"(No module named .*)", message) or _first(r"(module .* has no attribute .*)", message)
        return (
            f"--{key}: no {key} is named {wrong!r}"
            + (f" ({reason})" if reason else "")
            + did_you_mean(wrong, classes[key])
        )
    if expected := re.findall(r"Expected an? (.*?)(?:\. Got value.*)?$", message, re.MULTILINE):
        wanted = " or ".join(dict.fromkeys(_plain_type(e) for e in expected if "NoneType" not in e and "path" not in e))
        if nested := _first(r"NestedArg\(key='[^']*', val='?(.*?)'?\)", message or ""):
            value = nested
        if wanted:
            return f"--{key}: must be {wanted}: got {value}"
    return (f"--{key}: " if key else "") + " ".join(re.sub(r'Parser key "[^"]+":', "", message).split())


def one_line(error: BaseException) -> str:
    """Return the message of an error without its line breaks."""
    return " ".join(str(error).split()) or type(error).__name__


def _first(pattern: str, text: str) -> str | None:
    match = re.search(pattern, text)
    return match.group(1).strip() if match else None


def _plain_type(text: str) -> str:
    """Return "one of a, b" for ``typing.Literal['a', 'b']`` and "int" for ``<class 'int'>``."""
    if literal := re.search(r"Literal\[(.*)\]", text):
        return "one of " + literal.group(1).replace("'", "")
    return re.sub(r"<class '([^']+)'>", r"\1", text).strip()
