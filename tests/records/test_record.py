"""The record: what is written is read back, what is broken is named."""

import dataclasses
import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headtohead.records import files
from headtohead.records import record as records
from headtohead.records.record import Record, RecordError


def make(**changes) -> Record:
    config = {"model": "EqCNN", "data": "MNIST", "model.lr": 0.001, "trainer.max_epochs": 5}
    record = Record(
        model="EqCNN",
        data="MNIST",
        seed=3,
        config=config,
        config_hash=records.config_hash(config),
        commit="0123456789",
        hardware={"device": "CPU (2 cores)", "devices": 1, "precision": "32-true", "threads": 2, "trials_at_once": 1},
        size={"params": 7834, "macs": 778_016, "bytes": 31_336},
        quality={
            "val_acc": 0.97,
            "test_acc": 0.9684,
            "test_acc_rot90": 0.9684,
            "test_acc_rot180": 0.9684,
            "test_acc_rot270": 0.9684,
            "test_acc_rotation_sweep": 0.8,
            "test_loss": 0.1,
            "test_ece": 0.01,
            "test_invariance_error": 1e-6,
            "circle": {str(angle): 0.8 for angle in range(0, 360, 15)},
        },
        cost={"epoch_seconds": 2.5, "total_seconds": 20.0, "peak_memory_mb": 900.0},
        history=[{"epoch": epoch, "val_acc": 0.9} for epoch in range(5)],
    )
    return dataclasses.replace(record, **changes)


def test_what_is_written_is_read_back(tmp_path):
    record = make()
    path = records.write(record, tmp_path / "new" / "trial")
    assert path.name == "record.json"
    assert records.read(path) == record
    assert os.listdir(path.parent) == ["record.json"]


def test_unknown_fields_are_dropped(tmp_path):
    raw = json.loads(records.dumps(make()))
    path = tmp_path / "record.json"
    path.write_text(json.dumps({**raw, "colour": "red"}))
    assert records.read(path) == make()


def test_numbers_that_json_cannot_hold_become_null(tmp_path):
    path = records.write(make(cost={"epoch_seconds": float("nan"), "total_seconds": float("inf")}), tmp_path)
    assert records.read(path).cost == {"epoch_seconds": None, "total_seconds": None}


def test_hash_does_not_depend_on_order():
    assert records.config_hash({"a": 1, "b": 2}) == records.config_hash({"b": 2, "a": 1})
    assert records.config_hash({"a": 1}) != records.config_hash({"a": 2})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "not valid JSON"),
        ("{", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ("3", "not a record but a int"),
        ("{}", "has no schema number"),
        ('{"schema": true}', "has no schema number"),
        ('{"schema": 99}', "schema 99 is newer than 1"),
        ('{"schema": 1}', "lacks the field 'model'"),
    ],
)
def test_broken_files_are_named(tmp_path, content, said):
    path = tmp_path / "record.json"
    path.write_text(content)
    with pytest.raises(RecordError) as error:
        records.read(path)
    assert said in str(error.value)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Record)])
def test_every_field_is_needed_and_has_its_type(tmp_path, field):
    raw = json.loads(records.dumps(make()))
    path = tmp_path / "record.json"
    path.write_text(json.dumps({key: value for key, value in raw.items() if key != field}))
    with pytest.raises(RecordError, match=r"lacks the field|no schema number"):
        records.read(path)
    path.write_text(json.dumps({**raw, field: None}))
    with pytest.raises(RecordError, match=r"is a NoneType|no schema number"):
        records.read(path)


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(RecordError, match=str(path)):
            records.read(path)


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = files.write_text(tmp_path / "x.txt", "old")

    def full_disk(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        files.write_text(path, "new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["x.txt"]


@given(
    st.binary(max_size=300)
    | st.recursive(st.none() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)).map(
        lambda x: json.dumps(x).encode()
    )
)
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_read_or_refused(tmp_path_factory, content):
    path: Path = tmp_path_factory.mktemp("fuzz") / "record.json"
    path.write_bytes(content)
    with pytest.raises(RecordError):
        records.read(path)
