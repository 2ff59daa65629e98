"""What changes what is learnt or chosen is in a trial's identity; what comes to the same is one identity."""

import functools
import inspect
import json
from typing import Union

import pytest
from lightning.pytorch import Trainer

from headtohead.records import record as records
from headtohead.records.migration import DEFAULT_AUGMENT
from headtohead.report.html import command
from headtohead.trial import main as train
from tests.records.examples import make

pytestmark = pytest.mark.usefixtures("workplace")
FIT = ["fit", "--model=EqCNN", "--data=MNIST", "--trainer.accelerator=cpu"]
STOPPING = ["--trainer.callbacks+=EarlyStopping", "--trainer.callbacks.monitor=val_loss"]


@functools.cache
def identity(*args: str) -> dict[str, object]:
    found = train.resolve([*FIT, *args])
    assert isinstance(found, dict), found
    return {name: value for name, value in found.items() if name != "seed_everything"}


DIFFERENT = [
    STOPPING,
    [*STOPPING, "--trainer.callbacks.patience=5"],
    ["--trainer.callbacks={'class_path': 'GradientAccumulationScheduler', 'init_args': {'scheduling': {'2': 4}}}"],
    ["--trainer.callbacks+=EMAWeightAveraging"],
    ["--trainer.callbacks+=EMAWeightAveraging", *STOPPING],
    ["--trainer.val_check_interval=0.5"],
    ["--trainer.check_val_every_n_epoch=2"],
    ["--trainer.limit_val_batches=1"],
    ["--trainer.limit_val_batches=0.5"],
    ["--trainer.min_epochs=3"],
    ["--trainer.gradient_clip_val=1"],
    ["--trainer.gradient_clip_val=1", "--trainer.gradient_clip_algorithm=value"],
    ["--trainer.precision=bf16-mixed"],
    ["--data.augment=flip"],
    ["--data.augment={'class_path': 'kornia.augmentation.RandomErasing', 'init_args': {'p': 0.3}}"],
    ["--data.augment={'class_path': 'kornia.augmentation.RandomErasing'}"],
    ["--task.optimizer=sgd"],
    ["--task.optimizer=sgd", "--task.momentum=0.5"],
]
SAME = [
    ["--data.augment=none"],
    ["--data.augment=default"],
    ["--data.memory_format=contiguous"],
    ["--trainer.val_check_interval=1.0"],
    ["--trainer.check_val_every_n_epoch=1"],
    ["--trainer.limit_train_batches=1.0", "--trainer.limit_val_batches=1.0"],
    ["--trainer.gradient_clip_val=0"],
    ["--trainer.overfit_batches=0"],
    ["--trainer.callbacks=[]"],
    ["--trainer.callbacks+=RichProgressBar"],
    ["--trainer.callbacks+=ModelCheckpoint", "--trainer.callbacks.dirpath=mine"],
    ["--trainer.logger=false"],
    ["--task=Classifier"],
    ["--task.lr=1e-3"],
    ["--model={'class_path': 'lit_models.EqCNN'}"],
]


def test_different_trials_are_different_identities():
    found: dict[str, list[list[str]]] = {}
    for args in [[], *DIFFERENT]:
        found.setdefault(records.config_hash(identity(*args)), []).append(args)
    assert [alike for alike in found.values() if len(alike) > 1] == []


def test_one_batch_is_not_all_batches_whatever_was_imported_before(monkeypatch):
    """typing may have kept this order of the types from somebody else's arguments."""
    types = inspect.unwrap(Trainer.__init__).__annotations__
    monkeypatch.setitem(types, "limit_val_batches", Union[float, int, None])  # noqa: UP007  # typing keeps this, and no int | float
    found = {value: train.resolve([*FIT, f"--trainer.limit_val_batches={value}"]) for value in ("1", "1.0", "0.5")}
    limits = {value: config.get("trainer.limit_val_batches") for value, config in found.items()}
    assert limits == {"1": 1, "1.0": None, "0.5": 0.5}


@pytest.mark.parametrize("args", SAME, ids=" ".join)
def test_what_comes_to_the_same_is_one_identity(args):
    assert identity(*args) == identity()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (STOPPING, [*STOPPING, "--trainer.callbacks.patience=3"]),
        (["--trainer.precision=32"], ["--trainer.precision=32-true"]),
        (
            ["--trainer.gradient_clip_val=1"],
            ["--trainer.gradient_clip_val=1.0", "--trainer.gradient_clip_algorithm=norm"],
        ),
        (["--data=CIFAR10"], ["--data=CIFAR10", "--data.augment=crop_flip"]),
    ],
)
def test_two_ways_of_writing_are_one_identity(one, other):
    assert identity(*one) == identity(*other) != identity()


@pytest.mark.parametrize("args", DIFFERENT, ids=" ".join)
def test_the_command_in_a_report_gives_the_identity_again(args):
    import shlex

    config = identity(*args)
    again = shlex.split(command(config).replace("\\\n", " "))[3:]
    assert identity(*again) == config, again


def test_one_default_argument_is_left_out():
    callbacks = json.loads(str(identity(*STOPPING)["trainer.callbacks"]))
    assert callbacks == [{"class_path": "EarlyStopping", "init_args": {"monitor": "val_loss"}}]


@pytest.mark.parametrize(("data", "augment"), [("MNIST", "none"), ("CIFAR10", "crop_flip"), ("mine.Own", "default")])
@pytest.mark.parametrize("schema", [1, 2])
def test_records_that_say_default_are_pooled_with_those_that_name_it(tmp_path, data, augment, schema):
    config = {"model": "SimpleCNN", "data": data, "data.augment": "default"}
    record = json.loads(records.dumps(make(config=config, config_hash=records.config_hash(config))))
    path = tmp_path / "record.json"
    path.write_text(json.dumps({**record, "schema": schema}))
    read = records.read(path)
    assert read.config["data.augment"] == augment
    assert read.config_hash == records.config_hash(read.config)


def test_the_defaults_of_the_past_are_those_of_today():
    """A data set may change its default; the table then stays as it is, and this test goes."""
    import datamodules

    assert {name: getattr(datamodules, name).default_augment for name in DEFAULT_AUGMENT} == DEFAULT_AUGMENT


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--task.momentum=0.5"], "--task.momentum is for sgd, and changes nothing of adamw: got 0.5; leave it out"),
        (
            ["--trainer.gradient_clip_algorithm=norm"],
            "--trainer.gradient_clip_algorithm: changes nothing without gradient_clip_val",
        ),
    ],
)
def test_an_argument_that_changes_nothing_is_refused(args, said):
    assert train.resolve([*FIT, *args]) == said
