"""Every augmentation draws from the distribution that it says, anew for each image (docs/kinds.md, kind 1)."""

import colorsys
import math

import kornia.augmentation as K
import numpy as np
import pytest
import torch
from kornia.enhance import adjust_hue, adjust_saturation
from kornia.geometry.transform import get_rotation_matrix2d, rotate, warp_affine
from scipy import stats

from datamodules.augmentation import Augment, augmentation
from datamodules.color import hue_turned, saturated
from datamodules.crop import turned_and_shifted

COUNT = 4_000
ENOUGH = 1e-4  # below which a p-value is no chance: seeds are fixed, so that nothing here is flaky


def same_chance(counts):
    """The p-value of equal frequencies."""
    return stats.chisquare(counts).pvalue


def marked(size: int) -> torch.Tensor:
    """One image ``(1, size, size)`` whose pixels are all different, so that every move of them can be told."""
    return torch.linspace(0.1, 1, size * size).view(1, size, size)


def augmented(name: Augment, image: torch.Tensor, count: int = COUNT) -> torch.Tensor:
    torch.manual_seed(0)
    return augmentation(name)(image.expand(count, -1, -1, -1).clone())


def test_flips_are_every_other_image():
    image = marked(4)
    results = augmented("flip", image)
    mirrored = (results == image.flip(-1)).flatten(1).all(1)
    assert (results[~mirrored] == image).all()
    assert same_chance([int(mirrored.sum()), int((~mirrored).sum())]) > ENOUGH


def test_quarter_turns_are_equally_frequent_and_exact():
    image = marked(4)
    results = augmented("quarter_turns", image)
    counts = [int((results == image.rot90(turn, (1, 2))).flatten(1).all(1).sum()) for turn in range(4)]
    assert sum(counts) == COUNT
    assert same_chance(counts) > ENOUGH


def test_every_window_is_as_frequent_mirrored_or_not():
    image = marked(3)
    padded = torch.nn.functional.pad(image, (4,) * 4)
    results = augmented("crop_flip", image, 20 * COUNT)
    table, known = np.zeros((2, 9, 9), int), torch.zeros(len(results), dtype=torch.bool)
    windows = padded.unfold(1, 3, 1).unfold(2, 3, 1)[0]  # (9, 9, 3, 3)
    for mirrored in range(2):
        for row in range(9):
            for column in range(9):
                window = windows[row, column].flip(-1) if mirrored else windows[row, column]
                fits = (results[:, 0] == window).flatten(1).all(1)
                table[mirrored, row, column], known = int(fits.sum()), known | fits
    assert known.all()
    seen = [(r, c) for r in range(9) for c in range(9) if 2 <= r <= 6 and 2 <= c <= 6]  # the others show too few pixels
    assert same_chance([table[m, r, c] for m in range(2) for r, c in seen]) > ENOUGH


def test_shifts_are_uniform_up_to_a_tenth_either_way():
    size = 40
    image = torch.zeros(1, size, size)
    image[:, 18:22, 18:22] = 1
    results = augmented("shift", image, 1_000)[:, 0].double()
    where = torch.arange(size, dtype=torch.double)
    mass = results.sum((1, 2))
    for axis in (1, 2):
        middle = (results.sum(axis) * where).sum(1) / mass - (size - 1) / 2
        assert middle.abs().max() <= 0.1 * size + 1e-3
        assert stats.kstest(middle.numpy(), "uniform", args=(-0.1 * size, 0.2 * size)).pvalue > ENOUGH


def test_rotations_are_uniform_over_the_whole_turn():
    size = 33
    image = torch.zeros(1, size, size)
    image[:, 14:19, 24:29] = 1  # to the right of the middle
    results = augmented("rotate", image, 1_000)[:, 0].double()
    where = torch.arange(size, dtype=torch.double) - (size - 1) / 2
    mass = results.sum((1, 2))
    x, y = ((results.sum(axis) * where).sum(1) / mass for axis in (1, 2))
    angles = torch.atan2(y, x).numpy()
    assert stats.kstest(angles, "uniform", args=(-math.pi, 2 * math.pi)).pvalue > ENOUGH


