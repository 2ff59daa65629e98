"""Corrupted test images against what each corruption says, by hand; the same ones for every batch size and network."""

import math

import numpy as np
import pytest
import torch

from datamodules import ImageFolder
from datamodules.corruptions import DRAW, KINDS, STRENGTHS, corrupt
from headtohead.records import record as records
from headtohead.records.metrics import CORRUPTED
from headtohead.report.collect import collect
from headtohead.report.comparison import make_comparison
from headtohead.report.write import markdown_of
from headtohead.trial import main as train
from lit_models import FCNet
from tests.datamodules.test_image import ready
from tests.tiny import TINY, Tiny
from tests.trials import best

IMAGES = torch.randint(0, 256, (6, 3, 12, 12), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
PLACES = [3, 4, 5, 6, 7, 8]


def drawn(name, place):
    return np.random.RandomState([DRAW, KINDS.index(name), place])


def bilinear(image, rows, columns):
    """The pixels of one image ``(C, S, S)`` at real places, those outside at the nearest of its edge."""
    size = image.shape[-1]
    made = np.zeros((len(image), *rows.shape))
    for at in np.ndindex(rows.shape):
        row, column = np.clip(rows[at], 0, size - 1), np.clip(columns[at], 0, size - 1)
        top, left = min(int(row), size - 2), min(int(column), size - 2)
        below, right = row - top, column - left
        window = image[:, top : top + 2, left : left + 2]
        weights = np.outer([1 - below, below], [1 - right, right])
        made[(slice(None), *at)] = (window * weights).sum((1, 2))
    return made


def by_hand(image, place, name, amount):
    """One image in [0, 1], ``(C, S, S)`` float64."""
    size = image.shape[-1]
    y, x = np.mgrid[:size, :size].astype(float)
    middle = (size - 1) / 2
    if name == "noise":
        return image + amount * drawn(name, place).standard_normal(image.size).reshape(image.shape)
    if name == "contrast":
        grey = np.tensordot([0.299, 0.587, 0.114], image, 1).mean()
        return amount * image + (1 - amount) * grey
    if name == "shift":
        angle = drawn(name, place).uniform(0, 2 * math.pi)
        return bilinear(image, y - amount * size * math.sin(angle), x - amount * size * math.cos(angle))
    if name == "scale":
        factor = amount if drawn(name, place).randint(2) else 1 / amount
        return bilinear(image, middle + (y - middle) / factor, middle + (x - middle) / factor)
    sigma = amount * size
    reach = math.ceil(3 * sigma)
    taps = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * sigma**2))
    window = np.outer(taps, taps) / taps.sum() ** 2
    padded = np.pad(image, ((0, 0), (reach, reach), (reach, reach)), mode="edge")
    return sum(
        window[dy, dx] * padded[:, dy : dy + size, dx : dx + size]
        for dy in range(2 * reach + 1)
        for dx in range(2 * reach + 1)
    )


@pytest.mark.parametrize("name", KINDS)
def test_every_corruption_is_what_it_says(name):
    for strength, amount in enumerate(STRENGTHS[name], 1):
        found = corrupt(IMAGES, PLACES, name, strength).numpy().astype(int)
        for image, place, one in zip(IMAGES.double().numpy() / 255, PLACES, found, strict=True):
            expected = 255 * np.clip(by_hand(image, place, name, amount), 0, 1)
            assert np.abs(one - expected).max() <= 0.51, (name, strength)  # half a step, and float32's rounding


@pytest.mark.parametrize("name", KINDS)
def test_images_are_the_same_whatever_the_batch_and_stronger_is_further_off(name):
    far = []
    for strength in range(1, 6):
        whole = corrupt(IMAGES, PLACES, name, strength)
        for cut in (1, 4):
            parts = [corrupt(IMAGES[s : s + cut], PLACES[s : s + cut], name, strength) for s in range(0, 6, cut)]
            assert torch.equal(torch.cat(parts), whole)
        far.append((whole.float() - IMAGES).abs().mean().item())
    assert far == sorted(far)
    assert not torch.equal(corrupt(IMAGES[:1], [0], "noise", 1), corrupt(IMAGES[:1], [1], "noise", 1))


def test_the_loaders_yield_the_whole_test_set_for_each_and_none_where_it_is_off():
    data = ready(corruptions=True)
    loaders = data.test_dataloader()[2:]
    assert [loader.dataset.corruption for loader in loaders] == [(n, s) for n in KINDS for s in range(1, 6)]
    for loader in (loaders[0], loaders[9]):
        found = [data.transfer_batch_to_device(batch, torch.device("cpu"), 0) for batch in loader]
        images, labels = (torch.cat(part) for part in zip(*found, strict=True))
        assert len(found) == 2
        assert torch.equal(labels, data.test.labels)
        assert torch.equal(images, corrupt(data.test.images, range(200), *loader.dataset.corruption))
    assert len(ready().test_dataloader()) == 2


def test_the_records_names_are_the_corruptions():
    assert CORRUPTED == KINDS
    assert {"label_noise", "corruptions"} <= set(ImageFolder.__init__.__annotations__)


FIT = ["fit", "--model=FCNet", "--model.width=8", *TINY, "--trainer.max_epochs=2", "--trainer.accelerator=cpu"]


def test_a_record_has_the_accuracy_of_each_and_tables_their_mean(workplace):
    assert train.main([*FIT, "--task.lr=0.01", "--data.corruptions=true", "--trainer.precision=32-true"]) == 0
    (path,) = workplace.glob("runs/train/*/record.json")
    quality = records.read(path).quality
    net = best(path.parent, FCNet(width=8))
    arrays, means = Tiny().load(), []
    for name in KINDS:
        right = []
        for strength in range(1, 6):
            images = corrupt(torch.from_numpy(arrays.test_images), range(200), name, strength)
            with torch.no_grad():
                guesses = net((images.float() / 255 - 0.3) / 0.3).argmax(1)
            right.append((guesses.numpy() == arrays.test_labels).mean())
        assert list(quality["corruptions"][name].values()) == pytest.approx(right, abs=1e-6)
        means.append(np.mean(right))
        assert quality[f"test_acc_{name}"] == pytest.approx(means[-1], abs=1e-6)
    assert quality["test_acc_corrupted"] == pytest.approx(np.mean(means), abs=2e-6)
    text = markdown_of(make_comparison(collect(workplace / "runs" / "train")))
    assert f"{100 * quality['test_acc_corrupted']:.2f}" in text
    assert "| corrupted % |" in " ".join(text.split())


@pytest.mark.parametrize("argument", ["label_noise=0.1", "corruptions=true"])
def test_what_changes_nothing_of_an_inpainter_is_refused(workplace, argument):
    fills = ["fit", "--model=ConvUNet", *TINY, "--data.normalize=false", f"--data.{argument}"]
    assert train.resolve(fills) == f"--data.{argument.partition('=')[0]}: changes nothing of Inpainter: leave it out"
