"""The task: the test's numbers against counts by hand, the recipe, checkpoints."""

import math

import pytest
import torch
import torch.nn.functional as F
from kornia.geometry.transform import rotate as kornia_rotate
from torch.utils.data import DataLoader, TensorDataset

from lit_models import Classifier, EqCNN, SimpleCNN
from lit_models.tasks.classifier import ROTATION_SWEEP, rotation_grids
from lit_models.tasks.classifier import _rotate as rotate_by
from tests.lit_models.tasks.quiet import quiet, report_of


class Corner(torch.nn.Module):
    """Guesses by the mean of each corner: the answer turns with the image, which can be counted by hand."""

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(5.0))

    def forward(self, images):
        quarter = images.shape[-1] // 2
        corners = [images[..., :quarter, :quarter], images[..., :quarter, quarter:]]
        corners += [images[..., quarter:, quarter:], images[..., quarter:, :quarter]]
        return self.scale * torch.stack([corner.mean((1, 2, 3)) for corner in corners], 1)


def corners(**recipe):
    return Classifier(Corner(), num_classes=4, **recipe)


def corner_images(labels):
    """An image is lit in the corner of its label; corners are counted clockwise from the upper left."""
    images = torch.zeros(len(labels), 1, 8, 8)
    for image, label in zip(images, labels, strict=True):
        row, column = [(0, 0), (0, 4), (4, 4), (4, 0)][label]
        image[0, row : row + 4, column : column + 4] = 1
    return images


def test_training_numbers_are_means_over_images(tmp_path):
    torch.manual_seed(0)
    labels = torch.tensor([0, 1, 2, 3, 0, 1, 2, 3, 0, 3])
    images = corner_images(labels.roll(3)) + torch.rand(10, 1, 8, 8)
    model = corners(lr=1e-9, schedule="constant")
    trainer = quiet(max_epochs=2, default_root_dir=tmp_path)
    trainer.fit(model, DataLoader(TensorDataset(images, labels), 4))  # 4, 4 and 2 images
    with torch.no_grad():
        logits = model(images)
    assert trainer.callback_metrics["train_loss"].item() == pytest.approx(F.cross_entropy(logits, labels).item(), 1e-5)
    assert trainer.callback_metrics["train_acc"].item() == pytest.approx((logits.argmax(1) == labels).float().mean())
    assert model._steps == []


def test_report_equals_counts_by_hand():
    truth = torch.tensor([0, 1, 2, 3, 0, 1, 2, 3, 0, 1])
    labels = truth.clone()
    labels[4] = 1  # one wrong label upright: 9 of 10 are right
    labels[8] = 3  # and a second one, which is right once the image is turned by 90 degrees
    report = report_of(corners(), corner_images(truth), labels)
    # counter-clockwise, the corner c moves to c - 1; so label l is right at 90 degrees if truth - 1 == l
    for turns, name in enumerate(["test_acc", "test_acc_rot90", "test_acc_rot180", "test_acc_rot270"]):
        assert report[name] == ((truth - turns) % 4 == labels).float().mean().item().__round__(6)
    assert report["test_acc"] == 0.8
    assert report["test_images"] == 10
    confusion = torch.zeros(4, 4, dtype=torch.int64)
    for label, guess in zip(labels, truth, strict=True):
        confusion[label, guess] += 1
    assert report["confusion"] == confusion.tolist()
    logits = Corner()(corner_images(truth))
    assert report["test_loss"] == pytest.approx(F.cross_entropy(logits, labels).item(), abs=1e-6)
    confidence = logits.softmax(1).amax(1)[0].item()  # the same for every image: one bin, so |accuracy - confidence|
    assert report["test_ece"] == pytest.approx(abs(0.8 - confidence), abs=1e-5)
    assert report["test_invariance_error"] == pytest.approx(5.0)
    assert report["rotation_sweep"]["0"] == 0.8
    assert report["rotation_sweep"]["90"] == report["test_acc_rot90"]
    assert report["test_acc_rotation_sweep"] == pytest.approx(sum(report["rotation_sweep"].values()) / 24, abs=1e-6)


