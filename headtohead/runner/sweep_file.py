"""Reads a W&B sweep file, and expands its grid, or its random draws, into trials."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import os
import random
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from headtohead.cli.errors import nearest
from headtohead.runner.distributions import value_at, values_of
from headtohead.runner.sweep_checks import VARIABLE, check_parameters, check_top, module_at

MAX_TRIALS = 100_000  # a larger grid is a slip of the hand, and would fill the memory
MAX_VALUES = 1_000_000  # of a file, once its aliases stand for what they name
DEFAULT_COMMAND = ["${env}", "${interpreter}", "${program}", "${args}"]
SEED = "seed_everything"  # the parameter of the random seed
NOT_YAML = (yaml.YAMLError, ValueError, RecursionError)  # the second of what looks like a date and is none


class SweepError(Exception):
    """A sweep file cannot be run; ``problems`` holds a line for each reason, each naming a key."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(self.problems))


@dataclass(frozen=True)
class Trial:
    """A point of a sweep.

    Args:
        name: of its folder, made of its model, data and seed and a hash of all its parameters.
        parameters: by their command-line names.
        args: the command line for ``train.py``.
    """

    name: str
    parameters: dict[str, Any]
    args: list[str]

    def of_the_trainer(self, name: str) -> Any:
        """Return what the command line asks of the Trainer, in a file that it names too; None where it leaves it open.

        Args:
            name: of the argument, such as ``devices``.
        """
        asked = None
        for word, following in zip(self.args, [*self.args[1:], ""], strict=False):
            key, equals, value = word.partition("=")
            value = value if equals else following
            if key == f"--trainer.{name}":
                asked = value
            elif key == "--config":
                trainer = _said(value).get("trainer")
                asked = trainer.get(name, asked) if isinstance(trainer, dict) else asked
        return asked


@dataclass(frozen=True)
class Sweep:
    """A sweep file that has been expanded.

    Args:
        name: of the file, without its ending.
        method: ``grid``, ``random`` or ``bayes``.
        trials: to run; none for ``bayes``, whose points depend on the results of others.
        corners: for ``random`` and ``bayes``, every combination of the ends of the ranges: if these can be run, so can
            what lies between. They are there to be checked, not run.
        early_terminate: whether W&B's server would stop trials before their end.
        program: what W&B's agent starts; None where the command starts the suite as a module, wherever it lies.
        command: of the file.
    """

    name: str
    method: str
    trials: list[Trial]
    corners: list[Trial] = field(default_factory=list)
    early_terminate: bool = False
    program: str | None = None
    command: list[Any] = field(default_factory=lambda: DEFAULT_COMMAND)

    def trial(self, parameters: dict[str, Any]) -> Trial:
        """Return the trial of a point, of the file or beyond it."""
        return _trial(self.command, parameters)


def read_sweep(path: Path) -> Sweep:
    """Read, validate and expand a sweep file. Nothing is imported, nothing is run.

    A grid is expanded as it stands. Of a ``random`` file ``run_cap`` points are drawn, by random numbers that depend
    on a parameter's name and the trial's number alone: a restart draws the same, a larger ``run_cap`` adds to them,
    and two files that differ in their model only try the same values for both.

    Args:
        path: of a W&B sweep file whose ``program`` is ``train.py``, or whose ``command`` is ``MODULE``.

    Raises:
        SweepError: with a line for each thing that is wrong.
    """
    config = _load(path)
    method: Any = config.get("method")
    problems = [*check_top(config), *check_parameters(config.get("parameters"), "parameters", method)]
    if problems:
        raise SweepError(f"{path}: {problem}" for problem in problems)
    parameters: dict[str, Any] = config["parameters"]
    ends = parameters if method == "grid" else _ends(parameters)
    if (count := max(_count(ends), config["run_cap"] if method == "random" else 1)) > MAX_TRIALS:
        raise SweepError([f"{path}: parameters: give {count:,} trials; at most {MAX_TRIALS:,} can be run"])
    points: list[dict[str, Any]] = []
    if method == "grid":
        points = _grid(parameters)[: config.get("run_cap")]
    elif method == "random":
        points = _draw(parameters, config["run_cap"])
    corners = [] if method == "grid" else _grid(ends)
    command = config.get("command", DEFAULT_COMMAND)
    trials, checks = ([_trial(command, point) for point in part] for part in (points, corners))
    program = config["program"] if "${program}" in command else None
    return Sweep(path.stem, method, trials, checks, "early_terminate" in config, program, command)


def _load(path: Path) -> dict[str, Any]:
    """Return the file's mapping."""
    try:
        if path.exists() and not path.is_dir() and not path.is_file():  # a pipe, or a device that has no end
            raise SweepError([f"{path}: must be a file"])
        config = yaml.load(path.read_text(encoding="utf-8"), _UniqueKeys)  # noqa: S506  # a subclass of SafeLoader
        size = _size(config, {})
    except OSError as error:
        near = nearest(path.stem, [file.stem for file in path.parent.glob("*.yaml")])
        meant = f"did you mean {path.parent / near}.yaml?" if near else "sweep files stand in sweeps/"
        raise SweepError([f"{path}: {error.strerror}; {meant}"]) from None
    except UnicodeDecodeError:
        raise SweepError([f"{path}: not a text file"]) from None
    except NOT_YAML as error:
        raise SweepError([f"{path}: not valid YAML: {' '.join(str(error).split())}"]) from None
    if size > MAX_VALUES:
        raise SweepError([f"{path}: its aliases stand for {size:.0e} values; at most {MAX_VALUES:,} can be read"])
    if not isinstance(config, dict):
        kind = "empty" if config is None else f"a {type(config).__name__}"
        raise SweepError([f"{path}: a sweep file is a mapping with program, method and parameters; this one is {kind}"])
    return config


