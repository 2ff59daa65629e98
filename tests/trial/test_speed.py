"""Timing of the forward pass."""

import pytest
import torch

from headtohead.trial.speed import saturating, seconds_per_batch
from lit_models import ConvMixer


def test_timing_leaves_the_model_alone():
    model = ConvMixer(1, 28, width=4, depth=1).train()  # whose batch norms would keep what they see
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert seconds_per_batch(model, torch.zeros(2, 1, 28, 28), budget=0.0) > 0
    assert model.training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def pretended(best, limit=10**6, full=torch.OutOfMemoryError):
    """Return what takes so many seconds for a batch that images per second double up to ``best``, then stay."""
    asked = []

    def seconds(batch):
        asked.append(batch)
        if batch > limit:
            raise full("CUDA out of memory")
        return 1e-9 * max(batch, best)

    return seconds, asked


@pytest.mark.parametrize(
    ("best", "limit", "batch", "asked"),
    [
        (1, 10**6, 256, [256, 512]),  # no gain
        (1024, 10**6, 1024, [256, 512, 1024, 2048]),
        (10**5, 10**6, 8192, [256, 512, 1024, 2048, 4096, 8192]),
        (10**5, 1500, 1024, [256, 512, 1024, 2048]),  # out of memory
        (560, 10**6, 512, [256, 512, 1024]),  # 1,024 have 1.09 times the images per second of 512
    ],
)
def test_the_batch_is_doubled_while_it_pays(best, limit, batch, asked):
    seconds, found = pretended(best, limit)
    assert saturating(seconds, 256, 8192) == (batch, pytest.approx(batch / (1e-9 * max(batch, best))))
    assert found == asked


def test_where_the_largest_batch_is_the_first_one_size_is_timed():
    seconds, asked = pretended(10**5)
    assert saturating(seconds, 256, 256)[0] == 256
    assert asked == [256]


def test_a_size_that_would_take_too_long_is_not_tried():
    seconds, asked = pretended(10**5)
    assert saturating(lambda batch: 1000 * seconds(batch), 256, 8192, budget=0.5)[0] == 256  # 10 × 0.1 s
    assert asked == [256]


def test_other_errors_are_raised():
    seconds, _ = pretended(10**5, 300, ValueError)
    with pytest.raises(ValueError, match="out of memory"):
        saturating(seconds, 256, 8192)
