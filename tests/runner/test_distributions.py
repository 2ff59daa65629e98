"""Distributions of random sweeps: values by the definitions that W&B documents, ends, and what is refused."""

import math
import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headtohead.runner.distributions import DISTRIBUTIONS, name_of, problems_of, value_at

VALID = {
    "constant": {"value": 3},
    "categorical": {"values": ["a", "b", "c", "d"]},
    "categorical_w_probabilities": {"values": ["a", "b", "c"], "probabilities": [0.2, 0.0, 0.8]},
    "int_uniform": {"min": 3, "max": 6},
    "uniform": {"min": -1, "max": 1.0},
    "log_uniform_values": {"min": 1e-4, "max": 1e-2},
    "inv_log_uniform_values": {"min": 1e-4, "max": 1e-2},
    "normal": {"mu": 5, "sigma": 2},
    "log_normal": {"mu": 1, "sigma": 0.5},
    "beta": {"a": 2, "b": 1},
    "q_beta": {"a": 2, "b": 1, "q": 0.25},
    "q_uniform": {"min": 0, "max": 1, "q": 0.25},
    "q_log_uniform_values": {"min": 16, "max": 256, "q": 16},
    "q_normal": {"mu": 50, "sigma": 10, "q": 5},
    "q_log_normal": {"mu": 3, "sigma": 0.5, "q": 2},
}


def spec(name: str) -> dict:
    return {"distribution": name, **VALID[name]}


def test_all_are_tried():
    assert set(VALID) == set(DISTRIBUTIONS)


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_valid_ones_have_no_problem(name):
    assert problems_of(spec(name), "x") == []


@pytest.mark.parametrize(
    ("name", "low", "middle", "high"),
    [
        ("constant", 3, 3, 3),
        ("categorical", "a", "c", "d"),
        ("categorical_w_probabilities", "a", "c", "c"),
        ("int_uniform", 3, 5, 6),
        ("uniform", -1, 0, 1),
        ("log_uniform_values", 1e-4, 1e-3, 1e-2),
        ("inv_log_uniform_values", 1e-4, 1e-3, 1e-2),
        ("normal", 5 - 2 * 3.0902, 5, 5 + 2 * 3.0902),
        ("log_normal", math.exp(1 - 0.5 * 3.0902), math.e, math.exp(1 + 0.5 * 3.0902)),
        ("beta", math.sqrt(0.001), math.sqrt(0.5), math.sqrt(0.999)),  # its distribution function is the square
        ("q_beta", 0, 0.75, 1),
        ("q_uniform", 0, 0.5, 1),
        ("q_log_uniform_values", 16, 64, 256),
        ("q_normal", 20, 50, 80),
        ("q_log_normal", 4, 20, 94),
    ],
)
def test_ends_and_median(name, low, middle, high):
    values = [value_at(spec(name), share) for share in (0, 0.5, 1)]
    assert values == [
        pytest.approx(value, rel=1e-3) if not isinstance(value, str) else value for value in (low, middle, high)
    ]
    assert all(type(value) is int for value in values) == (
        name in ("constant", "int_uniform") or ("q" in VALID[name] and type(VALID[name]["q"]) is int)
    )


def test_random_shares_follow_the_distribution():
    numbers = random.Random(0)
    drawn = {name: [value_at(spec(name), numbers.random()) for _ in range(5_000)] for name in VALID}
    assert statistics.mean(drawn["uniform"]) == pytest.approx(0, abs=0.03)
    assert statistics.mean(map(math.log10, drawn["log_uniform_values"])) == pytest.approx(-3, abs=0.03)
    assert statistics.mean(map(math.log10, drawn["inv_log_uniform_values"])) == pytest.approx(-3, abs=0.03)
    assert statistics.stdev(drawn["normal"]) == pytest.approx(2, rel=0.04)
    assert statistics.mean(map(math.log, drawn["log_normal"])) == pytest.approx(1, abs=0.03)
    for name, share in (("categorical", 0.25), ("int_uniform", 0.25)):
        counts = [drawn[name].count(value) / 5_000 for value in sorted(set(drawn[name]))]
        assert counts == [pytest.approx(share, abs=0.02)] * 4
    chosen = drawn["categorical_w_probabilities"]
    assert [chosen.count(value) / 5_000 for value in "abc"] == [pytest.approx(p, abs=0.02) for p in (0.2, 0, 0.8)]
    assert set(drawn["q_uniform"]) == {0, 0.25, 0.5, 0.75, 1}


@given(st.floats(0, 1), st.sampled_from([name for name in VALID if "min" in VALID[name]]))
def test_no_value_lies_outside_its_range(share, name):
    assert VALID[name]["min"] <= value_at(spec(name), share) <= VALID[name]["max"]


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"value": 1}, "constant"),
        ({"values": [1]}, "categorical"),
        ({"values": [1], "probabilities": [1]}, "categorical_w_probabilities"),
        ({"min": 1, "max": 3}, "int_uniform"),
        ({"min": 0, "max": 0.5}, "uniform"),
        ({"distribution": "normal"}, "normal"),
    ],
)
def test_the_name_that_is_not_given(given, name):
    assert name_of(given) == name


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"distribution": "loguniform", "min": 1, "max": 2}, "x.distribution: 'loguniform' is unknown; did you mean"),
        ({"distribution": "log_uniform", "min": 1e-4, "max": 0.1}, "log_uniform takes exponents"),
        ({"distribution": ["normal"]}, "x.distribution: ['normal'] is unknown"),
        ({"distribution": "uniform", "min": 1}, "x.max: missing; uniform needs min and max"),
        ({"max": 1}, "x.min: missing"),
        ({"min": 2, "max": 1}, "x: min must be less than max: got 2 and 1"),
        ({"min": 1, "max": 1}, "x: min must be less than max: got 1 and 1"),
        ({"min": "1e-4", "max": 1}, "x.min: YAML reads 1e-4 as a string"),
        ({"min": 0.0, "max": math.inf}, "x.max: must be a finite number: got inf"),
        ({"min": True, "max": 2}, "x.min: must be a finite number: got True"),
        ({"distribution": "log_uniform_values", "min": 0, "max": 1}, "x.min: must be more than 0"),
        ({"distribution": "int_uniform", "min": 0.5, "max": 2}, "int_uniform needs whole numbers"),
        ({"distribution": "normal", "sigma": -1}, "x.sigma: must be 0 or more: got -1"),
        ({"distribution": "normal", "min": 0}, "x.min: normal has no such key"),
        ({"distribution": "q_normal", "q": 0}, "x.q: must be more than 0"),
        ({"min": 0, "max": 9, "q": 3}, "x.q: int_uniform has no such key"),
        ({"values": [1, 2], "probabilities": [1]}, "x.probabilities: must be one for each of the 2 values"),
        ({"values": [1, 2], "probabilities": [0.5, 0.4]}, "x.probabilities: must add up to 1"),
        ({"values": [1, 2], "probabilities": [1.5, -0.5]}, "x.probabilities: must be a list of numbers, 0 or more"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(given, said):
    (problem,) = problems_of(given, "x")
    assert said in problem
