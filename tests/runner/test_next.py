"""The sweep file of the next round, for W&B's agents: from records by whatever name."""

import dataclasses

import pytest
import yaml

from headtohead.cli.errors import UsageError
from headtohead.records import record as records
from headtohead.report.collect import collect
from headtohead.runner.sweep_file import read_sweep
from headtohead.runner.until_decided import UntilDecided
from tests.records.examples import save, with_accuracy

FILE = """\
program: train.py
method: grid
parameters:
  model: {values: [A, B, C]}
  data: {value: MNIST}
  seed_everything: {values: [0, 1]}
"""
ACCURACY = {"A": (0.90, 0.91), "B": (0.50, 0.505), "C": (0.912, 0.895)}


@pytest.fixture
def sweep(tmp_path, monkeypatch):
    """A sweep of three models, of which A and C are close; its records are called as agents call them."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "abc.yaml").write_text(FILE)
    found, rows = [], {}
    for model, accuracies in ACCURACY.items():
        config = {"model": model, "data": "MNIST"}
        key = records.config_hash(config)
        rows[key] = {"model": model, "data": "MNIST"}
        for seed, accuracy in enumerate(accuracies):
            record = with_accuracy(accuracy, seed, model=model, config=config, config_hash=key)
            # turned images tell all three apart, so that upright alone is open
            quality = {**record.quality, "test_acc_rot90": {"A": 0.9, "B": 0.5, "C": 0.1}[model] + 1e-4 * seed}
            found.append(dataclasses.replace(record, quality=quality))
    return (
        read_sweep(tmp_path / "abc.yaml"),
        dataclasses.replace(collect(save(tmp_path / "agents", *found)), name="abc"),
        rows,
    )


def ask(sweep, said, **options):
    file, found, rows = sweep
    return UntilDecided(file, most=9, say=said.append, **options), found, rows


def test_further_seeds_of_what_is_undecided(sweep, tmp_path):
    said = []
    strategy, found, rows = ask(sweep, said)
    text = strategy.next_file(tmp_path / "abc.yaml", found, rows)
    assert text.startswith(f"# The next round of {tmp_path / 'abc.yaml'}: ")
    config = yaml.safe_load(text)
    assert config["parameters"]["seed_everything"] == {"value": 2}
    assert {"A", "C"} <= set(config["parameters"]["model"]["values"])
    (tmp_path / "next.yaml").write_text(text)
    assert {trial.parameters["seed_everything"] for trial in read_sweep(tmp_path / "next.yaml").trials} == {2}
    assert any("undecided" in line for line in said)


def test_a_margin_in_which_all_are_equal_leaves_nothing_to_run(sweep, tmp_path):
    strategy, found, rows = ask(sweep, said := [], margin=10_000)
    assert strategy.next_file(tmp_path / "abc.yaml", found, rows) is None
    assert said[-1] == "nothing left to run"


def test_a_trial_without_a_record_is_named(sweep, tmp_path):
    strategy, found, rows = ask(sweep, [])
    some = dict(list(found.records.items())[1:])
    with pytest.raises(UsageError, match="--next: 1 trial of the file without a record: A-MNIST-seed0"):
        strategy.next_file(tmp_path / "abc.yaml", dataclasses.replace(found, records=some), rows)
