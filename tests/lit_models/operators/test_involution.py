"""Involution against its definition, its memory, and what it refuses."""

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from lit_models.operators import Involution2d, _tap_by_tap, involution2d


def by_definition(x, kernel, stride):
    """The paper's sum, one product at a time."""
    batch, channels, height, width = x.shape
    _, groups, taps, h_out, w_out = kernel.shape
    size = int(taps**0.5)
    pad = (size - 1) // 2
    out = torch.zeros(batch, channels, h_out, w_out, dtype=x.dtype)
    for c in range(channels):
        g = c // (channels // groups)
        for i in range(h_out):
            for j in range(w_out):
                for u in range(size):
                    for v in range(size):
                        row, column = i * stride + u - pad, j * stride + v - pad
                        if 0 <= row < height and 0 <= column < width:
                            out[:, c, i, j] += kernel[:, g, u * size + v, i, j] * x[:, c, row, column]
    return out


def by_unfold(x, kernel, stride):
    """The textbook formulation, which autograd differentiates."""
    batch, channels, _, _ = x.shape
    _, groups, taps, h_out, w_out = kernel.shape
    size = int(taps**0.5)
    patches = F.unfold(x, size, padding=(size - 1) // 2, stride=stride)
    patches = patches.view(batch, groups, channels // groups, taps, h_out, w_out)
    return (patches * kernel.unsqueeze(2)).sum(3).view(batch, channels, h_out, w_out)


def arguments(channels, groups, size, stride, height, width, batch=2, **options):
    """A random input and kernel that fit together, in float64 unless told otherwise."""
    generator = torch.Generator().manual_seed(0)
    options = {"dtype": torch.float64} | options
    h_out, w_out = -(-height // stride), -(-width // stride)
    x = torch.randn(batch, channels, height, width, generator=generator).to(**options)
    kernel = torch.randn(batch, groups, size * size, h_out, w_out, generator=generator).to(**options)
    return x, kernel


def with_gradients(function, x, kernel, stride):
    """Output and both gradients for a fixed random gradient of the output."""
    x, kernel = x.detach().requires_grad_(), kernel.detach().requires_grad_()
    out = function(x, kernel, stride)
    grad = torch.randn(out.shape, generator=torch.Generator().manual_seed(1)).to(out.dtype)
    return (out, *torch.autograd.grad(out, (x, kernel), grad))


@pytest.mark.parametrize(("size", "stride"), [(1, 2), (3, 1), (5, 3), (7, 2)])
@pytest.mark.parametrize(("channels", "groups", "height", "width"), [(4, 2, 6, 5), (3, 1, 5, 4), (3, 3, 4, 7)])
def test_equals_the_definition(channels, groups, height, width, size, stride):
    x, kernel = arguments(channels, groups, size, stride, height, width)
    expected = by_definition(x, kernel, stride)
    torch.testing.assert_close(involution2d(x, kernel, stride), expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(by_unfold(x, kernel, stride), expected, rtol=1e-12, atol=1e-12)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    batch=st.integers(0, 3),
    groups=st.integers(1, 3),
    per_group=st.integers(1, 3),
    size=st.sampled_from([1, 3, 5, 7]),
    stride=st.integers(1, 4),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    channels_last=st.booleans(),
)
def test_equals_unfold_with_gradients(batch, groups, per_group, size, stride, height, width, channels_last):
    x, kernel = arguments(groups * per_group, groups, size, stride, height, width, batch)
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    ours = with_gradients(involution2d, x, kernel, stride)
    if batch == 0:  # F.unfold refuses an empty batch.
        assert [t.numel() for t in ours] == [0, 0, 0]
        return
    for actual, expected in zip(ours, with_gradients(by_unfold, x, kernel, stride), strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("stride", [1, 2])
def test_batch_in_uneven_chunks(monkeypatch, stride):
    x, kernel = arguments(4, 2, 3, stride, 6, 6, batch=5)
    whole = with_gradients(involution2d, x, kernel, stride)
    per_sample = 2 * x[0].numel() + kernel[0].numel()
    monkeypatch.setattr(_tap_by_tap, "_CPU_CHUNK", -(-2 * per_sample // torch.get_num_threads()))  # 2, 2, 1
    for actual, expected in zip(with_gradients(involution2d, x, kernel, stride), whole, strict=True):
        assert torch.equal(actual, expected)


def test_keeps_the_memory_format():
    x, kernel = arguments(4, 2, 3, 1, 6, 5)
    assert involution2d(x, kernel).is_contiguous()
    last = involution2d(x.contiguous(memory_format=torch.channels_last), kernel)
    assert last.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(last, involution2d(x, kernel))


@pytest.mark.parametrize("wanted", ["input", "kernel"])
def test_one_gradient_alone(monkeypatch, wanted):
    x, kernel = arguments(4, 2, 3, 1, 6, 5)
    _, grad_x, grad_kernel = with_gradients(by_unfold, x, kernel, 1)
    grad = torch.randn(x.shape, generator=torch.Generator().manual_seed(1)).double()
    leaf, expected = (x, grad_x) if wanted == "input" else (kernel, grad_kernel)
    leaf.requires_grad_()
    # Nothing is spent on the other: a first layer needs no gradient of the images.
    monkeypatch.setattr(_tap_by_tap, "backward_kernel" if wanted == "input" else "backward_input", None)
    torch.autograd.backward(involution2d(x, kernel), grad)
    assert leaf.grad is not None
    torch.testing.assert_close(leaf.grad, expected)


def test_float16_is_rounded_once():
    """What bfloat16 comes to is in test_values.py."""
    dtype = torch.float16
    x, kernel = arguments(8, 2, 7, 1, 9, 9, dtype=dtype)
    exact = with_gradients(by_unfold, x.double(), kernel.double(), 1)
    halves = with_gradients(involution2d, x, kernel, 1)
    assert [t.dtype for t in halves] == [dtype] * 3
    # The output is rounded once. So is the gradient of the output, and the others are therefore compared by norm.
    torch.testing.assert_close(halves[0].double(), exact[0], rtol=torch.finfo(dtype).eps, atol=1e-5)
    for actual, expected in zip(halves[1:], exact[1:], strict=True):
        assert (actual - expected).norm() < 2 * torch.finfo(dtype).eps * expected.norm()


def test_autocast_follows_conv2d():
    x, kernel = arguments(4, 2, 3, 1, 6, 6, dtype=torch.float32)
    x.requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        out = involution2d(x, kernel.bfloat16())
        assert involution2d(x.double(), kernel.double()).dtype == torch.float64
        torch.autograd.backward(out.sum())
    assert out.dtype == torch.bfloat16
    torch.testing.assert_close(out.float(), by_unfold(x, kernel, 1), rtol=0.03, atol=0.06)
    assert x.grad is not None
    assert x.grad.dtype == torch.float32


class Largest(TorchDispatchMode):
    """Remembers the largest storage, in elements, of any tensor made while it is on."""

    elements: int = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None):
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else [result]:
            if isinstance(tensor, Tensor):
                storage = tensor.untyped_storage().nbytes() // tensor.element_size()
                self.elements = max(self.elements, storage)
        return result


def largest(function: Callable[..., object], *arguments):
    """The largest storage used by ``function``."""
    mode = Largest()
    with mode:
        function(*arguments)
    return mode.elements


def test_never_unfolds_the_input():
    x, kernel = arguments(16, 1, 7, 1, 16, 16, batch=4, dtype=torch.float32)
    assert largest(with_gradients, by_unfold, x, kernel, 1) >= 49 * x.numel()  # The measure sees what it should forbid.
    # A registered operator is one step to PyTorch's modes: what it is made of is looked at one by one.
    for part, result, other in (
        (_tap_by_tap.forward, x, (x, kernel)),
        (_tap_by_tap.backward_input, x, (x, kernel)),
        (_tap_by_tap.backward_kernel, kernel, (x, x)),
    ):
        used = largest(part, torch.empty_like(result), *other, 1)
        assert 0 < used < 1.5 * max(x.numel(), kernel.numel()) < 49 * x.numel() / 8


@pytest.mark.parametrize(("stride", "channels_last"), [(1, True), (2, False)])
def test_is_registered_as_pytorch_asks(stride, channels_last):
    x, kernel = arguments(4, 2, 3, stride, 5, 6)
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    grad = torch.randn(2, 4, -(-5 // stride), -(-6 // stride)).double()
    torch.library.opcheck(
        torch.ops.lit_models.involution2d.default, (x.requires_grad_(), kernel.requires_grad_(), stride)
    )
    for gradient in (torch.ops.lit_models.involution2d_grad_input, torch.ops.lit_models.involution2d_grad_kernel):
        torch.library.opcheck(gradient.default, (grad, x.detach(), kernel.detach(), stride))


@pytest.mark.parametrize("dynamic", [False, None])  # None: sizes that change become symbols
def test_compiles_in_one_piece_with_its_gradients(dynamic):
    compiled = torch.compile(involution2d, backend="aot_eager", fullgraph=True, dynamic=dynamic)
    for height in (6, 9):
        x, kernel = arguments(4, 2, 3, 2, height, 5)
        for actual, expected in zip(
            with_gradients(compiled, x, kernel, 2), with_gradients(involution2d, x, kernel, 2), strict=True
        ):
            assert torch.equal(actual, expected)


def test_a_compiled_layer_trains_under_autocast():
    torch.manual_seed(0)
    layer = Involution2d(8, 3, groups=2)
    x = torch.randn(4, 8, 6, 6)
    gradients = []
    for run in (layer, torch.compile(layer, backend="aot_eager", fullgraph=True)):
        layer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            out = run(x)
        assert out.dtype == torch.bfloat16
        out.float().square().mean().backward()
        gradients.append([p.grad.clone() for p in layer.parameters()])
    torch.testing.assert_close(*gradients)


def test_its_products_are_counted():
    for device in ("cpu", "meta"):
        x, kernel = arguments(6, 3, 5, 2, 8, 8, device=device)
        x.requires_grad_()
        with FlopCounterMode(display=False) as counter:
            out = involution2d(x, kernel.requires_grad_(), 2)
        assert counter.get_total_flops() == 2 * 25 * out.numel()
        with FlopCounterMode(display=False) as counter:
            out.sum().backward()
        assert counter.get_total_flops() == 2 * 2 * 25 * out.numel()


def test_parameters_of_the_keras_example():
    layer = Involution2d(3, 3, groups=1, reduction=2)
    trainable = sum(p.numel() for p in layer.parameters())
    statistics = sum(b.numel() for name, b in layer.named_buffers() if "running" in name)
    assert (trainable, statistics) == (24, 2)
    assert sum(p.numel() for p in Involution2d(3, 3, reduction=2, bias=False).parameters()) == 3 + 2 + 9
    # RedNet's: 64 channels, 16 to a group, K = 7.
    assert Involution2d(64, 7, groups=4).span.weight.shape == (4 * 49, 16, 1, 1)


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize(("height", "width"), [(8, 7), (1, 2), (5, 9)])
def test_layer_applies_its_kernel(stride, height, width):
    torch.manual_seed(0)
    layer = Involution2d(6, 3, groups=3, stride=stride, reduction=2).double().eval()
    x = torch.randn(2, 6, height, width).double()
    pooled = F.avg_pool2d(x, stride, ceil_mode=True)
    hidden = F.relu(layer.norm(layer.reduce(pooled)))
    filters = layer.span(hidden).reshape(2, 3, 9, *hidden.shape[2:])
    assert torch.equal(layer.kernel(x), filters)
    out = layer(x)
    assert out.shape == (2, 6, -(-height // stride), -(-width // stride))
    torch.testing.assert_close(out, by_definition(x, filters, stride), rtol=1e-12, atol=1e-12)


def test_second_derivative_is_refused():
    x, kernel = arguments(2, 1, 3, 1, 4, 4)
    x.requires_grad_()
    (grad,) = torch.autograd.grad(involution2d(x, kernel).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="no autograd formula was registered"):
        torch.autograd.backward(grad.sum())


@pytest.mark.parametrize(
    ("x_shape", "kernel_shape", "message"),
    [
        ((4, 5, 5), (1, 1, 9, 5, 5), "input must be (B, C, H, W): got (4, 5, 5)"),
        ((1, 4, 5, 5), (1, 9, 5, 5), "kernel must be (B, G, K*K, H_out, W_out): got (1, 9, 5, 5)"),
        ((1, 4, 5, 5), (1, 3, 9, 5, 5), "kernel's groups must divide channels=4: got 3"),
        ((1, 4, 5, 5), (1, 1, 8, 5, 5), "kernel must hold K*K taps with K odd (1, 9, 25, 49, ...): got 8"),
        ((1, 4, 5, 5), (1, 1, 16, 5, 5), "kernel must hold K*K taps with K odd (1, 9, 25, 49, ...): got 16"),
        ((1, 4, 0, 5), (1, 1, 9, 0, 5), "height must be at least 1: got 0"),
        (
            (1, 4, 5, 5),
            (1, 1, 9, 5, 4),
            "kernel must be (1, 1, 9, 5, 5) for input (1, 4, 5, 5) and stride=1: got (1, 1, 9, 5, 4)",
        ),
    ],
)
def test_function_refuses_shapes(x_shape, kernel_shape, message):
    with pytest.raises(ValueError, match="^" + re.escape(message) + "$"):
        involution2d(torch.zeros(x_shape), torch.zeros(kernel_shape))


def test_function_refuses_stride_and_dtype():
    x, kernel = arguments(2, 1, 3, 1, 4, 4)
    with pytest.raises(ValueError, match="stride must be at least 1: got 0"):
        involution2d(x, kernel, 0)
    with pytest.raises(ValueError, match=r"dtype of input, torch.float64: got torch.float32"):
        involution2d(x, kernel.float())
