"""Involution and depthwise convolution by value: against direct sums in float64, and by ``gradcheck``.

In float32 and bfloat16 a CPU runs the compiled passes, in float64 and without a compiler PyTorch's operations, within
``torch.func`` those of the definition: all of them are here.
"""

import functools
import itertools
import math
import random

import pytest
import torch
import torch.nn.functional as F
from torch.autograd import gradcheck, gradgradcheck

from lit_models.operators import DepthwiseConv2d, Involution2d, _native, involution2d
from lit_models.operators.involution import _by_definition
from tests.lit_models.operators.test_native import WIDTHS, depthwise

IMPLEMENTATIONS = [*WIDTHS, "none"]  # none: as installed without a compiler
SIZES = [(1, 1), (1, 6), (7, 5), (9, 10)]  # of images; odd ones, and single pixels, are met by every stride


def direct(x, kernel, grad, stride, padding):
    """Output, gradient of the input and gradient of the kernel: the sums of the definition, tap by tap.

    Returns:
        Each of the three with how many products a number of it adds up, at most.
    """
    (height, width), (groups, taps, rows, columns) = x.shape[2:], kernel.shape[1:]
    size, each = math.isqrt(taps), x.shape[1] // groups
    seen = F.pad(x, [padding] * 4)
    out, of_seen, of_kernel = torch.zeros_like(grad), torch.zeros_like(seen), torch.zeros_like(kernel)
    for tap in range(taps):
        u, v = divmod(tap, size)
        place = (..., slice(u, u + stride * (rows - 1) + 1, stride), slice(v, v + stride * (columns - 1) + 1, stride))
        weight = kernel[:, :, tap].repeat_interleave(each, 1)  # for each channel that of its group
        out += weight * seen[place]
        of_seen[place] += weight * grad
        of_kernel[:, :, tap] = (grad * seen[place]).unflatten(1, (groups, each)).sum(2)
    of_input = of_seen[:, :, padding : padding + height, padding : padding + width]
    return (out, taps), (of_input, taps), (of_kernel, each)


def direct_depthwise(x, weight, bias, grad, stride, padding):
    """The same of a depthwise convolution, and the gradient of its bias: an involution of one kernel everywhere."""
    kernel = weight.view(1, len(weight), -1, 1, 1).expand(len(x), -1, -1, *grad.shape[2:]).clone()
    (out, taps), of_input, (of_kernel, _) = direct(x, kernel, grad, stride, padding)
    count = grad[:, 0].numel()
    of_weight = of_kernel.sum((0, 3, 4)).view(weight.shape)
    return (out + bias.view(-1, 1, 1), taps + 1), of_input, (of_weight, count), (grad.sum((0, 2, 3)), count)


def is_rounded_once(found, sums, absolute):
    """Tell whether numbers are exact sums that were added up in float32 and rounded once to their dtype.

    Args:
        found: what an operator computed.
        sums: the exact ones, with how many products each adds up.
        absolute: the same of the absolute values of all factors: what an error of a sum is a share of.
    """
    (exact, count), (size, _) = sums, absolute
    added = (count + 2) * 2**-24 * size
    rounded = torch.finfo(found.dtype).eps / 2 * (exact.abs() + added)
    return bool(((found.double() - exact).abs() <= added + rounded).all())


def last(t):
    order = [0, *range(t.dim() - 2, t.dim()), *range(1, t.dim() - 2)]
    return t.permute(order).contiguous().permute([order.index(axis) for axis in range(t.dim())])


def gapped(t):
    return t.repeat_interleave(2, -1)[..., ::2]


LAYOUTS = {
    "contiguous": torch.Tensor.contiguous,
    "channels last": last,
    "transposed": lambda t: t.mT.contiguous().mT,
    "gapped": gapped,
}


