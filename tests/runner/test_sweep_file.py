"""Sweep files: what is refused, and with which words; what a grid expands to."""

from pathlib import Path

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from headtohead.runner.distributions import DISTRIBUTIONS
from headtohead.runner.sweep_checks import PARAMETER_KEYS
from headtohead.runner.sweep_file import SweepError, read_sweep

GOOD = """
program: train.py
method: grid
parameters:
  model: {values: [SimpleCNN, EqCNN]}
  data: {value: MNIST}
  seed_everything: {values: [0, 1, 2]}
command: ["${env}", "${interpreter}", "${program}", fit, "${args}"]
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(text)
    return path


def problems(folder: Path, text: str) -> list[str]:
    with pytest.raises(SweepError) as error:
        read_sweep(write(folder, text))
    return error.value.problems


def test_grid_is_every_combination_in_order(tmp_path):
    sweep = read_sweep(write(tmp_path, GOOD))
    assert sweep.name == "mine"
    assert [trial.args for trial in sweep.trials] == [
        ["fit", f"--model={model}", "--data=MNIST", f"--seed_everything={seed}"]
        for model in ("SimpleCNN", "EqCNN")
        for seed in (0, 1, 2)
    ]
    assert len({trial.name for trial in sweep.trials}) == 6
    assert sweep.trials[0].name.startswith("SimpleCNN-MNIST-seed0-")


@pytest.mark.parametrize("program", ["program: train.py", "program: other.py", ""])
@pytest.mark.parametrize("start", ['"${interpreter}", "-m", headtohead, train', "headtohead, train"])
def test_a_command_may_start_the_installed_suite_in_place_of_a_program(tmp_path, program, start):
    text = GOOD.replace("program: train.py", program).replace('"${interpreter}", "${program}"', start)
    installed, ours = read_sweep(write(tmp_path, text)), read_sweep(write(tmp_path, GOOD))
    assert installed.trials == ours.trials  # whoever starts them
    assert (installed.program, ours.program) == (None, "train.py")


def test_names_depend_on_values_and_not_on_the_order_of_keys(tmp_path):
    names = {trial.name for trial in read_sweep(write(tmp_path, GOOD)).trials}
    config = yaml.safe_load(GOOD)
    config["parameters"] = dict(reversed(config["parameters"].items()))
    assert {trial.name for trial in read_sweep(write(tmp_path, yaml.dump(config))).trials} == names
    config["parameters"]["data"]["value"] = "CIFAR10"
    assert not {trial.name for trial in read_sweep(write(tmp_path, yaml.dump(config))).trials} & names


FURTHER = {
    "metric: val_acc": "metric: must be a mapping",
    "metric: {goal: up, name: x}": "metric.goal: must be minimize or maximize",
    "metric: {name: x, gaol: minimize}": "metric.gaol: no such key; did you mean goal",
    "early_terminate: {type: hyperband, min_iter: 3}": "metric: missing; method bayes",
    "early_terminate: hyperband": "early_terminate: must be a mapping such as",
    "early_terminate: {type: median}": "early_terminate: must be a mapping such as",
    "early_terminate: {type: hyperband}": "early_terminate: needs min_iter, or",
    "early_terminate: {type: hyperband, max_iter: 9}": "needs min_iter, or max_iter",
    "early_terminate: {type: hyperband, min_iter: 0.5}": "early_terminate.min_iter: ",
    "early_terminate: {type: hyperband, min_iter: 3, eta: 1}": "eta: must be more",
    "early_terminate: {type: hyperband, minit: 3}": "did you mean min_iter?",
}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("method: grid", "method: gird", "method: 'gird' is unknown; did you mean grid?"),
        ("method: grid", "", "method: missing"),
        ("method: grid", "method: bayes", "run_cap: missing; without it, method bayes has no end"),
        ("method: grid", "method: bayes\nrun_cap: 9", "metric: missing; method bayes and early_terminate go by it"),
        ("method: grid", "method: random", "run_cap: missing; without it, method random has no end"),
        ("method: grid", "method: random\nrun_cap: 0", "run_cap: must be a whole number, 1 or more: got 0"),
        ("method: grid", "metod: grid", "metod: no such key; did you mean method?"),
        ("program: train.py", "program: other.py", "program: must be train.py: got 'other.py'"),
        ("{value: MNIST}", "MNIST", "parameters.data: must be a mapping; write data: {value: MNIST}"),
        ("{value: MNIST}", "{vlaue: MNIST}", "parameters.data.vlaue: no such key; did you mean value?"),
        ("{value: MNIST}", "{}", "parameters.data: has neither value nor values"),
        ("{value: MNIST}", "{value: MNIST, values: [MNIST]}", "parameters.data: has value and values"),
        ("{value: MNIST}", "{values: MNIST}", "parameters.data.values: must be a list: got 'MNIST'"),
        ("{value: MNIST}", "{values: []}", "parameters.data.values: is empty"),
        ("[0, 1, 2]", "[0, 1, 0]", "parameters.seed_everything.values: 0 is listed twice"),
        ("{value: MNIST}", "{value: 1e-4}", "parameters.data.value: YAML reads 1e-4 as a string"),
        ("{value: MNIST}", "{value: .nan}", "parameters.data.value: must be finite"),
        ("{value: MNIST}", "{min: 0.1, max: 0.2}", "parameters.data: a grid needs value or values"),
        ("{value: MNIST}", "{values: [a, b], probabilities: [0.5, 0.5]}", "parameters.data: a grid needs value or"),
        ("{value: MNIST}", "{distribution: norm, mu: 1}", "parameters.data.distribution: 'norm' is unknown"),
        ("{value: MNIST}", "{value: {class_path: a, init_args: {b: 1e-4}}}", "parameters.data.value: YAML reads 1e-4"),
        ("data:", "da ta:", "parameters.da ta: a parameter's name is made of letters"),
        ("  data:", "  model: {value: INN}\n  data:", "the key 'model' is given twice"),
        ('"${args}"]', "]", "command: lacks ${args}"),
        ('"${program}", ', "", "command: lacks ${program}, or -m headtohead train"),
        ('"${program}", ', "-m, headtohead, ", "command: lacks ${program}, or -m headtohead train"),
        ('"${program}", ', "-m, headtohead, trian, ", "command: lacks ${program}, or -m headtohead train"),
        ('["${env}"', '["${evn}"', "command: no such macro ${evn}"),
        ("fit,", '"${nonsense}",', "command: no such macro ${nonsense}"),
        *(("method: grid", f"method: grid\n{added}", said) for added, said in FURTHER.items()),
        ("parameters:", "parameters: 3\nother:", "parameters: must be a mapping"),
    ],
)
def test_refusal_names_the_key(tmp_path, old, new, said):
    assert old in GOOD
    found = problems(tmp_path, GOOD.replace(old, new, 1))
    assert any(said in problem for problem in found), found
    assert all("\n" not in problem for problem in found)


@pytest.mark.parametrize(
    "text",
    ["", "- 1\n- 2\n", "{a: [", "\x00", "just words", "a: *b", "? [1]\n: 2\n", "a: !!python/object:os.system {}"],
)
def test_not_a_sweep_file(tmp_path, text):
    assert len(problems(tmp_path, text)) >= 1


def test_all_problems_are_told_at_once(tmp_path):
    found = problems(tmp_path, GOOD.replace("grid", "gird").replace("{value: MNIST}", "{values: MNIST}"))
    assert len(found) == 2


def test_missing_file_and_folder(tmp_path):
    for path in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(SweepError):
            read_sweep(path)


def test_a_misspelled_file_is_told_its_neighbour(tmp_path):
    (tmp_path / "quick.yaml").touch()
    for name, told in (("quik.yaml", f"did you mean {tmp_path / 'quick.yaml'}?"), ("x.yaml", "stand in sweeps/")):
        with pytest.raises(SweepError) as raised:
            read_sweep(tmp_path / name)
        (line,) = raised.value.problems
        assert line.startswith(f"{tmp_path / name}: No such file or directory; ")
        assert line.endswith(told)


def test_nested_parameters_and_int_ranges(tmp_path):
    text = """