def _size(value: Any, known: dict[int, float]) -> float:
    """Count the values in nested lists and mappings, those that stand there by an alias again at each place."""
    if not isinstance(value, list | dict):
        return 1
    if id(value) not in known:
        known[id(value)] = math.inf  # while it is counted: one that holds itself has no end
        known[id(value)] = 1 + sum(_size(v, known) for v in (value.values() if isinstance(value, dict) else value))
    return known[id(value)]


class _UniqueKeys(yaml.SafeLoader):
    """YAML's safe loader, except that a key given twice is an error: the first would be lost without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key_node, _ in node.value:
            if isinstance(key_node, yaml.ScalarNode) and key_node.value != "<<":
                if key_node.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {key_node.value!r} is given twice", key_node.start_mark
                    )
                seen.add(key_node.value)
        return super().construct_mapping(node, deep)


def _count(parameters: dict[str, Any]) -> int:
    """Return the number of points of a grid."""
    return math.prod(
        _count(spec["parameters"]) if "parameters" in spec else len(values_of(spec)) for spec in parameters.values()
    )


def _grid(parameters: dict[str, Any]) -> list[dict[str, Any]]:
    """Return every combination; the parameter that stands last in the file changes fastest."""
    axes = (_grid(spec["parameters"]) if "parameters" in spec else values_of(spec) for spec in parameters.values())
    return [dict(zip(parameters, point, strict=True)) for point in itertools.product(*axes)]


def _draw(parameters: dict[str, Any], count: int) -> list[dict[str, Any]]:
    """Return ``count`` different points, or fewer where there are not so many."""
    points: dict[str, dict[str, Any]] = {}
    for index in range(100 * count):
        point = _point(parameters, "", index)
        points.setdefault(repr(point), point)  # a point drawn again would be the same trial
        if len(points) == count:
            break
    return list(points.values())


def _point(parameters: dict[str, Any], where: str, index: int) -> dict[str, Any]:
    """Return the point with a given number."""
    return {
        key: _point(spec["parameters"], f"{where}{key}.", index)
        if "parameters" in spec
        else value_at(spec, random.Random(f"{where}{key} {index}").random())
        for key, spec in parameters.items()
    }


def _ends(parameters: dict[str, Any]) -> dict[str, Any]:
    """Return parameters in which a range is its two ends."""
    ends: dict[str, Any] = {}
    for key, spec in parameters.items():
        if "parameters" in spec:
            ends[key] = {"parameters": _ends(spec["parameters"])}
        elif "value" in spec or "values" in spec:
            ends[key] = {"values": values_of(spec)}
        else:
            ends[key] = {"values": [value_at(spec, 0), value_at(spec, 1)]}
    return ends


def _trial(command: list[Any], point: dict[str, Any]) -> Trial:
    return Trial(_trial_name(point), point, _arguments(command, point))


def _arguments(command: list[Any], point: dict[str, Any]) -> list[str]:
    """Expand W&B's macros as its agent does, and return what follows the program."""
    flags = [f"--{key}={value}" for key, value in point.items()]
    words: list[str] = []
    start = command.index("${program}") + 1 if "${program}" in command else module_at(command)
    for word in map(str, command[start:]):
        match word:
            case "${args}":
                words += flags
            case "${args_no_boolean_flags}":
                words += [f"--{k}" if v is True else f"--{k}={v}" for k, v in point.items() if v is not False]
            case _:
                words.append(VARIABLE.sub(lambda found: os.environ[found[1]], word))
    return words


def _trial_name(point: dict[str, Any]) -> str:
    """Return a folder name that a person recognises and that no other point has."""
    config = point.get("config")
    # a configuration file is what it says, but for its comments: when that changes, the trial is another
    said = _yaml_of(Path(config)) if isinstance(config, str) and Path(config).is_file() else ""
    digest = hashlib.sha256((json.dumps(point, sort_keys=True, default=str) + said).encode()).hexdigest()[:8]
    parts = [Path(config).stem] if isinstance(config, str) else []
    point = {**(config if isinstance(config, dict) else {}), **point}
    for key in ("model", "data"):
        value = point.get(key)
        name = value.get("class_path") if isinstance(value, dict) else value
        parts += [name.rpartition(".")[2]] if isinstance(name, str) else []
    parts += [f"seed{point[SEED]}"] if SEED in point else []
    words = [re.sub(r"[^A-Za-z0-9_]", "_", part)[:40] for part in parts]
    return "-".join([*words, digest])


def _yaml_of(path: Path) -> str:
    """Return what a YAML file says, as one text for all ways to write it; its own text where it is no YAML."""
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        return json.dumps(yaml.safe_load(text), sort_keys=True, default=str)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError):
        return text  # train.py says what is wrong with it


def _said(config: str) -> dict[str, Any]:
    """Return what a configuration file, or a text in its place, says; nothing where train.py will refuse it."""
    try:
        text = Path(config).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):  # no file, or a text that is too long for the name of one
        text = config
    try:
        said = yaml.safe_load(text)
    except NOT_YAML:
        return {}
    return said if isinstance(said, dict) else {}
