"""``python -m datamodules``: a picture of images before and after augmentation."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from datamodules.__main__ import COLUMNS, DRAWS, GAP, main, parsed
from headtohead.cli.errors import UsageError
from headtohead.trial.networks import _try_augmentation
from tests.datamodules.test_lists_of_augmentations import MIXES, NEEDS
from tests.tiny import Few, Tiny


def drawn(path, side):
    pixels = np.asarray(Image.open(path)).astype(int)
    size = side + GAP
    assert pixels.shape[:2] == ((DRAWS + 1) * size, COLUMNS * size)
    return [[pixels[r * size :][:side, c * size :][:, :side] for c in range(COLUMNS)] for r in range(DRAWS + 1)]


@pytest.mark.parametrize(("data", "kind", "side"), [("tests.tiny.Few", Few, 64), ("tests.tiny.Tiny", Tiny, 84)])
def test_the_first_row_is_the_images_and_those_below_are_flipped_or_not(workplace, capsys, data, kind, side):
    assert main([data, "--augment=[flip]"]) == 0
    path = capsys.readouterr().out.strip()
    assert path == f"{kind.__name__}-augmented.png"
    rows = drawn(path, side)
    first = kind().load().train_images[0].transpose(1, 2, 0).squeeze()
    scale = side // first.shape[0]
    assert (rows[0][0] == first.repeat(scale, 0).repeat(scale, 1)).all()
    flipped = [(below == above[:, ::-1]).all() for row in rows[1:] for above, below in zip(rows[0], row, strict=True)]
    kept = [(below == above).all() for row in rows[1:] for above, below in zip(rows[0], row, strict=True)]
    assert all(a != b for a, b in zip(flipped, kept, strict=True))
    assert 0 < sum(flipped) < len(flipped)


def test_a_folder_of_images_is_drawn(workplace, capsys):
    bright = {"dark": 20, "light": 230}
    for name, value in bright.items():
        Path("mine", name).mkdir(parents=True)
        for index in range(12):
            Image.new("RGB", (80, 80), (value, value, index)).save(f"mine/{name}/{index:02}.png")
    assert main(["ImageFolder", "--root=mine", "--augment=none"]) == 0
    assert capsys.readouterr().out == "ImageFolder-augmented.png\n"
    rows = drawn("ImageFolder-augmented.png", 64)
    assert all((one == other).all() for row in rows[1:] for one, other in zip(rows[0], row, strict=True))
    assert {int(image[0, 0, 0]) for image in rows[0]} == {20}  # the first of the training images, which are in order


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["ImageFolder"], "--root: ImageFolder needs the folder of its images, such as --root=flowers"),
        (["ImageFolder", "--root=nowhere"], "root must be a folder: there is no nowhere"),
        (["tests.tiny.Few", "--root=."], "--root: is for ImageFolder: leave it out of Few"),
        (
            ["CIFAR"],
            "DATA: no data set is named 'CIFAR'; there are CIFAR10, CIFAR100, FashionMNIST, ImageFolder, MNIST",
        ),
        (["nowhere.Data"], "DATA: nowhere.Data: No module named 'nowhere'"),
        (["tests.tiny.Few", "--augment=[flip, flp]"], "--augment: flp: neither one of default, none, flip"),
        (["tests.tiny.Few", "--augment=[flip"], "--augment: not valid YAML"),
        (["tests.tiny.Few", "--augment=2026-13-01"], "--augment: not valid YAML: month must be in 1..12"),
        (
            ["tests.tiny.Few", "--augment={class_path: kornia.augmentation.RandomErasing, init_args: {pp: 1}}"],
            "--augment: {'class_path': 'kornia.augmentation.RandomErasing', 'init_args': {'pp': 1}}: Option 'pp'",
        ),
        (
            ["tests.tiny.Few", "--augment={class_path: kornia.augmentation.CenterCrop, init_args: {size: 16}}"],
            "--augment: must return images of shape (8, 3, 32, 32): got (8, 3, 16, 16)",
        ),
        (
            ["tests.tiny.Few", "--augment={class_path: kornia.augmentation.RandomRotation, init_args: {degrees: -1}}"],
            "--augment: {'class_path': 'kornia.augmentation.RandomRotation', 'init_args': {'degrees': -1}}: If degrees",
        ),
        (["tests.tiny.Few", "--to=no/where.png"], "--to: no/where.png: No such file or directory"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(workplace, capsys, args, said):
    assert main(args) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"datamodules: {said}")
    assert not list(workplace.iterdir())


@pytest.mark.parametrize("name", [MIXES[0], "RandomJigsaw"])
def test_what_mixes_images_is_refused_in_the_words_of_a_trial(workplace, capsys, name):
    given = f"[flip, {{class_path: kornia.augmentation.{name}, init_args: {json.dumps(NEEDS.get(name, {}))}}}]"
    try:
        _try_augmentation(Few(augment=parsed(given)).augment, torch.rand(2, 3, 32, 32))
        trials = ""
    except UsageError as refused:
        trials = str(refused)
    code = main(["tests.tiny.Few", f"--augment={given}"])
    said = capsys.readouterr().err.strip()
    assert (code, said) == ((2, trials.replace("--data.augment", "datamodules: --augment")) if trials else (0, ""))
    assert bool(trials) == (name in MIXES)
