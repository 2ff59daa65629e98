"""A trial on several processes and machines: what one process gives, counted once, written once, ended together."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from headtohead.records import record as records
from headtohead.trial import main as train
from tests.conftest import ROOT
from tests.tiny import TINY, a_sweep

CPU = "--trainer.accelerator=cpu"
PROBE = '''
import ctypes
import dataclasses
import torch
from lit_models import Classifier
from tests.tiny import Tiny

class Probe(Classifier):
    """Keeps the images of each rank's first training step."""
    def training_step(self, batch, batch_idx):
        if batch_idx == 0:
            torch.save(batch[0], f"rank{self.global_rank}-epoch{self.current_epoch}.pt")
        return super().training_step(batch, batch_idx)

class Compilations(Classifier):
    """Keeps how many graphs were compiled up to each training step, and what each step lost."""
    seen = []
    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)
        self.seen.append((torch._dynamo.utils.counters["stats"]["unique_graphs"], float(loss)))
        torch.save(self.seen, f"{self.net._compiled_call_impl is not None}-rank{self.global_rank}.pt")
        return loss

class Greedy(Classifier):
    """Needs more memory than there is, on the second rank alone."""
    def training_step(self, batch, batch_idx):
        if self.global_rank == 1 and batch_idx == 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return super().training_step(batch, batch_idx)

class Stuck(Classifier):
    """Waits for ever in the second epoch, on one rank and where no Python runs, as in NCCL; counts broadcasts."""
    def __init__(self, *args, rank: int = 0, **kwargs):
        super().__init__(*args, **kwargs)
        self.rank, self.asked = rank, 0
    def on_train_epoch_start(self):
        if self.current_epoch == 0:
            def count(*args, broadcast=torch.distributed.broadcast, **kwargs):
                self.asked += 1
                return broadcast(*args, **kwargs)
            torch.distributed.broadcast = count
    def training_step(self, batch, batch_idx):
        if self.current_epoch == 1 and self.global_rank == self.rank:
            library, lock = ctypes.CDLL(None), ctypes.create_string_buffer(64)
            library.pthread_mutex_lock(lock)
            with open("stuck", "w") as file:
                file.write(str(self.asked))
            library.pthread_mutex_lock(lock)
        return super().training_step(batch, batch_idx)

class Same(Tiny):
    """One image, many times: what differs is the augmentation."""
    def load(self):
        arrays = super().load()
        arrays.train_images[:] = arrays.train_images[9]
        return arrays

class Many(Tiny):
    """1,000 test images."""
    def load(self):
        arrays = super().load()
        images, labels = arrays.test_images.repeat(5, 0), arrays.test_labels.repeat(5, 0)
        return dataclasses.replace(arrays, test_images=images, test_labels=labels)
