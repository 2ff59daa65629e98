"""What machines do to a trial: no number, no memory, no disk; and what a stranger may have put in its way."""

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from headtohead.records import record as records
from headtohead.report.main import main as results_main
from headtohead.runner import main as sweep
from headtohead.trial import main as train
from headtohead.trial.callbacks import FiniteLoss
from headtohead.trial.errors import TrialFailed
from tests.conftest import ROOT
from tests.datamodules.published import Malicious
from tests.records.examples import make
from tests.tiny import TINY, a_sweep

FIT = [
    "fit",
    "--model=SimpleCNN",
    *TINY,
    "--data.batch_size=250",
    "--trainer.max_epochs=2",
    "--trainer.accelerator=cpu",
]
HERE = "--trainer.default_root_dir=here"


def fails(capfd, args, said):
    assert train.main([*FIT, *args]) == 1
    printed = capfd.readouterr().err.splitlines()
    lines = [line for line in printed if line.startswith("train.py: ")]
    assert len(lines) == 1, printed
    assert said in lines[0]
    assert lines[0] == printed[-1]  # the runner of sweeps shows the last line
    assert "Traceback" not in "".join(printed)
    assert [path for path in Path().rglob(records.FILE_NAME) if "wandb" not in path.parts] == []


def test_a_loss_that_is_no_number_stops_the_trial(workplace, capfd):
    fails(capfd, ["--task.lr=1.0e+30", HERE], "loss became NaN at step 2; lower task.lr (1e+30)")
    assert not list(workplace.rglob("*.ckpt"))  # from which it would go on to the same end


def test_a_loss_that_explodes_stops_the_trial(workplace, capfd):
    fails(capfd, ["--task.optimizer=sgd", "--task.lr=1000000", HERE], "at step 2; lower task.lr (1000000.0)")


@pytest.mark.parametrize(
    ("losses", "said"),
    [
        ([2, 3, float("nan"), 2, 2], "became NaN at step 3"),
        ([2, float("inf"), float("nan"), 2, 2], "became infinite at step 2"),
        ([2, 5, 19_999, 20_001, 2], "grew to 2e+04 at step 4"),
        ([float("nan")] * 5, "became NaN at step 1"),
        ([1e-9, 2, 9_999, 0, 0], None),
    ],
)
@pytest.mark.parametrize("alone", [True, False], ids=["one CPU", "as on a GPU"])
def test_the_step_is_the_first_bad_one_though_it_is_read_later(losses, said, alone):
    check = FiniteLoss(every=5)
    module = SimpleNamespace(device=torch.device("cpu"), lr=0.1)
    trainer = SimpleNamespace(world_size=1, fit_loop=SimpleNamespace(total_batch_idx=0))
    check.on_train_start(trainer, module)
    check._between = 1 if alone else check.every
    last = int(said[-1]) - 1 if said and alone else 4
    for step, loss in enumerate(losses):
        trainer.fit_loop.total_batch_idx = step
        if said and step == last:
            with pytest.raises(TrialFailed, match=rf"loss {said.replace('+', '.')}; lower task.lr \(0.1\)"):
                check.on_train_batch_end(trainer, module, {"loss": torch.tensor(float(loss))}, None, step)
            break
        else:
            check.on_train_batch_end(trainer, module, {"loss": torch.tensor(float(loss))}, None, step)


BROKEN = """
import shutil
import torch
from lit_models import Classifier, SimpleCNN

class Greedy(SimpleCNN):
    def __init__(self, width: int = 7):
        super().__init__()
    def forward(self, images):
        if self.training:
            torch.empty(2**50)
        return super().forward(images)

class GreedyToo(SimpleCNN):
    def __init__(self):
        super().__init__()
    def forward(self, images):
        if self.training:
            raise MemoryError
        return super().forward(images)

class Vanishing(Classifier):
    def on_train_epoch_end(self):
        super().on_train_epoch_end()
        shutil.rmtree("here")
"""


@pytest.fixture
def mine(workplace, monkeypatch):
    (workplace / "mine_faults.py").write_text(BROKEN)
    monkeypatch.syspath_prepend(workplace)
    monkeypatch.delitem(sys.modules, "mine_faults", raising=False)
    return workplace


@pytest.mark.parametrize(("model", "sizes"), [("Greedy", ", model.width (7)"), ("GreedyToo", "")])
def test_memory_that_runs_out_is_named_with_what_to_lower(mine, capfd, model, sizes):
    fails(capfd, [f"--model=mine_faults.{model}", HERE], f"out of memory: lower data.batch_size (250){sizes}")


def test_a_folder_that_vanishes_is_named(mine, capfd):
    fails(capfd, ["--task=mine_faults.Vanishing", HERE], "here/checkpoints: No such file or directory")


