"""Random configurations: killed after a random epoch and resumed, each gives the record of the uninterrupted trial.

``SUITE_CONFIGURATIONS=10 python -m pytest -m nightly tests/trial/test_random_configurations.py`` is a shorter look than
the hundred of ``make test-nightly``.
"""

import contextlib
import json
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headtohead.trial import main as train
from tests.test_train import weights
from tests.trial.test_resuming import kill_after, same

COUNT = int(os.environ.get("SUITE_CONFIGURATIONS", "100"))
EPOCHS = 3
STOP = {"class_path": "EarlyStopping", "init_args": {"monitor": "val_loss", "patience": 1}}
AVERAGE = {"class_path": "EMAWeightAveraging", "init_args": {"decay": 0.9}}
TOGETHER = {"class_path": "GradientAccumulationScheduler", "init_args": {"scheduling": {"1": 3}}}
OWN = {"class_path": "ModelCheckpoint", "init_args": {"monitor": "val_loss", "dirpath": "mine"}}
ARGUMENTS = {
    "model": st.sampled_from(["SimpleCNN", "EqCNN", "FCNet", "ConvNet", "CNN"]),
    "task.optimizer": st.sampled_from(["adamw", "adam", "sgd"]),
    "task.lr": st.floats(1e-5, 1e-2),
    "task.weight_decay": st.floats(0, 0.1),
    "task.momentum": st.sampled_from([0.0, 0.5, 0.9]),
    "task.schedule": st.sampled_from(["constant", "cosine"]),
    "data.batch_size": st.integers(1, 600).filter(lambda size: size > 20),
    "data.augment": st.sampled_from(
        ["default", "none", "flip", "shift", "crop_flip", "quarter_turns", "rotate", "color"]
    ),
    "data.normalize": st.booleans(),
    "data.val_size": st.integers(1, 590),
    "data.num_workers": st.sampled_from([0, 0, 0, 1]),
    "data.memory_format": st.sampled_from(["channels_last", "contiguous"]),
    "seed_everything": st.integers(0, 2**32 - 1),
    "trainer.precision": st.sampled_from(["32-true", "bf16-mixed", "bf16-true", "64-true"]),
    "trainer.accumulate_grad_batches": st.integers(1, 5),
    "trainer.gradient_clip_val": st.floats(0, 2),
    "trainer.gradient_clip_algorithm": st.sampled_from(["norm", "value"]),
    "trainer.limit_train_batches": st.integers(1, 9) | st.floats(0.01, 1),
    "trainer.limit_val_batches": st.integers(1, 3) | st.floats(0.01, 1),
    "trainer.limit_test_batches": st.integers(1, 3),
    "trainer.val_check_interval": st.floats(0.01, 1) | st.integers(1, 9),
    "trainer.check_val_every_n_epoch": st.integers(1, 4),
    "trainer.max_steps": st.integers(1, 40),
    "trainer.num_sanity_val_steps": st.integers(0, 3),
    "trainer.overfit_batches": st.integers(1, 4),
    "trainer.callbacks": st.lists(st.sampled_from([STOP, AVERAGE, TOGETHER, OWN]), unique_by=str, max_size=2),
}
ALWAYS = [
    "--data=tests.tiny.Tiny",
    f"--trainer.max_epochs={EPOCHS}",
    "--trainer.accelerator=cpu",
    "--trainer.logger=false",
]


@pytest.mark.nightly
@pytest.mark.timeout(7200)
@pytest.mark.filterwarnings("ignore")
def test_whatever_is_asked_for_goes_on_alike_or_is_refused_at_once(workplace, monkeypatch):
    counted = {"alike": 0, "refused": 0}

    @settings(
        max_examples=COUNT, deadline=None, suppress_health_check=list(HealthCheck), database=None, derandomize=True
    )
    @given(
        st.fixed_dictionaries(
            {"model": ARGUMENTS["model"]}, optional={k: v for k, v in ARGUMENTS.items() if k != "model"}
        ),
        st.integers(1, EPOCHS),
    )
    def each(chosen, epochs):
        for folder in ("whole", "broken", "mine"):
            shutil.rmtree(folder, ignore_errors=True)
        chosen = {"data.val_size": 100, **chosen}
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
        assert weights(Path("whole")).keys() == weights(Path("broken")).keys()
        same("whole", "broken")
        counted["alike"] += 1

    each()
    print(counted)
    assert counted["alike"] >= COUNT // 5
