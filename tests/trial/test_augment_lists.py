"""Lists of augmentations on the command line and in sweep files: what they are, how they resume, what is refused."""

import json
import shlex
from pathlib import Path

import pytest
import torch

from headtohead.records import record as records
from headtohead.report.html import command
from headtohead.runner import main as sweep
from headtohead.runner.sweep_file import read_sweep
from headtohead.trial import main as train
from headtohead.trial.first_look import first_look
from headtohead.trial.main import _none_as_null
from tests.datamodules.test_lists_of_augmentations import REFUSED
from tests.tiny import TINY, a_sweep
from tests.trial.test_resuming import FIT
from tests.trials import fitted, record_in, resumes_alike, weights

BASE = ["fit", "--model=FCNet", "--model.width=4", *TINY, "--trainer.accelerator=cpu"]
ERASING = "{class_path: kornia.augmentation.RandomErasing, init_args: {p: 0.3}}"
OWN = """
import torch
from torch import nn


class Darker(nn.Module):
    def __init__(self, least: float = 0.5):
        super().__init__()
        self.least = least

    def forward(self, images):
        return images * torch.empty(len(images), 1, 1, 1).uniform_(self.least, 1)


def darkest() -> nn.Module:
    return Darker(0.1)
"""


@pytest.fixture(autouse=True)
def _darker(monkeypatch, workplace, asked_here):
    Path("darker.py").write_text(OWN)
    monkeypatch.syspath_prepend(workplace)


def resolved(augment):
    """The identity's augmentation, or the line by which it is refused; the first look lets it pass."""
    arguments = [*BASE, f"--data.augment={augment}"]
    assert first_look(arguments) is None
    found = train.resolve(arguments)
    return found if isinstance(found, str) else found["data.augment"]


@pytest.mark.parametrize(
    ("augment", "identity"),
    [
        ("flip", "flip"),
        ("[flip]", "flip"),
        ("[none, flip]", "flip"),
        ("[default]", "none"),
        ("[]", "none"),
        ("[flip, rotate]", '["flip", "rotate"]'),
        ("[rotate, flip]", '["rotate", "flip"]'),
        ("['flip', 'none', 'rotate']", '["flip", "rotate"]'),
        (f"[{ERASING}]", '{"class_path": "kornia.augmentation.RandomErasing", "init_args": {"p": 0.3}}'),
        ("torch.nn.Identity", '{"class_path": "torch.nn.Identity"}'),
        (ERASING, '{"class_path": "kornia.augmentation.RandomErasing", "init_args": {"p": 0.3}}'),
        (
            f"[flip, {ERASING.replace('0.3', '0.5, value: 0, scale: [0.02, 0.33]')}]",  # all of them its defaults
            '["flip", {"class_path": "kornia.augmentation.RandomErasing"}]',
        ),
        (
            "[flip, {class_path: darker.Darker, init_args: {least: 0.3}}, darker.darkest]",
            '["flip", {"class_path": "darker.Darker", "init_args": {"least": 0.3}}, {"class_path": "darker.darkest"}]',
        ),
    ],
)
def test_the_identity_of_a_list_is_its_resolved_value(augment, identity):
    assert resolved(augment) == identity
    assert resolved(identity) == identity  # as a report's command has it


def test_wandb_may_pass_a_list_as_python_writes_it():
    affine = {"class_path": "kornia.augmentation.RandomAffine", "init_args": {"degrees": 10, "shear": None}}
    given = ["flip", affine, {"class_path": "kornia.augmentation.RandomErasing", "init_args": {"same_on_batch": True}}]
    found = resolved(_none_as_null(f"--data.augment={given}").partition("=")[2])
    assert json.loads(found) == [
        "flip",
        {"class_path": "kornia.augmentation.RandomAffine", "init_args": {"degrees": 10.0}},
        given[2],
    ]
    assert resolved(str(given)) == found  # _prepare does the same


def test_the_command_of_a_report_gives_the_identity_again():
    config = train.resolve([*BASE, f"--data.augment=[flip, {ERASING}]"])
    seed = config.pop("seed_everything")
    again = train.resolve(shlex.split(command(config).replace("\\\n", " "))[2:])
    assert again == {"seed_everything": seed, **config}


NO_NAME = (
    "--data.augment: must be one of default, none, flip, shift, crop_flip, quarter_turns, rotate, color, or a class"
)


