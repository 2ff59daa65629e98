"""The distributions of W&B's random and bayes sweeps: what is wrong with one, and its value at a given share."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from statistics import NormalDist
from typing import Any

from headtohead.cli.errors import did_you_mean

_RANGE, _NORMAL = (("min", "max"), ()), ((), ("mu", "sigma"))
# name: the keys it needs, the keys it may have
DISTRIBUTIONS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "constant": (("value",), ()),
    "categorical": (("values",), ()),
    "categorical_w_probabilities": (("values", "probabilities"), ()),
    "int_uniform": _RANGE,
    "uniform": _RANGE,
    "log_uniform_values": _RANGE,
    "inv_log_uniform_values": _RANGE,
    "normal": _NORMAL,
    "log_normal": _NORMAL,
    "beta": (("a", "b"), ()),
    "q_beta": (("a", "b"), ("q",)),
    "q_uniform": (_RANGE[0], ("q",)),
    "q_log_uniform_values": (_RANGE[0], ("q",)),
    "q_normal": ((), ("mu", "sigma", "q")),
    "q_log_normal": ((), ("mu", "sigma", "q")),
}
TAIL = 0.001  # of a normal distribution, which has no ends: values beyond are not drawn
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")


def name_of(spec: dict[str, Any]) -> Any:
    """Return the distribution of a parameter, by W&B's own rule where it names none."""
    if "distribution" in spec:
        return spec["distribution"]
    if "value" in spec:
        return "constant"
    if "values" in spec:
        return "categorical_w_probabilities" if "probabilities" in spec else "categorical"
    return "int_uniform" if all(is_whole(spec.get(key)) for key in ("min", "max")) else "uniform"


def problems_of(spec: dict[str, Any], at: str) -> list[str]:
    """Say what is wrong with a parameter's distribution, a line for each thing.

    Args:
        spec: of the parameter, as it stands in the sweep file.
        at: where it stands, to begin each line with.
    """
    name = name_of(spec)
    if not isinstance(name, str) or name not in DISTRIBUTIONS:
        if f"{name}_values" in DISTRIBUTIONS:
            return [f"{at}.distribution: {name} takes exponents as min and max; {name}_values takes the values"]
        return [f"{at}.distribution: {name!r} is unknown{did_you_mean(str(name), DISTRIBUTIONS)}"]
    needed, allowed = DISTRIBUTIONS[name]
    given = [key for key in spec if key != "distribution"]
    problems = [f"{at}.{key}: missing; {name} needs {' and '.join(needed)}" for key in needed if key not in spec]
    problems += [f"{at}.{key}: {name} has no such key" for key in given if key not in (*needed, *allowed)]
    problems += [
        p for key in ("min", "max", "mu", "sigma", "a", "b", "q") if key in spec for p in _not_a_number(spec, key, at)
    ]
    return problems or _out_of_range(name, spec, at)


def value_at(spec: dict[str, Any], share: float) -> Any:
    """Return the value below which a share of the distribution lies; 0 and 1 give its ends.

    Args:
        spec: of the parameter, without problems.
        share: in [0, 1]; uniform random shares give values drawn from the distribution.
    """
    name = name_of(spec)
    if name == "constant":
        return spec["value"]
    if name.startswith("categorical"):
        values = spec["values"]
        weights = spec.get("probabilities", [1 / len(values)] * len(values))
        reached = [i for i, total in enumerate(itertools.accumulate(weights)) if total > share]
        return values[reached[0] if reached else max(i for i, weight in enumerate(weights) if weight > 0)]
    if name == "int_uniform":
        return spec["min"] + min(int(share * (spec["max"] - spec["min"] + 1)), spec["max"] - spec["min"])
    value = _continuous(name.removeprefix("q_"), spec, share)
    if not name.startswith("q_"):
        # four digits tell trials apart and can be read in a table
        return min(max(float(f"{value:.4g}"), spec.get("min", -math.inf)), spec.get("max", math.inf))
    step = spec.get("q", 1)
    return round(value / step) * step if is_whole(step) else float(f"{round(value / step) * step:.10g}")