@pytest.mark.parametrize("size", [(9, 9), (8, 13), (7, 4)])
def test_turns_and_shifts_are_kornias(size):
    random = torch.Generator().manual_seed(0)
    images = torch.rand(5, 2, *size, generator=random, dtype=torch.double)
    angles = (2 * torch.rand(5, generator=random, dtype=torch.double) - 1) * math.pi
    shifts = 0.4 * torch.rand(5, 2, generator=random, dtype=torch.double) - 0.2
    still, upright = torch.zeros(5, 2), torch.zeros(5)
    pixels = shifts * torch.tensor([size[1], size[0]])
    found = turned_and_shifted(images, upright, shifts)
    for shown, image, (right, down) in zip(found, images, pixels.tolist(), strict=True):
        by_hand = torch.zeros_like(image)
        for row in range(size[0]):
            for column in range(size[1]):
                y, x = row - down, column - right
                top, left = math.floor(y), math.floor(x)
                for r, c in ((top, left), (top, left + 1), (top + 1, left), (top + 1, left + 1)):
                    if 0 <= r < size[0] and 0 <= c < size[1]:
                        by_hand[:, row, column] += (1 - abs(y - r)) * (1 - abs(x - c)) * image[:, r, c]
        torch.testing.assert_close(shown, by_hand)
    torch.testing.assert_close(turned_and_shifted(images, angles, still), rotate(images, torch.rad2deg(angles)))
    both = turned_and_shifted(images, angles, shifts)
    turn = get_rotation_matrix2d(
        torch.tensor([[(size[1] - 1) / 2, (size[0] - 1) / 2]]).double().expand(5, 2),
        torch.rad2deg(angles),
        torch.ones(5, 2).double(),
    )
    turn[:, :, 2] += pixels
    torch.testing.assert_close(both, warp_affine(images, turn, size))


def test_colours_are_centred_and_vary_as_said():
    """Of a grey image, which saturation and hue leave as it is: 0.5 + a, times c, or the other way round."""
    values = augmented("color", torch.full((3, 2, 2), 0.5), COUNT).double().mean((1, 2, 3))
    variance = 0.4**2 / 12  # of a, uniform in ±0.2, and of c, uniform in 1 ± 0.2
    sum_first, product_first = (0.25 + variance) * (1 + variance) - 0.25, 0.25 * variance + variance
    assert values.mean() == pytest.approx(0.5, abs=4 * math.sqrt(sum_first / COUNT))
    assert values.var() == pytest.approx((sum_first + product_first) / 2, rel=0.1)
    assert values.min() >= 0.5 * 0.8 - 0.2
    assert values.max() <= 0.5 * 1.2 + 0.2


@pytest.mark.parametrize("seed", range(6))
def test_colours_are_kornias_of_the_same_seed(seed):
    images = torch.rand(16, 3, 8, 8, generator=torch.Generator().manual_seed(seed))
    images[:8] = (3 * images[:8]).round() / 3  # grey ones too, black, white, and two channels alike
    results = []
    for change in (augmentation("color"), K.ColorJiggle(0.2, 0.2, 0.2, 0.05, p=1.0)):
        torch.manual_seed(seed)
        results.append(change(images.clone()))
    torch.testing.assert_close(*results, atol=2e-6, rtol=0)


def test_saturation_and_hue_are_of_hsv():
    """Against Python's own colorsys, pixel by pixel, and kornia, for all corners of the cube and what lies between."""
    levels = torch.linspace(0, 1, 5, dtype=torch.double)
    pixels = torch.cartesian_prod(levels, levels, levels).T.reshape(1, 3, 5, 25)
    for factor, turn in ((0.0, 0.3), (0.7, -0.05), (1.3, 0.5), (4.0, -0.5), (1.0, 0.0)):
        one = [torch.full((1, 1, 1, 1), number, dtype=torch.double) for number in (factor, turn)]
        paler, turned = saturated(pixels, one[0]), hue_turned(pixels, one[1])
        for before, pale, other in zip(*(x.flatten(2)[0].T.tolist() for x in (pixels, paler, turned)), strict=True):
            h, s, v = colorsys.rgb_to_hsv(*before)
            assert pale == pytest.approx(colorsys.hsv_to_rgb(h, min(1, s * factor), v), abs=1e-12)
            assert other == pytest.approx(colorsys.hsv_to_rgb((h + turn) % 1, s, v), abs=1e-12)
        torch.testing.assert_close(paler, adjust_saturation(pixels, factor), atol=1e-7, rtol=0)
        torch.testing.assert_close(turned, adjust_hue(pixels, 2 * math.pi * turn), atol=1e-7, rtol=0)


@pytest.mark.parametrize("name", ["flip", "shift", "crop_flip", "quarter_turns", "rotate", "color"])
def test_the_images_of_a_batch_are_changed_differently(name):
    torch.manual_seed(0)
    image = torch.rand(3, 8, 8)
    results = augmented(name, image, 64)
    most = {"flip": 2, "quarter_turns": 4}.get(name, 30)
    assert len({tuple(result.flatten().tolist()) for result in results}) >= most
    assert 0 <= results.min() <= results.max() <= 1
    assert not torch.equal(augmentation(name)(image.expand(64, -1, -1, -1)), results)
