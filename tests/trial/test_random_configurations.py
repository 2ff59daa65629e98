"""Random configurations: killed after a random epoch and resumed, each gives the record of the uninterrupted trial.

``SUITE_CONFIGURATIONS=10 python -m pytest -m nightly tests/trial/test_random_configurations.py`` is a shorter look than
the hundred of ``make test-nightly``.
"""

import contextlib
import json
import os
import shutil
from pathlib import Path
from types import UnionType
from typing import Literal, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lightning.pytorch import Trainer

from datamodules import ImageDataModule
from headtohead.trial import main as train
from lit_models import Classifier, architectures
from tests.trials import kill_after, same, weights

COUNT = int(os.environ.get("SUITE_CONFIGURATIONS", "100"))
EPOCHS = 3
MODELS = ["SimpleCNN", "EqCNN", "FCNet", "ConvNet", "CNN", "P4CNN"]  # the quick ones
# How many processes and devices, what is shown, and what decides when a trial ends or where it is kept: not drawn.
NOT_DRAWN = {
    *("accelerator", "strategy", "devices", "num_nodes", "logger", "max_epochs", "max_time", "plugins"),
    "default_root_dir",
    *("fast_dev_run", "profiler", "limit_predict_batches", "model_registry", "enable_progress_bar", "data_dir"),
    *("in_channels", "image_size", "num_classes", "net", "return"),
}
STOP = {"class_path": "EarlyStopping", "init_args": {"monitor": "val_loss", "patience": 1}}
AVERAGE = {"class_path": "EMAWeightAveraging", "init_args": {"decay": 0.9}}
TOGETHER = {"class_path": "GradientAccumulationScheduler", "init_args": {"scheduling": {"1": 3}}}
OWN = {"class_path": "ModelCheckpoint", "init_args": {"monitor": "val_loss", "dirpath": "mine"}}
# Where a type says less than a sensible range, and where most of a type would only be slow.
NARROWED = {
    "task.lr": st.floats(1e-5, 1e-1),
    "data.batch_size": st.integers(20, 600),
    "data.val_size": st.integers(1, 590),
    "trainer.gradient_clip_algorithm": st.sampled_from(["norm", "value"]),
    "trainer.callbacks": st.lists(st.sampled_from([STOP, AVERAGE, TOGETHER, OWN]), unique_by=str, max_size=2),
}
PLAIN = {bool: st.booleans(), int: st.integers(-1, 9), float: st.floats(0, 1), type(None): st.none()}


def of_type(hint):
    """Return values of a type, or None where it has no plain ones."""
    if get_origin(hint) is Literal:
        return st.sampled_from(get_args(hint))
    if get_origin(hint) in (Union, UnionType):
        parts = [one for one in map(of_type, get_args(hint)) if one is not None]
        return st.one_of(parts) if parts else None
    return PLAIN.get(hint)


def drawn_from(part, kind):
    """Return by argument the values that a class takes, as the parser finds them: by the types of its signature."""
    hints = get_type_hints(kind.__init__)
    found = {f"{part}.{name}": of_type(hint) for name, hint in hints.items() if name not in NOT_DRAWN}
    found |= {name: values for name, values in NARROWED.items() if name.partition(".")[0] == part}
    return {name: values for name, values in found.items() if values is not None}


@st.composite
def configurations(draw):
    """Draw a network and up to seven arguments of it, of the task, the data and the Trainer."""
    model = draw(st.sampled_from(MODELS))
    parts = {"model": getattr(architectures, model), "task": Classifier, "data": ImageDataModule, "trainer": Trainer}
    known = {"seed_everything": st.integers(0, 2**32 - 1)}
    for part, kind in parts.items():
        known |= drawn_from(part, kind)
    names = draw(st.lists(st.sampled_from(sorted(known)), unique=True, max_size=7))
    return {"model": model, "data.val_size": 100} | {name: draw(known[name]) for name in names}


ALWAYS = [
    "--data=tests.tiny.Tiny",
    f"--trainer.max_epochs={EPOCHS}",
    "--trainer.accelerator=cpu",
    "--trainer.logger=false",
]


def test_every_type_of_the_trainer_that_is_drawn_has_values():
    names = drawn_from("trainer", Trainer)
    assert {"trainer.precision", "trainer.limit_train_batches", "trainer.max_steps", "trainer.barebones"} <= set(names)
    assert len(names) >= 25


@pytest.mark.nightly
@pytest.mark.timeout(7200)
@pytest.mark.filterwarnings("ignore")
def test_whatever_is_asked_for_goes_on_alike_or_is_refused_at_once(workplace, monkeypatch):
    counted = {"alike": 0, "refused": 0}

    @settings(
        max_examples=COUNT, deadline=None, suppress_health_check=list(HealthCheck), database=None, derandomize=True
    )
    @given(configurations(), st.integers(1, EPOCHS))
    def each(chosen, epochs):
        for folder in ("whole", "broken", "mine"):
            shutil.rmtree(folder, ignore_errors=True)
        args = ["fit", *(f"--{n}={v if isinstance(v, str) else json.dumps(v)}" for n, v in chosen.items()), *ALWAYS]
        code = train.main([*args, "--trainer.default_root_dir=whole"])
        assert code in (0, 2), args
        if code == 2:
            assert not Path("whole", "checkpoints").exists(), args
            counted["refused"] += 1
            return
        broken = [*args, "--trainer.default_root_dir=broken"]
        with contextlib.suppress(pytest.fail.Exception):  # it may end before that epoch
            kill_after(epochs, broken)
            assert train.main([*broken, "--ckpt_path=last"]) == 0, args
        assert weights("whole").keys() == weights("broken").keys()
        same("whole", "broken")
        counted["alike"] += 1

    each()
    print(counted)
    assert min(counted.values()) >= COUNT // 10  # else it looks at one of the two alone
