"""Every (random seed, epoch, rank) has random streams of its own, for order and for draws (docs/kinds.md)."""

import itertools
import random
from types import SimpleNamespace

import numpy as np
import torch

from headtohead.trial.callbacks import EpochSeed
from tests.datamodules.test_image import ready

SEEDS, EPOCHS = range(10), range(5)


def order(monkeypatch, seed, epoch, rank=0, world=1):
    monkeypatch.setenv("PL_GLOBAL_SEED", str(seed))
    sampler = ready(rank, world, batch_size=60).train_dataloader().sampler
    sampler.set_epoch(epoch)
    return tuple(sampler)


def test_ten_seeds_of_five_epochs_have_fifty_orders(monkeypatch):
    orders = {order(monkeypatch, seed, epoch) for seed in SEEDS for epoch in EPOCHS}
    assert len(orders) == 50
    assert all(sorted(one) == list(range(500)) for one in orders)


def test_ranks_share_one_order_and_repeat_no_more_than_the_last_round(monkeypatch):
    for world in (2, 3):
        dealt = [order(monkeypatch, 3, 1, rank, world) for rank in range(world)]
        assert len({len(part) for part in dealt}) == 1
        together = list(itertools.chain(*zip(*dealt, strict=True)))
        assert tuple(together[:500]) == order(monkeypatch, 3, 1)
        assert together[500:] == together[: len(together) - 500]


def draws(seed, epoch, rank):
    """What a process draws first in an epoch, from each library that a network may draw from."""
    EpochSeed(seed).on_train_epoch_start(SimpleNamespace(current_epoch=epoch, global_rank=rank), None)
    return float(torch.rand(())), float(np.random.rand()), random.random()


def test_every_seed_epoch_and_rank_draws_its_own_and_draws_it_again():
    keys = list(itertools.product(range(10), range(20), range(4)))
    keys += [(seed, epoch, rank) for seed in (0, 2**32 - 1) for epoch in (10**6,) for rank in (0, 697, 1003)]
    found = {key: draws(*key) for key in keys}
    for which in range(3):
        assert len({values[which] for values in found.values()}) > 0.999 * len(keys)  # torch's have 24 bits
    assert len(set(found.values())) == len(keys)
    assert found[(3, 4, 1)] == draws(3, 4, 1)


def test_streams_of_neighbours_are_not_correlated():
    values = np.array([[draws(seed, epoch, 0)[:2] for epoch in range(40)] for seed in range(40)])
    for which in range(2):
        table = values[:, :, which]
        for a, b in ((table[1:], table[:-1]), (table[:, 1:], table[:, :-1]), (table[1:, :-1], table[:-1, 1:])):
            assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 0.1  # 4 standard errors of 1,560 pairs


def test_no_two_ranks_are_augmented_alike():
    seen = []
    for rank in (0, 1):
        data = ready(rank, 2, training=True, augment="shift")
        EpochSeed(0).on_train_epoch_start(SimpleNamespace(current_epoch=0, global_rank=rank), None)
        whites = torch.full((8, 1, 28, 28), 255, dtype=torch.uint8)
        images, _ = data.on_after_batch_transfer((whites, torch.zeros(8)), 0)
        seen.append(images.flatten(1).sum(1))  # by how much white a shift leaves in
    assert not torch.isclose(*seen).any()
