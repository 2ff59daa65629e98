"""Whole networks of involutions and of depthwise convolutions on one thread and on two."""

import pytest
import torch
import torch.nn.functional as F

from lit_models import ResNet


@pytest.fixture(autouse=True)
def _one_thread_afterwards():
    yield
    torch.set_num_threads(1)


def trained(operator, threads, steps):
    """A network after some steps on drawn images, with the channels last, as a trial has them."""
    torch.manual_seed(0)
    torch.set_num_threads(threads)
    net = ResNet(depth=8, operator=operator, width=16, image_size=16)
    net = net.to(memory_format=torch.channels_last).train()
    images, labels = torch.randn(16, 3, 16, 16).contiguous(memory_format=torch.channels_last), torch.arange(16) % 10
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    for _ in range(steps):
        optimizer.zero_grad()
        F.cross_entropy(net(images), labels).backward()
        optimizer.step()
    return net


@pytest.mark.filterwarnings("ignore:TF32 acceleration on top of oneDNN")  # which flags() sets beside what it is asked
@pytest.mark.parametrize("operator", ["involution", "separable"])
def test_the_suites_own_operators_learn_the_same_bits(operator):
    """oneDNN alone adds up the gradients of its convolutions' weights by threads: without it all is the same."""
    with torch.backends.mkldnn.flags(enabled=False):
        one, two = (dict(trained(operator, threads, 3).named_parameters()) for threads in (1, 2))
    for name, weight in one.items():
        assert torch.equal(weight, two[name]), name


@pytest.mark.parametrize("operator", ["involution", "separable"])
def test_onednn_adds_up_the_gradients_of_dense_weights_in_another_order(operator):
    one, two = (trained(operator, threads, 1) for threads in (1, 2))
    gradients = dict(two.named_parameters())
    for module, layer in one.named_modules():
        dense = isinstance(layer, torch.nn.Conv2d) and layer.groups == 1
        for name, weight in layer.named_parameters(module, recurse=False):
            other = gradients[name].grad
            assert torch.equal(weight.grad, other) or (dense and name.endswith(".weight")), name
            assert (weight.grad - other).norm() <= 1e-5 * weight.grad.norm(), name
