"""The help of ``train.py fit``: all that can be given, with its true default, within two seconds."""

import inspect
import re
import subprocess
import sys

import pytest
from lightning.pytorch import Trainer

import datamodules
import lit_models
from headtohead.trial import help as helps
from headtohead.trial.first_look import OPTIONS
from headtohead.trial.main import main as train
from lit_models import Classifier, Inpainter
from tests.conftest import ROOT

FROM_THE_DATA = {"in_channels", "image_size", "num_classes", "net", "self"}


def listed(text, part):
    """Return the arguments of a part that a help lists, with the defaults that it says."""
    return dict(re.findall(rf"^  --{part}\.(?!help=)(\w+)(?:=(\S+))?(?: |$)", text, re.MULTILINE))


def true_defaults(kind):
    found = {name: of.default for name, of in inspect.signature(kind).parameters.items() if name not in FROM_THE_DATA}
    return {name: "" if default is None else str(default) for name, default in found.items()}


def test_everything_that_can_be_given_is_listed_with_its_default(capsys):
    with pytest.raises(SystemExit) as ended:
        train(["fit", "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    ours = {name: str(value) for name, value in helps.TRAINER_DEFAULTS.items()}
    assert listed(text, "trainer") == true_defaults(Trainer) | ours
    assert listed(text, "task") == true_defaults(Classifier)
    assert listed(text, "data") == true_defaults(datamodules.ImageDataModule)
    for name in (*lit_models.architectures.__all__, *datamodules.DATA_SETS):
        assert re.search(rf"\b{name}\b", text)
    assert "Learning rate." in text
    told = [option for option in OPTIONS if option not in ("--help", "-h")]
    assert [option for option in told if not re.search(rf"{option}\b", text)] == []
    assert re.search(r"--ckpt_path +With the value last, go on", text)  # not capitalised, as it is typed
    assert max(map(len, text.splitlines())) <= helps.WIDTH
    assert not re.search(r"``|:class:", text)
    every = re.findall(r"^  --(?!\S+help=)\S+( {2,}\S.*)?\n( {20,}\S)?", text, re.MULTILINE)
    assert [one for one in every if not any(one)] == []  # each says what it is for


@pytest.mark.parametrize("name", ["EqCNN", "ResNet", "ConvUNet"])
def test_the_arguments_of_one_network(capsys, name):
    with pytest.raises(SystemExit):
        train(["fit", f"--model.help={name}"])
    text = capsys.readouterr().out
    assert listed(text, "model") == true_defaults(getattr(lit_models, name))
    assert text.startswith(f"{name}: {inspect.getdoc(getattr(lit_models, name)).splitlines()[0]}")


def test_the_arguments_of_a_task_and_of_data():
    assert listed(helps.help_of(["fit", "--task.help=Inpainter"]), "task") == true_defaults(Inpainter)
    assert listed(helps.help_of(["fit", "--data.help=MNIST"]), "data") == true_defaults(datamodules.MNIST)
    folder = listed(helps.help_of(["fit", "--data.help=ImageFolder"]), "data")
    assert (folder["image_size"], folder["test_share"], folder["root"]) == ("64", "0.2", "")  # a folder states no size
    for others in (["fit", "--model.help=mine.Own"], ["fit", "--model=EqCNN"], ["validate", "--help"], []):
        assert helps.help_of(others) is None


def test_nothing_that_is_slow_is_imported_for_it():
    code = "import sys\nfrom headtohead.trial.main import main\ntry: main(['fit', '--help'])\nexcept SystemExit: pass\n"
    code += "assert not {'torch', 'lightning', 'numpy', 'wandb'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, capture_output=True)
