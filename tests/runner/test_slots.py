"""Which GPU a trial of a sweep gets."""

from types import SimpleNamespace

import pytest

from headtohead.runner import main as runner
from headtohead.runner.strategy import AsListed
from headtohead.runner.sweep_file import Trial
from headtohead.trial import hardware
from tests.tiny import a_sweep

LISTED = """GPU 0: NVIDIA H200 (UUID: GPU-a)
GPU 1: NVIDIA A100 (UUID: GPU-b)
  MIG 1g.5gb     Device  0: (UUID: MIG-c)
  MIG 1g.5gb     Device  1: (UUID: MIG-d)
"""


@pytest.fixture(autouse=True)
def built_for_cuda(monkeypatch):
    monkeypatch.setattr(hardware, "version", {"torch": "2.14.1+cu130"}.get)


def test_names_of_cards_and_of_their_parts():
    assert hardware.gpus_listed(LISTED) == ["GPU-a", "MIG-c", "MIG-d"]
    assert hardware.gpus_listed("No devices found.") == []


@pytest.mark.parametrize(
    ("given", "names"), [("2,MIG-x", ["2", "MIG-x"]), ("", []), ("-1", []), ("1,-1,2", ["1"]), ("GPU-a", ["GPU-a"])]
)
def test_what_the_environment_names_is_taken(monkeypatch, given, names):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
    assert hardware.gpus() == names


def test_without_a_driver_there_is_none(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", "")
    assert hardware.gpus() == []


def test_a_pytorch_for_cpus_uses_none(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    monkeypatch.setattr(hardware, "version", {"torch": "2.14.1+cpu"}.get)
    assert hardware.gpus() == []
    monkeypatch.setattr(hardware, "version", {"torch": "2.14.1+cu130"}.get)
    assert hardware.gpus() == ["0", "1"]


def sweep_of(*command_lines):
    return SimpleNamespace(trials=[Trial(f"t{i}", {}, args) for i, args in enumerate(command_lines)], corners=[])


@pytest.mark.parametrize(
    ("args", "names"),
    [
        ([], "abab"),
        (["--trainer.max_epochs=2", "--trainer.devices=1"], "abab"),
        (["--trainer.accelerator=cpu"], ""),
        (["--trainer.accelerator", "cpu"], ""),
        (["--trainer.devices=2"], ""),  # it has them all
        (["--config=two.yaml"], ""),
        (["--config=two.yaml", "--trainer.devices=1"], "abab"),  # the last one counts
        (["--trainer.devices=1", "--config=two.yaml"], ""),
        (["--config={model: CNN, trainer: {accelerator: cpu}}"], ""),
        (["--config={model: CNN}"], "abab"),
        (["--config=[no YAML"], "abab"),  # train.py refuses it
        ([f"--config={{model: {'x' * 300}}}"], "abab"),
    ],
)
def test_slots(monkeypatch, workplace, args, names):
    """Wherever a trial says it: among the parameters, in the file's command, in a recipe."""
    (workplace / "two.yaml").write_text("trainer: {devices: 2}")
    monkeypatch.setattr(runner, "gpus", lambda: ["a", "b"])
    assert runner._slots(sweep_of(args), 2) == list(names)


def test_slots_where_trials_differ(monkeypatch):
    monkeypatch.setattr(runner, "gpus", lambda: ["a", "b"])
    assert runner._slots(sweep_of([], ["--trainer.devices=2"]), 1) == []
    assert runner._slots(sweep_of([], ["--trainer.accelerator=cpu"]), 1) == ["a", "b"]


def test_several_on_a_gpu_are_refused_where_there_is_none(monkeypatch, workplace, capsys):
    monkeypatch.setattr(runner, "gpus", list)
    (workplace / "tiny.yaml").write_text(a_sweep(seed_everything="{values: [0, 1]}"))
    assert runner.main(["tiny.yaml", "--per-gpu=2"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "sweep.py: --per-gpu: no trial of this sweep gets a GPU to itself on this machine: leave it out"
    ]


def test_trials_are_dealt_out_evenly_and_told_how_many_share(monkeypatch, tmp_path):
    started = []

    def start(args, folder, environment):
        started.append(environment)
        return SimpleNamespace(name=len(started), exitcode=None)

    class Process(SimpleNamespace):
        __hash__ = object.__hash__

    monkeypatch.setattr(runner.processes, "start", lambda *a: start(*a) and Process())
    trials = [Trial(f"t{i}", {"model": "M", "data": "D"}, []) for i in range(4)]
    run = runner.Run("s", AsListed(trials), tmp_path, 3, ["a", "b", "a"])
    for trial in trials[:3]:
        run._start(trial)
    assert [one["CUDA_VISIBLE_DEVICES"] for one in started] == ["a", "b", "a"]
    assert [one["TRIALS_AT_ONCE"] for one in started] == ["2", "1", "2"]
    assert {one["TRIALS_ON_MACHINE"] for one in started} == {"3"}
    run.taken.pop(list(run.running)[1])
    run._start(trials[3])
    assert started[3]["CUDA_VISIBLE_DEVICES"] == "b"


def test_on_the_cpu_no_device_is_named(monkeypatch, tmp_path):
    seen = {}
    monkeypatch.setattr(
        runner.processes, "start", lambda args, folder, environment: seen.update(environment) or object()
    )
    trial = Trial("t", {"model": "M", "data": "D"}, [])
    runner.Run("s", AsListed([trial]), tmp_path, 2)._start(trial)
    assert "CUDA_VISIBLE_DEVICES" not in seen
    assert seen["TRIALS_AT_ONCE"] == "2"