def test_padded_images_are_counted_nowhere():
    truth = torch.tensor([0, 1, 2, 3, 0, 1])
    labels = torch.tensor([0, 1, 2, -1, -1, -1])  # the last batch of three is padding alone
    report = report_of(corners(), corner_images(truth), labels, loaders=1)
    assert report["test_acc"] == 1.0
    assert report["test_images"] == 3
    assert math.isfinite(report["test_loss"])
    assert "rotation_sweep" not in report


def test_a_second_test_starts_from_nothing():
    model = corners()
    images = corner_images(torch.tensor([0, 1]))
    assert report_of(model, images, torch.tensor([2, 3]))["test_acc"] == 0.0
    report = report_of(model, images, torch.tensor([0, 1]))
    assert (report["test_acc"], report["test_images"]) == (1.0, 2)


def _rotate(images, angle):
    return rotate_by(images, rotation_grids([angle], images.shape[-1], images.device)[0])


def test_rotation_is_exact_at_quarter_turns_and_commutes_with_normalisation():
    torch.manual_seed(0)
    images = torch.rand(2, 3, 9, 9)
    for turns in range(4):
        torch.testing.assert_close(_rotate(images, 90 * turns), images.rot90(turns, (2, 3)), rtol=0, atol=1e-5)
    for angle in ROTATION_SWEEP:
        torch.testing.assert_close(_rotate((images - 0.3) / 0.2, angle), (_rotate(images, angle) - 0.3) / 0.2)


def test_rotation_equals_kornias_on_images_with_a_black_border():
    images = torch.zeros(1, 1, 28, 28)
    images[..., 8:20, 8:20] = torch.rand(12, 12)
    for angle in (15.0, 45.0, 105.0):
        torch.testing.assert_close(_rotate(images, angle), kornia_rotate(images, torch.tensor([angle])))


@pytest.mark.parametrize(("name", "kind"), [("adamw", "AdamW"), ("adam", "Adam"), ("sgd", "SGD")])
def test_recipe_reaches_the_optimiser(name, kind):
    sgd = {"momentum": 0.5} if name == "sgd" else {}
    optimizer = Classifier(
        SimpleCNN(), optimizer=name, lr=0.25, weight_decay=0.125, schedule="constant", **sgd
    ).configure_optimizers()
    assert type(optimizer).__name__ == kind
    assert optimizer.defaults["lr"] == 0.25
    assert optimizer.defaults["weight_decay"] == 0.125
    if name == "sgd":
        assert optimizer.defaults["momentum"] == 0.5


def test_cosine_falls_to_zero_over_the_run():
    images, labels = torch.rand(8, 1, 28, 28), torch.arange(8)
    model = Classifier(SimpleCNN(), lr=0.1, schedule="cosine")
    rates = []
    model.on_train_batch_start = lambda *_: rates.append(model.optimizers().param_groups[0]["lr"])
    trainer = quiet(max_epochs=2)
    trainer.fit(model, DataLoader(TensorDataset(images, labels), 2))
    assert rates == pytest.approx([0.05 * (1 + math.cos(math.pi * step / 8)) for step in range(8)])


def test_a_checkpoint_fills_a_network_of_the_same_shape(tmp_path):
    torch.manual_seed(0)
    model = Classifier(EqCNN(in_channels=3, image_size=32, width=5), lr=0.02)
    trainer = quiet(max_steps=1, default_root_dir=tmp_path)
    trainer.fit(model, DataLoader(TensorDataset(torch.rand(4, 3, 32, 32), torch.arange(4)), 2))
    trainer.save_checkpoint(tmp_path / "x.ckpt")
    net = EqCNN(in_channels=3, image_size=32, width=5)
    loaded = Classifier.load_from_checkpoint(tmp_path / "x.ckpt", net=net, weights_only=True)
    images = torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(loaded.eval()(images), model.eval()(images), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("forward", "said"),
    [
        (lambda images: images.new_zeros(3, 4), None),
        (lambda images: images.new_zeros(3, 5), "must return logits of shape (3, 4) (images, classes): got (3, 5)"),
        (lambda images: (images,), "must return logits of shape (3, 4): got a tuple"),
        (lambda images: images.new_full((3, 4), math.nan), "returns logits that are not finite before it is trained"),
    ],
)
def test_a_network_is_tried_before_it_is_trained(forward, said):
    task = corners()
    task.net.forward = forward
    assert task.check(torch.rand(3, 1, 8, 8)) == said
