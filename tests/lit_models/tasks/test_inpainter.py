"""Filling holes: the masks, the loss and every number of the test against formulas written out."""

import math
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

from lit_models import Inpainter
from lit_models.tasks.inpainter import FIXED_MASKS, STROKES, _fixed_numbers, draw_masks, inpainting_loss
from tests.lit_models.tasks.quiet import quiet, report_of

NUMBERS = 1 + 3 * (2 + 1 + 16)  # of a mask: its share; of each stroke its place, heading and turns


class Grey(torch.nn.Module):
    """Fills every image with one grey."""

    def __init__(self):
        super().__init__()
        self.grey = torch.nn.Parameter(torch.tensor(0.5))

    def forward(self, images, mask):
        return self.grey.expand_as(images)


class Mean(torch.nn.Module):
    """Fills every image with the mean of what it sees of it: the truth where images are of one colour."""

    def forward(self, images, mask):
        return (images.sum((2, 3), keepdim=True) / mask.sum((2, 3), keepdim=True)).expand_as(images)


class Spy(Grey):
    """Keeps what it was given."""

    def forward(self, images, mask):
        self.given = images, mask
        return super().forward(images, mask)


def fixed_masks(count, size=32):
    return draw_masks(_fixed_numbers(STROKES)[:count], size)


def ssim(x, y):
    """Wang et al. 2004: a Gaussian window of 11 pixels and sigma 1.5; the image is reflected at its border."""
    line = torch.exp(-(((torch.arange(11) - 5) / 1.5) ** 2) / 2).double()
    window = (line[:, None] * line / line.sum() ** 2).expand(x.shape[1], 1, 11, 11)

    def local(z):
        return F.conv2d(F.pad(z.double(), (5, 5, 5, 5), mode="reflect"), window, groups=x.shape[1])

    mean_x, mean_y = local(x), local(y)
    var_x, var_y, cov = local(x * x) - mean_x**2, local(y * y) - mean_y**2, local(x * y) - mean_x * mean_y
    c1, c2 = 0.01**2, 0.03**2
    return ((2 * mean_x * mean_y + c1) * (2 * cov + c2) / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))).mean()


@pytest.mark.parametrize("size", [11, 28, 32, 64])
def test_masks_are_binary_and_their_holes_cover_the_share_that_was_drawn(size):
    numbers = torch.rand(200, NUMBERS, generator=torch.Generator().manual_seed(size))
    masks = draw_masks(numbers, size)
    assert masks.shape == (200, 1, size, size)
    assert set(masks.unique().tolist()) == {0.0, 1.0}
    holes = 1 - masks.mean((1, 2, 3))
    # to a pixel, and pixels that are equally far from the brush
    torch.testing.assert_close(holes, 0.1 + 0.4 * numbers[:, 0], rtol=0, atol=3 / size**2)
    assert holes.min() > 0.09
    assert holes.max() < 0.51


def test_masks_differ_and_no_pixel_is_always_there_or_always_missing():
    masks = fixed_masks(1_000)
    assert len(masks.flatten(1).unique(dim=0)) == 1_000
    seen = masks.mean(0)
    assert seen.min() > 0.4
    assert seen.max() < 0.95
    assert abs(seen.mean() - 0.7) < 0.02


def test_a_hole_is_what_a_brush_leaves():
    numbers = torch.full((1, NUMBERS), 0.5)  # straight strokes from the centre that lie on each other
    numbers[:, 0] = 0.0
    hole = 1 - draw_masks(numbers, 32)[0, 0]
    assert abs(hole.sum() - 0.1 * 32**2) <= 3
    rows = hole.sum(1).nonzero().flatten()
    assert hole.any(1).sum() >= 3 * hole.any(0).sum()  # long and thin
    assert rows.max() - rows.min() == len(rows) - 1  # without gaps


def test_training_draws_from_the_global_random_numbers():
    batch = torch.rand(4, 3, 32, 32), torch.zeros(4)
    model, drawn = Inpainter(Spy()), []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        model.training_step(batch, 0)
        drawn.append(model.net.given[1])
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_what_lies_in_a_hole_never_reaches_the_network():
    model = Inpainter(Spy())
    model.training_step((torch.rand(4, 3, 32, 32) + 1e-3, torch.zeros(4)), 0)
    images, mask = model.net.given
    assert torch.equal(images != 0, (mask != 0).expand_as(images))


@pytest.mark.parametrize("world", [1, 2, 3])
@pytest.mark.parametrize("batch_size", [1, 4, 5])
def test_the_mask_of_an_image_depends_on_its_place_alone(world, batch_size):
    images = torch.arange(12.0).view(-1, 1, 1, 1).expand(-1, 1, 32, 32) / 12
    expected = fixed_masks(12)
    for seed in range(2):
        torch.manual_seed(seed)
        for rank in range(world):
            model = Inpainter(Spy())
            model._trainer = SimpleNamespace(world_size=world, global_rank=rank)
            for _ in range(2):  # the second pass begins again
                model.on_validation_epoch_start()
                found = []
                for part in images[rank::world].split(batch_size):
                    model.validation_step((part, torch.zeros(len(part))), 0)
                    found.append(model.net.given[1])
                assert torch.equal(torch.cat(found), expected[rank::world])


def test_fixed_masks_are_these():
    # a change of these numbers makes records of before and after incomparable
    assert _fixed_numbers(STROKES).shape == (FIXED_MASKS, NUMBERS)
    assert [int((1 - mask).sum()) for mask in fixed_masks(4)] == [443, 250, 288, 496]


