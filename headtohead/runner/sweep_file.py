"""Reads a W&B sweep file, says what is wrong with it, and expands its grid, or its random draws, into trials."""

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

from headtohead.records.metrics import KINDS
from headtohead.runner.distributions import name_of, near, problems_of, read_as_text, steps_of, value_at

TOP_KEYS = (
    "program", "command", "name", "description", "method", "metric", "parameters",
    "early_terminate", "run_cap", "project", "entity",
)  # fmt: skip
METHODS = ("grid", "random", "bayes")
PARAMETER_KEYS = (
    "value",
    "values",
    "distribution",
    "min",
    "max",
    "mu",
    "sigma",
    "a",
    "b",
    "q",
    "probabilities",
    "parameters",
)
MAX_TRIALS = 100_000  # a larger grid is a slip of the hand, and would fill the memory
MAX_VALUES = 1_000_000  # of a file, once its aliases stand for what they name
DEFAULT_COMMAND = ["${env}", "${interpreter}", "${program}", "${args}"]
MACROS = ("${env}", "${interpreter}", "${program}", "${args}", "${args_no_boolean_flags}")
# W&B has more, which give the parameters in a form that train.py does not read
OTHER_MACROS = (
    "args_json", "args_json_file", "args_no_equals", "args_no_hyphens", "args_append_hydra", "args_override_hydra",
)  # fmt: skip
VARIABLE = re.compile(r"\$\{envvar:([A-Z0-9_]*)\}")  # stands for what the environment has under a name
MODULE = ["${env}", "${interpreter}", "-m", "headtohead", "train", "fit", "${args}"]  # the command without a program
SEED = "seed_everything"  # the parameter of the random seed
METRIC_KEYS = ("name", "goal", "target", "impute", "impute_while_running")
# what the tasks log, by the records that keep it, and in every epoch
LOGGED = sorted(
    {name for kind in KINDS for name in (kind.monitor, *kind.metrics)}
    | {"train_loss", "train_acc", "val_loss", "epoch"}
)
HYPERBAND_KEYS = ("type", "min_iter", "max_iter", "s", "eta", "strict")
PARAMETER_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")


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
    problems = [*_check_top(config), *_check_parameters(config.get("parameters"), "parameters", method)]
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
        raise SweepError([f"{path}: {error.strerror}; sweep files stand in sweeps/"]) from None
    except UnicodeDecodeError:
        raise SweepError([f"{path}: not a text file"]) from None
    except (yaml.YAMLError, RecursionError) as error:
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


def _check_top(config: dict[str, Any]) -> list[str]:
    problems = [f"{key}: no such key{near(key, TOP_KEYS)}" for key in config if key not in TOP_KEYS]
    method, program, metric = (config.get(key) for key in ("method", "program", "metric"))
    if "method" not in config:
        problems.append(f"method: missing; one of {', '.join(METHODS)}")
    elif method not in METHODS:
        problems.append(f"method: {method!r} is unknown{near(method, METHODS)}")
    command = config.get("command")
    of_the_program = not isinstance(command, list) or _module_at(command) is None or "${program}" in command
    if of_the_program and (not isinstance(program, str) or Path(program).name != "train.py"):
        problems.append(f"program: must be train.py: got {program!r}")
    if metric is not None:
        problems += _check_metric(metric, _has_a_task_of_its_own(config.get("parameters")))
    elif method == "bayes" or "early_terminate" in config:
        problems.append("metric: missing; method bayes and early_terminate go by it: {name: val_acc, goal: maximize}")
    if (cap := config.get("run_cap")) is not None and (not isinstance(cap, int) or isinstance(cap, bool) or cap < 1):
        problems.append(f"run_cap: must be a whole number, 1 or more: got {cap!r}")
    elif cap is None and method in ("random", "bayes"):
        problems.append(f"run_cap: missing; without it, method {method} has no end")
    if "early_terminate" in config:
        problems += _check_early_terminate(config["early_terminate"])
    if (name := config.get("name")) is not None and not isinstance(name, str):
        problems.append(f"name: must be a string: got {name!r}")
    return problems + _check_command(command)


def _has_a_task_of_its_own(parameters: Any) -> bool:
    """Tell whether a trial may be of a task that is not the suite's, which may log what it likes."""
    spec = parameters.get("task") if isinstance(parameters, dict) else None
    return isinstance(spec, dict) and re.search(r"\b(?!lit_models\.)\w+\.\w", str(spec)) is not None


