"""A committed record's configuration resolves to the same identity today, so that old and new trials are one row."""

import shlex
import sys

import pytest

from headtohead.records import record as records
from headtohead.report.html import command
from headtohead.trial import main as train
from headtohead.trial.command_line import TrialCLI
from tests.conftest import ROOT

RECORDS = sorted((ROOT / "results").glob("*/records/*.json"))


@pytest.mark.slow
def test_the_command_of_every_committed_record_resolves_to_its_identity(workplace, monkeypatch):
    configs = {record.config_hash: record.config for record in map(records.read, RECORDS)}
    assert len(configs) > 20
    for identity, config in configs.items():
        arguments = shlex.split(command(config).replace("\\\n", " "))[2:]
        monkeypatch.setattr(sys, "argv", ["train.py"])
        assert isinstance(train.resolve(arguments), dict)
        assert records.config_hash(TrialCLI(check_only=True).resolved) == identity, arguments
