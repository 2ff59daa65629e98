"""Waits for a GPU and operations launched on it, counted on fake tensors: no GPU is needed, and no number computed.

A wait is a number read from the device, a copy from it, a blocking copy to it, or an index by truth values, whose count
is read. Backward passes cannot run on fake GPU tensors; theirs are counted on fake CPU tensors.
"""

import math
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from lightning.pytorch.plugins.precision import MixedPrecision
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
    unset_fake_temporarily,
)
from torch.utils._python_dispatch import TorchDispatchMode
from torchmetrics import Metric

from benchmarks.gpu_check.networks import cases
from datamodules.pool import Pool
from headtohead.trial.callbacks import FiniteLoss
from headtohead.trial.errors import TrialFailed
from lit_models import Classifier, Inpainter
from lit_models.facts import takes_mask
from lit_models.tasks import classifier
from lit_models.tasks.inpainter import STROKES, _fixed_numbers

CUDA = torch.device("cuda", 0)
READS = ("aten._local_scalar_dense", "aten.nonzero", "aten.masked_select", "aten.equal", "aten.is_nonzero")
MADE = ("aten.detach", "aten.empty", "aten.lift_fresh", "aten.alias", "prim.device")  # nothing is launched for these


class Watch(TorchDispatchMode):
    """Counts what is launched and what waits."""

    def __init__(self):
        super().__init__()
        self.launched, self.waited = Counter(), Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name, kwargs = func.name().partition(".")[0].replace("::", "."), kwargs or {}
        made = func(*args, **kwargs)
        if name in READS or (name == "aten.index" and any(i is not None and i.dtype == torch.bool for i in args[1])):
            self.waited[name] += 1
        if name in ("aten._to_copy", "aten.copy_"):
            source = args[1] if name == "aten.copy_" else args[0]
            there = made.device if isinstance(made, torch.Tensor) else None
            blocking = not (kwargs.get("non_blocking") or (name == "aten.copy_" and len(args) > 2 and args[2]))
            if source.device != there and "cuda" in (source.device.type, there.type) and blocking:
                self.waited[f"{name} to {there.type}"] += 1
        if not func.is_view and not name.startswith(MADE):
            self.launched[name] += 1
        return made


CASES = cases()
# What a training step launches: gathering, the augmentation of its data, forward, loss, backward, optimiser. As counted
# with torch 2.14; where a bound must rise, something was added to every step.
LAUNCHES = {
    "SimpleCNN": 48,
    "EqCNN": 59,
    "FCNet": 34,
    "ConvNet": 45,
    "Z2CNN": 92,
    "P4CNN": 138,
    "CNN": 74,
    "INN": 99,
    "CifarCNN": 118,
    "ConvMixer": 199,
    "VGG A": 131,
    "ResNet-8 conv": 123,
    "ResNet-8 separable": 129,
    "ResNet-8 involution": 193,
    "ResNet-8 p4": 172,
    "ConvUNet": 144,
    "PConvUNet": 326,
}


def fake(part):
    return torch.empty(part.shape, dtype=part.dtype, device=CUDA)


def on_gpu(name, augment="default", **recipe):
    """A task, its data and the indices of a batch on a GPU, all fake; called within a mode for fake tensors."""
    one = CASES[name]
    with unset_fake_temporarily():  # torchmetrics copies what it begins with, which fakes refuse
        net = one.make()
        task = (Inpainter if takes_mask(net) else Classifier)(net, schedule="constant", **recipe)
    for module in task.modules():
        for name, part in module.named_parameters(recurse=False):
            setattr(module, name, torch.nn.Parameter(fake(part)))
        for name, part in module.named_buffers(recurse=False):
            module.register_buffer(name, fake(part))
        for name in module._defaults if isinstance(module, Metric) else ():
            setattr(module, name, torch.empty((), device=CUDA))
    task._device = CUDA
    data = one.data(1, augment="flip" if takes_mask(net) else augment)
    task._trainer = SimpleNamespace(gradient_clip_val=None, world_size=1, global_rank=0)
    data.trainer = SimpleNamespace(training=True, lightning_module=None)
    data._pool = Pool.__new__(Pool)
    data._pool.place = "device"
    images = torch.empty(1_000, one.channels, one.size, one.size, dtype=torch.uint8, device=CUDA)
    data._pool._near = images, torch.empty(1_000, dtype=torch.long, device=CUDA)
    return task, data, torch.empty(one.batch, dtype=torch.long, device=CUDA)


def batch_of(data, index):
    return data.on_after_batch_transfer(data.transfer_batch_to_device(index, CUDA, 0), 0)


def backward_launches(name):
    """Count a backward pass on fake CPU tensors."""
    one = CASES[name]
    with unset_fake_temporarily():
        task = one.task()
    images = torch.empty(one.batch, one.channels, one.size, one.size).to(memory_format=torch.channels_last)
    loss = task.training_step((images, torch.empty(one.batch, dtype=torch.long)), 1)
    with Watch() as seen:
        loss.backward()
    assert not seen.waited
    return sum(seen.launched.values())


@pytest.mark.parametrize("name", CASES)
def test_a_training_step_waits_for_nothing_and_launches_no_more_than(name):
    with FakeTensorMode(allow_non_fake_inputs=True):
        task, data, index = on_gpu(name)
        optimizer = task.configure_optimizers()
        for step in range(2):  # the first makes the optimiser's state
            with Watch() as seen:
                task.training_step(batch_of(data, index), batch_idx=1 + step)
                optimizer.zero_grad()
            for parameter in task.parameters():
                parameter.grad = torch.empty_like(parameter)
            with seen:
                optimizer.step()
        assert not seen.waited
        launched = sum(seen.launched.values()) + backward_launches(name)
    assert launched <= LAUNCHES[name]


