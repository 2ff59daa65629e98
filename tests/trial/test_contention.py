"""Who else used the processor while a trial was timed is in its record (docs/kinds.md)."""

import dataclasses
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from headtohead.records import record as records
from headtohead.records.contention import contended, in_words
from headtohead.trial import contention
from tests.records.examples import make
from tests.tiny import TINY
from tests.trials import fitted, kill_after

on_linux = pytest.mark.skipif(not Path("/proc/stat").is_file(), reason="there is no /proc/stat")
BUSY = "import time\nwhile time.process_time() < {}: pass"


def proc(folder, cpus, processes):
    """Write what Linux would say: CPU lines, and for each process its parent and four CPU times."""
    (folder / "stat").write_text("".join(f"{name} {' '.join(map(str, ticks))} 0 0\n" for name, ticks in cpus.items()))
    for process, (parent, *ticks) in processes.items():
        (folder / str(process)).mkdir(exist_ok=True)
        times = " ".join(map(str, ticks))
        (folder / str(process) / "stat").write_text(f"{process} (a) b) S {parent} 1 1 0 -1 0 0 0 0 0 {times} 20 0 1")


def test_the_shares_are_those_of_the_ticks(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 2}, raising=False)
    monkeypatch.setattr(os, "getpid", lambda: 10)
    for name in ("TORCHELASTIC_RUN_ID", "SLURM_NTASKS"):
        monkeypatch.delenv(name, raising=False)
    nothing = [0] * 8
    proc(tmp_path, dict.fromkeys(("cpu", "cpu0", "cpu1", "cpu2"), nothing), {1: (0, 0, 0, 0, 0), 10: (1, 5, 5, 0, 0)})
    before = contention.look(tmp_path)
    assert before == contention.Look(0, 0, 0, 10, cpus=2)
    # user, nice, system, idle, iowait, irq, softirq, steal; CPU 1 is not ours
    cpus = {"cpu0": [60, 0, 10, 20, 5, 1, 1, 3], "cpu1": [100, *nothing[1:]], "cpu2": [50, 10, 10, 30, 0, 0, 0, 0]}
    processes = {1: (0, 900, 0, 0, 0), 10: (1, 50, 10, 0, 10), 11: (10, 20, 0, 0, 0), 12: (11, 0, 10, 0, 0)}
    proc(tmp_path, {"cpu": nothing, **cpus}, {**processes, 13: (1, 500, 0, 0, 0)})
    after = contention.look(tmp_path)
    assert after == contention.Look(total=200, busy=142, stolen=3, own=100, cpus=2)
    found = contention.between(before, after)
    assert (found["others"], found["stolen"], found["cpus"]) == ((142 - 90) / 200, 3 / 200, 2)
    monkeypatch.setattr(os, "getpid", lambda: 11)
    monkeypatch.setattr(os, "getppid", lambda: 10)
    assert contention.look(tmp_path).own == 30
    with monkeypatch.context() as patch:
        patch.setenv("TORCHELASTIC_RUN_ID", "it")  # each rank was started by one process: the tree begins there
        assert contention.look(tmp_path).own == 100
    monkeypatch.setattr(contention, "parent_process", lambda: SimpleNamespace(pid=10))  # ddp_spawn
    assert contention.look(tmp_path).own == 100
    monkeypatch.setattr(contention, "parent_process", lambda: SimpleNamespace(pid=9))  # a sweep's, by a fork server
    assert contention.look(tmp_path).own == 30


def test_where_the_system_tells_nothing_it_is_null(tmp_path, monkeypatch):
    assert contention.look(tmp_path) is None
    monkeypatch.delattr(os, "getloadavg", raising=False)
    assert contention.between(None, None) == {"load": None, "others": None, "stolen": None, "cpus": None}
    (tmp_path / "stat").write_text("cpu  of another system\n")
    assert contention.look(tmp_path) is None


@on_linux
def test_a_process_of_ours_is_no_other_and_one_of_nobodys_is():
    ticks = os.sysconf("SC_CLK_TCK")
    before = contention.look()
    subprocess.run([sys.executable, "-c", BUSY.format(0.5)], check=True)
    after = contention.look()
    assert (after.own - before.own) / ticks >= 0.5
    assert after.busy - before.busy >= after.own - before.own - 5  # ticks are dealt out a little later
    away = f"import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', {BUSY.format(0.5)!r}])"
    before = contention.look()
    subprocess.run([sys.executable, "-c", away], check=True)  # its parent has ended: it descends from nobody here
    start = time.monotonic()
    while time.monotonic() < start + 20:
        after = contention.look()
        if (others := (after.busy - before.busy) - (after.own - before.own)) / ticks >= 0.45:
            break
        time.sleep(0.1)
    assert others / ticks >= 0.45


