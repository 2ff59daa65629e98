"""Metrics of the suite's own against torchmetrics', over batches with padded images."""

import pytest
import torch
from torchmetrics.classification import MulticlassAccuracy

from lit_models.tasks.sums import Accuracy, Mean
from lit_models.tasks.task import IGNORED, exactly


def test_against_torchmetrics():
    torch.manual_seed(0)
    ours, theirs = Accuracy(), MulticlassAccuracy(4, average="micro", ignore_index=IGNORED)
    for _ in range(3):
        logits, labels = torch.randn(9, 4), torch.randint(-1, 4, (9,))
        for metric in (ours, theirs):
            metric.update(logits, labels)
    torch.testing.assert_close(ours.compute(), theirs.compute())


def test_the_mean_by_hand():
    mean = Mean()
    mean.update(torch.tensor(2.0), torch.tensor(3))
    mean.update(torch.tensor(9.0), torch.tensor(0))
    mean.update(torch.tensor([6.0, 4.0]), torch.tensor([1, 1]))
    assert float(mean.compute()) == pytest.approx(16 / 5)


def test_the_test_computes_without_autocast_and_tf32():
    before = torch.backends.cudnn.allow_tf32
    with torch.autocast("cpu", torch.bfloat16), exactly(torch.device("cpu")):
        assert not torch.backends.cudnn.allow_tf32
        assert not torch.backends.cuda.matmul.allow_tf32
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32
    assert torch.backends.cudnn.allow_tf32 == before
