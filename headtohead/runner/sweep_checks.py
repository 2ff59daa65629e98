"""Says what is wrong with a W&B sweep file, a line for each thing, before anything of it is run."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

from headtohead.cli.errors import did_you_mean
from headtohead.records.metrics import KINDS
from headtohead.runner.distributions import is_whole, name_of, problems_of, read_as_text

TOP_KEYS = (
    "program", "command", "name", "description", "method", "metric", "parameters",
    "early_terminate", "run_cap", "project", "entity",
)  # fmt: skip
METHODS = ("grid", "random", "bayes")
PARAMETER_KEYS = (
    "value", "values", "distribution", "min", "max", "mu", "sigma", "a", "b", "q", "probabilities", "parameters",
)  # fmt: skip
MODULE = ["${env}", "${interpreter}", "-m", "headtohead", "train", "fit", "${args}"]  # the command without a program
VARIABLE = re.compile(r"\$\{envvar:([A-Z0-9_]*)\}")  # stands for what the environment has under a name
MACROS = ("${env}", "${interpreter}", "${program}", "${args}", "${args_no_boolean_flags}")
# W&B has more, which give the parameters in a form that train.py does not read
OTHER_MACROS = (
    "args_json", "args_json_file", "args_no_equals", "args_no_hyphens", "args_append_hydra", "args_override_hydra",
)  # fmt: skip
METRIC_KEYS = ("name", "goal", "target", "impute", "impute_while_running")
# what the tasks log, by the records that keep it, and in every epoch
LOGGED = sorted(
    {name for kind in KINDS for name in (kind.monitor, *kind.metrics)}
    | {"train_loss", "train_acc", "val_loss", "epoch"}
)
HYPERBAND_KEYS = ("type", "min_iter", "max_iter", "s", "eta", "strict")
PARAMETER_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")


def check_top(config: dict[str, Any]) -> list[str]:
    """Return what is wrong with a file but for its parameters."""
    problems = _unknown(config, TOP_KEYS)
    method, program, metric = (config.get(key) for key in ("method", "program", "metric"))
    if "method" not in config:
        problems.append(f"method: missing; one of {', '.join(METHODS)}")
    elif method not in METHODS:
        problems.append(f"method: {method!r} is unknown{did_you_mean(str(method), METHODS)}")
    command = config.get("command")
    of_the_program = not isinstance(command, list) or module_at(command) is None or "${program}" in command
    if of_the_program and (not isinstance(program, str) or Path(program).name != "train.py"):
        problems.append(f"program: must be train.py: got {program!r}")
    if metric is not None:
        problems += _check_metric(metric, _has_a_task_of_its_own(config.get("parameters")))
    elif method == "bayes" or "early_terminate" in config:
        problems.append("metric: missing; method bayes and early_terminate go by it: {name: val_acc, goal: maximize}")
    if (cap := config.get("run_cap")) is not None and not (is_whole(cap) and cap >= 1):
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
    problems = _unknown(metric, METRIC_KEYS, "metric.")
    if not isinstance(metric.get("name"), str):
        problems.append("metric.name: missing; val_acc for one")
    elif not anything and metric["name"] not in LOGGED:
        problems.append(f"metric.name: no task logs {metric['name']!r}{did_you_mean(str(metric['name']), LOGGED)}")
    if metric.get("goal", "minimize") not in ("minimize", "maximize"):
        problems.append(f"metric.goal: must be minimize or maximize: got {metric['goal']!r}")
    return problems


def _check_early_terminate(stop: Any) -> list[str]:
    at = "early_terminate"
    if not isinstance(stop, dict) or stop.get("type") != "hyperband":
        return [f"{at}: must be a mapping such as {{type: hyperband, min_iter: 3}}: got {stop!r}"]
    problems = _unknown(stop, HYPERBAND_KEYS, f"{at}.")
    for key in ("min_iter", "max_iter", "s"):
        if key in stop and not (is_whole(stop[key]) and stop[key] >= 1):
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
        return [f"command: no such macro {word}{did_you_mean(str(word), MACROS)}" for word in unknown]
    if not any(str(word).startswith("${args") for word in command):
        return ["command: lacks ${args}, so that no trial would get its parameters"]
    if "${program}" in command or module_at(command) is not None:
        return []
    return [f"command: lacks ${{program}}, or -m headtohead train in its place: {json.dumps(MODULE)}"]


def module_at(command: list[Any]) -> int | None:
    """Return where a command's arguments for ``train.py`` begin if it starts the suite as an installed module."""
    for index in range(len(command) - 1):
        if command[index : index + 2] == ["headtohead", "train"]:
            return index + 2
    return None


def check_parameters(parameters: Any, where: str, method: Any) -> list[str]:
    """Return what is wrong with parameters, those that are nested in others too; ``where`` they stand is said."""
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


def _unknown(given: dict[str, Any], known: Collection[str], at: str = "") -> list[str]:
    return [f"{at}{key}: no such key{did_you_mean(str(key), known)}" for key in given if key not in known]


def _check_spec(spec: dict[str, Any], at: str, method: Any) -> list[str]:
    problems = _unknown(spec, PARAMETER_KEYS, f"{at}.")
    if problems:
        return problems
    given = [key for key in ("value", "values", "parameters", "min") if key in spec]
    if len(given) > 1:
        return [f"{at}: has {' and '.join(given)}; one of them is enough"]
    if not given and "max" not in spec and "distribution" not in spec:
        return [f"{at}: has neither value nor values"]
    if "parameters" in spec:
        return check_parameters(spec["parameters"], f"{at}.parameters", method)
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


def _same(a: Any, b: Any) -> bool:
    return type(a) is type(b) and bool(a == b)  # in Python 1 == True == 1.0