def values_of(spec: dict[str, Any]) -> Sequence[Any]:
    """Return the values that a grid goes through: those listed, whole numbers, or steps of ``q`` from ``min`` on."""
    if "value" in spec:
        return [spec["value"]]
    if "values" in spec:
        return list(spec["values"])
    if name_of(spec) == "int_uniform":
        return range(spec["min"], spec["max"] + 1)
    step = spec.get("q", 1)
    count = math.floor((spec["max"] - spec["min"]) / step + 1e-9) + 1
    values = [spec["min"] + index * step for index in range(min(count, 10**6))]
    return values if all(map(is_whole, values)) else [float(f"{value:.10g}") for value in values]


def read_as_text(value: Any, at: str) -> list[str]:
    """Complain of a number that YAML reads as a string, such as 1e-4."""
    if isinstance(value, str) and _NUMBER.fullmatch(value) and not value.isdigit():
        return [f"{at}: YAML reads {value} as a string: write it without quotes, and 1e-4 as 1.0e-4"]
    return []


def _continuous(name: str, spec: dict[str, Any], share: float) -> float:
    if name == "beta":
        from scipy import stats  # here, because it takes a second, and few files have one

        return float(stats.beta.ppf(min(max(share, TAIL), 1 - TAIL), spec["a"], spec["b"]))
    if name.endswith("normal"):
        quantile = NormalDist().inv_cdf(min(max(share, TAIL), 1 - TAIL))
        value = float(spec.get("mu", 0) + spec.get("sigma", 1) * quantile)
        return math.exp(value) if name == "log_normal" else value
    low, high = spec["min"], spec["max"]
    if name == "uniform":
        return float(low + share * (high - low))
    # of 1 / X, the logarithm is uniform if that of X is: the inverse is the same distribution
    return math.exp(math.log(low) + share * (math.log(high) - math.log(low)))


def _not_a_number(spec: dict[str, Any], key: str, at: str) -> list[str]:
    value = spec[key]
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return []
    return read_as_text(value, f"{at}.{key}") or [f"{at}.{key}: must be a finite number: got {value!r}"]


def _out_of_range(name: str, spec: dict[str, Any], at: str) -> list[str]:
    problems = []
    if "min" in spec and spec["min"] >= spec["max"]:
        problems.append(f"{at}: min must be less than max: got {spec['min']} and {spec['max']}")
    if "log_uniform" in name and spec["min"] <= 0:
        problems.append(f"{at}.min: must be more than 0 for {name}: got {spec['min']}")
    if name == "int_uniform" and not (is_whole(spec["min"]) and is_whole(spec["max"])):
        problems.append(f"{at}: int_uniform needs whole numbers as min and max; uniform takes others")
    if spec.get("sigma", 0) < 0:
        problems.append(f"{at}.sigma: must be 0 or more: got {spec['sigma']}")
    problems += [f"{at}.{key}: must be more than 0: got {spec[key]}" for key in ("a", "b") if spec.get(key, 1) <= 0]
    if spec.get("q", 1) <= 0:
        problems.append(f"{at}.q: must be more than 0: got {spec['q']}")
    weights = spec.get("probabilities", [1.0])
    if not isinstance(weights, list) or not all(isinstance(w, int | float) and w >= 0 for w in weights):
        problems.append(f"{at}.probabilities: must be a list of numbers, 0 or more: got {weights!r}")
    elif "probabilities" in spec and isinstance(spec["values"], list) and len(weights) != len(spec["values"]):
        problems.append(f"{at}.probabilities: must be one for each of the {len(spec['values'])} values: got {weights}")
    elif not math.isclose(sum(weights), 1, abs_tol=1e-6):
        problems.append(f"{at}.probabilities: must add up to 1: got {sum(weights)}")
    return problems


def is_whole(value: Any) -> bool:
    """Tell whether a value is a whole number, which True and False are not."""
    return isinstance(value, int) and not isinstance(value, bool)
