"""ConvMixer against timm's, with the same weights."""

import pytest
import torch
from torch import nn

from lit_models import ConvMixer


def test_parameters_of_the_source():
    stem, head = 3 * 4 * 256 + 256 + 512, 256 * 10 + 10
    block = (256 * 25 + 256 + 512) + (256 * 256 + 256 + 512)
    assert stem + 8 * block + head == 594_186
    assert sum(p.numel() for p in ConvMixer().parameters()) == 594_186


@pytest.mark.parametrize(
    ("arguments", "size"),
    [({"width": 256, "depth": 8, "kernel_size": 5, "patch_size": 2}, 32), ({"width": 12, "kernel_size": 3}, 28)],
)
def test_equals_timms_with_its_weights(arguments, size):
    timm = pytest.importorskip("timm.models.convmixer")
    torch.manual_seed(0)
    arguments = {"width": 256, "depth": 8, "kernel_size": 5, "patch_size": 2} | arguments
    peer = timm.ConvMixer(
        arguments["width"],
        arguments["depth"],
        kernel_size=arguments["kernel_size"],
        patch_size=arguments["patch_size"],
        num_classes=10,
    )
    for module in peer.modules():
        if isinstance(module, nn.BatchNorm2d):  # else a norm in the wrong place would not show
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias)
    peer = peer.double()
    ours = ConvMixer(image_size=size, **arguments).double()
    assert [p.shape for p in ours.parameters()] == [p.shape for p in peer.parameters()]
    with torch.no_grad():
        for mine, theirs in zip(ours.parameters(), peer.parameters(), strict=True):
            mine.copy_(theirs)
    images = torch.rand(2, 3, size, size, dtype=torch.float64)
    for _ in range(2):  # updates the running statistics of both
        torch.testing.assert_close(ours(images), peer(images), rtol=0, atol=1e-10)
    ours.eval()
    peer.eval()
    torch.testing.assert_close(ours(images), peer(images), rtol=0, atol=1e-10)