def test_evaluation_leaves_the_global_random_numbers_alone():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    model = Inpainter(Grey())
    model._trainer = SimpleNamespace(world_size=1, global_rank=0)
    model.test_step((torch.full((4, 3, 32, 32), 0.5), torch.zeros(4)), 0)
    assert torch.equal(torch.get_rng_state(), before)


def test_loss_by_hand():
    images = torch.zeros(1, 1, 2, 2)
    output = torch.tensor([[[[0.5, -0.25], [0.125, 1.0]]]])
    mask = torch.tensor([[[[0.0, 1.0], [1.0, 0.0]]]])
    assert inpainting_loss(output, images, mask).item() == (6 * 0.5 + 0.25 + 0.125 + 6 * 1.0) / 4


def test_training_loss_is_the_formula():
    images = torch.rand(4, 3, 32, 32)
    model = Inpainter(Spy())
    loss = model.training_step((images, torch.zeros(4)), 0)
    valid = model.net.given[1].bool().expand_as(images)
    error = (images - 0.5).abs()
    weighted = (6 * error[~valid].sum() + error[valid].sum()).item() / images.numel()
    assert loss.item() == pytest.approx(weighted, rel=1e-5)
    assert model._steps == [(loss.detach(), len(images))]


@pytest.mark.parametrize(("channels", "size"), [(3, 32), (1, 28)])
def test_test_report_equals_the_formulas(channels, size):
    torch.manual_seed(0)
    images = torch.rand(7, channels, size, size)
    report = report_of(Inpainter(Grey()), images)
    valid = fixed_masks(7, size).bool().expand_as(images)
    error = (images - 0.5).abs()
    composed = torch.where(valid, images, 0.5)
    assert report["test_images"] == 7
    assert report["test_l1_hole"] == pytest.approx(error[~valid].mean().item(), abs=2e-6)
    assert report["test_l1_valid"] == pytest.approx(error[valid].mean().item(), abs=2e-6)
    assert report["test_psnr"] == pytest.approx(-10 * math.log10((composed - images).pow(2).mean().item()), abs=1e-4)
    assert report["test_ssim"] == pytest.approx(ssim(composed, images).item(), abs=1e-5)


def test_the_truth_has_no_error():
    images = (torch.arange(1, 9) / 8).view(8, 1, 1, 1).expand(8, 3, 32, 32).contiguous()
    report = report_of(Inpainter(Mean()), images)
    assert report["test_l1_hole"] == report["test_l1_valid"] == 0
    assert report["test_psnr"] == math.inf
    assert report["test_ssim"] == pytest.approx(1)


def test_output_beyond_the_range_is_clamped_where_it_is_measured():
    model = Inpainter(Grey())
    torch.nn.init.constant_(model.net.grey, 7.0)
    assert report_of(model, torch.ones(3, 3, 32, 32))["test_l1_hole"] == 0


def test_padded_images_are_counted_nowhere():
    images = torch.rand(6, 3, 32, 32)
    whole = report_of(Inpainter(Grey()), images[:4])
    images[4:] = 0.99
    labels = torch.tensor([0, 1, 2, 3, -1, -1])
    padded = report_of(Inpainter(Grey()), images, labels, batch_size=2)  # the last batch is padding alone
    assert padded == pytest.approx(whole, abs=2e-6)
    assert padded["test_images"] == 4


def test_a_second_test_starts_from_nothing():
    model = Inpainter(Grey())
    report_of(model, torch.zeros(4, 3, 32, 32))
    assert report_of(model, torch.full((4, 3, 32, 32), 0.5))["test_l1_hole"] == 0


def test_validation_logs_the_error_in_holes():
    images = torch.rand(5, 3, 32, 32)
    model = Inpainter(Grey())
    loader = DataLoader(TensorDataset(images, torch.tensor([0, 1, 2, 3, -1])), 2)
    (logged,) = quiet().validate(model, loader, verbose=False)
    valid = fixed_masks(4).bool().expand(4, 3, 32, 32)
    error = (images[:4] - 0.5).abs()
    assert logged["val_l1"] == pytest.approx(error[~valid].mean().item(), rel=1e-5)
    weighted = (6 * error[~valid].sum() + error[valid].sum()).item() / error.numel()
    assert logged["val_loss"] == pytest.approx(weighted, rel=1e-5)
    assert (model.monitor, model.mode) == ("val_l1", "min")


@pytest.mark.parametrize("stage", ["fit", "validate", "test"])
def test_images_beyond_the_range_are_refused(stage):
    loader = DataLoader(TensorDataset(torch.randn(4, 3, 32, 32), torch.zeros(4)), 2)
    with pytest.raises(Exception, match=r"needs images in \[0, 1\].*data.normalize=false"):
        getattr(quiet(max_epochs=1), stage)(Inpainter(Grey()), loader)


@pytest.mark.parametrize(
    ("net", "pixels", "said"),
    [
        (Grey(), 32, None),
        (Grey(), 10, "is tested by the SSIM, whose window is 11 pixels: got images of 10"),
        (lambda images, mask: images[:, :, 1:], 32, r"must return images of shape (2, 3, 32, 32): got (2, 3, 31, 32)"),
        (lambda images, mask: [images], 32, "must return images of shape (2, 3, 32, 32): got a list"),
        (lambda images, mask: images / 0, 32, "returns images that are not finite before it is trained"),
    ],
)
def test_a_network_is_tried_before_it_is_trained(net, pixels, said):
    task = Inpainter(Grey())
    task.net.forward = net
    assert task.check(torch.rand(2, 3, pixels, pixels)) == said
