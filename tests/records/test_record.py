"""The record: what is written is read back, what is broken is named."""

import dataclasses
import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from headtohead.records import files
from headtohead.records import record as records
from headtohead.records.record import Record, RecordError
from tests.records.examples import make


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
    config = {"task.lr": float("nan")}
    assert records.read(records.write(make(config=config), tmp_path)).config == {"task.lr": None}


def test_a_record_cannot_be_changed_or_made_of_something_else():
    with pytest.raises(dataclasses.FrozenInstanceError):
        make().seed = 4
    with pytest.raises(ValidationError, match="seed"):
        make(seed="four")


@pytest.mark.parametrize(
    ("part", "change", "said"),
    [
        ("quality", {"test_acc": "high"}, "its quality.test_acc is no number: high"),
        ("quality", {"test_acc": 98.4}, "its quality.test_acc is no share, which lies between 0 and 1: 98.4"),
        ("quality", {"test_l1_hole": -0.1}, "its quality.test_l1_hole is no share"),
        ("quality", {"rotation_sweep": {"0": "x"}}, "its quality.rotation_sweep.0 is no number: x"),
        ("quality", {"rotation_sweep": {"north": 0.7}}, "its quality.rotation_sweep.north"),
        ("quality", {"rotation_sweep": [1]}, "its quality.rotation_sweep should be a valid dictionary: [1]"),
        ("size", {"params": None}, "its size.params is no number: None"),
        ("size", {"params": -1}, "its size.params is negative: -1"),
        ("size", {"macs": 10**400}, "its size.macs is no number: 1000"),
        ("cost", {"epoch_seconds": -2}, "its cost.epoch_seconds is negative: -2"),
        ("hardware", {"device": [1]}, "its hardware.device is neither a name nor a number: [1]"),
    ],
)
def test_what_is_not_what_it_should_be_is_named(tmp_path, part, change, said):
    raw = json.loads(records.dumps(make()))
    path = tmp_path / "record.json"
    path.write_text(json.dumps({**raw, part: {**raw[part], **change}}))
    with pytest.raises(RecordError) as error:
        records.read(path)
    assert str(error.value).startswith(f"{path}: {said}")
    assert "\n" not in str(error.value)


def test_a_size_that_is_missing_and_a_broken_history_are_named(tmp_path):
    raw = json.loads(records.dumps(make()))
    path = tmp_path / "record.json"
    for change, said in (
        ({"size": {"params": 1, "macs": 1}}, "lacks the field 'size.bytes'"),
        ({"size": {}}, "lacks the field 'size.params' (and 2 more)"),
        ({"history": ["x"]}, "its history.0 should be a valid dictionary: x"),
        ({"history": [{"epoch": 0}, {"val_acc": "x"}]}, "its history.1.val_acc is no number: x"),
    ):
        path.write_text(json.dumps({**raw, **change}))
        with pytest.raises(RecordError) as error:
            records.read(path)
        assert str(error.value) == f"{path}: {said}"


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
        ('{"schema": 99}', "schema 99 is newer than 2"),
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


@pytest.mark.parametrize("field", sorted({f.name for f in dataclasses.fields(Record)} - {"per_image", "contention"}))
def test_every_field_is_needed_and_has_its_type(tmp_path, field):
    raw = json.loads(records.dumps(make()))
    path = tmp_path / "record.json"
    path.write_text(json.dumps({key: value for key, value in raw.items() if key != field}))
    with pytest.raises(RecordError, match=rf"lacks the field '{field}'|no schema number"):
        records.read(path)
    path.write_text(json.dumps({**raw, field: None}))
    with pytest.raises(RecordError, match=rf"its {field} should be a valid|no schema number"):
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
@settings(max_examples=80, deadline=None)
def test_any_bytes_are_read_or_refused(tmp_path_factory, content):
    path: Path = tmp_path_factory.mktemp("fuzz") / "record.json"
    path.write_bytes(content)
    with pytest.raises(RecordError):
        records.read(path)
