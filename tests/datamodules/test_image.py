"""The base of the data modules: the split, the order of float, augmentation and normalisation, the shards."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from torch import nn

from datamodules import CIFAR10, MNIST, ImageDataModule
from datamodules.augmentation import augmentation
from datamodules.crop import RandomCropFlip
from datamodules.pool import ShardSampler
from datamodules.split import SPLIT_SEED, stratified_sample
from tests.tiny import Tiny


def ready(rank=0, world=1, training=False, **arguments) -> Tiny:
    data = Tiny(val_size=100, **arguments)
    data.trainer = SimpleNamespace(global_rank=rank, world_size=world, training=training)
    data.prepare_data()
    data.setup("fit")
    return data


def bytes_of(data, index):
    """Images and labels as they are gathered, before augmentation."""
    return data.transfer_batch_to_device(index, torch.device("cpu"), 0)


def test_split_is_stratified_fixed_and_complete():
    first, second = ready(), ready()
    assert torch.equal(first.val.images, second.val.images)
    assert (len(first.train), len(first.val), len(first.test)) == (500, 100, 200)
    assert torch.bincount(first.val.labels).tolist() == [10] * 10
    everything = torch.cat([first.train.images, first.val.images]).flatten(1)
    original = torch.from_numpy(Tiny().load().train_images).flatten(1)
    assert sorted(map(tuple, everything.tolist())) == sorted(map(tuple, original.tolist()))


def test_split_does_not_move_the_global_random_state():
    np.random.seed(1)
    torch.manual_seed(1)
    before = (np.random.get_state()[1].copy(), torch.get_rng_state())
    ready()
    assert np.array_equal(np.random.get_state()[1], before[0])
    assert torch.equal(torch.get_rng_state(), before[1])


def test_shares_by_hand():
    labels = np.array([0] * 50 + [1] * 30 + [2] * 20)
    chosen = stratified_sample(labels, 11, seed=0)
    # 5.5, 3.3 and 2.2 of 11: the seat left over goes to the largest remainder
    assert np.bincount(labels[chosen]).tolist() == [6, 3, 2]
    assert len(set(chosen)) == 11
    assert np.bincount(labels[stratified_sample(labels, 12, seed=0, balanced=True)]).tolist() == [4, 4, 4]
    # a class that has fewer than its share gives all
    assert np.bincount(labels[stratified_sample(labels, 90, seed=0, balanced=True)]).tolist() == [30, 30, 20]
    with pytest.raises(ValueError, match="cannot draw 101"):
        stratified_sample(labels, 101, seed=0)


def test_the_draw_is_the_same_on_every_machine():
    drawn = [49, 112, 384, 498, 575, 636, 650, 781, 963, 997]
    assert stratified_sample(np.arange(1000) % 10, 10, SPLIT_SEED).tolist() == drawn


def test_images_become_floats_then_augmented_then_normalised():
    seen = []

    class Spy(nn.Module):
        def forward(self, images):
            seen.append(images.clone())
            return images / 2

    data = ready(training=True)
    data.augment = Spy()
    batch = bytes_of(data, next(iter(data.train_dataloader())))
    assert batch[0].dtype == torch.uint8
    images, labels = data.on_after_batch_transfer(batch, 0)
    torch.testing.assert_close(seen[0], batch[0].float() / 255)
    torch.testing.assert_close(images, (batch[0].float() / 255 / 2 - 0.3) / 0.3)
    assert torch.equal(labels, batch[1])


def test_nothing_is_random_outside_training():
    data = ready(augment="rotate")
    batch = bytes_of(data, next(iter(data.val_dataloader())))
    images, _ = data.on_after_batch_transfer(batch, 0)
    torch.testing.assert_close(images, (batch[0].float() / 255 - 0.3) / 0.3)


def test_without_normalisation_images_lie_between_0_and_1():
    data = ready(normalize=False)
    batch = bytes_of(data, next(iter(data.val_dataloader())))
    torch.testing.assert_close(data.on_after_batch_transfer(batch, 0)[0], batch[0].float() / 255)


def test_crops_of_bytes_reach_every_window_and_repeat_with_the_seed():
    crop = RandomCropFlip(padding=1)
    image = torch.arange(9, dtype=torch.uint8).view(1, 1, 3, 3) + 1
    padded = nn.functional.pad(image[0], (1, 1, 1, 1))
    windows = [padded[:, y : y + 3, x : x + 3] for y in range(3) for x in range(3)]
    torch.manual_seed(0)
    results = crop(image.expand(400, -1, -1, -1))
    assert results.dtype == torch.uint8
    every = {tuple(w.flatten().tolist()) for window in windows for w in (window, window.flip(-1))}
    assert {tuple(result.flatten().tolist()) for result in results} == every
    torch.manual_seed(0)
    assert torch.equal(crop(image.expand(400, -1, -1, -1)), results)
    assert torch.equal(crop(image.expand(400, -1, -1, -1), params=crop._params), results)
    with pytest.raises(ValueError, match=r"images must be \(B, C, H, W\)"):
        crop(image[0])


@pytest.mark.parametrize("augment", ["none", "crop_flip", "color"])
def test_images_come_channels_last_unless_told_otherwise(augment):
    batch = torch.randint(0, 256, (8, 3, 32, 32), dtype=torch.uint8), torch.arange(8)
    results = []
    for memory_format in ("channels_last", "contiguous"):
        data = CIFAR10(augment=augment, memory_format=memory_format)
        data.trainer = SimpleNamespace(training=True)
        torch.manual_seed(0)
        images, _ = data.on_after_batch_transfer(batch, 0)
        assert images.is_contiguous(memory_format=torch.channels_last) == (memory_format != "contiguous")
        assert images.is_contiguous() == (memory_format == "contiguous")
        results.append(images)
    assert torch.equal(*results)
    assert CIFAR10().memory_format == "channels_last"


@pytest.mark.parametrize(("memory_format", "stride"), [("channels_last", 1), ("contiguous", 28 * 28)])
def test_one_channel_has_the_strides_of_its_format(memory_format, stride):
    data = Tiny(memory_format=memory_format)
    images, _ = data.on_after_batch_transfer((torch.ones(2, 1, 28, 28, dtype=torch.uint8), torch.zeros(2)), 0)
    assert images.stride() == (28 * 28, stride, 28, 1)  # a convolution chooses its output's format by them


def test_no_augmentation_is_the_identity_and_the_default_is_the_data_sets_own():
    images = torch.rand(2, 1, 5, 5)
    assert torch.equal(augmentation("none")(images), images)
    assert isinstance(MNIST().augment, nn.Identity)
    assert not isinstance(CIFAR10().augment, nn.Identity)
    assert isinstance(CIFAR10(augment="none").augment, nn.Identity)


@pytest.mark.parametrize("world", [1, 2, 3, 7])
def test_every_test_image_is_seen_once_over_all_ranks(world):
    shards = [list(ShardSampler(range(10), world, rank)) for rank in range(world)]
    assert len({len(shard) for shard in shards}) == 1  # else one rank would wait for ever
    assert sorted(index for shard in shards for index in shard if index >= 0) == list(range(10))


def test_an_image_that_is_not_there_has_no_label():
    data = ready(2, 3)  # 100 are for validation: the third of three processes has one too few
    *_, last = data.val_dataloader()
    labels = bytes_of(data, last)[1]
    assert labels[-1] == -1
    assert labels[:-1].min() >= 0


def test_ranks_share_the_global_batch():
    batches = [next(iter(ready(rank, 2, batch_size=50).train_dataloader())) for rank in range(2)]
    alone = next(iter(ready(batch_size=50).train_dataloader()))
    assert [len(batch) for batch in batches] == [25, 25]
    assert sorted(torch.cat(batches).tolist()) == sorted(alone.tolist())


def test_a_batch_that_devices_cannot_share_is_refused():
    with pytest.raises(
        MisconfigurationException, match=r"data.batch_size must divide by the number of devices: got 50 for 3"
    ):
        ready(0, 3, batch_size=50).train_dataloader()


@pytest.mark.parametrize("argument", [{"batch_size": 0}, {"val_size": 0}, {"augment": "twist"}])
def test_impossible_arguments_are_refused(argument):
    with pytest.raises(ValueError, match=next(iter(argument))):
        Tiny(**argument)


def test_a_validation_split_that_leaves_nothing_is_refused():
    data = Tiny(val_size=600)
    with pytest.raises(MisconfigurationException, match="val_size must leave training images"):
        data.setup()


def test_rotation_sweep_is_balanced():
    data = Tiny(val_size=100)
    ImageDataModule.setup(data)
    assert torch.bincount(data.rotation_sweep.labels).tolist() == [20] * 10


@pytest.mark.data
def test_real_splits(real_data):
    for module, train in ((MNIST, 55_000), (CIFAR10, 45_000)):
        data = module(real_data)
        data.setup()
        assert (len(data.train), len(data.val), len(data.test), len(data.rotation_sweep)) == (
            train,
            5_000,
            10_000,
            1_000,
        )
        assert torch.bincount(data.rotation_sweep.labels).tolist() == [100] * 10
        pixels = data.train.images.float() / 255
        torch.testing.assert_close(pixels.mean((0, 2, 3)), torch.tensor(data.mean), rtol=0, atol=2e-3)
        torch.testing.assert_close(pixels.std((0, 2, 3)), torch.tensor(data.std), rtol=0, atol=2e-3)
    assert torch.bincount(data.val.labels).tolist() == [500] * 10


@pytest.mark.parametrize("normalize", [True, False])
def test_bytes_are_normalised_as_floats_are(normalize):
    data = CIFAR10(normalize=normalize)
    images = torch.randint(256, (4, 3, 8, 8)).float()
    before = images.clone()
    expected = images.double() / 255
    if normalize:
        mean, std = (torch.tensor(numbers, dtype=torch.double).view(-1, 1, 1) for numbers in (data.mean, data.std))
        expected = (expected - mean) / std
    torch.testing.assert_close(data.normalized(images, white=255).double(), expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(data.normalized(images / 255).double(), expected, rtol=1e-5, atol=1e-6)
    assert torch.equal(images, before)
