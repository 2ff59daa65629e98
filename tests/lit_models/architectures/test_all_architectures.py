"""What holds for every classifier of the suite, on the images of either data set."""

import inspect

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lit_models import architectures
from lit_models.architectures.res_net import OPERATORS
from lit_models.facts import FACTS, default_facts, example_inputs, takes_mask
from lit_models.sizes import size

ARCHITECTURES = [name for name in architectures.__all__ if not takes_mask(getattr(architectures, name))]
DATA = {"MNIST": (1, 28), "CIFAR10": (3, 32)}

NAMES = [*ARCHITECTURES, *(f"ResNet {operator}" for operator in list(OPERATORS)[1:])]
by_name = pytest.mark.parametrize("name", NAMES)


def data_of(name: str) -> str:
    """The data set whose images the architecture takes by default."""
    return "MNIST" if default_facts(getattr(architectures, name.split()[0]))["in_channels"] == 1 else "CIFAR10"


def build(name: str, data: str, num_classes: int = 10) -> nn.Module:
    """The architecture with its default arguments, a small one for the other operators, linked to the data."""
    torch.manual_seed(0)
    name, *operator = name.split()
    arguments = {"operator": operator[0], "depth": 8, "width": 8} if operator else {}
    return getattr(architectures, name)(*DATA[data], num_classes, **arguments)


def images(data: str, count: int) -> torch.Tensor:
    channels, pixels = DATA[data]
    return torch.rand(count, channels, pixels, pixels, generator=torch.Generator().manual_seed(count))


@pytest.mark.parametrize("data", DATA)
@by_name
def test_logits(name, data):
    model = build(name, data, num_classes=7)
    for training in (True, False):
        model.train(training)
        for count in (1, 3):
            with torch.no_grad():
                logits = model(images(data, count))
            assert logits.shape == (count, 7)
            assert logits.isfinite().all()
    alone = torch.cat([model(image[None]) for image in images(data, 3)])
    torch.testing.assert_close(alone, logits, rtol=1e-4, atol=1e-5)  # no image sees the others of its batch


@by_name
def test_memory_layout_changes_no_logit(name):
    data = data_of(name)
    model, batch = build(name, data), images(data, 4)
    model(batch)  # running statistics other than 0 and 1
    model.eval()
    with torch.no_grad():
        logits = model(batch)
        torch.testing.assert_close(model(batch.to(memory_format=torch.channels_last)), logits, rtol=1e-5, atol=1e-5)


@by_name
def test_learns(name):
    data = data_of(name)
    model, batch, labels = build(name, data), images(data, 4), torch.arange(4)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    losses = []
    for _ in range(12 if name == "INN" else 8):  # as in its source's log, it hardly moves in its first epoch
        torch.manual_seed(1)  # the same dropout at each step, so that losses can be compared
        loss = F.cross_entropy(model(batch), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    for parameter, tensor in model.named_parameters():
        assert tensor.grad is not None, parameter
        assert tensor.grad.isfinite().all(), parameter
        if tensor.dim() > 1:  # that of a bias ahead of a batch norm is 0 but for rounding
            assert tensor.grad.any(), parameter
    assert min(losses) < losses[0] - 0.03


@by_name
def test_size_can_be_counted_without_computing(name):
    data = data_of(name)
    with torch.device("meta"):
        ghost = build(name, data)
        measured = size(ghost, *example_inputs(ghost, FACTS | dict(zip(FACTS, DATA[data], strict=False))))
    model = build(name, data)
    assert measured.params == sum(p.numel() for p in model.parameters())
    assert measured.macs > 0


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_contract(name):
    architecture = getattr(architectures, name)
    arguments = list(inspect.signature(architecture).parameters.values())
    assert [argument.name for argument in arguments[:3]] == ["in_channels", "image_size", "num_classes"]
    assert "width" in [argument.name for argument in arguments]
    document = inspect.getdoc(architecture)
    assert "Source: " in document
    with torch.device("meta"):
        default = architecture()
    assert f"{sum(p.numel() for p in default.parameters()):,} parameters with the default arguments" in document
    assert isinstance(default, nn.Module)
    for argument in arguments:
        assert f"\n    {argument.name}: " in document, argument.name