@pytest.mark.parametrize(
    ("augment", "begins", "ends"),
    [
        ("[flip, flp]", NO_NAME, ": got flp; did you mean flip?"),
        ("[flip, null]", NO_NAME, ": got null"),
        ("[3]", NO_NAME, ": got 3"),
        ("[[flip]]", NO_NAME, ": got ['flip']"),
        ("[{p: 1}]", NO_NAME, ": got {'p': 1}"),
        ("[RandomErasing]", NO_NAME, ": got RandomErasing"),
        ("[flip, nowhere.Net]", "no class is named 'nowhere.Net'", "(No module named 'nowhere')"),
        ("[flip, kornia.augmentation.RandomErasin]", "no class is named", "did you mean RandomErasing?"),
        ("kornia.augmentation.RandomErasin", "no class is named", "did you mean RandomErasing?"),
        ("[datamodules.CIFAR10]", "datamodules.CIFAR10 is no nn.Module", ""),
        (f"[{ERASING.replace('p:', 'pp:')}]", "RandomErasing has no argument 'pp'", "did you mean p?"),
        (ERASING.replace("p:", "pp:"), "RandomErasing has no argument 'pp'", "did you mean p?"),
        (f"[{ERASING.replace('0.3', 'often')}]", "RandomErasing: p must be float: got often", ""),
        (f"[{ERASING.replace('p: 0.3', 'scale: big')}]", "RandomErasing: scale must be ", "got big"),
        ("[flip, kornia.augmentation.RandomCrop]", "RandomCrop needs size", ""),
        (
            "[flip, {class_path: kornia.augmentation.RandomRotation, init_args: {degrees: -3}}]",
            "RandomRotation: If degrees is a single number",
            "",
        ),
        (
            "[flip, {class_path: kornia.augmentation.RandomCrop, init_args: {size: [16, 16], p: 0.01}}]",
            "RandomCrop must return images of shape (2, 1, 28, 28): got (2, 1, 16, 16)",
            "",
        ),
        (f"[kornia.augmentation.RandomMixUpV2, {ERASING}]", "RandomMixUpV2 mixes images", ""),
        ("[flip, kornia.augmentation.RandomPlanckianJitter]", "RandomPlanckianJitter cannot take images (2, 1, 28", ""),
        *((f"[flip, kornia.augmentation.{name}]", said, "") for name, said in REFUSED.items()),
        (
            "[{class_path: kornia.augmentation.RandomFisheye, init_args: {center_x: 0.1, center_y: 0, gamma: 1}}]",
            "RandomFisheye: center_x is a tensor, which cannot be typed",
            "",
        ),
        (
            "[{class_path: kornia.augmentation.RandomFisheye, init_args: {center_x: {class_path: torch.Tensor, "
            "init_args: {data: 3}}}}]",
            "RandomFisheye: center_x is a tensor, which cannot be typed",
            "",
        ),
        ("color", "color changes hue and saturation, and needs 3 channels: got 1", ""),
        ("[flip, color]", "color changes hue and saturation, and needs 3 channels: got 1", ""),
    ],
)
def test_what_is_wrong_is_said_of_the_element(augment, begins, ends):
    said = resolved(augment)
    assert said.removeprefix("--data.augment: ").startswith(begins.removeprefix("--data.augment: "))
    assert said.startswith("--data.augment: ")
    assert said.endswith(ends)
    assert "\n" not in said


def test_a_wrong_element_ends_a_trial_with_two(capfd):
    assert train.main([*BASE, "--data.augment=[flip, flp]", "--trainer.logger=false"]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert line.endswith("got flp; did you mean flip?")
    assert not Path("runs").exists()
    Path("recipe.yaml").write_text("data: {class_path: tests.tiny.Tiny, init_args: {augment: [flip, flp]}}\n")
    assert train.resolve(["fit", "--model=FCNet", "--config=recipe.yaml"]).endswith("got flp; did you mean flip?")


def test_an_argument_belongs_to_a_class():
    found = train.resolve([*BASE, "--data.augment=kornia.augmentation.RandomErasing", "--data.augment.p=0.3"])
    assert json.loads(found["data.augment"])["init_args"] == {"p": 0.3}
    said = train.resolve([*BASE, "--data.augment=flip", "--data.augment.p=0.3"])
    assert said == "--data.augment.p: only a class takes arguments, not a name"


def test_a_killed_trial_with_a_list_goes_on_as_if_it_had_not_been():
    affine = "{class_path: kornia.augmentation.RandomAffine, init_args: {degrees: 20, scale: [0.8, 1.2]}}"
    elements = f"[flip, {affine}, {ERASING}, {{class_path: kornia.augmentation.RandomGaussianNoise}}, darker.Darker]"
    arguments = [*FIT, f"--data.augment={elements}", "--trainer.max_epochs=3"]
    resumes_alike(arguments, 1)
    assert json.loads(record_in("whole").config["data.augment"])[0] == "flip"
    fitted(*FIT, "--trainer.max_epochs=3", folder="plain")
    plain = weights("plain")
    assert any(not torch.equal(value, plain[name]) for name, value in weights("whole").items())


def test_a_grid_over_lists(capsys):
    values = ", ".join(f"[flip, {ERASING.replace('0.3', p)}]" for p in ("0.25", "0.75"))
    Path("lists.yaml").write_text(a_sweep(model="{value: FCNet}", data__augment=f"{{values: [flip, {values}]}}"))
    trials = read_sweep(Path("lists.yaml")).trials
    assert len(trials) == 3
    assert sweep.main(["lists.yaml", "--dry-run"]) == 0
    assert capsys.readouterr().out.count("kornia.augmentation.RandomErasing") == 2
    found = [train.resolve(trial.args)["data.augment"] for trial in trials]
    assert found[0] == "flip"
    assert [json.loads(one)[1]["init_args"]["p"] for one in found[1:]] == [0.25, 0.75]
    assert len({records.config_hash({"data.augment": one}) for one in found}) == 3


def test_a_grid_over_lists_with_a_wrong_element_is_refused(capfd):
    Path("lists.yaml").write_text(a_sweep(model="{value: FCNet}", data__augment="{values: [flip, [flip, flp]]}"))
    assert sweep.main(["lists.yaml", "--dry-run"]) == 2
    assert "got flp; did you mean flip?" in capfd.readouterr().err
