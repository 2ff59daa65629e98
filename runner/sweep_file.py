"""Reads a W&B sweep file, says what is wrong with it, and expands its grid into trials."""

from __future__ import annotations

import difflib
import hashlib
import itertools
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

TOP_KEYS = (
    "program", "command", "name", "description", "method", "metric", "parameters",
    "early_terminate", "run_cap", "project", "entity",
)  # fmt: skip
METHODS = ("grid", "random", "bayes")
PARAMETER_KEYS = ("value", "values", "distribution", "min", "max", "mu", "sigma", "q", "probabilities", "parameters")
DEFAULT_COMMAND = ["${env}", "${interpreter}", "${program}", "${args}"]
MACROS = ("${env}", "${interpreter}", "${program}", "${args}", "${args_no_boolean_flags}")
NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")


class SweepError(Exception):
    """A sweep file cannot be run; ``problems`` holds a line for each reason, each naming a key."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(self.problems))


@dataclass(frozen=True)
class Trial:
    """A point of a grid.

    Args:
        name: of its folder, made of its model, data and seed and a hash of all its parameters.
        parameters: by their command-line names.
        args: the command line for ``train.py``.
    """

    name: str
    parameters: dict[str, Any]
    args: list[str]


@dataclass(frozen=True)
class Sweep:
    """A sweep file whose grid has been expanded."""

    name: str
    trials: list[Trial]


def read_sweep(path: Path) -> Sweep:
    """Read, validate and expand a sweep file. Nothing is imported, nothing is run.

    Args:
        path: of a W&B sweep file whose ``program`` is ``train.py`` and whose ``method`` is ``grid``.

    Raises:
        SweepError: with a line for each thing that is wrong.
    """
    config = _load(path)
    problems = [*_check_top(config), *_check_parameters(config.get("parameters"), "parameters")]
    if config.get("method") in ("random", "bayes"):
        problems.append(f"method: {config['method']} needs W&B's server (wandb sweep {path}); here it must be grid")
    if problems:
        raise SweepError(f"{path}: {problem}" for problem in problems)
    points = _grid(config["parameters"])
    command = config.get("command", DEFAULT_COMMAND)
    return Sweep(path.stem, [Trial(_trial_name(point), point, _arguments(command, point)) for point in points])


def _load(path: Path) -> dict[str, Any]:
    """Return the file's mapping."""
    try:
        text = path.read_text(encoding="utf-8")
        config = yaml.load(text, _UniqueKeys)  # noqa: S506  # a subclass of SafeLoader
    except OSError as error:
        raise SweepError([f"{path}: {error.strerror}; sweep files stand in sweeps/"]) from None
    except UnicodeDecodeError:
        raise SweepError([f"{path}: not a text file"]) from None
    except (yaml.YAMLError, RecursionError) as error:
        raise SweepError([f"{path}: not valid YAML: {' '.join(str(error).split())}"]) from None
    if not isinstance(config, dict):
        kind = "empty" if config is None else f"a {type(config).__name__}"
        raise SweepError([f"{path}: a sweep file is a mapping with program, method and parameters; this one is {kind}"])
    return config


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


def _check_top(config: dict[str, Any]) -> list[str]:
    problems = [f"{key}: no such key{_near(key, TOP_KEYS)}" for key in config if key not in TOP_KEYS]
    method, program, metric, command = (config.get(key) for key in ("method", "program", "metric", "command"))
    if "method" not in config:
        problems.append(f"method: missing; one of {', '.join(METHODS)}")
    elif method not in METHODS:
        problems.append(f"method: {method!r} is unknown{_near(method, METHODS)}")
    if not isinstance(program, str) or Path(program).name != "train.py":
        problems.append(f"program: must be train.py: got {program!r}")
    if metric is not None:
        if not isinstance(metric, dict):
            problems.append(f"metric: must be a mapping with name and goal: got {metric!r}")
        else:
            problems += [
                f"metric.{key}: no such key{_near(key, ('name', 'goal', 'target'))}"
                for key in metric
                if key not in ("name", "goal", "target")
            ]
            if not isinstance(metric.get("name"), str):
                problems.append("metric.name: missing; val_acc for one")
            if metric.get("goal", "minimize") not in ("minimize", "maximize"):
                problems.append(f"metric.goal: must be minimize or maximize: got {metric['goal']!r}")
    if command is not None:
        if not isinstance(command, list) or not all(isinstance(word, str | int | float) for word in command):
            problems.append(f"command: must be a list of words: got {command!r}")
        elif unknown := [word for word in command if "${" in str(word) and word not in MACROS]:
            problems += [f"command: no such macro {word}{_near(word, MACROS)}" for word in unknown]
        elif not any(str(word).startswith("${args") for word in command):
            problems.append("command: lacks ${args}, so that no trial would get its parameters")
        elif "${program}" not in command:
            problems.append("command: lacks ${program}")
    if (name := config.get("name")) is not None and not isinstance(name, str):
        problems.append(f"name: must be a string: got {name!r}")
    return problems


