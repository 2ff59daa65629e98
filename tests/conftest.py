"""What all tests share."""

import functools
import os
import signal
import sys
from pathlib import Path

import pytest
import torch

# Tests compare numbers, not speed: one thread makes them repeatable, and quick beside other processes. W&B is off where
# no test is about it: a run of it, offline too, takes longer than a trial of theirs.
torch.set_num_threads(1)
os.environ.update(OMP_NUM_THREADS="1", WANDB_MODE="disabled", WANDB_SILENT="true", WANDB_ERROR_REPORTING="false")

# A shell that starts the tests in the background has them ignore it, and all that they start, which tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch):
    """What a trial does to its process is undone; it times its network by a few passes: how fast it is is no test."""
    path = sys.path[:]
    monkeypatch.setattr(sys, "argv", ["train.py"])
    if recording := sys.modules.get("headtohead.trial.recording"):
        short = functools.partial(recording.seconds_per_batch, budget=0.0)
        monkeypatch.setattr(recording, "seconds_per_batch", short)
        monkeypatch.setattr(recording, "THROUGHPUT_BATCH", 8)
    yield
    sys.path[:] = path


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """An empty working directory from which the repository can be imported by processes too."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return tmp_path


@pytest.fixture
def asked_here(monkeypatch):
    """``sweep.py`` asks ``train.py`` what is wrong in this process: another first imports all that a trial needs."""
    from headtohead.runner import process
    from headtohead.trial.main import resolve  # here: most tests need no torch

    monkeypatch.setattr(process, "start_server", lambda: None)
    monkeypatch.setattr(process, "check", lambda lines, _: [resolve(line) for line in lines])


@pytest.fixture
def offline(monkeypatch):
    """Runs of W&B that are kept in the trials' folders."""
    monkeypatch.setenv("WANDB_MODE", "offline")


@pytest.fixture
def real_data():
    """The folder of the real data sets; the test is skipped where they are not."""
    folder = Path(os.environ.get("SUITE_DATA_DIR", ROOT / "data"))
    if not all((folder / name).is_file() for name in ("mnist.npz", "cifar10.npz")):
        pytest.skip(f"no data sets in {folder}; make test-slow fetches them")
    return str(folder)


@pytest.fixture
def server(workplace, monkeypatch):
    """A stand-in that this process and those it starts are logged in to."""
    import wandb  # here: most tests need neither

    from tests.wandb_server import wandb_server

    with wandb_server() as state:
        for name, value in state.environment(HOME=str(workplace), WANDB_INIT_TIMEOUT="3").items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("WANDB_SILENT")
        # the agent's interpreter is the python that PATH finds
        monkeypatch.setenv("PATH", f"{os.path.dirname(sys.executable)}{os.pathsep}{os.environ['PATH']}")
        wandb.teardown()  # forget the server of the test before
        yield state
        wandb.teardown()
        assert set(state.unknown) <= {"OrganizationCoreWeaveOrganizationID"}  # telemetry


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """An EqCNN that learnt for an epoch, in the folder of its trial."""
    from headtohead.trial import main as train  # here: most tests need no torch
    from tests.tiny import TINY

    folder = tmp_path_factory.mktemp("trial")
    fit = ["fit", "--model=EqCNN", *TINY, "--trainer.accelerator=cpu", "--trainer.logger=false"]
    fit += [f"--trainer.{limit}" for limit in ("max_epochs=1", "limit_train_batches=4", "limit_test_batches=1")]
    assert train.main([*fit, f"--trainer.default_root_dir={folder}"]) == 0
    return folder / "checkpoints" / "best.ckpt"
