"""Images lie where they are gathered; loaders yield indices; batches of a loader of one's own are moved as they are."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from datamodules import image
from datamodules.pool import Batches, Pool
from datamodules.sources import Arrays
from lit_models import Classifier, SimpleCNN
from tests.datamodules.test_image import bytes_of, ready
from tests.lit_models.tasks.quiet import quiet
from tests.tiny import Tiny

CUDA = torch.device("cuda", 0)


def pool(train=3, test=2):
    images = np.arange((train + test) * 4, dtype=np.uint8).reshape(-1, 1, 2, 2)
    return Pool(Arrays(images[:train], np.arange(train), images[train:], np.arange(train, train + test)))


def test_batches_are_the_images_that_the_indices_name():
    images, labels = pool().gather(torch.tensor([4, 0, 5]), torch.device("cpu"))
    assert (images.dtype, images[:, 0, 0, 0].tolist()) == (torch.uint8, [16, 0, 0])
    assert labels.tolist() == [4, 0, -1]  # the last is no image


@pytest.mark.parametrize("part", ["train", "val", "test", "rotation_sweep"])
def test_a_loader_yields_the_indices_of_its_part(part):
    data = ready(batch_size=64)
    loaders = {"train": data.train_dataloader, "val": data.val_dataloader}
    loader = loaders[part]() if part in loaders else data.test_dataloader()[part != "test"]
    index = torch.cat(list(loader))
    assert index.dtype == torch.int64
    images, labels = bytes_of(data, index)
    order = torch.argsort(index)
    assert torch.equal(images[order], getattr(data, part).images)
    assert torch.equal(labels[order], getattr(data, part).labels)
    if part != "train":
        assert torch.equal(order, torch.arange(len(index)))


def test_parts_of_the_data_set_are_apart():
    data = ready()
    parts = [set(part.indices[:-1].tolist()) for part in (data.train, data.val, data.test)]
    assert set.union(*parts) == set(range(800))
    assert sum(map(len, parts)) == 800


@pytest.mark.parametrize(("free", "place"), [(4 * 24, "device"), (4 * 24 - 1, "host")])
def test_images_that_take_more_than_a_share_stay_with_the_host(monkeypatch, free, place):
    held, moved = pool(), []
    assert held.images.nbytes == 24
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 10 * free))
    monkeypatch.setattr(torch.Tensor, "to", lambda self, device, **how: moved.append((device, how)) or self)
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: moved.append("pinned") or self)
    held.settle(CUDA)
    assert held.place == place
    assert moved == [(CUDA if place == "device" else torch.device("cpu"), {})] * 2
    moved.clear()
    held.settle(CUDA)  # once is enough
    assert moved == []
    held.gather(torch.tensor([1]), CUDA)
    copies = [(CUDA, {"non_blocking": True})] * 2
    assert moved == ([] if place == "device" else ["pinned"] * 2) + copies


def test_the_images_go_where_the_trial_trains(monkeypatch):
    settled = []
    monkeypatch.setattr(Pool, "settle", lambda self, device: settled.append(device))
    data = ready()
    data.trainer.strategy = SimpleNamespace(root_device=CUDA)
    data.train_dataloader()
    assert settled == [CUDA]
    assert data.val_dataloader().batch_size == image.EVAL_BATCH_SIZE["other"]
    assert ready().val_dataloader().batch_size == image.EVAL_BATCH_SIZE["cpu"]


def test_an_epoch_is_ordered_once():
    data = ready(batch_size=60)
    loader = data.train_dataloader()
    assert isinstance(loader, Batches)
    assert not loader.pin_memory  # which would open CUDA in trials on the CPU
    batches = list(loader)
    assert [len(batch) for batch in batches] == [60] * 8 + [20]
    assert len({batch.untyped_storage().data_ptr() for batch in batches}) == 1  # cut from one order


def test_the_epoch_may_be_told_after_the_iteration_has_begun():
    """As Lightning does when a trial goes on."""
    late, early = ready().train_dataloader(), ready().train_dataloader()
    batches = iter(late)
    for loader in (late, early):
        loader.sampler.set_epoch(3)
    assert torch.equal(next(batches), next(iter(early)))
    assert not torch.equal(next(iter(early)), next(iter(ready().train_dataloader())))


class Own(Tiny):
    """A data module whose author wrote a loader of images himself."""

    def train_dataloader(self):
        return DataLoader(TensorDataset(self.train.images, self.train.labels), self.batch_size)


@pytest.mark.parametrize("kind", [Own, Tiny])
def test_loaders_of_images_work_too(kind, tmp_path):
    data = kind(val_size=100, batch_size=250)
    trainer = quiet(max_epochs=1, default_root_dir=tmp_path)
    trainer.fit(Classifier(SimpleCNN(width=2)), datamodule=data)
    assert trainer.global_step == 2
    assert data.images_on == "device"
