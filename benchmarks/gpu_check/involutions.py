"""Stages that take the times of involution: against two other ways to compute it, and by the size of its programs."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks.gpu_check.findings import Findings
from benchmarks.gpu_check.networks import far
from benchmarks.gpu_check.speed import graphed, seconds
from benchmarks.involution import unfolded
from lit_models.operators import _tap_by_tap, involution2d


def involution(found: Findings) -> None:
    """Involution and its gradients, fused, tap by tap, and unfolded: time, memory, and the bytes that must move."""
    shapes = {
        "(64, 64, 32, 32), G = 4, K = 7": (64, 64, 32, 32, 4, 7),
        "(128, 34, 32, 32), G = 2, K = 7": (128, 34, 32, 32, 2, 7),
        "(256, 3, 32, 32), G = 1, K = 3": (256, 3, 32, 32, 1, 3),
        "(64, 256, 14, 14), G = 16, K = 7": (64, 256, 14, 14, 16, 7),
    }
    if found.tiny:
        shapes = {"(2, 8, 8, 8), G = 2, K = 7": (2, 8, 8, 8, 2, 7)}
    for name, (batch, channels, height, width, groups, size) in shapes.items():
        for dtype in (torch.bfloat16, torch.float32):
            x = torch.randn(batch, channels, height, width, device=found.device, dtype=dtype)
            x = x.to(memory_format=torch.channels_last).requires_grad_()
            # as the layer makes it: the channels of a convolution's output, which lie last
            k = torch.randn(batch, groups * size**2, height, width, device=found.device, dtype=dtype)
            k = k.to(memory_format=torch.channels_last).view(batch, groups, size**2, height, width).requires_grad_()
            grad = torch.randn_like(x)
            moved = x.element_size() * (5 * x.numel() + 3 * k.numel())
            sides: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"tap by tap": _TapByTap.apply, "unfolded": unfolded}
            if found.cuda:
                sides = {"fused": involution2d, **({} if batch == 256 and dtype == torch.float32 else sides)}
            times: dict[str, float] = {}
            for side, function in sides.items():
                if found.left < 4:
                    return
                forward, both, peak, error = _measured(function, x, k, grad, found)
                on_device = math.nan
                if found.cuda:
                    on_device = graphed(partial(_gradients, function, x, k, grad), found, 20)
                times[side] = on_device
                found.row(
                    "Involution, forward and both gradients",
                    shape=name,
                    dtype=str(dtype)[6:],
                    side=side,
                    **{
                        "forward ms": 1e3 * forward,
                        "all ms": 1e3 * both,
                        "all ms as a CUDA graph": 1e3 * on_device,
                        "peak MB": peak,
                        "GB/s of what must move": moved / (on_device if found.cuda else both) / 1e9,
                        "error": error,
                    },
                )
            if found.cuda and size == 7 and "unfolded" in times:
                ratio = times["unfolded"] / times["fused"]
                found.right(
                    f"{name}, {str(dtype)[6:]}: 10 times as fast as unfolded", ratio >= 10, f"{ratio:.1f} times"
                )


def _gradients(function: Callable[[Tensor, Tensor], Tensor], x: Tensor, k: Tensor, grad: Tensor) -> None:
    torch.autograd.grad(function(x, k), (x, k), grad)


class _TapByTap(torch.autograd.Function):
    """The operator's code for CPUs, on the device."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, k: Tensor) -> Tensor:
        ctx.save_for_backward(x, k)
        out = torch.empty_like(x)
        _tap_by_tap.forward(out, x, k, 1)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor, Tensor]:
        x, k = ctx.saved_tensors
        of_x, of_k = torch.empty_like(x), torch.empty_like(k)
        _tap_by_tap.backward_input(of_x, grads[0], k, 1)
        _tap_by_tap.backward_kernel(of_k, grads[0], x, 1)
        return of_x, of_k


def _measured(
    function: Callable[[Tensor, Tensor], Tensor], x: Tensor, k: Tensor, grad: Tensor, found: Findings
) -> tuple[float, float, float, float]:
    """Return seconds forward, seconds forward and backward, peak MB beside the arguments, and the error."""
    few = [t[:2].detach().requires_grad_() for t in (x, k)]
    exact = [t.detach().double().requires_grad_() for t in few]
    wanted = unfolded(exact[0], exact[1])
    wanteds = [wanted, *torch.autograd.grad(wanted, exact, grad[:2].double())]
    got = function(few[0], few[1])
    gots = [got, *torch.autograd.grad(got, few, grad[:2])]
    error = max(far(one, other) for one, other in zip(gots, wanteds, strict=True))
    if found.cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
    both = seconds(lambda: torch.autograd.grad(function(x, k), (x, k), grad), found, 0.2)
    peak = (torch.cuda.max_memory_allocated() - before) / 1e6 if found.cuda else math.nan
    with torch.no_grad():
        forward = seconds(lambda: function(x, k), found, 0.2)
    return forward, both, peak, error


# values in registers, pixels at most, warps: of a program of the fused involution
BLOCKS = ((2048, 128, 4), (2048, 128, 8), (1024, 64, 4), (1024, 64, 2), (512, 32, 1))


def involution_blocks(found: Findings) -> None:
    """The fused involution with other sizes of its programs: which are fastest."""
    if not found.cuda:
        found.note("The kernels are compiled for GPUs.")
        return
    for block in BLOCKS:
        if found.left > 4:
            _blocks(found, block)


def _blocks(found: Findings, block: tuple[int, int, int]) -> None:
    from lit_models.operators import triton_involution as fused

    before = fused.VALUES, fused.ROW_VALUES, fused.MOST, fused.WARPS
    fused.VALUES, fused.ROW_VALUES, fused.MOST, fused.WARPS = block[0], 2 * block[0], *block[1:]
    for batch, channels, groups in ((64, 64, 4), (128, 34, 2)):
        for dtype in (torch.bfloat16, torch.float32):
            x = torch.randn(batch, channels, 32, 32, device=found.device, dtype=dtype)
            x = x.to(memory_format=torch.channels_last)
            k = torch.randn(batch, groups * 49, 32, 32, device=found.device, dtype=dtype)
            k = k.to(memory_format=torch.channels_last).view(batch, groups, 49, 32, 32)
            calls = {
                "forward": partial(fused.forward, torch.empty_like(x), x, k, 1),
                "of input": partial(fused.backward_input, torch.empty_like(x), x, k, 1),
                "of kernel": partial(fused.backward_kernel, torch.empty_like(k), x, x, 1),
            }
            found.row(
                "Microseconds by size of the programs",
                shape=f"{tuple(x.shape)}, G = {groups}, K = 7",
                dtype=str(dtype)[6:],
                values=block[0],
                pixels=block[1],
                warps=block[2],
                **{name: 1e6 * graphed_calls(call, found) for name, call in calls.items()},
            )
    fused.VALUES, fused.ROW_VALUES, fused.MOST, fused.WARPS = before


def graphed_calls(call: Callable[[], Any], found: Findings) -> float:
    """Return the seconds of a call among twenty in one CUDA graph."""
    return graphed(lambda: [call() for _ in range(20)], found, 5) / 20