def kept(epochs, inference):
    shares = [{"load": 1.0, "others": others, "stolen": stolen} for others, stolen in [*epochs, inference]]
    return {"epochs": shares[:-1], "inference": shares[-1]}


def trial(epochs, inference=(0.0, 0.0), seconds=(4.0, 4.0, 4.0)):
    history = [{"epoch": epoch, "seconds": one} for epoch, one in enumerate(seconds)]
    return make(history=history, contention=kept(epochs, inference))


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (make(), None),
        (trial([(None, None)] * 3, (None, None)), None),
        (trial([(0.01, 0.0)] * 3), False),
        (trial([(0.04, 0.009)] * 3), False),
        (trial([(0.04, 0.011)] * 3), True),  # together
        (trial([(0.01, 0.0)] * 3, (0.06, 0.0)), True),
        (trial([(0.0, 0.0), (0.14, 0.0), (0.0, 0.0)]), False),
        (trial([(0.0, 0.0), (0.14, 0.0), (0.0, 0.0)], seconds=(4, 23, 4)), True),  # as long as it took
        (trial([(None, None), (0.2, None), (0.0, 0.0)]), True),
    ],
)
def test_the_rule(record, expected):
    assert contended(record) is expected


@pytest.mark.parametrize(
    ("others", "stolen", "cpus", "devices", "expected"),
    [
        (7 / 64, 0.0, 64, 1, False),  # seven trials on the other GPUs, each with a CPU busy
        (0.9, 0.0, 64, 1, False),  # 6.4 CPUs are left
        (0.999, 0.0, 64, 1, True),
        (0.95, 0.0, 64, 1, False),
        (0.95, 0.0, 64, 2, True),  # of two GPUs eight must be
        (0.06, 0.0, 4, 1, True),  # none to spare
        (0.06, 0.0, None, 1, True),  # a record of before
        (0.1, 0.06, 64, 1, True),  # a hypervisor takes from all of them
    ],
)
def test_beside_a_trial_on_a_gpu_others_may_have_the_cpus_that_it_leaves(others, stolen, cpus, devices, expected):
    shares = {"load": 1.0, "others": others, "stolen": stolen, "cpus": cpus}
    hardware = {**make().hardware, "accelerator": "cuda", "devices": devices}
    history = [{"epoch": epoch, "seconds": 4.0} for epoch in range(3)]
    record = make(history=history, contention={"epochs": [shares] * 3, "inference": shares}, hardware=hardware)
    assert contended(record) is expected


def test_in_words_by_whom():
    assert in_words(trial([(0.2, 0.01)] * 3, (0.06, 0.0))) == "21% in training, 6% in inference"
    assert in_words(trial([(0.01, 0.0)] * 3, (0.06, 0.0))) == "6% in inference"


def test_a_record_keeps_it_and_an_earlier_one_is_read_without(tmp_path):
    record = trial([(0.2, None)] * 3)
    assert records.read(records.write(record, tmp_path)).contention == record.contention
    old = json.loads(records.dumps(record))
    del old["contention"]
    (tmp_path / "record.json").write_text(json.dumps(old))
    assert records.read(tmp_path / "record.json") == dataclasses.replace(record, contention=None)
    old["contention"] = kept([(1.5, 0.0)], (0, 0))
    (tmp_path / "record.json").write_text(json.dumps(old))
    with pytest.raises(records.RecordError, match=r"contention\.epochs\.0\.others is no share"):
        records.read(tmp_path / "record.json")


@pytest.mark.filterwarnings("ignore")
def test_a_trial_that_goes_on_has_all_epochs(workplace, monkeypatch):
    args = ["fit", "--model=SimpleCNN", "--model.width=2", *TINY, "--trainer.accelerator=cpu", "--trainer.logger=false"]
    args += ["--trainer.max_epochs=3"]
    kill_after(2, [*args, "--trainer.default_root_dir=here"])
    marked = iter(range(1, 100))
    monkeypatch.setattr(contention, "between", lambda *_: {"load": next(marked), "others": 0.5, "stolen": 0.0})
    record = fitted(*args, "--ckpt_path=last")
    assert [len(record.history), len(record.contention["epochs"])] == [3, 3]
    assert record.contention["epochs"][2] == {"load": 1, "others": 0.5, "stolen": 0.0}
    assert record.contention["inference"]["load"] == 2
