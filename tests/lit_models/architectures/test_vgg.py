"""VGG against torchvision's, with the same weights, and the paper's numbers of parameters."""

from functools import cache

import pytest
import torch
import torchvision
from torch import Tensor, nn

from lit_models import VGG
from lit_models.architectures.vgg import CONFIGURATIONS

PEERS = {"A": "vgg11", "B": "vgg13", "D": "vgg16", "E": "vgg19"}


def parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize(
    ("configuration", "count"),
    [("A", 132_863_336), ("B", 133_047_848), ("C", 133_638_952), ("D", 138_357_544), ("E", 143_667_240)],
)
def test_parameters_of_the_paper(configuration, count):
    with torch.device("meta"):
        assert parameters(VGG(configuration=configuration)) == count


def test_parameters_on_cifar():
    assert parameters(VGG(3, 32, 10, batch_norm=True)) == 14_728_266


@cache
def large(*shape: int) -> Tensor:
    """Random weights for the head, drawn once: 100 million of them take a second."""
    return torch.empty(shape).uniform_(-0.02, 0.02, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("configuration", PEERS)
def test_equals_torchvisions_with_its_weights(configuration, batch_norm):
    torch.manual_seed(0)
    name = PEERS[configuration] + ("_bn" if batch_norm else "")
    with torch.device("meta"):
        peer = getattr(torchvision.models, name)(num_classes=10, init_weights=False)
        ours = VGG(3, 32, 10, configuration, batch_norm, head="imagenet")
    weights = {}
    for key, value in peer.state_dict().items():
        if value.dim() == 2:
            weights[key] = large(*value.shape)
        elif value.dim() == 4:
            weights[key] = torch.randn(value.shape) * (2 / value[0].numel()) ** 0.5
        elif key.endswith("running_var"):
            weights[key] = torch.rand(value.shape) + 0.5
        else:
            weights[key] = torch.randn(value.shape).to(value.dtype)
    peer.load_state_dict(weights, assign=True)
    ours.load_state_dict(weights, assign=True)  # by name: torchvision's checkpoints fit
    images = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        expected = peer.eval()(images)
        found = ours.eval()(images)
    assert expected.std() > 1e-3
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)


def test_configuration_c_has_three_1x1_convolutions():
    convolutions = [m for m in VGG(3, 32, 10, "C", width=2).features if isinstance(m, nn.Conv2d)]
    assert [c.kernel_size[0] for c in convolutions] == [3, 3, 3, 3, 3, 3, 1, 3, 3, 1, 3, 3, 1]
    assert [c.out_channels for c in convolutions] == [2, 2, 4, 4, 8, 8, 8, 16, 16, 16, 16, 16, 16]


@pytest.mark.parametrize(("size", "map_size"), [(16, 1), (28, 1), (31, 1), (32, 1), (64, 2), (224, 7)])
def test_small_images_keep_a_pixel(size, map_size):
    model = VGG(1, size, 10, "A", width=1, head="linear")
    assert model.features(torch.rand(1, 1, size, size)).shape == (1, 8, map_size, map_size)
    assert model(torch.rand(2, 1, size, size)).shape == (2, 10)


def test_head_by_size_and_by_name():
    with torch.device("meta"):
        heads = {
            (size, head): len(VGG(3, size, 10, head=head).classifier)
            for size in (28, 32, 223, 224)
            for head in ("auto", "imagenet", "linear")
        }
    assert {key for key, layers in heads.items() if layers == 7} == {
        *((size, "imagenet") for size in (28, 32, 223, 224)),
        (224, "auto"),
    }


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_a_signal_passes_through_an_untrained_network(configuration):
    torch.manual_seed(0)
    model = VGG(3, 32, 10, configuration, width=16).eval()
    with torch.no_grad():
        features = model.features(torch.randn(4, 3, 32, 32))
    assert features.std(0).mean() > 1e-3  # with PyTorch's own weights from 1e-4 (A) down to 1e-8 (E)