program: train.py
method: grid
parameters:
  trainer: {parameters: {max_epochs: {values: [1, 2]}}}
  seed_everything: {distribution: int_uniform, min: 3, max: 4}
"""
    args = [trial.args for trial in read_sweep(write(tmp_path, text)).trials]
    assert args == [[f"--trainer={{'max_epochs': {e}}}", f"--seed_everything={s}"] for e in (1, 2) for s in (3, 4)]


def test_a_grid_goes_through_the_steps_of_a_range(tmp_path):
    spec = "{distribution: q_uniform, min: 0.1, max: 0.5, q: 0.2}"
    text = GOOD.replace("{values: [0, 1, 2]}", "{value: 0}").replace("parameters:", f"parameters:\n  task.lr: {spec}")
    found = [trial.parameters["task.lr"] for trial in read_sweep(write(tmp_path, text)).trials]
    assert found == [0.1, 0.1, 0.3, 0.3, 0.5, 0.5]


def test_another_configuration_file_is_another_trial(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = "program: train.py\nmethod: grid\nparameters: {config: {values: [one.yaml, two.yaml]}}\n"
    names = []
    for content in ("{a: 1, b: 2}", "# a comment\nb: 2\na: 1  # another", "{a: 2, b: 2}", "{1: x, y: z, a: [}"):
        (tmp_path / "one.yaml").write_text(content)
        names.append([trial.name for trial in read_sweep(write(tmp_path, text)).trials])
    assert names[0] == names[1]
    assert names[0][0] != names[2][0]
    assert names[0][1] == names[2][1]
    assert names[2][0] != names[3][0]  # one that is no YAML is train.py's to refuse
    assert names[0][0].startswith("one-")


RANDOM = """
program: train.py
method: random
run_cap: 12
parameters:
  model: {value: SimpleCNN}
  task.lr: {distribution: log_uniform_values, min: 1.0e-4, max: 1.0e-1}
  task.weight_decay: {values: [0.0, 0.01]}
  trainer: {parameters: {max_epochs: {min: 1, max: 9}}}
