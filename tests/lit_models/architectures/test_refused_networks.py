"""Arguments and images that an architecture cannot take: each is refused by its name, with what would work."""

import pytest
import torch

from lit_models import CNN, INN, P4CNN, VGG, Z2CNN, CifarCNN, ConvMixer, ConvNet, FCNet, ResNet


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (lambda: Z2CNN(image_size=26), r"image_size must be at least 27 for Z2CNN \(.*\): got 26"),
        (lambda: Z2CNN(width=0), "width must be at least 1: got 0; the paper has 20"),
        (lambda: Z2CNN(dropout=1.0), r"dropout must lie in \[0, 1\): got 1.0; the authors' code has 0.3"),
        (lambda: P4CNN(image_size=26), r"image_size must be at least 28 for P4CNN \(.*\): got 26"),
        (lambda: P4CNN(image_size=29), "image_size must be even for P4CNN, .*: got 29; use 28 or 30"),
        (lambda: P4CNN(width=0), "width must be at least 1: got 0; the paper has 10"),
        (lambda: P4CNN(dropout=-0.1), r"dropout must lie in \[0, 1\): got -0.1; the authors' code has 0"),
        (lambda: P4CNN()(torch.rand(1, 1, 28, 30)), "P4CNN needs square images: got height 28 and width 30"),
        (lambda: P4CNN()(torch.rand(2, 1, 29, 29)), "height must be kernel_size=2 plus a multiple .*: got 25.*"),
        (lambda: FCNet(width=0), "width must be at least 1: got 0; the source has 200"),
        (lambda: FCNet(in_channels=0), "in_channels must be at least 1: got 0"),
        (lambda: ConvNet(image_size=3), "image_size must be at least 4 for ConvNet .*: got 3"),
        (lambda: ConvNet(width=0), "width must be at least 1: got 0; the source has 32"),
        (lambda: ConvNet(hidden=-1), "hidden must be at least 1: got -1; the source has 1000"),
        (lambda: CNN(image_size=3), "image_size must be at least 4 for CNN .*: got 3"),
        (lambda: CNN(width=-2), "width must be at least 1: got -2; the source has 32"),
        (lambda: CNN(hidden=0), "hidden must be at least 1: got 0; the source has 64"),
        (lambda: INN(image_size=3), "image_size must be at least 4 for INN .*: got 3"),
        (lambda: INN(width=0), "width must be at least 1, or null for the image's channels, as in the source: got 0"),
        (lambda: INN(hidden=0), "hidden must be at least 1: got 0; the source has 64"),
        (lambda: CifarCNN(image_size=7), "image_size must be at least 8 for CifarCNN .*: got 7"),
        (lambda: CifarCNN(width=0), "width must be at least 1: got 0; the source has 32"),
        (lambda: CifarCNN(hidden=1), "hidden must be at least 2: got 1; the source has 1024"),
        (
            lambda: ResNet(operator="attention"),
            "operator must be one of conv, separable, involution, p4, p4m: got attention",
        ),
        (lambda: ResNet(depth=18), "depth must be 6n [+] 2 with n at least 1: got 18; use 14 or 20"),
        (lambda: ResNet(depth=2), "depth must be 6n [+] 2 with n at least 1: got 2; use 8 or 14"),
        (lambda: ResNet(image_size=3), "image_size must be at least 4 for ResNet .*: got 3"),
        (
            lambda: ResNet(image_size=30, operator="p4"),
            "image_size must be a multiple of 4 for operator=p4, .*: got 30; use 28 or 32",
        ),
        (lambda: ResNet(width=0), "width must be at least 1: got 0; the paper has 16"),
        (
            lambda: ResNet(operator="p4", depth=8)(torch.rand(1, 3, 32, 28)),
            "ResNet with operator=p4 needs square images of a multiple of 4 pixels: got height 32 and width 28",
        ),
        (lambda: ResNet(operator="p4", depth=8)(torch.rand(1, 3, 30, 30)), ".*: got height 30 and width 30"),
        (lambda: VGG(configuration="F"), "configuration must be one of A, A-LRN, B, C, D, E: got F"),
        (lambda: VGG(head="dense"), "head must be one of auto, imagenet, linear: got dense"),
        (lambda: VGG(image_size=15), r"image_size must be at least 16 for VGG \(four poolings\): got 15"),
        (lambda: VGG(width=0), "width must be at least 1: got 0; the paper has 64"),
        (lambda: ConvMixer(width=0), "width must be at least 1: got 0; the source has 256"),
        (lambda: ConvMixer(depth=0), "depth must be at least 1: got 0; the source has 8"),
        (lambda: ConvMixer(kernel_size=-1), "kernel_size must be at least 1: got -1; the source has 5"),
        (lambda: ConvMixer(patch_size=0), "patch_size must be at least 1: got 0; the source has 2"),
        (lambda: ConvMixer(kernel_size=4), "kernel_size must be odd to have a centre: got 4; use 3 or 5"),
        (lambda: ConvMixer(patch_size=3), "patch_size must divide image_size=32: got 3; use 1, 2, 4, 8, 16 or 32"),
        (
            lambda: ConvMixer(image_size=28, patch_size=8),
            "patch_size must divide image_size=28: got 8; use 1, 2, 4, 7, 14 or 28",
        ),
    ],
)
def test_what_cannot_be_is_refused(build, said):
    with pytest.raises(ValueError, match=f"^{said}$"):
        build()