def _check_metric(metric: Any, anything: bool) -> list[str]:
    if not isinstance(metric, dict):
        return [f"metric: must be a mapping with name and goal: got {metric!r}"]
    problems = [f"metric.{key}: no such key{near(key, METRIC_KEYS)}" for key in metric if key not in METRIC_KEYS]
    if not isinstance(metric.get("name"), str):
        problems.append("metric.name: missing; val_acc for one")
    elif not anything and metric["name"] not in LOGGED:
        problems.append(f"metric.name: no task logs {metric['name']!r}{near(metric['name'], LOGGED)}")
    if metric.get("goal", "minimize") not in ("minimize", "maximize"):
        problems.append(f"metric.goal: must be minimize or maximize: got {metric['goal']!r}")
    return problems


def _check_early_terminate(stop: Any) -> list[str]:
    at = "early_terminate"
    if not isinstance(stop, dict) or stop.get("type") != "hyperband":
        return [f"{at}: must be a mapping such as {{type: hyperband, min_iter: 3}}: got {stop!r}"]
    problems = [f"{at}.{key}: no such key{near(key, HYPERBAND_KEYS)}" for key in stop if key not in HYPERBAND_KEYS]
    for key in ("min_iter", "max_iter", "s"):
        if key in stop and (not isinstance(stop[key], int) or isinstance(stop[key], bool) or stop[key] < 1):
            problems.append(f"{at}.{key}: must be a whole number, 1 or more: got {stop[key]!r}")
    eta = stop.get("eta", 3)
    if not isinstance(eta, int | float) or not eta > 1:
        problems.append(f"{at}.eta: must be more than 1: got {eta!r}")
    if "min_iter" not in stop and not ("max_iter" in stop and "s" in stop):
        problems.append(f"{at}: needs min_iter, or max_iter and s")
    return problems


def _check_command(command: Any) -> list[str]:
    if command is None:
        return []
    if not isinstance(command, list) or not all(isinstance(word, str | int | float) for word in command):
        return [f"command: must be a list of words: got {command!r}"]
    if missing := [name for word in command for name in VARIABLE.findall(str(word)) if name not in os.environ]:
        return [f"command: ${{envvar:{name}}}: the environment has no {name}" for name in missing]
    words = [VARIABLE.sub("", str(word)) for word in command]
    if other := [word for word in words if word[2:-1] in OTHER_MACROS]:
        return [
            f"command: {word} gives the parameters in a form that train.py does not read: write ${{args}}"
            for word in other
        ]
    if unknown := [word for word in words if "${" in word and word not in MACROS]:
        return [f"command: no such macro {word}{near(word, MACROS)}" for word in unknown]
    if not any(str(word).startswith("${args") for word in command):
        return ["command: lacks ${args}, so that no trial would get its parameters"]
    if "${program}" in command or _module_at(command) is not None:
        return []
    return [f"command: lacks ${{program}}, or -m headtohead train in its place: {json.dumps(MODULE)}"]


def _module_at(command: list[Any]) -> int | None:
    """Return where a command's arguments for ``train.py`` begin if it starts the suite as an installed module."""
    for index in range(len(command) - 1):
        if command[index : index + 2] == ["headtohead", "train"]:
            return index + 2
    return None


def _check_parameters(parameters: Any, where: str, method: Any) -> list[str]:
    if parameters is None:
        return [f"{where}: missing; a mapping such as model: {{values: [SimpleCNN, EqCNN]}}"]
    if not isinstance(parameters, dict) or not parameters:
        return [f"{where}: must be a mapping with at least one parameter: got {parameters!r}"]
    problems: list[str] = []
    for key, spec in parameters.items():
        at = f"{where}.{key}"
        if not isinstance(key, str):
            problems.append(f"{at}: a parameter's name must be a string: got {key!r}")
        elif not PARAMETER_NAME.fullmatch(key):
            problems.append(f"{at}: a parameter's name is made of letters, digits, dots and underscores: got {key!r}")
        elif not isinstance(spec, dict):
            plain = isinstance(spec, str) and re.fullmatch(r"[\w./-]+", spec)
            wanted = f"value{'s' * isinstance(spec, list)}: {spec if plain else json.dumps(spec, default=str)}"
            problems.append(f"{at}: must be a mapping; write {key}: {{{wanted}}}")
        else:
            problems += _check_spec(spec, at, method)
            if at == "parameters.config":
                problems += _check_recipes(spec, at)
    return problems


