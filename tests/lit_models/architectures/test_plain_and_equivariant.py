"""SimpleCNN and EqCNN: their size, the invariance of one and the lack of it in the other."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lit_models import EqCNN, SimpleCNN


def source_eq_cnn(model: EqCNN, images: torch.Tensor) -> torch.Tensor:
    """The source's formulation: Conv3d with a (1, k, k) kernel over a stack of the four rotations."""
    x = torch.stack([images.rot90(k, (2, 3)) for k in range(4)], dim=2)
    for index in (0, 3, 6):
        conv = model.features[index]
        assert isinstance(conv, nn.Conv2d)
        x = F.silu(F.conv3d(x, conv.weight.unsqueeze(2), conv.bias))
        if index < 6:
            x = F.max_pool3d(x, (1, 2, 2))
    return model.head(x.flatten(3).amax(3).amax(2))


def source_simple_cnn(model: SimpleCNN, images: torch.Tensor) -> torch.Tensor:
    """The source's forward pass, layer by layer."""
    first, second, third = (model.features[index] for index in (0, 3, 6))
    x = F.max_pool2d(F.silu(F.conv2d(images, first.weight, first.bias, padding=1)), 2)
    x = F.max_pool2d(F.silu(F.conv2d(x, second.weight, second.bias, padding=1)), 2)
    x = F.silu(F.conv2d(x, third.weight, third.bias))
    return model.head(x.view(len(x), -1))


def parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def test_parameters_of_the_source():
    assert parameters(SimpleCNN()) == 13_978
    assert parameters(EqCNN()) == 7_834


def test_parameters_on_cifar():
    assert parameters(SimpleCNN(3, 32)) == 13_978 + 2 * 9 * 8
    assert parameters(EqCNN(3, 32)) == 7_834 + 2 * 9 * 8


@pytest.mark.parametrize(("model", "formulation"), [(EqCNN, source_eq_cnn), (SimpleCNN, source_simple_cnn)])
def test_equals_the_sources_formulation(model, formulation):
    torch.manual_seed(0)
    network = model().double()
    images = torch.rand(5, 1, 28, 28, dtype=torch.float64)
    torch.testing.assert_close(network(images), formulation(network, images), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("channels", "size"), [(1, 28), (3, 32), (1, 29), (3, 33), (1, 26), (2, 47)])
def test_eq_cnn_is_invariant(channels, size):
    torch.manual_seed(size)
    model = EqCNN(channels, size, num_classes=7)
    images = torch.randn(2, channels, size, size)
    logits = model(images)
    assert logits.shape == (2, 7)
    assert logits.std() > 1e-3  # a constant would be invariant too
    for turns in (1, 2, 3):
        torch.testing.assert_close(model(images.rot90(turns, (2, 3))), logits, rtol=0, atol=1e-5)


def test_eq_cnn_stays_invariant_in_training():
    torch.manual_seed(0)
    model = EqCNN()
    images, labels = torch.rand(64, 1, 28, 28), torch.arange(64) % 10
    before = model(images).detach()
    optimizer = torch.optim.AdamW(model.parameters(), 5e-3)
    for _ in range(20):
        optimizer.zero_grad()
        F.cross_entropy(model(images), labels).backward()
        optimizer.step()
    after = model(images)
    assert (after - before).abs().max() > 0.1
    for turns in (1, 2, 3):
        torch.testing.assert_close(model(images.rot90(turns, (2, 3))), after, rtol=0, atol=1e-5)


def test_simple_cnn_is_not_invariant():
    torch.manual_seed(0)
    model, images = SimpleCNN(), torch.rand(4, 1, 28, 28)
    assert (model(images.rot90(1, (2, 3))) - model(images)).abs().max() > 1e-3
