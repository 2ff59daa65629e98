"""A trial's folder is one process's, and what is tested is what it kept there."""

import fcntl
import os
import shutil
from pathlib import Path

import filelock
import pytest

from headtohead.records import record as records
from headtohead.trial import main as train
from tests.tiny import TINY
from tests.trials import fitted

FIT = ["fit", "--model=SimpleCNN", "--model.width=2", *TINY, "--trainer.accelerator=cpu", "--trainer.logger=false"]
FIT += ["--trainer.max_epochs=1"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished") / "here"
    fitted(*FIT, folder=folder)
    return folder


@pytest.fixture
def here(workplace, finished):
    return shutil.copytree(finished, workplace / "here")


RESUMED = [*FIT, "--trainer.default_root_dir=here", "--ckpt_path=last"]


@pytest.mark.parametrize("there", [True, False])
def test_a_second_process_leaves_the_folder_of_the_first_alone(here, capfd, there):
    """Also that of one which has only just begun."""
    if not there:
        shutil.rmtree(here)
        here.mkdir()
    with (here / ".lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        before = {path: path.stat().st_mtime_ns for path in here.rglob("*")}
        assert train.main(RESUMED if there else RESUMED[:-1]) == 2
        assert {path: path.stat().st_mtime_ns for path in here.rglob("*")} == before
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("train.py: --trainer.default_root_dir: another process is training in here: ")


@pytest.mark.parametrize(("content", "said"), [(b"half", "is not a checkpoint that can be used"), (None, "no file ")])
def test_a_best_checkpoint_that_is_damaged_or_gone_is_one_line(here, capfd, content, said):
    best = here / "checkpoints" / "best.ckpt"
    best.unlink()
    if content is not None:
        best.write_bytes(content)
    assert train.main(RESUMED) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("train.py: --ckpt_path: ")
    assert said in line
    assert (here / "checkpoints" / "last.ckpt").is_file()


def test_a_tilde_is_the_users_home_behind_an_equals_sign_too(here, workplace, monkeypatch):
    """It was a folder of that name, in which the test then did not find the checkpoint."""
    monkeypatch.setenv("HOME", os.fspath(workplace))
    (here / records.FILE_NAME).unlink()
    assert train.main([*FIT, "--trainer.default_root_dir=~/here", "--ckpt_path=last"]) == 0
    assert (here / records.FILE_NAME).is_file()
    assert not Path("~").exists()


def test_a_file_system_without_locks_stops_no_trial(here, monkeypatch):
    """A later filelock makes a file its lock there; an earlier one raises."""

    def acquire(*_, **__):
        raise NotImplementedError  # as filelock does: nothing is left to write here

    (here / records.FILE_NAME).unlink()
    monkeypatch.setattr(filelock.FileLock, "acquire", acquire)
    assert train.main(RESUMED) == 0
    assert (here / records.FILE_NAME).is_file()
