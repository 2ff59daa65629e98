"""What is tested, recorded and resumed is the suite's own, whatever callbacks stand beside it (docs/kinds.md)."""

from pathlib import Path

import pytest
import torch

from headtohead.trial import main as train
from lit_models import SimpleCNN
from tests.tiny import TINY, Tiny
from tests.trials import best, fitted, weights

FIT = ["fit", "--model=SimpleCNN", "--model.width=2", *TINY, "--trainer.accelerator=cpu", "--trainer.logger=false"]
FIT += ["--trainer.max_epochs=4", "--data.batch_size=50", "--task.lr=0.01"]
FIT += ["--trainer.precision=32-true"]  # as measured below; where the CPU has AMX, bfloat16 would be chosen


def record_of(folder, *args):
    return fitted(*FIT, *args, folder=folder)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The folder of a trial with nothing beside it, and its record."""
    folder = tmp_path_factory.mktemp("alone")
    return folder, record_of(folder)


@pytest.fixture(scope="module")
def constant(tmp_path_factory):
    """The record of one whose learning rate stays as it is."""
    return record_of(tmp_path_factory.mktemp("constant"), "--task.schedule=constant")


def measured(part):
    """The accuracy and loss of the kept weights on the validation split or the test set, by hand."""
    net = best("here", SimpleCNN(width=2))
    data = Tiny(val_size=100)
    data.setup()
    images = getattr(data, part)
    with torch.no_grad():
        logits = net((images.images.float() / 255 - 0.3) / 0.3)
        right = (logits.argmax(1) == images.labels).float().mean()
        return right.item(), torch.nn.functional.cross_entropy(logits, images.labels).item()


def as_recorded(record, within=False):
    """The weights in ``best.ckpt`` give what the record says of validation and test."""
    accuracy, loss = measured("val")
    assert record.quality["val_acc"] == pytest.approx(accuracy, abs=1e-6)
    if not within:  # of validations within an epoch the history has the last
        chosen = max(record.history, key=lambda epoch: epoch["val_acc"])
        assert chosen["val_loss"] == pytest.approx(loss, abs=1e-5)
    accuracy, loss = measured("test")
    assert record.quality["test_acc"] == pytest.approx(accuracy, abs=1e-6)
    assert record.quality["test_loss"] == pytest.approx(loss, abs=1e-5)


OWN = [
    ["monitor=val_loss", "dirpath=mine"],  # elsewhere
    ["monitor=val_acc", "dirpath=mine", "mode=min"],  # of the same number
    ["save_last=true", "every_n_train_steps=3"],
    ["dirpath=here/checkpoints/mine", "filename=best", "save_last=true"],
]


def test_a_users_own_checkpoints_change_nothing(workplace, alone):
    place, alone = alone
    own = [["+=ModelCheckpoint", *(f".{argument}" for argument in arguments)] for arguments in OWN]
    beside = record_of("here", *(f"--trainer.callbacks{part}" for parts in own for part in parts))
    assert beside.quality == alone.quality
    assert beside.config_hash == alone.config_hash
    assert [{**epoch, "seconds": 0} for epoch in beside.history] == [{**epoch, "seconds": 0} for epoch in alone.history]
    one, other = weights(place), weights("here")
    assert all(torch.equal(one[key], other[key]) for key in one)
    written = [path for path in Path().rglob("*.ckpt") if path.parts[-2:] == ("checkpoints", "best.ckpt")]
    assert written == [Path("here/checkpoints/best.ckpt")]


def test_checkpoints_of_ones_own_in_the_trials_place_are_refused(workplace, capfd):
    own = ["--trainer.callbacks+=ModelCheckpoint", "--trainer.callbacks.dirpath=here/checkpoints"]
    assert train.main([*FIT, "--trainer.default_root_dir=here", *own]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert line == (
        "train.py: --trainer.callbacks.dirpath: here/checkpoints is where the trial keeps its own: name another folder"
    )
    assert not Path("here").exists()


def test_the_weights_that_were_validated_are_the_weights_that_are_tested(workplace, alone):
    """Averaged ones are lent to the network for the validation only."""
    averaged = ["--trainer.callbacks+=EMAWeightAveraging", "--trainer.callbacks.decay=0.9"]
    record = record_of("here", *averaged)
    assert record.quality["val_acc"] == pytest.approx(max(epoch["val_acc"] for epoch in record.history))
    as_recorded(record)
    plain = alone[1]
    assert plain.history[0]["train_loss"] == record.history[0]["train_loss"]
    assert plain.history[0]["val_loss"] != record.history[0]["val_loss"]


def test_the_best_of_validations_within_an_epoch_is_tested(workplace):
    record = record_of("here", "--trainer.val_check_interval=3", "--task.lr=0.1", "--task.schedule=constant")
    as_recorded(record, within=True)


def test_the_history_has_what_was_measured_and_null_elsewhere(workplace, constant):
    whole = constant.history
    record = record_of("sparse", "--trainer.check_val_every_n_epoch=2", "--task.schedule=constant")
    sparse = record.history
    for index, epoch in enumerate(sparse):
        measured = ("val_acc", "val_loss") if index % 2 else ()
        assert {name for name in epoch if epoch[name] is None} == {"val_acc", "val_loss"} - set(measured)
        for name in ("train_loss", "train_acc", *measured):
            assert epoch[name] == whole[index][name]
    assert record.quality["val_acc"] == pytest.approx(max(epoch["val_acc"] or 0 for epoch in sparse))


def test_steps_that_end_within_an_epoch_have_no_validation(workplace):
    history = record_of("here", "--trainer.max_steps=25").history
    assert [epoch["val_acc"] is None for epoch in history] == [False, False, True]


def test_fewer_steps_than_an_epoch_are_refused_before_they_are_trained(workplace, capfd):
    arguments = [*FIT, "--trainer.max_steps=9", "--trainer.default_root_dir=here"]
    assert train.main(arguments) == 2
    out, err = capfd.readouterr()
    assert err == ("train.py: --trainer.max_steps: must reach the first validation, after 10 steps: got 9\n")
    assert "epoch" not in out
    assert not Path("here").exists()
    assert record_of("here", "--trainer.max_steps=9", "--trainer.val_check_interval=9").quality["val_acc"] is not None


def test_what_a_callback_changes_while_training_is_in_the_record(workplace, constant):
    scheduled = '{"class_path": "GradientAccumulationScheduler", "init_args": {"scheduling": {0: 1, 2: 4}}}'
    record = record_of("here", f"--trainer.callbacks={scheduled}")
    assert [epoch["batch_size"] for epoch in record.history] == [50, 50, 200, 200]
    assert [epoch["lr"] for epoch in constant.history] == [0.01] * 4
    assert [epoch["batch_size"] for epoch in constant.history] == [50] * 4