def _check_parameters(parameters: Any, where: str) -> list[str]:
    if parameters is None:
        return [f"{where}: missing; a mapping such as model: {{values: [SimpleCNN, EqCNN]}}"]
    if not isinstance(parameters, dict) or not parameters:
        return [f"{where}: must be a mapping with at least one parameter: got {parameters!r}"]
    problems: list[str] = []
    for key, spec in parameters.items():
        at = f"{where}.{key}"
        if not isinstance(key, str):
            problems.append(f"{at}: a parameter's name must be a string: got {key!r}")
        elif not isinstance(spec, dict):
            wanted = f"values: {json.dumps(spec)}" if isinstance(spec, list) else f"value: {spec}"
            problems.append(f"{at}: must be a mapping; write {key}: {{{wanted}}}")
        else:
            problems += _check_spec(spec, at)
    return problems


def _check_spec(spec: dict[str, Any], at: str) -> list[str]:
    problems = [f"{at}.{key}: no such key{_near(key, PARAMETER_KEYS)}" for key in spec if key not in PARAMETER_KEYS]
    if problems:
        return problems
    given = [key for key in ("value", "values", "parameters", "min") if key in spec]
    if len(given) > 1:
        return [f"{at}: has {' and '.join(given)}; one of them is enough"]
    if not given:
        if "distribution" in spec or "max" in spec:
            return [f"{at}: a grid needs value or values"]
        return [f"{at}: has neither value nor values"]
    match given[0]:
        case "parameters":
            return _check_parameters(spec["parameters"], f"{at}.parameters")
        case "min":
            whole = spec.get("distribution", "int_uniform") == "int_uniform" and _is_int_range(spec)
            return [] if whole else [f"{at}: a grid needs value or values, or whole numbers as min and max"]
        case "value":
            return _check_value(spec["value"], f"{at}.value")
    values = spec["values"]
    if not isinstance(values, list):
        return [f"{at}.values: must be a list: got {values!r}; write values: [{values}] or value: {values}"]
    if not values:
        return [f"{at}.values: is empty, so that the grid has no point"]
    twice = [value for index, value in enumerate(values) if any(_same(value, earlier) for earlier in values[:index])]
    if twice:
        return [f"{at}.values: {twice[0]!r} is listed twice"]
    return [problem for value in values for problem in _check_value(value, f"{at}.values")]


def _check_value(value: Any, at: str) -> list[str]:
    if isinstance(value, str) and NUMBER.fullmatch(value) and not value.isdigit():
        return [f"{at}: YAML reads {value} as a string; write {float(value)!r} with a point, such as 1.0e-4"]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return [f"{at}: must be finite: got {value}"]
    return []


def _is_int_range(spec: dict[str, Any]) -> bool:
    low, high = spec.get("min"), spec.get("max")
    return isinstance(low, int) and isinstance(high, int) and low <= high


def _grid(parameters: dict[str, Any]) -> list[dict[str, Any]]:
    """Return every combination; the parameter that stands last in the file changes fastest."""
    axes: list[list[tuple[str, Any]]] = []
    for key, spec in parameters.items():
        if "value" in spec:
            axes.append([(key, spec["value"])])
        elif "values" in spec:
            axes.append([(key, value) for value in spec["values"]])
        elif "parameters" in spec:
            axes.append([(key, point) for point in _grid(spec["parameters"])])
        else:
            axes.append([(key, value) for value in range(spec["min"], spec["max"] + 1)])
    return [dict(point) for point in itertools.product(*axes)]


def _arguments(command: list[Any], point: dict[str, Any]) -> list[str]:
    """Expand W&B's macros as its agent does, and return what follows the program."""
    flags = [f"--{key}={value}" for key, value in point.items()]
    words: list[str] = []
    for word in map(str, command[command.index("${program}") + 1 :]):
        match word:
            case "${args}":
                words += flags
            case "${args_no_boolean_flags}":
                words += [f"--{k}" if v is True else f"--{k}={v}" for k, v in point.items() if v is not False]
            case _:
                words.append(word)
    return words


def _trial_name(point: dict[str, Any]) -> str:
    """Return a folder name that a person recognises and that no other point has."""
    config = point.get("config")
    # a configuration file is what stands in it: when it changes, the trial is another
    text = Path(config).read_text() if isinstance(config, str) and Path(config).is_file() else ""
    digest = hashlib.sha256((json.dumps(point, sort_keys=True, default=str) + text).encode()).hexdigest()[:8]
    parts = [Path(config).stem] if isinstance(config, str) else []
    for key in ("model", "data"):
        value = point.get(key)
        name = value.get("class_path") if isinstance(value, dict) else value
        parts += [name.rpartition(".")[2]] if isinstance(name, str) else []
    parts += [f"seed{point['seed_everything']}"] if "seed_everything" in point else []
    words = [re.sub(r"[^A-Za-z0-9_]", "_", part)[:40] for part in parts]
    return "-".join([*words, digest])


def _same(a: Any, b: Any) -> bool:
    return type(a) is type(b) and bool(a == b)  # in Python 1 == True == 1.0


def _near(name: Any, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(str(name), list(known), n=1)
    return f"; did you mean {near[0]}?" if near else f"; there are {', '.join(known)}"
