"""The precision by a measurement of a few steps: the choice, its margin, who shares it, and that it leaves no trace."""

import random
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from jsonargparse import Namespace
from torch import nn

from headtohead.records import record as records
from headtohead.trial import main as train
from headtohead.trial import precision, recording, training_cost
from tests.tiny import TINY

SPEEDUP = precision.speedup  # what the other tests do without
FIT = ["fit", "--model=SimpleCNN", *TINY, "--trainer.accelerator=cpu", "--trainer.max_epochs=1"]
FIT += ["--trainer.limit_train_batches=2", "--trainer.limit_test_batches=1", "--trainer.logger=false"]
CPU = torch.device("cpu")
ONE = (torch.zeros(1, 1, 4, 4),)


@pytest.fixture
def asked(workplace, monkeypatch):
    """A GPU, pretended, on which bfloat16 makes every network ``asked[0]`` times as fast; then who asked."""
    found = [2.0]

    def speedup(net, example, batch, device, layout):
        found.append((type(net).__name__, batch, device.type, layout))
        if isinstance(found[0], Exception):
            torch.rand(3)
            raise found[0]
        return found[0]

    monkeypatch.setattr(precision, "best_precision", lambda _: "bf16-mixed")
    monkeypatch.setattr(precision, "_on_gpu", lambda _: True)
    monkeypatch.setattr(precision, "_name", str)
    monkeypatch.setattr(precision, "speedup", speedup)
    return found


def trial(*more, seed=0):
    """Run a trial; return its record and what its last checkpoint holds."""
    assert train.main([*FIT, f"--seed_everything={seed}", *more]) == 0
    (path,) = [path for path in Path().glob(f"**/{records.FILE_NAME}") if records.read(path).seed == seed]
    return records.read(path), torch.load(path.parent / "checkpoints" / "last.ckpt", weights_only=True)


def same(one, other):
    """Tell whether two trials learnt the same to the bit."""
    (record, last), (another, weights) = one, other
    assert record.quality == another.quality
    return all(torch.equal(weights["state_dict"][name], value) for name, value in last["state_dict"].items())


def test_bfloat16_where_it_is_faster_for_all_seeds_and_without_a_trace(asked, capsys):
    asked[0] = 1.43
    measured = trial()
    asked[0] = 1.0  # another seed takes what the first has measured
    assert trial(seed=1)[0].hardware["precision"] == measured[0].hardware["precision"] == "bf16-mixed"
    assert capsys.readouterr().out.count("precision bf16-mixed: 1.43 x as fast as 32-true here\n") == 2
    assert [path.name[0] for path in Path("runs/train/precision").iterdir()] != ["."]
    assert measured[1]["trial"]["precision"] == "bf16-mixed"
    for folder in Path("runs/train").glob("*seed0*"):
        shutil.rmtree(folder)
    given = trial("--trainer.precision=bf16-mixed")  # is asked nothing
    assert asked[1:] == [("SimpleCNN", 64, "cpu", torch.channels_last)]
    assert "precision" not in capsys.readouterr().out
    assert same(measured, given)
    assert given[0].cost["inference_batch"] == recording.THROUGHPUT_BATCH  # on a CPU no other is tried


def test_float32_where_it_cannot_be_measured_without_a_trace_and_to_the_end(asked, capsys):
    asked[0] = torch.OutOfMemoryError("CUDA out of memory.\nTried")
    mine = ["--task.schedule=constant", "--trainer.default_root_dir=mine"]
    measured = trial(*mine)
    said = "precision 32-true: bf16-mixed could not be compared with it: CUDA out of memory. Tried\n"
    assert capsys.readouterr().out.startswith(said)
    assert measured[0].hardware["precision"] == measured[1]["trial"]["precision"] == "32-true"
    assert sorted(path.name for path in Path().iterdir()) == ["mine"]  # no other trial's folder is touched
    shutil.rmtree("mine/precision")
    asked[0] = 3.0
    resumed, _ = trial(*mine, "--trainer.max_epochs=2", "--ckpt_path=last")
    assert (len(resumed.history), resumed.hardware["precision"]) == (2, "32-true")
    assert len(asked) == 2
    shutil.rmtree("mine")
    assert same(measured, trial(*mine, "--trainer.precision=32-true"))


@pytest.mark.parametrize("held", ["bf16-mixed", "32-true"])
def test_who_goes_on_keeps_what_it_began_with(asked, held):
    trainer = Namespace(precision=None, plugins=None, accelerator="cpu")
    assert not precision.begin(trainer, {"trial": {"precision": held}})
    assert trainer.precision == held


@pytest.mark.parametrize("checkpoint", [None, {"trial": {}}, {"trial": {"precision": ["odd"]}}])
def test_who_knows_no_more_measures(asked, checkpoint):
    trainer = Namespace(precision=None, plugins=None, accelerator="cpu")
    assert precision.begin(trainer, checkpoint)


@pytest.mark.parametrize("given", [{"precision": "64-true"}, {"plugins": ["own"]}, {"hardware": "32-true"}, {"gpu": 0}])
def test_who_names_a_precision_and_hardware_without_bfloat16_and_a_cpu_measure_nothing(monkeypatch, given):
    monkeypatch.setattr(precision, "best_precision", lambda _: given.get("hardware", "bf16-mixed"))
    monkeypatch.setattr(precision, "_on_gpu", lambda _: given.get("gpu", 1) == 1)
    trainer = Namespace(**{"precision": None, "plugins": None, "accelerator": "cpu", **given})
    assert not precision.begin(trainer, None)


