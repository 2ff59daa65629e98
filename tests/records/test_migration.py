"""Records of schema 1: read under the names of schema 2, and one configuration with those written today."""

import json

import pytest

from headtohead.records import record as records
from headtohead.records.migration import from_schema_1
from tests.conftest import ROOT
from tests.records.examples import filled, make

OLD_CONFIG = {
    "model": "EqCNN",
    "model.width": 8,
    "model.optimizer": "adamw",
    "model.lr": 0.001,
    "model.weight_decay": 0.01,
    "model.momentum": 0.9,
    "model.schedule": "cosine",
    "data": "MNIST",
    "trainer.max_epochs": 5,
}
NEW_CONFIG = {
    "model": "EqCNN",
    "model.width": 8,
    "task": "Classifier",
    "task.optimizer": "adamw",
    "task.lr": 0.001,
    "task.weight_decay": 0.01,
    "task.momentum": 0.9,
    "task.schedule": "cosine",
    "data": "MNIST",
    "trainer.max_epochs": 5,
}


def old(record, config):
    """What the first edition wrote for a record."""
    raw = json.loads(records.dumps(record))
    quality = raw["quality"]
    for name, new in (
        ("test_acc_circle", "test_acc_rotation_sweep"),
        ("circle", "rotation_sweep"),
        ("test_logit_difference", "test_invariance_error"),
    ):
        if new in quality:
            quality[name] = quality.pop(new)
    return {**raw, "schema": 1, "rig": raw.pop("hardware"), "config": config, "config_hash": "0" * 8}


def test_an_old_record_is_the_same_as_a_new_one(tmp_path):
    new = make(config=NEW_CONFIG, config_hash=records.config_hash(NEW_CONFIG))
    path = tmp_path / "record.json"
    path.write_text(json.dumps(old(new, OLD_CONFIG)))
    read = records.read(path)
    assert read == new
    assert list(read.config) == list(NEW_CONFIG)  # the order of the command that a report shows


def test_a_network_that_fills_holes_was_an_inpainter():
    config = from_schema_1(old(filled(0), {"model": "PConvUNet", "model.lr": 1, "data": "CIFAR10"}))["config"]
    assert config == {"model": "PConvUNet", "task": "Inpainter", "task.lr": 1, "data": "CIFAR10"}


@pytest.mark.parametrize("change", [{"config": 3}, {"quality": None}, {"rig": []}, {"config": None, "quality": None}])
def test_a_broken_old_record_is_named_too(tmp_path, change):
    path = tmp_path / "record.json"
    path.write_text(json.dumps({**old(make(), OLD_CONFIG), **change}))
    with pytest.raises(records.RecordError, match="should be a valid dictionary"):
        records.read(path)


def test_committed_records_are_read_and_keep_their_bytes():
    paths = sorted(ROOT.glob("results/*/records/*.json"))
    assert len(paths) > 100
    for path in paths:
        record, raw = records.read(path), json.loads(path.read_bytes())
        assert record.schema == 2
        assert record.config_hash == records.config_hash(record.config)
        assert record.config["task"] in ("Classifier", "Inpainter")
        assert {name: record.quality[name] for name in ("val_acc", "test_acc") if name in record.quality} == {
            name: raw["quality"][name] for name in ("val_acc", "test_acc") if name in raw["quality"]
        }
        assert (record.seed, record.size, record.cost) == (raw["seed"], raw["size"], raw["cost"])
