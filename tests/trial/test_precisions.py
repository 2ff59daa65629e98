"""Every precision that Lightning's type allows works to the end, or is refused in one line (docs/kinds.md)."""

import itertools
from pathlib import Path
from typing import get_args

import pytest
import torch
from lightning.fabric import connector
from torch import nn

from headtohead.trial import main as train
from lit_models import Classifier
from tests.trials import fitted

FIT = ["fit", "--data.val_size=100", "--trainer.accelerator=cpu", "--trainer.logger=false", "--trainer.max_epochs=1"]
FLOAT16 = "is for GPUs; on a CPU bf16-mixed, bf16-true, 32-true and 64-true work"
ENGINE = (
    "needs a GPU of NVIDIA's and the package transformer_engine, of which this machine lacks one; bf16-mixed and "
    "32-true work"
)
ON_A_CPU = {  # what runs, or what is said
    "transformer-engine": f"transformer-engine {ENGINE}",
    "transformer-engine-float16": f"transformer-engine-float16 {ENGINE}",
    "16-true": f"16-true {FLOAT16}",
    "16-mixed": f"16-mixed {FLOAT16}",
    "16": f"16-mixed {FLOAT16}",
    "bf16-true": "bf16-true",
    "bf16-mixed": "bf16-mixed",
    "bf16": "bf16-mixed",
    "32-true": "32-true",
    "32": "32-true",
    "64-true": "64-true",
    "64": "64-true",
}
WHITE = """
import numpy as np
import torch
from torch import nn

from datamodules.sources import Arrays
from tests.tiny import Few


class White(Few):
    def load(self):
        images, labels = np.full((60, 3, 32, 32), 255, np.uint8), np.arange(60) % 10
        return Arrays(images, labels, images[:20], labels[:20])


class Nothing(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))

    def forward(self, images, mask):
        return torch.zeros_like(images) * self.weight
"""


def test_the_table_has_every_precision():
    types = connector._PRECISION_INPUT_INT, connector._PRECISION_INPUT_STR, connector._PRECISION_INPUT_STR_ALIAS
    assert {str(one) for one in itertools.chain(*map(get_args, types))} == set(ON_A_CPU)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("precision", "expected"), ON_A_CPU.items(), ids=ON_A_CPU)
def test_what_becomes_of_each_on_a_cpu(workplace, capfd, precision, expected):
    """Of a network whose views fit one layout of images alone."""
    args = [
        *FIT,
        "--model=tests.trial.own_networks.LeNet",
        "--data=tests.tiny.Tiny",
        f"--trainer.precision={precision}",
    ]
    if " " in expected:
        assert train.main(args) == 2
        assert capfd.readouterr().err.splitlines() == [f"train.py: --trainer.precision: {expected}"]
        assert not list(workplace.iterdir())
    elif precision != expected:  # another word for it
        assert train.resolve(args)["trainer.precision"] == expected
    else:
        record = fitted(*args)
        assert record.hardware["precision"] == record.config["trainer.precision"] == expected
        assert record.quality["test_images"] == 200


def test_without_an_accelerator_named_float16_is_refused_where_there_is_none_but_the_cpu(monkeypatch):
    from headtohead.trial.arguments import _check_precision

    _check_precision("16-mixed", ["cpu", "cuda"])
    _check_precision("16-true", ["mps", "cpu"])
    _check_precision("16-true", ["gpu"])
    with pytest.raises(Exception, match=r"--trainer\.precision: 16-mixed is for GPUs"):
        _check_precision("16", ["cpu"])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("precision", ["bf16-true", "64-true"])
def test_an_inpainter_counts_its_errors_in_float32_whatever_the_precision(workplace, monkeypatch, precision):
    monkeypatch.syspath_prepend(str(workplace))
    Path("white.py").write_text(WHITE)
    args = [*FIT, "--model=white.Nothing", "--task=Inpainter", "--data=white.White", "--data.normalize=false"]
    quality = fitted(*args, "--data.val_size=20", f"--trainer.precision={precision}").quality
    # white is 1 in any precision, and black is filled in; only the count of pixels could be rounded
    assert (quality["val_l1"], quality["test_l1_hole"], quality["test_l1_valid"]) == (1, 1, 1)


def test_what_metrics_add_up_stays_in_float32_when_a_task_is_converted():
    task = Classifier(nn.Linear(1, 2), num_classes=2).to(torch.bfloat16)
    assert task.net.weight.dtype == torch.bfloat16
    loss = task.val_metrics["loss"]
    for _ in range(300):
        loss.update(torch.ones(1), torch.ones(1))
    assert float(loss.weights) == 300  # bfloat16 counts to 256
    loss.reset()
    assert loss.weights.dtype == torch.float32
    assert task.val_metrics["acc"].right.dtype == torch.int64
    assert task.to(torch.float64).val_metrics["loss"].weights.dtype == torch.float64