def settled(folder, config=None, world_size=1, compiled=None, **of_data):
    """Settle the precision of a network on made-up data; return it."""
    strategy = SimpleNamespace(root_device=CPU, precision_plugin="bf16", checkpoint_io=None)
    net = nn.Conv2d(1, 1, 3)
    net._compiled_call_impl = compiled
    facts = {"in_channels": 1, "image_size": 4, "num_classes": 2, "batch_size": 8, **of_data}
    arguments = Namespace(precision="bf16-mixed", default_root_dir=str(folder))
    trainer = SimpleNamespace(world_size=world_size, strategy=strategy)
    precision.settle(arguments, trainer, SimpleNamespace(net=net), SimpleNamespace(**facts), config or {})
    assert (strategy.precision_plugin == "bf16") == (arguments.precision == "bf16-mixed")
    return arguments.precision


def test_another_configuration_or_device_is_measured_anew(asked, monkeypatch):
    asked[0] = 1.0
    monkeypatch.setenv("SWEEP_NAME", "it")
    assert settled("it/a", {"model": "A"}) == settled("it/b", {"model": "A"}) == "32-true"
    asked[0] = 2.0
    assert settled("it/b", {"model": "B"}) == "bf16-mixed"
    monkeypatch.setattr(precision, "_name", lambda _: "another")
    assert settled("it/b", {"model": "A"}) == "bf16-mixed"
    assert len(asked) == 4
    assert len(list(Path("it/precision").iterdir())) == 3


def test_nothing_is_measured_on_several_devices_nor_of_a_compiled_network_nor_of_unknown_data(asked, tmp_path):
    asked[0] = 1.0
    for more in ({"world_size": 2}, {"compiled": "yes"}, {"batch_size": None}):
        assert settled(tmp_path, **more) == "bf16-mixed"
    assert len(asked) == 1


def test_of_two_that_measure_at_once_the_first_to_write_decides(tmp_path):
    path = tmp_path / "precision" / "it.txt"
    assert precision._first(path, "one") == "one"
    assert precision._first(path, "other") == "one"
    assert [other.name for other in path.parent.iterdir()] == ["it.txt"]


def test_a_file_system_without_links_lets_each_decide(tmp_path, monkeypatch):
    def refused(*_):
        raise PermissionError

    monkeypatch.setattr(precision.os, "link", refused)
    assert precision._first(tmp_path / "it.txt", "own") == "own"
    assert not list(tmp_path.iterdir())


class Pretended(nn.Module):
    """Draws from every source of random numbers, keeps statistics, and takes ``seconds`` by precision."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Dropout(), nn.BatchNorm2d(1), nn.Flatten(), nn.Linear(16, 2))

    def forward(self, images):
        random.random(), np.random.rand()
        return self.layers(images)


@pytest.mark.parametrize(("ratio", "chosen"), [(1.2, "bf16-mixed"), (1.1, "32-true")])
def test_steps_of_known_seconds_of_a_copy(monkeypatch, ratio, chosen):
    taken = []

    def seconds(self, mixed):
        training_cost.Steps.seconds.__wrapped__(self, mixed)
        taken.append(mixed)
        return 1.0 if mixed else ratio

    seconds.__wrapped__ = training_cost.Steps.seconds
    monkeypatch.setattr(training_cost.Steps, "seconds", seconds)
    monkeypatch.setattr(precision, "speedup", SPEEDUP)
    monkeypatch.setattr(precision, "BUDGET", 0.0)
    net = Pretended().train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    torch.manual_seed(1), np.random.seed(1), random.seed(1)
    expected = torch.rand(1), np.random.rand(), random.random()
    torch.manual_seed(1), np.random.seed(1), random.seed(1)
    assert precision._measured(net, ONE, 8, CPU, torch.channels_last).startswith(f"precision {chosen}")
    assert (torch.rand(1), np.random.rand(), random.random()) == expected
    assert taken == [False, True] * (training_cost.WARM + precision.TURNS)
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    assert all(parameter.grad is None for parameter in net.parameters())


def test_the_two_are_taken_in_the_precisions_they_are_named_by(monkeypatch):
    seen = []
    net = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
    net.register_forward_hook(lambda _, given, answer: seen.append(answer.dtype))
    monkeypatch.setattr(precision, "BUDGET", 0.0)
    assert SPEEDUP(net, ONE, 8, CPU, torch.channels_last) > 0
    assert seen == [torch.float32, torch.bfloat16] * (training_cost.WARM + precision.TURNS)


def test_after_an_error_random_numbers_are_as_before(monkeypatch):
    monkeypatch.setattr(precision, "speedup", SPEEDUP)
    net = nn.Linear(3, 3)
    state = torch.get_rng_state()
    said = precision._measured(net, ONE, 8, CPU, torch.channels_last)
    assert said.startswith("precision 32-true: bf16-mixed could not be compared with it: mat1 and mat2")
    assert torch.equal(torch.get_rng_state(), state)
