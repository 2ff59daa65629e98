"""The same configuration and seed on the same machine give the same record, times aside: for every architecture."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import lit_models
from headtohead.records import record as records
from headtohead.trial import recording
from headtohead.trial.arguments import classes
from lit_models.facts import takes_mask
from tests.conftest import ROOT
from tests.trials import fitted, weights, without_times

ARCHITECTURES = [*classes()["model"], *(f"ResNet {operator}" for operator in ("separable", "involution", "p4"))]
SHARED = {
    "data": "tests.tiny.Few",
    "data.val_size": 20,
    "data.batch_size": 20,
    "data.augment": "crop_flip",  # draws random numbers on the way
    "trainer.max_epochs": 2,
    "trainer.accelerator": "cpu",
    "seed_everything": 3,
}


def point(name: str) -> dict[str, object]:
    """What sets an architecture apart, by command-line names."""
    model, *operator = name.split()
    chosen: dict[str, object] = {"model": model}
    if operator:
        chosen |= {"model.operator": operator[0], "model.depth": 8}
    if takes_mask(getattr(lit_models, model)):
        chosen |= {"data.normalize": False, "model.width": 8}
    return chosen


@pytest.mark.nightly
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_same_seed_same_record(workplace, monkeypatch, name):
    monkeypatch.setattr(recording, "seconds_per_batch", lambda *_: 1.0)  # times are set aside
    values = {key: json.dumps(value).strip('"') for key, value in {**SHARED, **point(name)}.items()}
    found, learnt = [], []
    for folder in ("one", "two"):
        args = [f"--{key}={value}" for key, value in values.items()]
        found.append(without_times(fitted("fit", *args, "--trainer.logger=false", folder=folder)))
        learnt.append(weights(folder))
    assert found[0] == found[1]
    assert len(found[0]["history"]) == 2
    assert [key for key, value in learnt[0].items() if not torch.equal(value, learnt[1][key])] == []


@pytest.mark.nightly
@pytest.mark.timeout(1800)
def test_one_trial_at_a_time_and_two_give_the_same_records(workplace, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    parameters = {
        **{key: {"value": value} for key, value in SHARED.items()},
        "model": {"values": [name for name in ARCHITECTURES if " " not in name]},
        "trainer.max_epochs": {"value": 1},
        "data.normalize": {"value": False},
    }
    command = ["${env}", "${interpreter}", "${program}", "fit", "${args}"]
    # JSON is YAML
    Path("all.yaml").write_text(
        json.dumps({"program": "train.py", "method": "grid", "parameters": parameters, "command": command})
    )
    found = []
    for jobs in (1, 2):
        arguments = ["all.yaml", f"--jobs={jobs}", f"--runs=runs{jobs}"]
        done = subprocess.run([sys.executable, ROOT / "sweep.py", *arguments], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        read = {path.parent.name: records.read(path) for path in workplace.glob(f"runs{jobs}/all/*/record.json")}
        assert {record.hardware["trials_at_once"] for record in read.values()} == {jobs}
        found.append({name: without_times(record) for name, record in read.items()})
        for record in found[-1].values():
            record["hardware"].pop("trials_at_once")
    assert len(found[0]) == len(parameters["model"]["values"])
    assert found[0] == found[1]