@functools.cache
def cases():
    """Involutions over kernel sizes, strides and groups: arguments in bfloat16, exact results, sums of absolutes."""
    draw, generator = random.Random(0), torch.Generator().manual_seed(0)
    made = []
    for (channels, groups), size, stride in itertools.product(
        [(1, 1), (6, 2), (34, 2), (16, 16)], [1, 3, 5, 7, 9], [1, 2, 3]
    ):
        (height, width), batch = draw.choice(SIZES), draw.choice([0, 1, 2])
        rows, columns = -(-height // stride), -(-width // stride)
        shapes = (
            (batch, channels, height, width),
            (batch, groups, size**2, rows, columns),
            (batch, channels, rows, columns),
        )
        arguments = [torch.randn(shape, generator=generator).bfloat16() for shape in shapes]
        exact, absolute = (
            direct(*(change(t.double()) for t in arguments), stride, size // 2) for change in (torch.clone, torch.abs)
        )
        made.append((arguments, stride, exact, absolute))
    return made


@functools.cache
def depthwise_cases():
    """The same of depthwise convolutions, over kernel sizes, strides and paddings."""
    draw, generator = random.Random(0), torch.Generator().manual_seed(0)
    made = []
    for channels, size, stride in itertools.product([1, 6, 33], [1, 2, 3, 5, 7, 9], [1, 2, 3]):
        padding, (height, width), batch = draw.randrange(size), draw.choice(SIZES), draw.choice([0, 1, 2])
        height, width = (max(n, size - 2 * padding) for n in (height, width))
        rows, columns = ((n + 2 * padding - size) // stride + 1 for n in (height, width))
        shapes = (
            (batch, channels, height, width),
            (channels, 1, size, size),
            (channels,),
            (batch, channels, rows, columns),
        )
        arguments = [torch.randn(shape, generator=generator).bfloat16() for shape in shapes]
        exact, absolute = (
            direct_depthwise(*(change(t.double()) for t in arguments), stride, padding)
            for change in (torch.clone, torch.abs)
        )
        made.append((arguments, stride, padding, exact, absolute))
    return made


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("vectors", IMPLEMENTATIONS)
def test_involution_is_the_sum_of_its_definition_rounded_once(monkeypatch, vectors, dtype, layout):
    monkeypatch.setenv("OPERATOR_VECTORS", vectors)
    for arguments, stride, exact, absolute in cases():
        *leaves, grad = (LAYOUTS[layout](t.to(dtype)).detach() for t in arguments)
        out = involution2d(*(leaf.requires_grad_() for leaf in leaves), stride)
        found = [out, *torch.autograd.grad(out, leaves, grad)]
        assert _native.takes(*found) == (vectors != "none")
        for what, one, sums, sizes in zip(("output", "input", "kernel"), found, exact, absolute, strict=True):
            assert (one.dtype, one.shape) == (dtype, sums[0].shape)
            assert is_rounded_once(one, sums, sizes), (what, [t.shape for t in leaves], stride)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("vectors", WIDTHS)
def test_depthwise_convolution_is_the_sum_of_its_definition_rounded_once(monkeypatch, vectors, dtype, layout):
    monkeypatch.setenv("OPERATOR_VECTORS", vectors)
    for (x, *weights, grad), stride, padding, exact, absolute in depthwise_cases():
        leaves = [LAYOUTS[layout](x.to(dtype)).detach(), *(weight.to(dtype).detach() for weight in weights)]
        out = depthwise(*(leaf.requires_grad_() for leaf in leaves), stride, padding)
        found = [out, *torch.autograd.grad(out, leaves, LAYOUTS[layout](grad.to(dtype)))]
        names = "output", "input", "weight", "bias"
        for what, one, sums, sizes in zip(names, found, exact, absolute, strict=True):
            assert (one.dtype, one.shape) == (dtype, sums[0].shape)
            assert is_rounded_once(one, sums, sizes), (what, [t.shape for t in leaves], stride, padding)


def test_the_gradient_of_a_bias_over_many_images_is_rounded_once():
    """In bfloat16 a sum of sums, each rounded, would stop growing at 256."""
    for layout in LAYOUTS.values():
        grad = layout(torch.full((300, 2, 5, 3), 1.0).bfloat16())
        x, weight, bias = torch.ones(300, 2, 5, 3), torch.ones(2, 1, 3, 3), torch.zeros(2)
        leaves = [t.bfloat16().requires_grad_() for t in (x, weight, bias)]
        *_, of_bias = torch.autograd.grad(depthwise(*leaves, 1, 1), leaves, grad)
        assert of_bias.tolist() == [torch.tensor(4500.0).bfloat16().item()] * 2


def doubles(*shapes):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_() for shape in shapes]


@pytest.mark.parametrize(("size", "stride", "groups"), [(1, 1, 2), (3, 1, 2), (3, 2, 4), (5, 3, 2), (7, 2, 1)])
def test_the_gradients_of_involution_are_its_derivatives(size, stride, groups):
    x, kernel = doubles((1, 4, 4, 3), (1, groups, size**2, -(-4 // stride), -(-3 // stride)))
    assert not _native.takes(x, kernel)  # in float64 the taps are added up by PyTorch's operations
    assert gradcheck(lambda *given: involution2d(*given, stride), (x, kernel))


def test_the_definition_that_transforms_use_has_derivatives_of_any_order():
    arguments = doubles((2, 4, 5, 4), (2, 2, 9, 3, 2))
    assert gradcheck(lambda *given: _by_definition(*given, 2), arguments)
    assert gradgradcheck(lambda *given: _by_definition(*given, 2), arguments)


@pytest.mark.parametrize(
    ("size", "stride", "padding"), [(1, 1, 0), (3, 1, 1), (3, 2, 0), (5, 1, 2), (7, 2, 3), (9, 3, 4)]
)
def test_the_gradients_of_depthwise_convolution_are_its_derivatives(size, stride, padding):
    x, weight, bias = doubles((2, 3, 5, 6), (3, 1, size, size), (3,))
    assert not _native.takes(x, weight)
    assert gradcheck(lambda *given: depthwise(*given, stride, padding), (x, weight, bias))


@pytest.mark.parametrize("made", [lambda: Involution2d(4, 3, groups=2, stride=2), lambda: DepthwiseConv2d(4, 3, 2, 1)])
@pytest.mark.parametrize("training", [True, False])
def test_the_gradients_of_a_layer_are_its_derivatives(made, training):
    torch.manual_seed(0)
    layer = made().double().train(training)
    names, weights = zip(*layer.named_parameters(), strict=True)
    (x,) = doubles((2, 4, 3, 4))

    def call(x, *weights):
        return torch.func.functional_call(layer, dict(zip(names, weights, strict=True)), (x,))

    assert gradcheck(call, (x, *(weight.detach().clone().requires_grad_() for weight in weights)))
