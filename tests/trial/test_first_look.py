"""What is wrong is told before the heavy imports, in the same words; what is right is left alone."""

import subprocess
import sys

import pytest

from headtohead.trial.first_look import _classes, _signature, first_look, lightning_file
from tests.conftest import ROOT
from tests.test_wrong_calls import ADDED, FIT, WHOLE, files
from tests.tiny import TINY

__all__ = ["files"]

# of the wrong arguments that the tests of the parser have: one of each kind, which must be told at once
SOON = {"--model=EqCN", "--model=nowhere.Net", "--task.lrr=1", "--model.kernel_size=3"}
SOON |= {"--trainer.max_epoch=3", "--config=none.yaml", "--ckpt_path=none.ckpt", "--trainer.callbacks=EarlyStoping"}
RIGHT = [
    ["fit", "--model=EqCNN", *TINY, "--trainer.max_epochs=2", "--model.width=3", "--task.lr=1e-3", "--compile=no"],
    ["fit", "--config=recipes/VGG16.yaml", "--model.batch_norm=false", "--task.momentum=0.8", "--data.data_dir=x"],
    ["fit", "--model={class_path: ResNet}", "--model.operator=conv", "--data=CIFAR10", "--data.augment.p=0.3"],
    ["fit", "--model=timm.create_model", "--model.model_name=resnet18", "--data=MNIST", "--seed_everything=3"],
    ["fit", "--model=EqCNN", "--data=MNIST", "--trainer.callbacks+=EarlyStopping", "--trainer.callbacks.monitor=x"],
    ["test", "--model=EqCNN", "--data=MNIST", "--verbose=false", "--trainer.logger=CSVLogger", "--trainer.devices=2"],
    ["fit", "--model=EqCNN", "--data=MNIST", "--ckpt_path=last", "--trainer.max_epochs=None"],
    ["fit", "--model=PConvUNet", "--data=CIFAR10", "--task=Inpainter", "--trainer={max_epochs: 3}"],
    ["fit", "--help"],
]  # fmt: skip


@pytest.mark.parametrize("args", RIGHT, ids=" ".join)
def test_what_is_right_is_left_alone(args):
    assert first_look(args) is None


def test_it_says_what_the_parser_would(files):
    """Every wrong call of which it says anything: in the words that the tests of the parser have."""
    found = {argument: first_look([*FIT, argument]) for argument in ADDED}
    wrong = {argument: said for argument, said in found.items() if said and ADDED[argument] not in said}
    assert wrong == {}
    assert {argument for argument in SOON if found[argument] is None} == set()
    for wrong, said in (
        ("--data=MNISTT", "--data: no data is named 'MNISTT'; did you mean MNIST?"),
        ("--data.batchsize=3", "--data.batchsize: MNIST has no such argument; did you mean --data.batch_size?"),
        ("--trainer.max_epochs=ten", "--trainer.max_epochs: must be int: got ten"),
    ):
        assert first_look(["fit", "--model=EqCNN", "--data=MNIST", wrong]).startswith(said)
    assert first_look(["fut"]) == "no subcommand 'fut'; did you mean fit?"
    for args, said in WHOLE:
        told = first_look(args)
        assert told is None or said in told, args


def test_signatures_are_read_as_they_are():
    import inspect

    from lightning.pytorch import Trainer

    import datamodules
    import lit_models
    from headtohead.trial.arguments import classes

    assert list(_signature(lightning_file("trainer", "trainer.py"), "Trainer")) == list(
        inspect.signature(Trainer).parameters
    )
    for part, home in (("model", lit_models), ("task", lit_models), ("data", datamodules)):
        real = classes()[part]
        assert {name: list(arguments) for name, arguments in _classes()[part].items()} == {
            name: list(arguments) for name, arguments in real.items()
        }
        assert all(hasattr(home, name) for name in real)


def test_a_process_answers_without_the_heavy_imports(tmp_path):
    command = [sys.executable, "-X", "importtime", ROOT / "train.py", "fit", "--model=SimpelCNN", "--data=MNIST"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert "train.py: --model: no model is named 'SimpelCNN'; did you mean SimpleCNN?" in done.stderr
    assert not any(f"| {name}\n" in done.stderr for name in ("torch", "lightning", "kornia", "wandb", "numpy"))
