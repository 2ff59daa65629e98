"""The Triton kernels of involution against a direct loop in float64, run by Triton's interpreter on a CPU."""

import importlib.util
import os
import subprocess
import sys

import pytest

from lit_models.operators.involution import _without_c
from tests.conftest import ROOT

pytestmark = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed")

CHECK = '''
import itertools
import sys
import torch
from lit_models.operators import triton_involution

torch.manual_seed(0)
BOUNDS = {torch.float64: 1e-12, torch.float32: 1e-6, torch.bfloat16: 6e-3, torch.float16: 8e-4}


def loop(x, k, stride):
    """The definition: a tap at a time, over every pixel."""
    (batch, channels, height, width), (_, groups, taps, h_out, w_out) = x.shape, k.shape
    size = round(taps**0.5)
    out = x.new_zeros(batch, channels, h_out, w_out)
    for b, c, i, j, u, v in itertools.product(*map(range, (batch, channels, h_out, w_out, size, size))):
        row, column = i * stride + u - size // 2, j * stride + v - size // 2
        if 0 <= row < height and 0 <= column < width:
            out[b, c, i, j] = out[b, c, i, j] + k[b, c * groups // channels, u * size + v, i, j] * x[b, c, row, column]
    return out


def far(a, b):
    return float((a.double() - b).norm() / b.norm())


def strided(t):
    """The same numbers with gaps between them and the last two dimensions turned."""
    wide = torch.full((*t.shape[:-2], t.shape[-1], 2 * t.shape[-2]), torch.nan, dtype=t.dtype)
    view = wide[..., ::2].transpose(-1, -2)
    view.copy_(t)
    return view


# batch, channels, groups, kernel size, stride, height, width; with 5 * 4 pixels runs end in the middle
SHAPES = [(1, 4, 2, 3, 2, 5, 4), (1, 6, 2, 3, 1, 5, 4), (2, 2, 2, 5, 2, 5, 4), (1, 3, 1, 3, 3, 1, 7)]
SHAPES += [(1, 2, 1, 1, 1, 3, 3)]
for batch, channels, groups, size, stride, height, width in SHAPES[: int(sys.argv[1])]:
    x = torch.randn(batch, channels, height, width, dtype=torch.float64)
    k = torch.randn(batch, groups, size**2, -(-height // stride), -(-width // stride), dtype=torch.float64)
    go = torch.randn(batch, channels, *k.shape[3:], dtype=torch.float64)
    for dtype, bound in BOUNDS.items():
        if dtype != torch.float32 and size != 3:  # what a kernel computes in is one line of it, whatever the shape
            continue
        exact = [t.to(dtype).double().requires_grad_() for t in (x, k)]
        out = loop(*exact, stride)
        wanted = [out, *torch.autograd.grad(out, exact, go.to(dtype).double())]
        last = lambda t: t.transpose(1, -1).contiguous().transpose(1, -1)
        for place in (torch.Tensor.contiguous, last, strided) if dtype == torch.float32 else (strided,):
            dx, dk, dgo = (place(t.to(dtype)) for t in (x, k, go))
            got = [torch.full_like(t, torch.nan) for t in (dgo, dx, dk)]  # what is not written shows
            triton_involution.forward(got[0], dx, dk, stride)
            triton_involution.backward_input(got[1], dgo, dk, stride)
            triton_involution.backward_kernel(got[2], dgo, dx, stride)
            for name, a, b in zip(("output", "input", "kernel"), got, wanted):
                assert far(a, b.detach()) < bound, (name, dtype, size, stride, far(a, b.detach()))
triton_involution.forward(x[:0], x[:0], k[:0], 1)  # no image, no program
triton_involution.VALUES = 32  # channels that do not fit: the fewest pixels are taken all the same
x, k = torch.randn(1, 6, 5, 7), torch.randn(1, 1, 9, 5, 7)
out = torch.full_like(x, torch.nan)
triton_involution.forward(out, x, k, 1)
assert far(out, loop(x.double(), k.double(), 1)) < 1e-6
print("right")
'''


@pytest.mark.parametrize("shapes", [1, pytest.param(5, marks=pytest.mark.slow)])
def test_kernels_against_the_definition(shapes):
    """In a process of its own: the interpreter is chosen when the kernels are defined."""
    environment = {**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", CHECK, str(shapes)], capture_output=True, text=True, env=environment, cwd=ROOT
    )
    assert done.stdout == "right\n", done.stderr


def test_a_gpu_has_the_passes_of_triton_and_other_devices_pytorchs():
    found = {device: _without_c(device).__name__.rpartition(".")[2] for device in ("cuda", "cpu", "mps")}
    assert found == {"cuda": "triton_involution", "cpu": "_tap_by_tap", "mps": "_tap_by_tap"}
