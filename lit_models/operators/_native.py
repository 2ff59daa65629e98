"""The operators' passes in C, where they were compiled at installation; see ``native/native.c``.

They take float32 and bfloat16 on CPUs. Whatever they do not take, and everything where there was no C compiler, is
computed by PyTorch's own operations, more slowly.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.machinery
import logging
import math
import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

WIDTHS = {"plain": 4, "avx2": 8, "avx512": 16}  # floats in a vector, by what OPERATOR_VECTORS may say
FORWARD, GRAD_INPUT, GRAD_WEIGHT = range(3)  # passes; the weight of an involution is its kernel

_WORKSPACE = 2**16  # floats of an image in a task: 256 KB, half of a usual second-level cache
_TASKS = 4  # for each thread, so that one that is held up takes fewer
_PARTS = 32  # in which the gradient of a depthwise convolution's weights is summed, then added up
_SHARE = 2**15  # numbers of a batch norm, at least, for a thread: as PyTorch has it
_CHUNK = 128  # numbers that batch norm takes at a time, at least, where they are whole pixels
_PLANE_CHUNK = 64  # and where they are of one channel
_LEAST_ROWS = 4  # of a task: fewer read their neighbours' rows more often than their own

_forked = False


def _after_fork() -> None:
    """Note that OpenMP's threads stayed behind in the parent: a pass that waited for them would wait for ever."""
    global _forked
    _forked = True


os.register_at_fork(after_in_child=_after_fork)


class _Tensor(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int64) for name in ("data", "batch", "group", "channel", "row", "column")]


class _Job(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_int64) for name in ("step", "bfloat16", "batches", "channels", "groups", "size", "stride")),
        *((name, ctypes.c_int64) for name in ("padding", "height", "width", "height_out", "width_out")),
        *((name, _Tensor) for name in ("input", "output", "kernel")),
        *(
            (name, ctypes.c_int64)
            for name in ("weight", "bias", "parts", "threads", "bands", "band_rows", "next", "failed")
        ),
    ]


class _NormJob(ctypes.Structure):
    _fields_ = [
        ("job", _Job),
        *((name, ctypes.c_int64) for name in ("skip", "grad_output", "grad_skip", "grad_input")),
        *((name, ctypes.c_int64) for name in ("skipped", "planes", "period", "statistics", "grad_parameters")),
        *((name, ctypes.c_int64) for name in ("sums", "counts", "coefficients")),
        ("epsilon", ctypes.c_double),
        ("least", ctypes.c_float),
    ]


@functools.cache
def _library() -> tuple[Any, Any] | None:
    """The compiled passes and the function of PyTorch's OpenMP that runs one in parallel; None without either.

    Passes that were compiled of an older source, as after an update without installation, count as none.
    """
    here = Path(__file__).parent
    for suffix in importlib.machinery.EXTENSION_SUFFIXES:
        if (here / f"_passes{suffix}").is_file():
            try:
                passes = ctypes.CDLL(str(here / f"_passes{suffix}"))
                parallel = ctypes.CDLL(None).GOMP_parallel
                return (passes, parallel) if passes.lit_job_bytes() == ctypes.sizeof(_NormJob) else None
            except (OSError, AttributeError):
                return None
    return None


def vectors() -> str:
    """Return how wide the vectors of the compiled passes are: ``plain``, ``avx2`` or ``avx512``; empty without them.

    The environment variable ``OPERATOR_VECTORS`` may ask for narrower ones than the processor has, or for ``none``:
    PyTorch's own operations then run, as they do without a compiler.

    Raises:
        ValueError: it names none of these.
    """
    allowed = os.environ.get("OPERATOR_VECTORS", "avx512")
    if allowed not in (*WIDTHS, "none"):
        raise ValueError(f"OPERATOR_VECTORS must be none, plain, avx2 or avx512: got {allowed}")
    library = _library()
    if library is None or allowed == "none":
        return ""
    widest = min(int(library[0].lit_width()), WIDTHS[allowed])
    return next(name for name, width in WIDTHS.items() if width == widest)


@functools.cache
def _say_slow() -> None:
    """Say once in a process that the times of operators mean little."""
    compiled = any(Path(__file__).parent.glob("_passes.*"))
    cure = "they fit neither this version nor this PyTorch's OpenMP; install again" if compiled else "install again"
    logging.getLogger("lit_models").warning(
        "involution, depthwise convolution and batch norm run without their compiled passes: times are not the "
        f"operators' best; {cure} with a C compiler"
    )


def takes(*tensors: Tensor) -> bool:
    """Return whether the compiled passes compute these tensors; says once if that is for want of a compiler."""
    dtype = tensors[0].dtype
    if dtype not in (torch.float32, torch.bfloat16):
        return False
    if any(t.device.type != "cpu" or t.dtype != dtype for t in tensors):
        return False
    if _library() is None:
        _say_slow()
    return vectors() != ""


