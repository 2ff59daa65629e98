"""The compiled passes of involution and depthwise convolution, and what runs where there are none."""

import logging
import os
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from lit_models.operators import DepthwiseConv2d, DepthwiseSeparableConv2d, Involution2d, _native, involution2d
from lit_models.operators.depthwise import _fits
from tests.conftest import ROOT
from tests.lit_models.operators.test_involution import arguments, by_unfold, with_gradients

compiled = pytest.mark.skipif(not _native.vectors(), reason="installed without a C compiler")
WIDTHS = [name for name, width in _native.WIDTHS.items() if width <= _native.WIDTHS.get(_native.vectors(), 0)]


def last(tensor):
    return tensor.contiguous(memory_format=torch.channels_last)


def depthwise(x, weight, bias, stride, padding):
    return torch.ops.lit_models.depthwise_conv2d(x, weight, bias, stride, padding)


def depthwise_with_gradients(function, x, weight, bias, stride, padding):
    leaves = [t.detach().requires_grad_() for t in (x, weight, bias)]
    out = function(*leaves, stride, padding)
    grad = torch.randn(out.shape, generator=torch.Generator().manual_seed(1)).to(out.dtype)
    return (out, *torch.autograd.grad(out, leaves, grad))


def exact(x, weight, bias, stride, padding):
    """A sum over the taps, each of which is a shifted image."""
    size = weight.shape[2]
    padded = F.pad(x, [padding] * 4)
    height, width = ((n - size) // stride + 1 for n in padded.shape[2:])
    total = bias.view(1, -1, 1, 1).expand(len(x), -1, height, width)
    for u in range(size):
        for v in range(size):
            seen = padded[:, :, u : u + (height - 1) * stride + 1 : stride, v : v + (width - 1) * stride + 1 : stride]
            total = total + weight[:, 0, u, v].view(1, -1, 1, 1) * seen
    return total


@compiled
@pytest.mark.parametrize("vectors", WIDTHS)
@settings(max_examples=80, deadline=None, derandomize=True)
@given(
    batch=st.integers(0, 3),
    groups=st.integers(1, 3),
    per_group=st.sampled_from([1, 2, 7, 8, 9, 16, 17, 25, 33, 40, 65]),
    size=st.sampled_from([1, 3, 5, 7, 9]),
    stride=st.integers(1, 4),
    height=st.integers(1, 19),
    width=st.integers(1, 19),
    layouts=st.tuples(*[st.sampled_from(["contiguous", "last", "neither"])] * 2),
)
def test_involution_equals_unfold(vectors, batch, groups, per_group, size, stride, height, width, layouts):
    x, kernel = arguments(groups * per_group, groups, size, stride, height, width, batch, dtype=torch.float32)
    images, kernels = (
        {"last": last, "neither": lambda t: t.mT.contiguous().mT}.get(name, lambda t: t) for name in layouts
    )
    os.environ["OPERATOR_VECTORS"] = vectors
    try:
        assert _native.takes(x, kernel)
        ours = with_gradients(involution2d, images(x), kernels(kernel.flatten(1, 2)).view(kernel.shape), stride)
    finally:
        del os.environ["OPERATOR_VECTORS"]
    if batch == 0:  # F.unfold refuses an empty batch
        assert [t.numel() for t in ours] == [0, 0, 0]
        return
    scale = max(size, per_group**0.5)  # of a sum of random products
    for actual, expected in zip(ours, with_gradients(by_unfold, x.double(), kernel.double(), stride), strict=True):
        torch.testing.assert_close(actual.double(), expected, rtol=1e-5, atol=1e-5 * scale)


@compiled
@pytest.mark.parametrize("vectors", WIDTHS)
@settings(max_examples=80, deadline=None, derandomize=True)
@given(
    batch=st.integers(0, 3),
    channels=st.sampled_from([1, 3, 8, 15, 16, 17, 33, 40]),
    size=st.integers(1, 7),
    stride=st.integers(1, 2),
    padding=st.integers(0, 6),
    height=st.integers(1, 19),
    width=st.integers(1, 19),
    layout=st.sampled_from(["contiguous", "last", "neither"]),
)
def test_depthwise_equals_the_sum_over_taps(vectors, batch, channels, size, stride, padding, height, width, layout):
    padding = min(padding, size - 1)
    height, width = max(height, size - 2 * padding), max(width, size - 2 * padding)
    random = torch.Generator().manual_seed(0)
    x = torch.randn(batch, channels, height, width, generator=random)
    weight, bias = torch.randn(channels, 1, size, size, generator=random), torch.randn(channels, generator=random)
    images = {"last": last, "neither": lambda t: t.mT.contiguous().mT}.get(layout, lambda t: t)
    os.environ["OPERATOR_VECTORS"] = vectors
    try:
        assert _fits(weight, stride, padding)
        assert _native.takes(x, weight)
        ours = depthwise_with_gradients(depthwise, images(x), weight, bias, stride, padding)
    finally:
        del os.environ["OPERATOR_VECTORS"]
    theirs = depthwise_with_gradients(exact, *(t.double() for t in (x, weight, bias)), stride, padding)
    for actual, expected in zip(ours, theirs, strict=True):
        torch.testing.assert_close(actual.double(), expected, rtol=1e-5, atol=1e-4)


@compiled
def test_a_number_that_is_none_stays_none_in_bfloat16():
    x, kernel = torch.full((1, 1, 1, 1), torch.nan).bfloat16(), torch.ones(1, 1, 1, 1, 1).bfloat16()
    assert involution2d(x, kernel).isnan().all()
    assert involution2d(kernel[0].clone(), (kernel * 3e38)).isfinite().all()


@compiled
@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.parametrize("channels_last", [False, True])
def test_the_same_bits_for_any_number_of_threads(batch, channels_last):
    layout = last if channels_last else lambda t: t
    x, kernel = arguments(34, 2, 7, 1, 17, 19, batch, dtype=torch.float32)
    weight, bias = torch.randn(34, 1, 5, 5), torch.randn(34)
    found = []
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            found.append(with_gradients(involution2d, layout(x), kernel, 1))
            found[-1] += depthwise_with_gradients(depthwise, layout(x), weight, bias, 1, 2)[:3]  # bias: PyTorch's sum
    finally:
        torch.set_num_threads(1)
    for other in found[1:]:
        assert all(torch.equal(one, two) for one, two in zip(found[0], other, strict=True))


@pytest.mark.parametrize(
    ("there", "cure"),
    [
        (None, "install again with a C compiler"),
        ("_passes.so", "they fit neither this version nor this PyTorch's OpenMP; install again with a C compiler"),
    ],
)
def test_without_a_compiler_the_same_comes_out_and_it_is_said_once(monkeypatch, caplog, tmp_path, there, cure):
    def results():
        x, kernel = arguments(6, 2, 3, 2, 7, 8, dtype=torch.float32)
        weight, bias = torch.ones(6, 1, 3, 3), torch.zeros(6)
        return [
            *with_gradients(involution2d, x, kernel, 2),
            *depthwise_with_gradients(depthwise, x, weight, bias, 1, 1),
        ]

    before = results()
    monkeypatch.setattr(_native, "_library", lambda: None)
    monkeypatch.setattr(_native, "__file__", str(tmp_path / "_native.py"))
    if there:
        (tmp_path / there).touch()
    _native._say_slow.cache_clear()
    with caplog.at_level(logging.WARNING, "lit_models"):
        after = results()
    assert _native.vectors() == ""
    assert [record.getMessage().count("\n") for record in caplog.records] == [0]
    assert f"times are not the operators' best; {cure}" in caplog.text
    for one, two in zip(before, after, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-5)


@compiled
def test_narrower_vectors_can_be_asked_for(monkeypatch):
    monkeypatch.setenv("OPERATOR_VECTORS", "plain")
    assert _native.vectors() == "plain"
    monkeypatch.setenv("OPERATOR_VECTORS", "none")
    assert not _native.takes(torch.ones(1))
    monkeypatch.setenv("OPERATOR_VECTORS", "sse")
    with pytest.raises(ValueError, match=r"^OPERATOR_VECTORS must be none, plain, avx2 or avx512: got sse$"):
        _native.vectors()


AFTER_FORK = """
import os, torch
from lit_models.operators import involution2d
torch.set_num_threads(2)
x, kernel = torch.ones(8, 3, 9, 9), torch.ones(8, 1, 9, 9, 9)
before = involution2d(x, kernel)
child = os.fork()
if child == 0:
    os._exit(0 if torch.equal(involution2d(x, kernel), before) else 3)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.slow
def test_a_forked_process_waits_for_no_thread_of_its_parent():
    environment = {**os.environ, "OMP_NUM_THREADS": "2", "PYTHONPATH": str(ROOT)}
    call = [sys.executable, "-W", "ignore", "-c", AFTER_FORK]
    done = subprocess.run(call, env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "0", done.stderr


@pytest.mark.parametrize("channels_last", [False, True])
def test_registered_as_pytorch_asks_in_float32(channels_last):
    layout = last if channels_last else lambda t: t
    x, kernel = arguments(6, 2, 3, 2, 5, 6, dtype=torch.float32)
    x = layout(x).requires_grad_()
    torch.library.opcheck(torch.ops.lit_models.involution2d.default, (x, kernel.requires_grad_(), 2))
    cases = [(torch.float32, 3, 2), (torch.float64, 3, 1)]
    for dtype, size, stride in cases[: 1 if channels_last else 2]:
        weight, bias = (torch.randn(6, 1, size, size, dtype=dtype), torch.randn(6, dtype=dtype))
        x = x.detach().to(dtype).requires_grad_()
        ops = torch.ops.lit_models
        arguments_ = (x, weight.requires_grad_(), bias.requires_grad_(), stride, size // 2)
        torch.library.opcheck(ops.depthwise_conv2d.default, arguments_)
        grad = torch.randn_like(depthwise(*arguments_)).detach()
        for gradient in (ops.depthwise_conv2d_grad_input, ops.depthwise_conv2d_grad_weight):
            torch.library.opcheck(gradient.default, (grad, x.detach(), weight.detach(), stride, size // 2))


def small():
    torch.manual_seed(0)
    return nn.Sequential(Involution2d(6, 3, groups=2, stride=2), DepthwiseSeparableConv2d(6, 4, 5), nn.Flatten())


def test_compiled_and_exported_networks_give_the_same():
    images = torch.randn(3, 6, 9, 10)
    whole, parts = small(), small()
    torch.compile(parts, backend="aot_eager", fullgraph=True)(images).square().sum().backward()
    whole(images).square().sum().backward()
    for one, two in zip(whole.parameters(), parts.parameters(), strict=True):
        torch.testing.assert_close(one.grad, two.grad)
    exported = torch.export.export(whole.eval(), (images,)).module()
    torch.testing.assert_close(exported(images), whole(images))


def test_a_layer_of_any_size_is_still_conv2d():
    layer = DepthwiseConv2d(3, 9, stride=3, padding=4)  # larger than the compiled passes take
    images = torch.randn(2, 3, 12, 12)
    torch.testing.assert_close(layer(images), F.conv2d(images, layer.weight, layer.bias, 3, 4, groups=3))
    assert layer(images[0]).shape == (3, 4, 4)  # one image without a batch, as nn.Conv2d
