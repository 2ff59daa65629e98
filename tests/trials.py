"""Trials in this process: run to the end, or killed and gone on with; and what they leave, read back."""

import json
from pathlib import Path

import pytest
import torch

from headtohead.records import record as records
from headtohead.trial import main as train
from headtohead.trial.saving import History


def record_in(folder):
    return records.read(Path(folder) / records.FILE_NAME)


def fitted(*args, folder="here"):
    """Run a command line to its end in a folder; return its record."""
    assert train.main([*args, f"--trainer.default_root_dir={folder}"]) == 0
    return record_in(folder)


def weights(folder):
    return torch.load(Path(folder, "checkpoints", "last.ckpt"), weights_only=True)["state_dict"]


def best(folder, net):
    """A network with the weights that a trial tested, as it tested them."""
    state = torch.load(Path(folder, "checkpoints", "best.ckpt"), weights_only=True)["state_dict"]
    net.load_state_dict({name.removeprefix("net."): value for name, value in state.items()})
    return net.eval()


def without_times(record):
    value = json.loads(records.dumps(record))
    value.pop("cost")
    value.pop("contention")
    value.pop("commit")  # which may change while a long test runs
    value["hardware"].pop("threads")
    for epoch in value["history"]:
        epoch.pop("seconds")
    return value


class Killed(BaseException):
    """What a kill is to a test."""


def kill_after(epochs, arguments):
    """Start a trial that dies when so many epochs are in its last checkpoint."""

    def end(self, trainer, pl_module, on_train_epoch_end=History.on_train_epoch_end):
        on_train_epoch_end(self, trainer, pl_module)
        if len(self.epochs) == epochs:
            raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(History, "on_train_epoch_end", end)
        with pytest.raises(Killed):
            train.main(arguments)


def same(one, two):
    """Two trials learnt the same to the bit, and have the same record."""
    for name, value in weights(one).items():
        assert torch.equal(value, weights(two)[name]), name
    assert without_times(record_in(one)) == without_times(record_in(two))


def resumes_alike(arguments, epochs):
    """A trial that was killed after so many epochs goes on as if it had not been; they are ``whole`` and ``broken``."""
    fitted(*arguments, folder="whole")
    kill_after(epochs, [*arguments, "--trainer.default_root_dir=broken"])
    fitted(*arguments, "--ckpt_path=last", folder="broken")
    same("whole", "broken")
