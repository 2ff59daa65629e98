"""Folders as they lie on people's disks: photographs taken sideways, hidden copies, splits by other names."""

import numpy as np
import pytest
from PIL import Image

from datamodules import ImageFolder
from datamodules.formats import read_pixels

ORIENTATION, QUARTER_LEFT, QUARTER_RIGHT = 0x0112, 8, 6  # of EXIF: what the viewer must do


def classes(folder, *names):
    for shade, name in enumerate(names):
        (folder / name).mkdir(parents=True)
        for index in range(10):
            Image.new("RGB", (4, 4), (20 * shade, 10 * index, 0)).save(folder / name / f"{index}.png")
    return folder


@pytest.mark.parametrize(("said", "turns"), [(QUARTER_LEFT, 1), (QUARTER_RIGHT, 3)])
def test_a_photograph_taken_sideways_is_read_upright(tmp_path, said, turns):
    shown = np.arange(64, dtype=np.uint8).reshape(8, 8) * 3
    stored, exif = Image.fromarray(np.rot90(shown, -turns)), Image.Exif()
    exif[ORIENTATION] = said
    stored.save(tmp_path / "phone.png", exif=exif)
    assert np.array_equal(read_pixels(tmp_path / "phone.png", 1, 8)[0], shown)


def test_hidden_copies_are_neither_a_class_nor_images_of_one(tmp_path):
    folder = classes(tmp_path / ".kept" / "flowers", "daisy", "rose")
    for place in (folder, folder / "rose"):
        (place / ".ipynb_checkpoints").mkdir()
        Image.new("RGB", (4, 4)).save(place / ".ipynb_checkpoints" / "0-checkpoint.png")
    (folder / "rose" / "._0.png").write_bytes(b"what macOS leaves on other disks")
    data = ImageFolder(root=str(folder), image_size=4)
    data.setup()
    assert data.class_names == ("daisy", "rose")
    assert len(data.train) + len(data.val) + len(data.test) == 20


@pytest.mark.parametrize("names", [("train", "valid", "test"), ("Training", "Testing"), ("train", "test", "labels")])
def test_splits_by_other_names_are_no_classes(tmp_path, names):
    for name in names:
        classes(tmp_path / "flowers" / name, "daisy", "rose")
    with pytest.raises(ValueError, match=r"^root: the splits in .* must be called train, test and perhaps val") as said:
        ImageFolder(root=str(tmp_path / "flowers"))
    assert all(name in str(said.value).partition("got ")[2] for name in names)


def test_folders_hidden_beside_the_splits_change_nothing(tmp_path):
    for name in ("train", "test"):
        classes(tmp_path / "flowers" / name, "daisy", "rose")
    (tmp_path / "flowers" / ".git").mkdir()
    assert ImageFolder(root=str(tmp_path / "flowers")).class_names == ("daisy", "rose")
