"""The depth of the U-Nets: the paper's table of eight levels, to the parameter, and what is refused."""

import pytest
import torch
from torch import nn

from lit_models import ConvUNet, PConvUNet
from lit_models.operators import PartialConv2d


@pytest.mark.parametrize(("architecture", "seen"), [(ConvUNet, 4), (PConvUNet, 3)])
def test_the_papers_eight_levels(architecture, seen):
    """Kernels 7 5 5 3 3 3 3 3, channels 64 128 256 512 512 512 512 512; the decoder mirrors them by 3x3."""
    with torch.device("meta"):
        model = architecture(levels=8)
    convolutions = [getattr(layer, "conv", layer) for layer in model.layers.down]
    assert [conv.kernel_size[0] for conv in convolutions] == [7, 5, 5, 3, 3, 3, 3, 3]
    assert [conv.out_channels for conv in convolutions] == [64, 128, 256, 512, 512, 512, 512, 512]
    weights = 49 * seen * 64 + 64 + 25 * 64 * 128 + 25 * 128 * 256 + 9 * 256 * 512 + 4 * 9 * 512 * 512
    weights += 9 * (4 * 1024 * 512 + 768 * 256 + 384 * 128 + 192 * 64 + (64 + seen) * 3) + 3
    norms = 2 * (128 + 256 + 5 * 512 + 4 * 512 + 256 + 128 + 64)
    assert sum(p.numel() for p in model.parameters()) == weights + norms


@pytest.mark.parametrize("architecture", [ConvUNet, PConvUNet])
@pytest.mark.parametrize(("levels", "pixels"), [(1, 28), (2, 32), (5, 32), (8, 64)])
def test_an_image_is_halved_so_often_and_comes_back(architecture, levels, pixels):
    torch.manual_seed(0)
    model, sizes = architecture(1, width=2, levels=levels), []
    for module in model.layers.down:
        module.register_forward_hook(
            lambda layer, _, out: sizes.append((out[0] if isinstance(layer, PartialConv2d) else out).shape[-1])
        )
    image = torch.rand(2, 1, pixels, pixels)
    assert model(image, torch.ones_like(image)).shape == image.shape
    expected = [pixels]
    for _ in range(levels):
        expected.append(-(-expected[-1] // 2))
    assert sizes == expected[1:]
    assert len([m for m in model.modules() if isinstance(m, nn.Conv2d)]) == 2 * levels
