"""Filled images: each panel and each error by hand, the holes those of the test, and what cannot be drawn."""

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb

from headtohead.pictures.filled import fill, filled_picture
from headtohead.pictures.images import Sample
from headtohead.pictures.main import main
from headtohead.pictures.panels import GAP
from headtohead.trial import main as train
from lit_models.tasks.inpainter import STROKES, _fixed_numbers, draw_masks, masks_of_test
from tests.tiny import TINY


class Shade(torch.nn.Module):
    """Fills every image with one shade."""

    def __init__(self, shade):
        super().__init__()
        self.shade = shade

    def forward(self, images, mask):
        self.seen = images
        return torch.full_like(images, self.shade)


def test_given_pixels_stay_and_holes_are_filled():
    image = torch.tensor([[[[0.25, 0.5], [0.75, 1.0]]]])
    mask = torch.tensor([[[[1.0, 0.0], [0.0, 1.0]]]])
    network = Shade(2.0)  # clamped to 1
    composed, error = fill(network, image, mask)
    assert composed.tolist() == [[[[0.25, 1.0], [1.0, 1.0]]]]
    assert error == (0.5 + 0.25) / 2
    assert network.seen.tolist() == [[[[0.25, 0.0], [0.0, 1.0]]]]


def test_panels_by_hand():
    images = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    masks = torch.ones(2, 1, 8, 8)
    masks[0, :, 2:4, 2:4] = masks[1, :, 0] = 0
    samples = [Sample(str(i), np.zeros(()), (image[None],)) for i, image in enumerate(images)]
    picture = filled_picture({"Black": Shade(0.0), "White": Shade(1.0)}, samples, masks)
    axes = picture.canvas.axes
    assert [a.get_title() for a in axes[:4]] == ["input", "Black", "White", "truth"]
    for row, (image, mask) in enumerate(zip(images, masks, strict=True)):
        whole, hole = image.permute(1, 2, 0).numpy(), mask[0].numpy() == 0
        shown = [np.asarray(a.images[0].get_array()) for a in axes[4 * row : 4 * row + 4]]
        assert all(np.array_equal(panel[~hole], whole[~hole]) for panel in shown)
        assert (shown[0][hole] == to_rgb(GAP)).all()
        assert (shown[1][hole] == 0).all()
        assert (shown[2][hole] == 1).all()
        assert np.array_equal(shown[3], whole)
        black, white = whole[hole].mean(), 1 - whole[hole].mean()
        notes = [a.get_xlabel() for a in axes[4 * row : 4 * row + 4]]
        share = {0: "hole 6%", 1: "hole 12%"}[row]  # 4 and 8 of 64 pixels
        assert notes == [share, f"L1 {100 * black:.1f} %", f"L1 {100 * white:.1f} %", ""]
    mean = np.mean([images[0][:, 2:4, 2:4].mean().item(), images[1][:, 0].mean().item()])
    assert f"Black {100 * mean:.2f} %" in picture.caption


def test_the_masks_are_those_of_the_test():
    assert torch.equal(masks_of_test(5, 28), draw_masks(_fixed_numbers(STROKES)[:5], 28))
    assert masks_of_test(1, 8, (0.25, 0.25), "centre")[0, 0, 2:6, 2:6].sum() == 0


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Checkpoints of both networks, trained on squares in the centre."""
    found = []
    for name in ("ConvUNet", "PConvUNet"):
        folder = tmp_path_factory.mktemp(name)
        fit = ["fit", f"--model={name}", "--model.width=2", "--task=Inpainter", "--task.holes=centre", *TINY]
        fit += ["--task.hole_min=0.25", "--task.hole_max=0.25", "--data.normalize=false", "--trainer.logger=false"]
        fit += ["--trainer.accelerator=cpu", "--trainer.max_epochs=1", "--trainer.limit_train_batches=1"]
        assert train.main([*fit, f"--trainer.default_root_dir={folder}"]) == 0
        found.append(folder / "checkpoints" / "best.ckpt")
    return found


def test_two_checkpoints_are_one_figure(pair, tmp_path, capsys):
    assert main([*map(str, pair), "--data=tests.tiny.Tiny", f"--out={tmp_path}"]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["filled.png"]
    said = capsys.readouterr().out
    assert said.startswith("Holes filled by ConvUNet and PConvUNet: the same images and masks")
    assert "of the 8 shown" in said


def test_one_checkpoint_that_fills_holes_has_the_figure_too(pair, tmp_path):
    assert main([str(pair[1]), "--data=tests.tiny.Tiny", f"--out={tmp_path}"]) == 0
    assert {path.stem for path in tmp_path.iterdir()} == {"first_layer", "layers", "filters", "turned", "filled"}


def test_what_cannot_be_drawn_side_by_side(pair, trained, tmp_path, capsys):
    assert main([str(pair[0]), str(trained), "--data=tests.tiny.Tiny"]) == 2
    assert capsys.readouterr().err == (
        f"pictures: CHECKPOINT: several are drawn where all fill holes: {trained} holds a EqCNN\n"
    )
    assert main([str(pair[0]), str(pair[0]), "--data=tests.tiny.Tiny"]) == 2
    assert "is given twice" in capsys.readouterr().err
