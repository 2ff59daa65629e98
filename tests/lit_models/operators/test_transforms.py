"""torch.func and forward-mode differentiation of the operators that are registered with PyTorch as a whole."""

import pytest
import torch
import torch.nn.functional as F
from torch.autograd import forward_ad
from torch.func import functional_call, grad, hessian, jacrev, jvp, vmap

from lit_models.operators.depthwise import DepthwiseConv2d
from lit_models.operators.involution import Involution2d, involution2d

# PyTorch's own forward mode still scripts, which it advises against
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:FutureWarning")

torch.manual_seed(0)
INPUT, KERNEL = torch.randn(3, 4, 6, 5, dtype=torch.double), torch.randn(3, 2, 9, 3, 3, dtype=torch.double)


def energy(input, kernel):
    return involution2d(input, kernel, 2).pow(3).sum()


def test_grad_is_that_of_the_backward_pass():
    input, kernel = INPUT.clone().requires_grad_(), KERNEL.clone().requires_grad_()
    expected = torch.autograd.grad(energy(input, kernel), (input, kernel))
    for found, right in zip(grad(energy, argnums=(0, 1))(INPUT, KERNEL), expected, strict=True):
        torch.testing.assert_close(found, right)


def test_the_tangent_of_forward_mode_is_not_lost():
    """The involution is linear in the input: its derivative along a direction is the involution of the direction."""
    along = torch.randn_like(INPUT)
    _, found = jvp(lambda x: involution2d(x, KERNEL, 2), (INPUT,), (along,))
    torch.testing.assert_close(found, involution2d(along, KERNEL, 2))
    with forward_ad.dual_level():
        dual = involution2d(forward_ad.make_dual(INPUT, along), KERNEL, 2)
        torch.testing.assert_close(forward_ad.unpack_dual(dual).tangent, involution2d(along, KERNEL, 2))


def test_gradients_per_image_and_second_derivatives():
    each = vmap(grad(lambda x, k: energy(x[None], k[None])))(INPUT, KERNEL)
    torch.testing.assert_close(each, grad(energy)(INPUT, KERNEL))  # images do not meet
    small, weights = INPUT[:1, :2, :2, :2], torch.randn(1, 1, 9, 2, 2, dtype=torch.double)
    second = hessian(lambda x: involution2d(x, weights).pow(2).sum() / 2)(small).view(8, 8)
    first = jacrev(lambda x: involution2d(x, weights))(small).view(8, 8)
    torch.testing.assert_close(second, first.T @ first)  # of half the square of a linear map


@pytest.mark.parametrize("layer", [Involution2d(4, 3, stride=2), DepthwiseConv2d(4, 3, padding=1)])
def test_gradients_per_image_of_a_layer(layer):
    layer = layer.double().eval()
    weights = {name: weight.detach() for name, weight in layer.named_parameters()}

    def loss(weights, image):
        return functional_call(layer, weights, (image[None],)).square().sum()

    each = vmap(grad(loss), (None, 0))(weights, INPUT)
    layer.zero_grad()
    layer(INPUT).square().sum().backward()
    for name, weight in layer.named_parameters():
        torch.testing.assert_close(each[name].sum(0), weight.grad)


def test_forward_mode_of_a_depthwise_layer():
    layer = DepthwiseConv2d(4, 3, padding=1, bias=False).double()
    _, found = jvp(layer, (INPUT,), (INPUT,))
    torch.testing.assert_close(found, F.conv2d(INPUT, layer.weight, padding=1, groups=4))


def test_half_precision_is_summed_in_float32():
    input, kernel = INPUT.bfloat16(), KERNEL.bfloat16()
    found = vmap(lambda x, k: involution2d(x[None], k[None], 2)[0])(input, kernel)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found, involution2d(input, kernel, 2))
