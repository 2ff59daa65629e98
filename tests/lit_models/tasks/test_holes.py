"""Holes: a square in the centre, share and strokes as arguments, and errors by hole, against counts by hand."""

import pytest
import torch

from lit_models import Inpainter
from lit_models.tasks.inpainter import STROKES, _fixed_numbers, at_the_edge, draw_masks, groups_of
from tests.lit_models.tasks.quiet import report_of


class Grey(torch.nn.Module):
    """Fills every image with one grey."""

    def __init__(self):
        super().__init__()
        self.grey = torch.nn.Parameter(torch.tensor(0.5))

    def forward(self, images, mask):
        self.mask = mask
        return self.grey.expand_as(images)


def drawn(*shares):
    """Numbers of masks whose holes cover these shares when shares lie between 0 and 1."""
    numbers = torch.full((len(shares), 1 + 19), 0.5)
    numbers[:, 0] = torch.tensor(shares)
    return numbers


def test_a_square_in_the_centre_by_hand():
    quarter, tenth, nearly_all = draw_masks(drawn(0.25, 0.1, 0.99), 8, (0.0, 1.0), "centre")[:, 0]
    expected = torch.ones(8, 8)
    expected[2:6, 2:6] = 0  # a quarter of 64 pixels
    assert torch.equal(quarter, expected)
    expected = torch.ones(8, 8)
    expected[2:5, 2:5] = 0  # sqrt(0.1) * 8 = 2.53: three pixels, which cannot be centred in eight
    assert torch.equal(tenth, expected)
    assert nearly_all.sum() == 64 - 49  # never the whole image


def test_holes_touch_the_edge_or_do_not():
    masks = torch.ones(6, 1, 5, 5)
    masks[0, 0, 1:4, 1:4] = 0
    for index, place in enumerate([(0, 2), (4, 2), (2, 0), (2, 4)], start=1):
        masks[(index, 0, *place)] = 0
    assert at_the_edge(masks).tolist() == [False, True, True, True, True, False]


def test_groups_by_hand():
    shares = torch.tensor([0.1, 0.19, 0.2, 0.45, 0.4999])
    groups = groups_of(shares, torch.tensor([True, False, False, False, True]))
    assert {name: among.nonzero().flatten().tolist() for name, among in groups.items()} == {
        "10_20": [0, 1],
        "20_30": [2],
        "40_50": [3, 4],
        "border": [0, 4],
        "inside": [1, 2, 3],
    }


@pytest.mark.parametrize(
    ("arguments", "low", "high"),
    [
        ({}, 0.1, 0.5),
        ({"hole_min": 0.3, "hole_max": 0.3}, 0.3, 0.3),
        ({"hole_max": 0.8, "strokes": 1}, 0.1, 0.8),
    ],  # of one stroke, some holes do not reach the edge
)
def test_errors_by_hole_are_means_over_those_images(arguments, low, high):
    torch.manual_seed(0)
    images = torch.rand(60, 3, 32, 32)
    task = Inpainter(Grey(), **arguments)
    report = report_of(task, images, batch_size=7)
    numbers = _fixed_numbers(arguments.get("strokes", 3))[:60]
    shares = low + (high - low) * numbers[:, 0]
    masks = draw_masks(numbers, 32, (low, high))
    errors = torch.stack(
        [(image - 0.5).abs()[:, mask[0] == 0].mean() for image, mask in zip(images, masks, strict=True)]
    )
    names = set()
    for low_bin in range(0, 100, 10):
        among = (shares * 10).long() == low_bin // 10
        if among.any():
            name = f"{low_bin}_{low_bin + 10}"
            names.add(f"test_l1_hole_{name}")
            assert report[f"test_l1_hole_{name}"] == pytest.approx(errors[among].mean().item(), abs=2e-6)
            assert torch.equal(task.groups[name], among)
    frame = torch.ones(32, 32, dtype=torch.bool)
    frame[1:-1, 1:-1] = False
    edge = torch.tensor([bool((mask[0][frame] == 0).any()) for mask in masks])
    for name, among in (("border", edge), ("inside", ~edge)):
        if among.any():
            names.add(f"test_l1_hole_{name}")
            assert report[f"test_l1_hole_{name}"] == pytest.approx(errors[among].mean().item(), abs=2e-6)
            assert torch.equal(task.groups[name], among)
    names.add("test_l1_hole")
    assert {name for name in report if name.startswith("test_l1_hole")} == names
    torch.testing.assert_close(task.per_image[0], errors)


def test_padding_is_in_no_group():
    images = torch.rand(6, 3, 32, 32)
    task = Inpainter(Grey())
    report_of(task, images, torch.tensor([0, 1, 2, 3, -1, -1]), batch_size=4)
    assert {len(among) for among in task.groups.values()} == {4}
    assert sum(among.sum() for name, among in task.groups.items() if name in ("border", "inside")) == 4


def test_holes_that_stay_inside_cover_the_same_share():
    numbers = _fixed_numbers(STROKES)[:100]
    masks = draw_masks(numbers, 32, holes="inside")
    assert not at_the_edge(masks).any()
    assert at_the_edge(draw_masks(numbers, 32)).float().mean() > 0.9
    torch.testing.assert_close(1 - masks.mean((1, 2, 3)), 0.1 + 0.4 * numbers[:, 0], rtol=0, atol=3 / 32**2)
    whole = draw_masks(numbers[:1], 12, (0.99, 0.99), "inside")[0, 0]
    assert whole.sum() == 12**2 - 10**2  # all but the frame


@pytest.mark.parametrize(
    ("arguments", "filled"),
    [({"holes": "centre", "hole_min": 0.25, "hole_max": 0.25}, 0.25), ({"hole_min": 0.5, "hole_max": 0.5}, 0.5)],
)
def test_the_same_holes_in_training_validation_and_test(arguments, filled):
    images = torch.rand(4, 3, 32, 32)
    task = Inpainter(Grey(), **arguments)
    task.training_step((images, torch.zeros(4)), 0)
    assert (1 - task.net.mask).mean().item() == pytest.approx(filled, abs=0.003)
    report_of(task, images, batch_size=4)
    assert (1 - task.net.mask).mean().item() == pytest.approx(filled, abs=0.003)
    assert draw_masks(_fixed_numbers(STROKES)[:1], 32, (0.25, 0.25), "centre")[0, 0, 8:24, 8:24].sum() == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"holes": "round"}, "holes must be one of strokes, inside, centre: got round"),
        ({"hole_min": 0.0}, "hole_min must lie between 0 and 1: got 0.0; 0.1 is the default"),
        ({"hole_min": 0.6}, "hole_max must lie between hole_min, 0.6, and 1: got 0.5"),
        ({"hole_max": 1.0}, "hole_max must lie between hole_min, 0.1, and 1: got 1.0"),
        ({"strokes": 0}, "strokes must be at least 1: got 0; 3 is the default"),
        ({"holes": "centre", "strokes": 2}, "strokes is for a brush, and changes nothing of centre: got 2"),
    ],
)
def test_impossible_holes_are_refused(arguments, said):
    with pytest.raises(ValueError, match=said):
        Inpainter(Grey(), **arguments)
