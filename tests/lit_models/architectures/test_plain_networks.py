"""FCNet, ConvNet, CNN, INN and CifarCNN against their sources' forward passes, written out."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lit_models import CNN, INN, CifarCNN, ConvNet, FCNet
from lit_models.facts import default_facts, example_inputs
from lit_models.sizes import size


def shaken(model: nn.Module) -> nn.Module:
    """The model in float64, with batch norms and biases that do something."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
            nn.init.normal_(module.bias, std=0.1)
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias)
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return model.double()


def norm(x: Tensor, layer: nn.Module, eps: float = 1e-5) -> Tensor:
    if layer.training:
        return F.batch_norm(x, None, None, layer.weight, layer.bias, True, eps=eps)
    return F.batch_norm(x, layer.running_mean, layer.running_var, layer.weight, layer.bias, eps=eps)


def conv(x: Tensor, layer: nn.Module, padding: int) -> Tensor:
    return F.conv2d(x, layer.weight, layer.bias, padding=padding)


def linear(x: Tensor, layer: nn.Module) -> Tensor:
    return x @ layer.weight.T + layer.bias


def source_fc_net(model: FCNet, images: Tensor) -> Tensor:
    x = F.relu(linear(images.reshape(len(images), -1), model.layers[0]))
    x = F.relu(linear(x, model.layers[2]))
    return linear(x, model.layers[4])


def source_conv_net(model: ConvNet, images: Tensor) -> Tensor:
    x = F.max_pool2d(F.relu(conv(images, model.features[0], 2)), 2, 2)
    x = F.max_pool2d(F.relu(conv(x, model.features[3], 2)), 2, 2)
    x = F.dropout(x.reshape(len(x), -1), 0.5, model.training)
    return linear(linear(x, model.head[1]), model.head[2])


def source_cnn(model: CNN, images: Tensor) -> Tensor:
    x = F.max_pool2d(F.relu(conv(images, model.features[0], 1)), 2)
    x = F.max_pool2d(F.relu(conv(x, model.features[3], 1)), 2)
    x = F.relu(conv(x, model.features[6], 1))
    return linear(F.relu(linear(x.reshape(len(x), -1), model.head[0])), model.head[2])


def source_inn(model: INN, images: Tensor) -> Tensor:
    def involution(x: Tensor, layer: nn.Module) -> Tensor:
        batch, channels, height, width = x.shape
        kernel = conv(F.relu(norm(conv(x, layer.reduce, 0), layer.norm, eps=1e-3)), layer.span, 0)  # Keras's
        patches = F.unfold(x, 3, padding=1).view(batch, channels, 9, height, width)
        return (kernel.unsqueeze(1) * patches).sum(2)

    x = F.max_pool2d(F.relu(involution(images, model.features[0])), 2)
    x = F.max_pool2d(F.relu(involution(x, model.features[3])), 2)
    x = F.relu(involution(x, model.features[6]))
    return linear(F.relu(linear(x.reshape(len(x), -1), model.head[0])), model.head[2])


def source_cifar_cnn(model: CifarCNN, images: Tensor) -> Tensor:
    layers, x = model.features, images
    for start in (0, 6, 13):
        x = F.relu(norm(conv(x, layers[start], 1), layers[start + 1]))
        x = F.max_pool2d(F.relu(conv(x, layers[start + 3], 1)), 2, 2)
        if start == 6:
            x = F.dropout2d(x, 0.05, model.training)
    x = F.dropout(x.reshape(len(x), -1), 0.1, model.training)
    x = F.relu(linear(x, model.head[1]))
    x = F.dropout(F.relu(linear(x, model.head[3])), 0.1, model.training)
    return linear(x, model.head[6])


SOURCES = {
    FCNet: (199_210, source_fc_net),
    ConvNet: (3_199_106, source_conv_net),
    CNN: (319_178, source_cnn),
    INN: (13_074, source_inn),
    CifarCNN: (5_852_170, source_cifar_cnn),
}