"""


def test_random_points_are_the_same_at_every_reading(tmp_path):
    trials = read_sweep(write(tmp_path, RANDOM)).trials
    assert read_sweep(write(tmp_path, RANDOM)).trials == trials
    assert len({trial.name for trial in trials}) == 12
    for trial in trials:
        assert 1e-4 <= trial.parameters["task.lr"] <= 1e-1
        assert trial.parameters["task.weight_decay"] in (0.0, 0.01)
        assert 1 <= trial.parameters["trainer"]["max_epochs"] <= 9
    # a written number: drawing in another way would make every sweep that has begun another one
    assert [trial.parameters["task.lr"] for trial in trials[:3]] == [0.002757, 0.07704, 0.001071]
    # the same numbers for the same name as in the first edition
    first = read_sweep(write(tmp_path, RANDOM.replace("task.lr", "model.lr"))).trials[:3]
    assert [trial.parameters["model.lr"] for trial in first] == [0.001116, 0.05833, 0.08247]


def test_a_larger_cap_adds_trials_and_changes_none(tmp_path):
    trials = read_sweep(write(tmp_path, RANDOM)).trials
    assert read_sweep(write(tmp_path, RANDOM.replace("12", "15"))).trials[:12] == trials


def test_two_architectures_get_the_same_points(tmp_path):
    points = [
        [
            {**trial.parameters, "model": None}
            for trial in read_sweep(write(tmp_path, RANDOM.replace("Simple", m))).trials
        ]
        for m in ("Simple", "Eq")
    ]
    assert points[0] == points[1]


def test_random_draws_each_point_once_while_there_are_any(tmp_path):
    text = "program: train.py\nmethod: random\nrun_cap: 9\nparameters: {a: {values: [1, 2]}, b: {min: 1, max: 3}}\n"
    points = [tuple(trial.parameters.values()) for trial in read_sweep(write(tmp_path, text)).trials]
    assert sorted(points) == [(a, b) for a in (1, 2) for b in (1, 2, 3)]


def test_corners_are_the_ends_of_all_ranges(tmp_path):
    for text in (RANDOM, RANDOM.replace("random", "bayes\nmetric: {name: val_acc, goal: maximize}")):
        sweep = read_sweep(write(tmp_path, text))
        assert [tuple(corner.parameters.values()) for corner in sweep.corners] == [
            ("SimpleCNN", lr, decay, {"max_epochs": epochs})
            for lr in (1e-4, 1e-1)
            for decay in (0.0, 0.01)
            for epochs in (1, 9)
        ]
    assert (sweep.method, sweep.trials) == ("bayes", [])  # W&B alone knows where bayes goes


def test_a_capped_grid_is_its_first_points(tmp_path):
    trials = read_sweep(write(tmp_path, GOOD)).trials
    assert read_sweep(write(tmp_path, GOOD.replace("method: grid", "method: grid\nrun_cap: 4"))).trials == trials[:4]


@example({"value": "\n"}, "grid")
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda x: (
            st.lists(x)
            | st.dictionaries(
                st.sampled_from([*PARAMETER_KEYS, "model"]) | st.sampled_from(list(DISTRIBUTIONS)) | st.integers(), x
            )
        ),
    ),
    st.sampled_from(["grid", "random"]),
)
@settings(max_examples=80, deadline=None)
def test_whatever_stands_under_parameters_is_read_or_refused(tmp_path_factory, parameters, method):
    folder = tmp_path_factory.mktemp("fuzz")
    path = write(folder, yaml.dump({"program": "train.py", "method": method, "run_cap": 3, "parameters": parameters}))
    try:
        read_sweep(path)
    except SweepError as error:
        assert error.problems
        assert all(problem.strip() and "\n" not in problem for problem in error.problems)


def test_tuning_spends_the_same_on_every_architecture():
    points: dict[str, list[tuple[float, float]]] = {}
    for trial in read_sweep(Path(__file__).parents[2] / "sweeps" / "tune.yaml").trials:
        point = (trial.parameters["task.lr"], trial.parameters["task.weight_decay"])
        points.setdefault(str(trial.parameters["model"]), []).append(point)
    assert len(points) >= 10
    first = next(iter(points.values()))
    assert len(set(first)) == 10
    assert all(others == first for others in points.values())
