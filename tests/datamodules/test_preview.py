"""``python -m datamodules``: a picture of images before and after augmentation."""

import numpy as np
import pytest
from PIL import Image

from datamodules.__main__ import COLUMNS, DRAWS, GAP, main
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


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (
            ["CIFAR"],
            "DATA: no data set is named 'CIFAR'; there are CIFAR10, CIFAR100, FashionMNIST, ImageFolder, MNIST",
        ),
        (["nowhere.Data"], "DATA: nowhere.Data: No module named 'nowhere'"),
        (["tests.tiny.Few", "--augment=[flip, flp]"], "--augment: flp: neither one of default, none, flip"),
        (["tests.tiny.Few", "--augment=[flip"], "--augment: not valid YAML"),
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
