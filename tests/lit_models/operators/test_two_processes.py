"""Involution and depthwise convolution in DistributedDataParallel: two halves of a batch are the whole."""

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
import torch.nn.functional as F
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from lit_models.operators import DepthwiseConv2d, Involution2d


def network():
    torch.manual_seed(0)
    layers = [
        nn.Conv2d(3, 8, 3, padding=1),
        Involution2d(8, 3, groups=2, stride=2),
        nn.ReLU(),
        DepthwiseConv2d(8, 5, padding=2),
        nn.Flatten(),
        nn.Linear(8 * 4 * 4, 5),
    ]
    return nn.Sequential(*layers).eval()  # the norm of the involution's kernels goes by its statistics, not the batch's


def step(net, part):
    """Take a step on a part of a batch, and return the gradients and the weights after it by their names."""
    generator = torch.Generator().manual_seed(1)
    images, labels = torch.randn(8, 3, 8, 8, generator=generator), torch.arange(8) % 5
    optimizer = torch.optim.SGD(net.parameters(), lr=0.5)
    F.cross_entropy(net(images[part]), labels[part]).backward()
    optimizer.step()
    named = [(name.removeprefix("module."), weight) for name, weight in net.named_parameters()]
    return {name: (weight.grad, weight.detach()) for name, weight in named}


def run(rank, folder):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    torch.save(step(DistributedDataParallel(network()), slice(4 * rank, 4 * rank + 4)), folder / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.slow
def test_a_step_of_two_processes_is_that_of_one_on_the_whole_batch(tmp_path: Path):
    mp.spawn(run, (tmp_path,), nprocs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    whole, half = step(network(), slice(8)), step(network(), slice(4))
    start = dict(network().named_parameters())
    assert len(whole) == 12
    for name, expected in whole.items():
        for one, other, right, alone in zip(first[name], second[name], expected, half[name], strict=True):
            assert torch.equal(one, other), name
            torch.testing.assert_close(one, right, rtol=1e-4, atol=1e-6)
            assert not torch.allclose(alone, right, rtol=1e-4, atol=1e-6), name  # each half has other images
        assert not torch.equal(expected[1], start[name]), name
