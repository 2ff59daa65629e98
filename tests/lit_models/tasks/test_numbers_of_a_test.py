"""The test of a trial gives what torchmetrics gives when each turn of the images is evaluated by itself."""

import math

import pytest
import torch
import torch.nn.functional as F
from kornia.geometry.transform import rotate
from torchmetrics.classification import MulticlassAccuracy, MulticlassCalibrationError, MulticlassConfusionMatrix
from torchmetrics.image import PeakSignalNoiseRatio, StructuralSimilarityIndexMeasure

from lit_models import Classifier, Inpainter, PConvUNet, SimpleCNN
from lit_models.tasks.classifier import QUARTER_TURNS, ROTATION_SWEEP, calibration_error
from lit_models.tasks.inpainter import STROKES, _fixed_numbers, draw_masks
from lit_models.tasks.task import IGNORED
from tests.lit_models.tasks.quiet import report_of


@torch.no_grad()
def by_torchmetrics(net, images, labels):
    """The same numbers, a pass over the images for each turn and angle."""
    net.eval()
    counting = {"ignore_index": IGNORED}
    upright = net(images)
    report = {
        "test_loss": F.cross_entropy(upright, labels, ignore_index=IGNORED).item(),
        "test_ece": MulticlassCalibrationError(10, n_bins=15, **counting)(upright.softmax(1), labels).item(),
        "confusion": MulticlassConfusionMatrix(10, **counting)(upright, labels).tolist(),
    }
    there = labels != IGNORED
    apart = []
    for turn, angle in enumerate((0, *QUARTER_TURNS)):
        logits = net(images.rot90(turn, (2, 3)))
        name = f"test_acc_rot{angle}" if angle else "test_acc"
        report[name] = MulticlassAccuracy(10, average="micro", **counting)(logits, labels).item()
        apart.append((logits - upright)[there].abs().max().item())
    report["test_invariance_error"] = max(apart)
    report["rotation_sweep"] = {}
    for angle in ROTATION_SWEEP:
        turned = rotate(images, torch.full((len(images),), float(angle)), mode="bilinear", padding_mode="border")
        right = MulticlassAccuracy(10, average="micro", **counting)(net(turned), labels).item()
        report["rotation_sweep"][str(angle)] = right
    return report


@pytest.mark.parametrize(
    ("batch_size", "memory_format"),
    [(1, torch.contiguous_format), (6, torch.channels_last), (50, torch.contiguous_format)],
)
def test_numbers_of_a_classifier(batch_size, memory_format):
    torch.manual_seed(0)
    net = SimpleCNN(width=4)
    for parameter in net.parameters():
        parameter.data *= 2  # as sure of itself as a trained one
    images, labels = torch.randn(50, 1, 28, 28).to(memory_format=memory_format), torch.arange(50) % 10
    labels[[7, 48, 49]] = IGNORED
    report = report_of(Classifier(net), images, labels, batch_size)
    expected = by_torchmetrics(net, images, labels)
    assert len(set(expected["rotation_sweep"].values())) > 3
    assert report["confusion"] == expected.pop("confusion")
    for name, value in expected.items():
        assert report[name] == pytest.approx(value, rel=1e-5, abs=2e-6), name
    assert report["test_images"] == 47


def test_without_turned_images_the_other_numbers_are_the_same():
    torch.manual_seed(0)
    net, images, labels = SimpleCNN(width=4), torch.randn(50, 1, 28, 28), torch.arange(50) % 10
    whole, upright = (report_of(Classifier(net, turned=turned), images, labels, 7) for turned in (True, False))
    left_out = {name for name in whole if "rot" in name or name == "test_invariance_error"}
    assert len(left_out) == 6
    assert upright == {name: value for name, value in whole.items() if name not in left_out}


def test_numbers_of_an_inpainter():
    torch.manual_seed(0)
    net, images = PConvUNet(width=4), torch.rand(11, 3, 32, 32)
    labels = torch.zeros(11, dtype=torch.long)
    labels[9] = IGNORED
    report = report_of(Inpainter(net), images, labels, 4)
    mask = draw_masks(_fixed_numbers(STROKES)[:11], 32)
    with torch.no_grad():
        output = net.eval()(images * mask, mask).clamp(0, 1)
    there = labels != IGNORED
    images, mask, output = images[there], mask[there].expand_as(images[there]), output[there]
    composed = torch.where(mask != 0, images, output)
    error = (output - images).abs()
    expected = {
        "test_l1_hole": error[mask == 0].mean().item(),
        "test_l1_valid": error[mask == 1].mean().item(),
        "test_psnr": PeakSignalNoiseRatio(data_range=1.0)(composed, images).item(),
        "test_ssim": StructuralSimilarityIndexMeasure(data_range=1.0)(composed, images).item(),
        "test_images": 10,
    }
    # those by hole are tested in test_holes.py
    assert {name: report[name] for name in report if name in expected} == pytest.approx(expected, abs=2e-6, rel=1e-6)


def test_calibration_error_by_hand():
    confidence, right = torch.tensor([0.31, 0.33, 0.95, 1.0, 1.0]), torch.tensor([1.0, 0.0, 1.0, 1.0, 0.0])
    # a bin from 4/15 to 5/15 holds two, that from 14/15 one, and those that are certain have one of their own
    assert float(calibration_error(confidence, right)) == pytest.approx((abs(1 - 0.64) + 0.05 + 1) / 5, abs=1e-6)
    assert math.isnan(calibration_error(torch.empty(0), torch.empty(0)))