@pytest.mark.parametrize(
    ("name", "most"),
    {"flip": 21, "shift": 32, "crop_flip": 26, "quarter_turns": 14, "rotate": 32, "color": 47}.items(),
)
def test_an_augmentation_waits_for_nothing_and_launches_no_more_than(name, most, monkeypatch):
    """All that makes a batch: gathering, draws on the CPU, floats, the statistics, the layout."""
    monkeypatch.setattr(torch.backends.cudnn, "enabled", False)  # its sampler has no fake
    monkeypatch.setattr(torch, "randperm", lambda count: np.arange(count))  # the order of colours is read: not fake
    with FakeTensorMode(allow_non_fake_inputs=True):
        _, data, index = on_gpu("CNN", name)
        for _ in range(2):  # the first sends the statistics
            with Watch() as seen:
                batch_of(data, index)
        assert not seen.waited
        assert sum(seen.launched.values()) <= most


@pytest.mark.parametrize("name", ["SimpleCNN", "ResNet-8 involution", "P4CNN", "PConvUNet"])
def test_an_evaluated_batch_waits_for_nothing(name, monkeypatch):
    monkeypatch.setattr(classifier, "ROTATION_SWEEP", (0, 15, 30))  # one angle waits as another does
    _fixed_numbers(STROKES)  # kept for other tests: real ones
    with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
        task, data, index = on_gpu(name)
        task.eval()
        data.trainer.training = False
        for step in (task.validation_step, task.test_step, lambda *batch: task.test_step(*batch, 1)):
            waits = []
            for _ in range(2):
                task._evaluated = 0
                with Watch() as seen:
                    step(batch_of(data, index), 1)
                waits.append(sum(seen.waited.values()))
            # the first go to the device with these images' masks and their shares, or the rotation sweep's grids
            assert waits[0] <= 2
            assert waits[1] == 0


def test_clipping_keeps_the_fused_optimiser_and_waits_for_nothing():
    with FakeTensorMode(allow_non_fake_inputs=True):
        task, *_ = on_gpu("CNN")
        task._trainer = SimpleNamespace(gradient_clip_val=1.0, precision_plugin=MixedPrecision("bf16-mixed", "cuda"))
        optimizer = task.configure_optimizers()
        assert optimizer.defaults["fused"] is True
        for parameter in task.parameters():
            parameter.grad = torch.empty_like(parameter)
        with Watch() as seen:
            task.configure_gradient_clipping(optimizer, 1.0, "norm")
            optimizer.step()
        assert not seen.waited
        assert sum(seen.launched.values()) < 20 * len(list(task.parameters()))


def test_scaled_losses_are_clipped_by_an_optimiser_that_can():
    task = Classifier(CASES["CNN"].make(), schedule="constant")
    plugin = SimpleNamespace(scaler=object())
    task._trainer = SimpleNamespace(gradient_clip_val=1.0, precision_plugin=plugin)
    assert task.configure_optimizers().defaults["fused"] is None


@pytest.mark.parametrize("algorithm", ["norm", "value", None])
def test_gradients_are_clipped_under_autocast(algorithm):
    task = Classifier(torch.nn.Linear(3, 2), schedule="constant")
    task._trainer = SimpleNamespace(gradient_clip_val=0.5, precision_plugin=MixedPrecision("bf16-mixed", "cpu"))
    optimizer = task.configure_optimizers()
    expected = []
    for parameter in task.parameters():
        parameter.grad = torch.full_like(parameter, 3.0)
        expected.append(parameter.grad.clone())
    norm = torch.cat([grad.flatten() for grad in expected]).norm()
    task.configure_gradient_clipping(optimizer, 0.5, algorithm)
    for parameter, grad in zip(task.parameters(), expected, strict=True):
        clipped = grad.clamp(-0.5, 0.5) if algorithm == "value" else grad * 0.5 / norm
        torch.testing.assert_close(parameter.grad, clipped)


def test_losses_are_read_once_in_fifty_steps_and_at_the_end_of_an_epoch():
    check = FiniteLoss()
    trainer = SimpleNamespace(world_size=1, fit_loop=SimpleNamespace(total_batch_idx=0))
    module = SimpleNamespace(device=CUDA, lr=0.1)
    check.on_train_start(trainer, module)
    read = []
    for step in range(120):
        trainer.fit_loop.total_batch_idx = step
        outputs = {"loss": torch.tensor(math.nan if step == 110 else 2.0)}
        with Watch() as seen:
            check.on_train_batch_end(trainer, module, outputs, None, step)
        if seen.launched:
            read.append(step + 1)
    assert read == [50, 100]
    with pytest.raises(TrialFailed, match=r"loss became NaN at step 111; lower task\.lr"):
        check.on_train_epoch_end(trainer, module)


def test_the_watch_sees_what_waits():
    def waits(call):
        with FakeTensorMode(), Watch() as seen:
            call(torch.empty(3, device=CUDA))
        return sum(seen.waited.values())

    host = {"device": "cpu", "pin_memory": False}
    assert waits(lambda x: x.cpu()) == waits(lambda x: torch.empty(3, **host).to(x.device)) == 1
    assert waits(lambda x: torch.empty(3).to(x.device, non_blocking=True)) == waits(lambda x: x + 1) == 0
    with pytest.raises(DataDependentOutputException):
        waits(lambda x: x.sum().item())
    with pytest.raises(DynamicOutputShapeException):
        waits(lambda x: x[x > 0])