'''


@pytest.fixture
def place(workplace):
    (workplace / "probe.py").write_text(PROBE)
    return workplace


def run(*args, timeout=300, **environment) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *args]
    env = {**os.environ, **environment}
    return subprocess.run(command, capture_output=True, text=True, env=env, timeout=timeout)


def test_other_ranks_than_torchrun_starts_are_refused_in_one_line(workplace, monkeypatch):
    environment = {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "4", "RANK": "0", "LOCAL_RANK": "0"}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    fit = ["fit", "--model=EqCNN", *TINY, CPU, "--trainer.devices=2", "--trainer.strategy=ddp"]
    said = train.resolve(fit)
    assert said is not None
    assert "must be the number of processes that torchrun starts, 4: got 2 and 1" in said
    assert isinstance(train.resolve([*fit, "--trainer.num_nodes=2"]), dict)


def test_a_batch_that_does_not_divide_is_found_before_anything_runs(workplace):
    fit = ["fit", "--model=EqCNN", *TINY, CPU, "--trainer.devices=2", "--trainer.strategy=ddp"]
    assert isinstance(train.resolve([*fit, "--data.batch_size=50"]), dict)
    said = "--data.batch_size: must divide by the number of devices: got 50 for 4; 48 does"
    assert train.resolve([*fit, "--data.batch_size=50", "--trainer.num_nodes=2"]) == said


@pytest.mark.slow
def test_a_thousand_images_count_as_a_thousand_on_one_two_and_three_processes(place):
    """1,000 divides by two but not by three: padding would show as a share of 1,002."""
    arguments = ["--model=SimpleCNN", "--data=probe.Many", "--data.val_size=100", CPU]
    assert train.main(["fit", *arguments, "--trainer.max_epochs=2", "--trainer.default_root_dir=one"]) == 0
    record = records.read(Path("one") / records.FILE_NAME)
    assert record.quality["test_images"] == 1_000
    assert 0 < record.quality["test_acc"] < 1  # a network that is always right would hide a wrong count
    for devices in (2, 3):
        checkpoint = "--ckpt_path=one/checkpoints/best.ckpt"
        done = run(ROOT / "train.py", "test", *arguments, checkpoint, f"--trainer.devices={devices}")
        assert done.returncode == 0, done.stderr
        for name in ("test_acc", "test_acc_rot90", "test_acc_rotation_sweep"):
            (shown,) = re.findall(rf"(?m)^{name} ([\d.]+)$", done.stdout)
            images = 1_000 * (24 if name == "test_acc_rotation_sweep" else 1)
            assert float(shown) * images == pytest.approx(record.quality[name] * images, abs=0.02), (devices, name)


@pytest.mark.slow
def test_a_sweep_of_trials_on_two_devices_each(place, offline):
    """Under a Slurm job of one task, which Lightning alone would take for the one rank there is."""
    sweep = a_sweep(
        model="{value: SimpleCNN}", task="{value: probe.Probe}", data="{value: probe.Same}",
        trainer__devices="{value: 2}", seed_everything="{values: [0, 1]}",
    )  # fmt: skip
    (place / "tiny.yaml").write_text(sweep)
    slurm = {"NTASKS": "1", "JOB_ID": "77", "JOB_NAME": "sweep", "PROCID": "0", "LOCALID": "0", "NODEID": "0"}
    done = run(ROOT / "sweep.py", "tiny.yaml", **{f"SLURM_{name}": value for name, value in slurm.items()})
    assert done.returncode == 0, done.stdout + done.stderr
    found = [records.read(path) for path in place.glob("runs/tiny/*/record.json")]
    assert sorted(record.seed for record in found) == [0, 1]
    assert [record.hardware["devices"] for record in found] == [2, 2]
    assert [record.quality["test_images"] for record in found] == [200, 200]
    assert Path("rank1-epoch0.pt").is_file()  # the second rank was there
    for folder in place.glob("runs/tiny/*"):
        assert len(list(folder.glob("wandb/offline-run-*"))) == 1
        assert (folder / "log.txt").read_text().count("testing the best checkpoint") == 1


@pytest.mark.slow
def test_memory_that_runs_out_on_any_rank_is_named_without_a_traceback(place):
    fit = ["fit", "--model=SimpleCNN", "--model.width=2", *TINY, CPU, "--task=probe.Greedy", "--trainer.devices=2"]
    done = run(ROOT / "train.py", *fit, "--data.batch_size=100", "--trainer.default_root_dir=here")
    assert done.returncode != 0
    said = [line for line in done.stderr.splitlines() if line.startswith("train.py: ")]
    assert said[0] == "train.py: out of memory: lower data.batch_size (100), model.width (2)"
    assert said[1:] in ([], ["train.py: another process of this trial ended; what it said stands above"])
    assert "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_network_on_two_devices_is_compiled_at_its_first_step_and_never_again(place):
    fit = ["fit", "--model=SimpleCNN", "--model.width=2", *TINY, CPU, "--task=probe.Compilations"]
    fit += ["--data.batch_size=100", "--trainer.max_epochs=2", "--trainer.devices=2", "--trainer.precision=32-true"]
    for mode in ("no", "default"):
        done = run(ROOT / "train.py", *fit, f"--compile={mode}", f"--trainer.default_root_dir={mode}", timeout=600)
        assert done.returncode == 0, done.stderr
        assert records.read(Path(mode) / records.FILE_NAME).hardware["compiled"] is (mode == "default")
    for rank in (0, 1):
        (plain, losses), (compiled, of_compiled) = (
            zip(*torch.load(f"{kind}-rank{rank}.pt"), strict=True) for kind in (False, True)
        )
        assert set(plain) == {0}
        assert compiled == (2,) * 2 * 5  # one graph for validation, which comes first, and one for training
        assert of_compiled == pytest.approx(losses, abs=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(("whom", "number"), [("the first process", signal.SIGTERM), ("the group", signal.SIGINT)])
def test_a_signal_ends_all_ranks_and_the_trial_goes_on_later(place, whom, number):
    fit = ["fit", "--model=EqCNN", *TINY, CPU, "--trainer.default_root_dir=here", "--ckpt_path=last"]
    fit += ["--trainer.devices=2", "--task.schedule=constant"]
    command = [sys.executable, ROOT / "train.py", *fit, "--trainer.max_epochs=1000"]
    process = subprocess.Popen(command, process_group=0, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    last = Path("here/checkpoints/last.ckpt")
    try:
        _wait_until(last.is_file)
        time.sleep(0.5)  # into the second epoch
        (os.kill if whom == "the first process" else os.killpg)(process.pid, number)
        assert process.wait(60) == (143 if number == signal.SIGTERM else 1)
        _wait_until(lambda: not _group_lives(process.pid), 20)
    finally:
        if _group_lives(process.pid):
            os.killpg(process.pid, signal.SIGKILL)
    epochs = 1 + torch.load(last, weights_only=True)["epoch"]
    assert train.main([*(arg for arg in fit if "devices" not in arg), f"--trainer.max_epochs={epochs + 1}"]) == 0
    assert len(records.read(Path("here") / records.FILE_NAME).history) == epochs + 1


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the probe waits in glibc")
@pytest.mark.parametrize("rank", [0, 1])
def test_a_signal_ends_a_trial_of_which_a_rank_runs_no_python(place, rank):
    fit = ["fit", "--model=SimpleCNN", *TINY, CPU, "--task=probe.Stuck", f"--task.rank={rank}", "--trainer.devices=2"]
    command = [sys.executable, ROOT / "train.py", *fit, "--trainer.max_epochs=3", "--trainer.default_root_dir=here"]
    process = subprocess.Popen(command, process_group=0, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_until(lambda: Path("stuck").is_file() and Path("stuck").read_text())
        assert Path("stuck").read_text() == "0"  # no step asked whether the first rank was told to end
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(30) == 143
        _wait_until(lambda: not _group_lives(process.pid), 20)
        assert torch.load("here/checkpoints/last.ckpt", weights_only=True)["epoch"] == 0
    finally:
        if _group_lives(process.pid):
            os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture
def two_machines():
    """Two network namespaces that reach each other and nothing else; a function that starts a command in one."""
    if os.name != "posix" or os.geteuid() != 0 or not shutil.which("ip"):
        pytest.skip("network namespaces need root and iproute2's ip")
    names = [f"suite-{os.getpid()}-{side}" for side in "ab"]
    links = [f"ve{os.getpid()}{side}" for side in "ab"]
    try:
        for name in names:
            made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True)
            if made.returncode:
                pytest.skip(f"network namespaces cannot be made here: {made.stderr.strip()}")
        _ip("link", "add", links[0], "netns", names[0], "type", "veth", "peer", "name", links[1], "netns", names[1])
        for number, (name, link) in enumerate(zip(names, links, strict=True), 1):
            _ip("-n", name, "addr", "add", f"10.77.0.{number}/24", "dev", link)
            _ip("-n", name, "link", "set", "lo", "up")
            _ip("-n", name, "link", "set", link, "up")

        def start(machine: int, *command: str) -> subprocess.Popen[str]:
            env = {**os.environ, "GLOO_SOCKET_IFNAME": links[machine]}
            inside = ["ip", "netns", "exec", names[machine], *command]
            return subprocess.Popen(inside, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

        yield start
    finally:
        for name in names:  # their links go with them
            subprocess.run(["ip", "netns", "del", name], capture_output=True)


@pytest.mark.slow
def test_two_machines_by_torchrun_train_what_one_process_does(two_machines, place, offline):
    arguments = ["fit", "--model=EqCNN", *TINY, CPU, "--trainer.max_epochs=2"]
    here = ["--nnodes=2", "--nproc-per-node=1", "--rdzv-backend=c10d", "--rdzv-endpoint=10.77.0.1:29500"]
    there = ["--trainer.num_nodes=2", "--trainer.devices=1", "--trainer.strategy=ddp"]
    machines = [
        two_machines(
            number, sys.executable, "-m", "torch.distributed.run", *here,
            f"--rdzv-conf=is_host={1 - number}", f"--local-addr=10.77.0.{number + 1}",
            str(ROOT / "train.py"), *arguments, *there,
        )
        for number in (0, 1)
    ]  # fmt: skip
    try:
        outputs = [machine.communicate(timeout=240)[0] for machine in machines]
    finally:
        for machine in machines:
            machine.kill()
    assert [machine.returncode for machine in machines] == [0, 0], outputs
    assert [output.count("testing the best checkpoint") for output in outputs] == [1, 0]
    (folder,) = place.glob("runs/train/*")  # the same on both, and one wrote
    assert len(list(folder.glob("wandb/offline-run-*"))) == 1
    found = records.read(folder / records.FILE_NAME)
    assert (found.hardware["devices"], found.hardware["nodes"]) == (1, 2)
    assert found.quality["test_images"] == 200
    assert train.main([*arguments, "--trainer.default_root_dir=one"]) == 0
    alone = records.read(Path("one") / records.FILE_NAME)
    for name in ("train_loss", "val_loss"):
        curves = [[epoch[name] for epoch in record.history] for record in (found, alone)]
        assert curves[0] == pytest.approx(curves[1], abs=1e-4)
    # equal but for rounding: the configuration is one and the same experiment
    assert found.config_hash == alone.config_hash
    assert json.loads(records.dumps(found))["quality"]["confusion"] == alone.quality["confusion"]


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


def _wait_until(condition, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def _group_lives(group: int) -> bool:
    """Tell whether a process group has a process that is no zombie."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            state, _, its_group = stat.read_text().rpartition(")")[2].split()[:3]
            if int(its_group) == group and state != "Z":
                return True
    return False
