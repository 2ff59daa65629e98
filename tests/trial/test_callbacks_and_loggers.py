"""Every callback and logger that Lightning exports: it works, resumed too, or is refused in one line.

``python -m tests.trial.test_callbacks_and_loggers`` writes the table in ``docs/callbacks.md``, which the test compares.
"""

import io
import json
import os
import shutil
import tempfile
from contextlib import redirect_stderr, redirect_stdout
from importlib.util import find_spec
from pathlib import Path

import pytest
from lightning.pytorch import callbacks, loggers

from headtohead.trial import main as train
from headtohead.trial.refused import REFUSED
from tests.conftest import ROOT
from tests.tiny import TINY
from tests.trials import kill_after, record_in, without_times

FIT = ["fit", "--model=SimpleCNN", "--model.width=2", *TINY, "--trainer.accelerator=cpu", "--trainer.max_epochs=3"]
TABLE = ROOT / "docs" / "callbacks.md"
HEAD = """# Lightning's callbacks and loggers

Written by `python -m tests.trial.test_callbacks_and_loggers`, which runs a trial with each, kills it after an epoch,
and compares the record of what goes on with that of an undisturbed one.

| | |
|---|---|
"""
NEEDED = {
    "CSVLogger": {"save_dir": "logs"},
    "EarlyStopping": {"monitor": "val_loss"},
    "EMAWeightAveraging": {"decay": 0.9},
    "GradientAccumulationScheduler": {"scheduling": {"1": 2}},
    "ModelPruning": {"pruning_fn": "l1_unstructured"},
    "OnExceptionCheckpoint": {"dirpath": "mine"},
    "StochasticWeightAveraging": {"swa_lrs": 0.01},
    "TensorBoardLogger": {"save_dir": "logs"},
    "Timer": {"duration": {"hours": 1}},
    "TQDMProgressBar": {"refresh_rate": 5},
    "WandbLogger": {"save_dir": "logs"},
}
PACKAGES = {
    "CometLogger": "comet_ml",
    "DeviceStatsMonitor": "psutil",
    "LitLogger": "litlogger",
    "MLFlowLogger": "mlflow",
    "TensorBoardLogger": "tensorboard",
}
NEEDS_A_LOGGER = ("DeviceStatsMonitor", "LearningRateMonitor")
EVERY = [*((name, "callbacks") for name in callbacks.__all__), *((name, "logger") for name in loggers.__all__)]


def arguments(name, argument, folder):
    own = json.dumps({"class_path": name, "init_args": NEEDED.get(name, {})})
    logger = '{"class_path": "CSVLogger", "init_args": {"save_dir": "logs"}}' if name in NEEDS_A_LOGGER else "false"
    more = [f"--trainer.logger={logger}"] if argument == "callbacks" else []
    return [*FIT, f"--trainer.{argument}={own}", *more, f"--trainer.default_root_dir={folder}"]


def call(args):
    """Return the exit code and the last line of standard error."""
    errors = io.StringIO()
    with redirect_stderr(errors), redirect_stdout(io.StringIO()):
        code = train.main(args)
    return code, (errors.getvalue().strip().splitlines() or [""])[-1].removeprefix("train.py: ")


def outcome(name, argument):
    """Return "works", or the line by which it is refused."""
    code, said = call(arguments(name, argument, "whole"))
    if name in PACKAGES:
        assert find_spec(PACKAGES[name]) or (code == 2 and said.startswith(f"--trainer.{argument}: ")), said
        return f"needs `{PACKAGES[name]}`, which the suite does not bring: refused without it"
    if code == 2:
        assert not list(Path("whole").glob("checkpoints/*"))
        return said
    assert code == 0, said
    with redirect_stderr(io.StringIO()), redirect_stdout(io.StringIO()):
        kill_after(1, arguments(name, argument, "broken"))
    code, said = call([*arguments(name, argument, "broken"), "--ckpt_path=last"])
    assert code == 0, said
    whole, broken = (without_times(record_in(folder)) for folder in ("whole", "broken"))
    assert whole == broken, name
    return "works"


def table():
    rows = []
    for name, argument in EVERY:
        place = Path(tempfile.mkdtemp())
        before = Path.cwd()
        os.chdir(place)
        try:
            rows.append(f"| `{name}` | {outcome(name, argument)} |\n")
        finally:
            os.chdir(before)
            shutil.rmtree(place)
    return HEAD + "".join(rows)


@pytest.mark.nightly
@pytest.mark.timeout(1800)
@pytest.mark.filterwarnings("ignore")
def test_the_table_of_callbacks_and_loggers(workplace):
    assert table() == TABLE.read_text()


def test_every_one_is_in_the_table():
    listed = [line.split("`")[1] for line in TABLE.read_text().splitlines() if line.startswith("| `")]
    assert listed == [name for name, _ in EVERY]


@pytest.mark.parametrize(("name", "argument"), [one for one in EVERY if one[0] in REFUSED])
def test_what_is_refused_is_refused_by_the_check_of_a_sweep_too(workplace, name, argument):
    said = train.resolve(arguments(name, argument, "here"))
    assert f"| `{name}` | {said} |\n" in TABLE.read_text()
    assert name in ("Logger", "ThroughputMonitor") or said == f"--trainer.{argument}: {name} {REFUSED[name]}"


@pytest.mark.filterwarnings("ignore")
def test_several_loggers_and_an_own_bar(workplace):
    own = [{"class_path": "CSVLogger", "init_args": {"save_dir": f"logs{index}"}} for index in range(2)]
    bar = ["--trainer.callbacks+=RichProgressBar", "--trainer.callbacks.refresh_rate=2"]
    code, said = call([*FIT, f"--trainer.logger={json.dumps(own)}", *bar, "--trainer.default_root_dir=here"])
    assert code == 0, said
    assert record_in("here").quality["test_images"] == 200
    assert len(list(Path().glob("logs*/**/metrics.csv"))) == 2


if __name__ == "__main__":
    TABLE.write_text(table())