@pytest.mark.parametrize("model", SOURCES)
def test_parameters_of_the_source(model):
    assert sum(p.numel() for p in model().parameters()) == SOURCES[model][0]


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("model", SOURCES)
def test_equals_the_sources_formulation(model, training):
    torch.manual_seed(0)
    network = shaken(model()).train(training)
    images = torch.rand(3, *example_inputs(network, default_facts(model))[0].shape[1:], dtype=torch.float64)
    torch.manual_seed(1)  # the same dropout for both
    found = network(images)
    torch.manual_seed(1)
    expected = SOURCES[model][1](network, images)
    assert expected.std() > 1e-3
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)


def test_bytes_of_cifar_cnn():
    network = CifarCNN()
    assert round(size(network, torch.zeros(1, 3, 32, 32)).bytes / 1024**2, 2) == 22.33


def test_inn_counts_as_the_source_does():
    network = INN()
    # Keras counts the statistics of batch norm along: 24 + 2 = 26 per involution, 6 in all that are not trained
    assert [sum(p.numel() for p in network.features[i].parameters()) for i in (0, 3, 6)] == [24, 24, 24]
    assert sum(b.numel() for name, b in network.named_buffers() if "running" in name) == 6
    assert sum(p.numel() for p in network.head.parameters()) == 13_002


def test_width_of_inn_is_that_of_its_involutions():
    network = INN(width=10)
    involution = 10 * 5 + 5 + 2 * 5 + 5 * 9 + 9
    parameters = (3 * 10 + 10) + 3 * involution + (10 * 64 * 64 + 64) + 650
    assert sum(p.numel() for p in network.parameters()) == parameters
    assert network(torch.rand(2, 3, 32, 32)).shape == (2, 10)


def test_inn_on_grey_images_has_a_hidden_channel():
    assert INN(in_channels=1, image_size=28).features[0].reduce.weight.shape == (1, 1, 1, 1)


@pytest.mark.parametrize(("sign", "alive"), [(1, True), (-1, False)])
def test_inn_lives_or_dies_by_the_sum_of_its_filters(sign, alive):
    network = INN()
    for index in (0, 3, 6):  # nine weights of either sign, which add up to 0.5 or to -0.5
        weights = sign * torch.tensor([0.5, -0.4, 0.3, -0.2, 0.1, -0.2, 0.3, -0.4, 0.5])
        network.features[index].span.weight.data.copy_(weights.view(9, 1, 1, 1))
    images = (torch.rand(16, 3, 1, 1) * torch.linspace(0.9, 1, 32)).expand(-1, -1, 32, -1)
    interior = network.features(images)[..., 1:-1, 1:-1]
    assert bool(interior.any()) == alive
    interior.sum().backward()
    learns = [bool(p.grad.any()) for name, p in network.features.named_parameters() if name.endswith("span.weight")]
    assert learns == [alive] * 3


def test_width_and_hidden_scale():
    assert sum(p.numel() for p in FCNet(width=3).parameters()) == 784 * 3 + 3 + 9 + 3 + 30 + 10
    parameters = (25 + 1) + (2 * 25 + 2) + (98 * 5 + 5) + (50 + 10)
    assert sum(p.numel() for p in ConvNet(width=1, hidden=5).parameters()) == parameters
    parameters = (27 + 1) + (2 * 9 + 2) + (4 * 9 + 2) + (128 * 5 + 5) + (50 + 10)
    assert sum(p.numel() for p in CNN(width=1, hidden=5).parameters()) == parameters
    convolutions = (27 + 1) + (18 + 2) + (72 + 4) + (144 + 4) + (288 + 8) + (576 + 8)
    parameters = convolutions + 2 * (1 + 4 + 8) + (128 * 5 + 5) + (10 + 2) + (20 + 10)
    assert sum(p.numel() for p in CifarCNN(width=1, hidden=5).parameters()) == parameters
