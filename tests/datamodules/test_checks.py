"""What a user's data may be: put right where it is meant beyond doubt, else refused once, in one line."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException

from tests.tiny import Few, Tiny, bars

GREY, COLOUR = bars(1, 28, 60, 20), bars(3, 32, 60, 20)


def made(base=Tiny, arrays=None, **facts):
    kind = type("Mine", (base,), {**facts, "load": lambda self: arrays})
    data = kind(val_size=20)
    data.trainer = SimpleNamespace(global_rank=0, world_size=1, training=False)
    data.setup()
    return data


def changed(arrays, **fields):
    return dataclasses.replace(arrays, **{name: change(getattr(arrays, name)) for name, change in fields.items()})


@pytest.mark.parametrize(
    "change",
    [
        {"train_labels": lambda a: a[:, None], "test_labels": lambda a: a.astype(np.int32)},
        {"train_images": lambda a: a[:, 0], "test_images": lambda a: a[:, 0]},
        {"train_images": torch.from_numpy, "train_labels": torch.from_numpy},
        {"train_images": lambda a: np.ascontiguousarray(a[::-1])[::-1]},
        {"test_labels": lambda a: a.astype(np.uint8)},
        {"train_labels": lambda a: a.tolist()},
    ],
)
def test_what_is_meant_beyond_doubt_is_put_right(change):
    data, plain = made(arrays=changed(GREY, **change)), made(arrays=GREY)
    for part in ("train", "val", "test", "rotation_sweep"):
        for name in ("images", "labels"):
            assert torch.equal(getattr(getattr(data, part), name), getattr(getattr(plain, part), name))
    assert data.test_set == plain.test_set


FLOATS = "train_images must be uint8, black 0 and white 255: got float32 from 0.0 to 0.93"
INTS = "test_images must be uint8, black 0 and white 255: got int64 from 0 to 2"
DARK = "train_images must reach from black, 0, to white, 255: got 0 to 0"
LAST = "train_images must be of shape (N, 1, 28, 28): got (60, 28, 28, 1); the channels come first"
THIN = "train_images must be of shape (N, 3, 32, 32): got (60, 1, 32, 32)"
FEWER = "test_images and test_labels must be equally many: got 20 and 19"
ONE_HOT = "train_labels must be of shape (N,), the number of each image's class: got (60, 10)"
ABSENT = "train_labels must have every class: there is none of 3"
SHAPE = (
    "must be of shape (N, 3, 32, 32): got (60, 32, 32, 3); the channels come first: give images.transpose(0, 3, 1, 2)"
)


@pytest.mark.parametrize(
    ("base", "arrays", "change", "said"),
    [
        (Tiny, GREY, {"train_images": lambda a: a / np.float32(255)}, FLOATS),
        (Tiny, GREY, {"test_images": lambda a: a.astype(int)}, INTS),
        (Tiny, GREY, {"train_images": lambda a: (a / 255).astype(np.uint8)}, DARK),
        (Tiny, GREY, {"train_images": lambda a: a.transpose(0, 2, 3, 1)}, LAST),
        (Few, COLOUR, {"train_images": lambda a: a.transpose(0, 2, 3, 1)}, f"train_images {SHAPE}"),
        (Few, COLOUR, {"train_images": lambda a: a[:, :1]}, THIN),
        (Tiny, GREY, {"test_images": lambda a: a[:0], "test_labels": lambda a: a[:0]}, "test_images must not be empty"),
        (Tiny, GREY, {"test_images": lambda a: None}, "test_images must be there: got None"),
        (Tiny, GREY, {"test_labels": lambda a: a[:-1]}, FEWER),
        (Tiny, GREY, {"train_labels": lambda a: a + 1}, "train_labels must lie in 0 to 9: got 1 to 10"),
        (Tiny, GREY, {"train_labels": lambda a: a.astype(float)}, "train_labels must be whole numbers: got float64"),
        (Tiny, GREY, {"train_labels": lambda a: np.eye(10, dtype=int)[a]}, ONE_HOT),
        (Tiny, GREY, {"train_labels": lambda a: np.where(a == 3, 4, a)}, ABSENT),
    ],
)  # fmt: skip
def test_arrays_that_are_not_what_they_must_be_are_refused(base, arrays, change, said):
    with pytest.raises(MisconfigurationException) as error:
        made(base, changed(arrays, **change))
    assert str(error.value).startswith(f"--data: Mine: {said}")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"mean": (33.3,)}, "the class's mean must be of images in [0, 1], whose white is 1: got (33.3,)"),
        ({"std": (0.0,)}, "the class's std must be of images in [0, 1]"),
        ({"mean": (0.1,) * 3}, "the class's mean must be 1 numbers, one for each channel"),
        ({"class_names": "0123456789"}, "the class's class_names must be 10 different names"),
        ({"class_names": ("a", "b")}, "the class's class_names must be 10 different names"),
        ({"num_classes": 1}, "the class's num_classes must be a whole number, at least 2: got 1"),
    ],
)
def test_facts_that_contradict_one_another_are_refused_before_data_are_read(facts, said):
    with pytest.raises(ValueError, match=r"^the class's") as error:
        type("Mine", (Tiny,), facts)()
    assert str(error.value).startswith(said)


def test_facts_that_are_missing_are_named():
    from datamodules import ImageDataModule

    with pytest.raises(ValueError, match=r"^the class must state in_channels, image_size, num_classes, class_names, "):
        type("Mine", (ImageDataModule,), {})()


def test_a_class_that_is_rare_or_absent_in_the_test_set():
    labels = np.array([0] * 12 + [1] * 6 + [2] * 2)
    data = made(arrays=dataclasses.replace(GREY, test_labels=labels))
    assert torch.bincount(data.rotation_sweep.labels).tolist() == [12, 6, 2]
