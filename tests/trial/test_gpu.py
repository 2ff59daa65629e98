"""What a trial does for a GPU, as far as it shows without one."""

import math
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from lightning.pytorch.accelerators import CPUAccelerator

from headtohead.trial import hardware, saving
from headtohead.trial import main as train
from headtohead.trial.recording import seconds_of_an_epoch
from lit_models import P4CNN, SimpleCNN
from tests.conftest import ROOT

IMPORTS = """
import torch
def refuse(*_):
    raise AssertionError("CUDA was called")
for name in ("_cuda_init", "_cuda_getDeviceCount"):
    setattr(torch._C, name, refuse)
import headtohead.trial.main, headtohead.runner.main, headtohead.report.main
assert not torch.cuda.is_initialized()
"""


def test_imports_call_nothing_of_cuda():
    done = subprocess.run([sys.executable, "-c", IMPORTS], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_trial_takes_one_device_of_many_unless_asked_for_more(workplace, monkeypatch):
    monkeypatch.setattr(CPUAccelerator, "auto_device_count", staticmethod(lambda: 8))
    fit = ["fit", "--model=SimpleCNN", "--data=tests.tiny.Few", "--data.batch_size=50", "--trainer.accelerator=cpu"]
    assert isinstance(train.resolve(fit), dict)
    said = "--data.batch_size: must divide by the number of devices: got 50 for 8; 48 does"
    assert train.resolve([*fit, "--trainer.devices=auto"]) == said


@pytest.mark.parametrize("strategy", ["fsdp", "ddp_fork", "ddp_notebook"])
def test_strategies_that_cannot_be_are_refused(workplace, capfd, strategy):
    assert train.main(["fit", "--model=SimpleCNN", "--data=tests.tiny.Few", f"--trainer.strategy={strategy}"]) == 2
    said = f"train.py: --trainer.strategy: a trial cannot use {strategy!r}; ddp and ddp_spawn work\n"
    assert capfd.readouterr().err == said


def test_weights_lie_as_images_do():
    net = P4CNN(3, 32)  # of one channel both formats are one
    before = {name: value.clone() for name, value in net.state_dict().items()}
    hardware.lay_channels_last(net)
    (weight,) = (p for p in net.parameters() if p.dim() == 4)
    assert weight.stride(1) == 1
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


@pytest.mark.slow
def test_a_compiled_maximum_has_a_gradient_in_half_precision():
    torch.manual_seed(0)
    net = SimpleCNN()
    hardware.fuse(net, "default")
    with torch.autocast("cpu", torch.bfloat16):
        loss = F.cross_entropy(net(torch.rand(8, 1, 28, 28)), torch.arange(8))
    loss.backward()
    assert all(p.grad.isfinite().all() for p in net.parameters())


def test_how_a_gpu_computes_does_not_depend_on_what_was_set_before():
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    before = cudnn.deterministic, cudnn.allow_tf32, matmul.allow_tf32
    try:
        cudnn.deterministic, cudnn.allow_tf32, matmul.allow_tf32 = False, False, True
        hardware.fix_arithmetic()
        assert (cudnn.deterministic, cudnn.allow_tf32, matmul.allow_tf32) == (True, True, False)
    finally:
        cudnn.deterministic, cudnn.allow_tf32, matmul.allow_tf32 = before


@pytest.mark.parametrize(
    ("seconds", "warm_ups", "compiled", "expected"),
    [
        ([9.0, 1.0, 2.0, 3.0], [0], False, 2.0),
        ([9.0, 1.0, 2.0, 3.0], [], False, 2.5),
        ([9.0, 1.0, 8.0, 3.0], [0, 2], True, 2.0),  # it went on after two epochs, and compiled again
        ([9.0], [0], False, 9.0),
        ([9.0], [0], True, math.nan),  # most of it was compiling
        ([9.0, 8.0], [0, 1], True, math.nan),
    ],
)
def test_an_epoch_that_warms_up_is_no_time(seconds, warm_ups, compiled, expected):
    assert seconds_of_an_epoch(seconds, warm_ups, compiled) == pytest.approx(expected, nan_ok=True)


def test_a_trial_that_goes_on_knows_where_it_began(tmp_path):
    history = saving.History(tmp_path)
    trainer, device = SimpleNamespace(), SimpleNamespace(device=torch.device("cpu"))
    history.on_train_start(trainer, device)
    history.epochs, history.contention = [{"seconds": 9.0}, {"seconds": 1.0}], [{}, {}]
    kept = history.state_dict()
    again = saving.History(tmp_path)
    again.load_state_dict(kept)
    again.on_train_start(trainer, device)
    assert again.starts == [0, 2]
    third = saving.History(tmp_path)
    third.load_state_dict({**again.state_dict(), "epochs": [{"seconds": 1.0}] * 3})
    third.on_train_start(trainer, device)
    assert third.starts == [0, 2, 3]
    again.load_state_dict({name: value for name, value in kept.items() if name != "starts"})  # of an earlier version
    assert again.starts == [0]


def test_an_epoch_is_timed_with_the_device_done(monkeypatch, tmp_path):
    waits = []
    monkeypatch.setattr(saving, "synchronize", waits.append)
    history = saving.History(tmp_path)
    trainer = SimpleNamespace(
        sanity_checking=False,
        callback_metrics={},
        current_epoch=0,
        accumulate_grad_batches=1,
        state=SimpleNamespace(fn="fit"),
        optimizers=[],
        save_checkpoint=lambda path: None,
    )
    module = SimpleNamespace(device=torch.device("cpu"))
    history.on_train_batch_start(trainer, module, None, 0)
    for hook in ("on_train_epoch_start", "on_validation_start", "on_validation_end", "on_train_epoch_end"):
        getattr(history, hook)(trainer, module)
    assert waits == [module.device] * 4
    assert history.epochs[0]["seconds"] >= 0
    assert history.state_dict()["memory"] == history.peak_memory_mb > 0