def _threads() -> int:
    return 1 if _forked else torch.get_num_threads()


def _bands(batches: int, rows: int, floats: int, tasks: int) -> tuple[int, int]:
    """Cut images into bands of rows that fit the cache: into how many, of how many rows each.

    Args:
        batches: images.
        rows: of the result.
        floats: of an image that a row of the result takes.
        tasks: that there are to be, with few images.
    """
    most = max(_WORKSPACE // max(floats, 1), _LEAST_ROWS)
    wanted = -(-tasks // max(batches, 1))  # bands of an image
    most = min(most, max(-(-rows // wanted), _LEAST_ROWS))
    bands = max(-(-rows // most), 1)
    size = max(-(-rows // bands), 1)
    return max(-(-rows // size), 1), size


def _described(images: Tensor) -> _Tensor:
    batch, channel, row, column = images.stride()
    return _Tensor(images.data_ptr(), batch, 0, channel, row, column)


def _tasks() -> int:
    """Return how many bands there are to be at least: some for each thread, one for a thread alone."""
    threads = _threads()
    return _TASKS * threads if threads > 1 else 1


def _job(
    step: int, input: Tensor, output: Tensor, groups: int, size: int, stride: int, padding: int, tasks: int
) -> _Job:
    """Describe what both kinds of passes have: images, their window, and the bands of rows that threads take."""
    batches, channels, height, width = input.shape
    rows = height if step == GRAD_INPUT else output.shape[2]
    floats = channels * width * (1 if step == GRAD_INPUT else stride)
    bands, band_rows = _bands(batches, rows, floats, tasks)
    return _Job(
        step=step,
        bfloat16=input.dtype == torch.bfloat16,
        batches=batches,
        channels=channels,
        groups=groups,
        size=size,
        stride=stride,
        padding=padding,
        height=height,
        width=width,
        height_out=output.shape[2],
        width_out=output.shape[3],
        input=_described(input),
        output=_described(output),
        threads=min(_threads(), batches * bands),
        bands=bands,
        band_rows=band_rows,
    )


def involution(step: int, input: Tensor, output: Tensor, kernel: Tensor, stride: int) -> None:
    """Compute one pass of an involution, for tensors that :func:`takes` takes.

    Args:
        step: ``FORWARD`` writes ``output``, ``GRAD_INPUT`` writes ``input`` and ``GRAD_WEIGHT`` writes ``kernel``, each
            from the other two; where a pass writes or reads a gradient, the tensor is that gradient.
        input: (B, C, H, W), any strides.
        output: (B, C, H_out, W_out), any strides.
        kernel: (B, G, K * K, H_out, W_out), any strides.
        stride: of the involution.

    Raises:
        MemoryError: the workspaces could not be had.
    """
    size = round(kernel.shape[2] ** 0.5)
    job = _job(step, input, output, kernel.shape[1], size, stride, (size - 1) // 2, _tasks())
    job.kernel = _Tensor(kernel.data_ptr(), *kernel.stride())
    _run("lit_involution", job)


def depthwise(
    step: int,
    input: Tensor,
    output: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    size: int,
    stride: int,
    padding: int,
) -> Tensor | None:
    """Compute one pass of a depthwise convolution, for tensors that :func:`takes` takes.

    Args:
        step: ``FORWARD`` writes ``output``, ``GRAD_INPUT`` writes ``input``, ``GRAD_WEIGHT`` returns the gradient of
            the weights; where a pass writes or reads a gradient, the tensor is that gradient.
        input: (B, C, H, W), any strides.
        output: (B, C, H_out, W_out), any strides.
        weight: (C, 1, K, K); None for its gradient.
        bias: (C,), for the forward pass.
        size: K, at most 7.
        stride: 1 or 2.
        padding: zeros on each side, fewer than K.

    Returns:
        The gradient of the weights (C, 1, K, K) in float32, for ``GRAD_WEIGHT``.

    Raises:
        MemoryError: the workspaces could not be had.
    """
    batches, channels = input.shape[:2]
    # which bands of images are summed together is the same for any number of threads
    tasks = _PARTS if step == GRAD_WEIGHT else _tasks()
    job = _job(step, input, output, channels, size, stride, padding, tasks)
    job.parts = max(min(batches * job.bands, _PARTS), 1)
    if step == GRAD_WEIGHT:
        job.threads = min(_threads(), job.parts)
        weight = torch.empty(job.parts, channels, 1, size, size)
    else:
        assert weight is not None
        weight = weight.float().contiguous()
    bias = None if bias is None else bias.float().contiguous()
    job.weight, job.bias = weight.data_ptr(), 0 if bias is None else bias.data_ptr()
    _run("lit_depthwise", job)
    return weight.sum(0) if step == GRAD_WEIGHT else None


def _norm_job(step: int, input: Tensor, weight: Tensor, bias: Tensor, relu: bool) -> tuple[_NormJob, list[Tensor]]:
    """Describe a batch norm of a dense input; the tensors are to live as long as the job."""
    batches, channels, height, width = input.shape
    planes = not input.is_contiguous(memory_format=torch.channels_last)
    period = _PLANE_CHUNK
    if not planes:  # whole pixels, and whole vectors of any width
        pixels = 16 // math.gcd(channels, 16)
        period = channels * pixels * max(-(-_CHUNK // (channels * pixels)), 1)
    units = batches if planes else -(-input.numel() // period)
    parts = min(units, _PARTS)
    threads = max(min(_threads(), parts, input.numel() // _SHARE), 1)
    weight, bias = weight.detach().contiguous(), bias.detach().contiguous()
    sums = torch.zeros(parts, 3, channels, dtype=torch.float64)
    counts, coefficients = sums.new_empty(parts), sums.new_zeros(5, channels)
    job = _Job(
        step=step,
        bfloat16=input.dtype == torch.bfloat16,
        batches=batches,
        channels=channels,
        height=height,
        width=width,
        input=_described(input),
        weight=weight.data_ptr(),
        bias=bias.data_ptr(),
        parts=parts,
        threads=threads,
    )
    norm = _NormJob(job=job, planes=planes, period=period, least=0 if relu else -math.inf)
    norm.sums, norm.counts, norm.coefficients = sums.data_ptr(), counts.data_ptr(), coefficients.data_ptr()
    return norm, [input, weight, bias, sums, counts, coefficients]


def _layout(tensor: Tensor) -> torch.memory_format:
    """Return how batch norm is to lay its tensors out, by its input."""
    channels_last = tensor.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if channels_last else torch.contiguous_format


def batch_norm(
    input: Tensor, weight: Tensor, bias: Tensor, skip: Tensor | None, eps: float, relu: bool
) -> tuple[Tensor, Tensor]:
    """Normalise by the statistics of the batch, add and cut off what is negative.

    Args:
        input: (B, C, H, W), of a dtype that :func:`takes` takes, with more than one number for each channel.
        weight: (C,), in float32.
        bias: (C,), in float32.
        skip: to be added, of the shape and dtype of the input, or None.
        eps: added to the variances.
        relu: whether what is negative becomes 0.

    Returns:
        (B, C, H, W), and (3, C) in float32: mean, 1 / standard deviation and unbiased variance.

    Raises:
        MemoryError: the workspaces could not be had.
    """
    layout = _layout(input)
    input = input.contiguous(memory_format=layout)
    norm, _alive = _norm_job(FORWARD, input, weight, bias, relu)
    output = torch.empty_like(input)
    statistics = torch.empty(3, len(weight))
    norm.job.output, norm.statistics, norm.epsilon = _described(output), statistics.data_ptr(), eps
    if skip is not None:
        skip = skip.contiguous(memory_format=layout)
        norm.skipped, norm.skip = True, skip.data_ptr()
    _run("lit_batch_norm", norm)
    return output, statistics


def batch_norm_grad(
    grad_output: Tensor,
    input: Tensor,
    weight: Tensor,
    bias: Tensor,
    output: Tensor | None,
    statistics: Tensor,
    relu: bool,
) -> tuple[Tensor, Tensor | None, Tensor]:
    """Return the gradients of :func:`batch_norm`: of input, of ``skip``, and (2, C) of weight and bias.

    Args:
        grad_output: (B, C, H, W).
        input: as forward.
        weight: as forward.
        bias: as forward.
        output: what forward returned, where something was added; else None.
        statistics: what forward returned.
        relu: as forward.

    Raises:
        MemoryError: the workspaces could not be had.
    """
    layout = _layout(input)
    input, grad_output = (t.contiguous(memory_format=layout) for t in (input, grad_output))
    norm, _alive = _norm_job(GRAD_INPUT, input, weight, bias, relu)
    grad_input, grad_parameters = torch.empty_like(input), torch.empty(2, len(weight))
    grad_skip = None
    norm.grad_output, norm.grad_input = grad_output.data_ptr(), grad_input.data_ptr()
    norm.statistics, norm.grad_parameters = statistics.data_ptr(), grad_parameters.data_ptr()
    if output is not None:
        output, grad_skip = output.contiguous(memory_format=layout), torch.empty_like(input)
        norm.skipped, norm.grad_skip, norm.job.output = True, grad_skip.data_ptr(), _described(output)
    _run("lit_batch_norm", norm)
    return grad_input, grad_skip, grad_parameters


def _run(name: str, job: _Job | _NormJob) -> None:
    """Call a pass; the lock of the interpreter is free meanwhile."""
    library = _library()
    assert library is not None
    passes, parallel = library
    if getattr(passes, name)(ctypes.byref(job), ctypes.c_int64(WIDTHS[vectors()]), parallel):
        raise MemoryError(f"no memory for the workspaces of {name}")