def _check_recipes(spec: dict[str, Any], at: str) -> list[str]:
    """Check configurations: files, or mappings of the form that such a file has.

    A mapping holds what belongs together, such as a model and its learning rate. What its values come to, ``train.py``
    says.
    """
    problems = []
    for recipe in spec["values"] if isinstance(spec.get("values"), list) else [spec.get("value")]:
        if not isinstance(recipe, dict | str | None):
            problems.append(f"{at}: must be a file, or a mapping of the form of one: got {recipe!r}")
        for name in recipe if isinstance(recipe, dict) else ():
            part, dot, argument = str(name).partition(".")
            if dot and part in ("model", "task", "data"):
                form = f"{part}: {{class_path: …, init_args: {{{argument}: …}}}}"
                problems.append(f"{at}: {name} cannot stand in a mapping: write {form}")
    return problems


def _check_spec(spec: dict[str, Any], at: str, method: Any) -> list[str]:
    problems = [f"{at}.{key}: no such key{near(key, PARAMETER_KEYS)}" for key in spec if key not in PARAMETER_KEYS]
    if problems:
        return problems
    given = [key for key in ("value", "values", "parameters", "min") if key in spec]
    if len(given) > 1:
        return [f"{at}: has {' and '.join(given)}; one of them is enough"]
    if not given and "max" not in spec and "distribution" not in spec:
        return [f"{at}: has neither value nor values"]
    if "parameters" in spec:
        return _check_parameters(spec["parameters"], f"{at}.parameters", method)
    if problems := problems_of(spec, at):
        return problems
    if method == "grid" and name_of(spec) not in ("constant", "categorical", "int_uniform", "q_uniform"):
        return [
            f"{at}: a grid needs value or values, or whole numbers as min and max, or q_uniform: got {name_of(spec)}"
        ]
    if "value" in spec:
        return _check_value(spec["value"], f"{at}.value")
    return _check_values(spec["values"], at) if "values" in spec else []


def _check_values(values: Any, at: str) -> list[str]:
    if not isinstance(values, list):
        return [f"{at}.values: must be a list: got {values!r}; write values: [{values}] or value: {values}"]
    if not values:
        return [f"{at}.values: is empty, so that the sweep has no point"]
    twice = [value for index, value in enumerate(values) if any(_same(value, earlier) for earlier in values[:index])]
    if twice:
        return [f"{at}.values: {twice[0]!r} is listed twice"]
    return [problem for value in values for problem in _check_value(value, f"{at}.values")]


def _check_value(value: Any, at: str) -> list[str]:
    if isinstance(value, dict | list):
        inner = value.values() if isinstance(value, dict) else value
        return [problem for part in inner for problem in _check_value(part, at)]
    if isinstance(value, float) and not math.isfinite(value):
        return [f"{at}: must be finite: got {value}"]
    return read_as_text(value, at)


def _count(parameters: dict[str, Any]) -> int:
    """Return the number of points of a grid."""
    sizes = (
        _count(spec["parameters"]) if "parameters" in spec
        else len(spec["values"]) if "values" in spec
        else 1 if "value" in spec
        else len(steps_of(spec))
        for spec in parameters.values()
    )  # fmt: skip
    return math.prod(sizes)


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
            axes.append([(key, value) for value in steps_of(spec)])
    return [dict(point) for point in itertools.product(*axes)]


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
            ends[key] = {"values": spec.get("values", [spec.get("value")])}
        else:
            ends[key] = {"values": [value_at(spec, 0), value_at(spec, 1)]}
    return ends


def _trial(command: list[Any], point: dict[str, Any]) -> Trial:
    return Trial(_trial_name(point), point, _arguments(command, point))


def _arguments(command: list[Any], point: dict[str, Any]) -> list[str]:
    """Expand W&B's macros as its agent does, and return what follows the program."""
    flags = [f"--{key}={value}" for key, value in point.items()]
    words: list[str] = []
    start = command.index("${program}") + 1 if "${program}" in command else _module_at(command)
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
    except (yaml.YAMLError, TypeError, RecursionError):
        return text  # train.py says what is wrong with it


def _same(a: Any, b: Any) -> bool:
    return type(a) is type(b) and bool(a == b)  # in Python 1 == True == 1.0