def full_disk(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_is_named_and_the_last_checkpoint_is_intact(workplace, capfd, monkeypatch):
    assert train.main([*FIT, HERE, "--task.schedule=constant"]) == 0
    files = {path: path.read_bytes() for path in workplace.rglob("here/**/*.ckpt")}
    assert len(files) == 2
    (workplace / "here" / records.FILE_NAME).unlink()
    capfd.readouterr()
    monkeypatch.setattr(os, "fsync", full_disk)
    again = [HERE, "--ckpt_path=last", "--trainer.max_epochs=3", "--task.schedule=constant"]
    fails(capfd, again, ".ckpt: No space left on device")
    assert {path: path.read_bytes() for path in workplace.rglob("here/**/*.ckpt*")} == files


def test_results_on_a_full_disk_leave_what_was_there(workplace, capfd, monkeypatch):
    records.write(make(), workplace / "runs" / "x" / "trial")
    assert results_main(["runs/x"]) == 0
    before = {path: path.read_bytes() for path in (workplace / "results").rglob("*") if path.is_file()}
    capfd.readouterr()
    monkeypatch.setattr(os, "fsync", full_disk)
    assert results_main(["runs/x"]) == 1
    printed = capfd.readouterr().err
    assert "report.py: " in printed
    assert "No space left on device" in printed
    assert {path: path.read_bytes() for path in (workplace / "results").rglob("*") if path.is_file()} == before


def test_a_sweep_on_a_full_disk_ends_in_one_line(workplace, capfd, monkeypatch):
    monkeypatch.setattr(sweep, "_check", lambda *_: None)
    monkeypatch.setattr(sweep.Run, "run", full_disk)
    shutil.copy(ROOT / "sweeps" / "quick.yaml", "x.yaml")
    assert sweep.main(["x.yaml"]) == 1
    assert capfd.readouterr().err == "sweep.py: runs/x: No space left on device; the same command goes on\n"


@pytest.fixture
def small_disk(workplace):
    """A disk of 300 kB."""
    (workplace / "disk").mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", "disk"]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs the right to mount")
    yield workplace / "disk"
    subprocess.run(["umount", "-l", workplace / "disk"], check=True)


SWEEP = a_sweep(
    model="{value: EqCNN}", data__batch_size="{value: 250}", trainer__max_epochs="{value: 2}",
    task__lr="{values: [0.001, 0.002, 0.003]}",
)  # fmt: skip


def run(*command):
    return subprocess.run([sys.executable, *command], capture_output=True, text=True, timeout=300)


@pytest.mark.slow
def test_a_sweep_on_a_disk_that_fills_up(small_disk):
    Path("x.yaml").write_text(SWEEP)
    done = run(ROOT / "sweep.py", "x.yaml", "--runs=disk")
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    assert "No space left on device" in done.stdout + done.stderr
    kept = list(small_disk.glob("x/*/record.json"))
    assert len(kept) == 1
    before = kept[0].read_bytes()
    for path in small_disk.rglob("*.ckpt"):
        torch.load(path, weights_only=True)  # each is whole
    made = run(ROOT / "report.py", "disk/x", "--out=out")
    assert made.returncode == 0, made.stderr
    again = run(ROOT / "sweep.py", "x.yaml", "--runs=disk")
    assert again.returncode == 1
    assert kept[0].read_bytes() == before


SECRETS = {
    "WANDB_API_KEY": "5ec" + "r37" * 12 + "0",
    "AWS_SECRET_ACCESS_KEY": "t0ps3cr3tkey",
    "MY_PASSWORD": "hunt3r2hunt3r",
}


@pytest.mark.slow
def test_no_secret_of_the_environment_is_kept_or_printed(workplace, monkeypatch, offline):
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("WANDB_SERVICE", raising=False)  # of a trial that another test ran in this process
    trained = run(ROOT / "train.py", *FIT, "--trainer.default_root_dir=runs/x/trial")
    made = run(ROOT / "report.py", "runs/x")
    printed = trained.stdout + trained.stderr + made.stdout + made.stderr
    assert trained.returncode == made.returncode == 0, printed
    files = [path for path in workplace.rglob("*") if path.is_file()]
    assert {"record.json", "runs.csv", "table.md", "config.yaml"} <= {path.name for path in files}
    assert any(path.suffix == ".wandb" for path in files), [str(path) for path in files]
    for value in SECRETS.values():
        assert value not in printed
        assert [path for path in files if value.encode() in path.read_bytes()] == []


def test_a_checkpoint_to_go_on_from_is_never_run(workplace, capfd):
    place = workplace / "here" / "checkpoints"
    place.mkdir(parents=True)
    torch.save({"state_dict": {}, "callbacks": Malicious(Path("pwned"))}, place / "last.ckpt")
    assert train.main([*FIT, HERE, "--ckpt_path=last"]) == 2
    assert "last.ckpt is not a checkpoint that can be used: it holds more than weights" in capfd.readouterr().err
    assert not (workplace / "pwned").exists()
    assert (place / "last.ckpt").exists()


def test_a_name_in_a_record_is_text_and_no_path(workplace, capfd):
    names = ["../../x", "<script>alert(1)</script>", "/etc/passwd", "a\nb", "x" * 1000, "[bold]"]
    for index, name in enumerate(names):
        config = {**make().config, "model": name}
        named = make(model=name, data=name[:99], commit=name, config=config, config_hash=f"../../../../{index}")
        records.write(named, workplace / "inner" / "runs" / "x" / f"trial{index}")
    assert results_main(["inner/runs/x", "--out=inner/out"]) == 0
    outside = {path.relative_to(workplace).parts[:2] for path in workplace.rglob("*")}
    assert outside == {("inner",), ("inner", "runs"), ("inner", "out")}
    assert all(path.is_relative_to(workplace / "inner" / "out" / "x") for path in workplace.glob("inner/out/*/**/*"))
    kept = [json.loads(path.read_text())["model"] for path in workplace.glob("inner/out/x/records/*.json")]
    assert sorted(kept) == sorted(names)
