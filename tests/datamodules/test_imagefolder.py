"""A folder of images per class: what PIL reads and torchvision lists, split by a share or by folders, else refused."""

import re

import numpy as np
import pytest
import torch
import torchvision
from lightning.fabric.utilities.exceptions import MisconfigurationException
from PIL import Image

from datamodules import ImageFolder
from headtohead.records import record as records
from headtohead.trial import main as train


def write(folder, classes=("daisy", "rose"), count=20, mode="RGB"):
    random = np.random.RandomState(len(str(folder)))
    for shade, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for index in range(count):
            pixels = random.randint(0, 100, (20 + index, 40, 3)).astype(np.uint8)
            pixels[..., shade % 3] += 120
            Image.fromarray(pixels).convert(mode).save(folder / name / f"{index:02}.png")
    return folder


def by_hand(folder, size, mode="RGB"):
    """Every image and label as torchvision lists and PIL resizes them."""
    found = torchvision.datasets.ImageFolder(folder)
    images = [Image.open(path).convert(mode).resize((size, size), Image.Resampling.BILINEAR) for path, _ in found.imgs]
    return np.stack([np.asarray(image).reshape(size, size, -1).transpose(2, 0, 1) for image in images]), found.targets


def test_one_folder_is_split_by_a_share_of_every_class(tmp_path):
    data = ImageFolder(root=str(write(tmp_path / "flowers")), image_size=16, test_share=0.25)
    data.setup()
    assert (data.in_channels, data.image_size, data.num_classes) == (3, 16, 2)
    assert data.class_names == ("daisy", "rose")
    assert [np.bincount(part.labels).tolist() for part in (data.train, data.val, data.test)] == [
        [13, 14],
        [2, 1],
        [5, 5],
    ]
    images, labels = by_hand(tmp_path / "flowers", 16)
    found = torch.cat([data.train.images, data.val.images, data.test.images]).numpy()
    order = [next(at for at, image in enumerate(images) if np.array_equal(image, one)) for one in found]
    assert sorted(order) == list(range(40))
    assert np.array_equal(np.array(labels)[order], torch.cat([data.train.labels, data.val.labels, data.test.labels]))
    again, other = (ImageFolder(root=data.root, image_size=16, test_share=0.25, test_seed=seed) for seed in (0, 1))
    assert np.array_equal(again.load().test_images, data.test.images)
    assert not np.array_equal(other.load().test_images, data.test.images)


def test_folders_for_the_splits_are_the_splits(tmp_path):
    for split, count in (("train", 12), ("test", 4), ("val", 3)):
        write(tmp_path / split, count=count)
    data = ImageFolder(root=str(tmp_path), image_size=8, channels=1)
    data.setup()
    for split in ("train", "test", "val"):
        images, labels = by_hand(tmp_path / split, 8, "L")
        assert np.array_equal(getattr(data, split).images, images), split
        assert getattr(data, split).labels.tolist() == labels
    with pytest.raises(ValueError, match=r"val_size changes nothing: .* has a folder val"):
        ImageFolder(root=str(tmp_path), val_size=5)
    with pytest.raises(ValueError, match="test_share and test_seed change nothing"):
        ImageFolder(root=str(tmp_path), test_seed=1)


def test_images_are_normalised_by_imagenets_numbers(tmp_path):
    write(tmp_path / "flowers")
    grey, white = torch.tensor([0.449]), torch.ones(1, 1, 1, 1)
    assert ImageFolder(root=str(tmp_path / "flowers"), channels=1).normalized(white).item() == pytest.approx(
        ((1 - grey) / 0.226).item()
    )
    found = ImageFolder(root=str(tmp_path / "flowers")).normalized(torch.ones(1, 3, 1, 1)).flatten().tolist()
    assert found == pytest.approx([(1 - 0.485) / 0.229, (1 - 0.456) / 0.224, (1 - 0.406) / 0.225])


def test_a_class_called_train_is_a_class(tmp_path):
    write(tmp_path / "vehicles", ("bus", "train"))
    assert ImageFolder(root=str(tmp_path / "vehicles")).class_names == ("bus", "train")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"image_size": 0}, "image_size must be at least 1: got 0"),
        ({"channels": 4}, "channels must be 1 for grey or 3 for colours: got 4"),
        ({"test_share": 1}, "test_share must lie between 0 and 1: got 1"),
        ({"root": "none"}, "root must be a folder: there is no none"),
        ({"root": "empty"}, "root: empty must hold a folder of images for each class, at least two"),
        ({"root": "gap"}, "root: gap/tulip has no image, whose name ends in .jpg"),
        ({"root": "half"}, "root: half has a folder train and none called test"),
        ({"root": "unlike"}, "root: unlike/test must have the classes of train: differs in rose, tulip"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(workplace, change, said):
    write(workplace / "flowers", count=1)
    write(workplace / "gap", count=1)
    (workplace / "gap" / "tulip").mkdir()
    (workplace / "empty" / "one").mkdir(parents=True)
    write(workplace / "half" / "train", count=1)
    write(workplace / "unlike" / "train", count=1)
    write(workplace / "unlike" / "test", ("daisy", "tulip"), count=1)
    with pytest.raises(ValueError, match=f"^{re.escape(said)}") as refused:
        ImageFolder(**{"root": "flowers", **change})
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("broken", ["text", "half", "deep"])
def test_a_file_that_cannot_be_read_is_named(tmp_path, broken):
    path = write(tmp_path / "flowers", count=4) / "rose" / "bad.png"
    whole = (path.parent / "00.png").read_bytes()
    if broken == "deep":
        Image.fromarray(np.full((9, 9), 60_000, np.uint16)).save(path)
    else:
        path.write_bytes(b"no image" if broken == "text" else whole[: len(whole) // 2])
    reason = "has more than 8 bits for a colour" if broken == "deep" else "not an image"
    with pytest.raises(MisconfigurationException, match=rf"--data: ImageFolder: .*rose/bad.png: {reason}"):
        ImageFolder(root=str(tmp_path / "flowers"), image_size=8).setup()


def test_a_trial_on_a_folder_and_what_it_predicts(workplace, capsys):
    write(workplace / "flowers")
    fit = ["fit", "--model=FCNet", "--data=ImageFolder", "--data.root=flowers/", "--data.image_size=8"]
    fit += ["--trainer.max_epochs=2", "--trainer.accelerator=cpu", "--trainer.logger=false"]
    assert train.main(fit) == 0
    (path,) = workplace.glob("runs/train/FCNet-flowers-seed0-*/record.json")
    record = records.read(path)
    assert (record.data, record.config["data.root"], record.quality["test_acc"]) == ("flowers", "flowers", 1)
    assert record.quality["class_names"] == ["daisy", "rose"]
    capsys.readouterr()
    checkpoint = path.parent / "checkpoints" / "best.ckpt"
    assert train.main(["predict", f"--ckpt_path={checkpoint}", "--image=flowers/rose/03.png"]) == 0
    assert capsys.readouterr().out.startswith("flowers/rose/03.png: rose 0.")
    missing = [arg.replace("flowers/", "flower") for arg in fit]
    assert train.main(missing) == 2
    assert capsys.readouterr().err == "train.py: --data.root must be a folder: there is no flower\n"
