"""Batch norm in training, with the addition and the ReLU that may follow it, in one operator on CPUs.

PyTorch passes over the tensors nine times forward and nine times backward where a shortcut is added, this four and
six times. It is for networks of this package: the modules stay ``nn.BatchNorm2d`` and :class:`GroupBatchNorm`, with
their names, weights and hooks, and wherever the operator cannot stand in for them (evaluation, other devices and
dtypes, ``torch.compile``, transforms, modes, hooks, other classes of norm) they are called as they are.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules import module as _module

from lit_models.operators import _native, _transforms


def norm_relu(norm: nn.Module, x: Tensor, skip: Tensor | None = None) -> Tensor:
    """Return ``relu(norm(x))``, or ``relu(norm(x) + skip)``.

    Args:
        norm: Any module; batch norms are what this is fast for.
        x: What ``norm`` takes.
        skip: Of the shape of ``norm(x)``.
    """
    if isinstance(norm, nn.BatchNorm2d | GroupBatchNorm) and not _is_hooked(norm):
        fused = _group_norm(norm, x, skip) if isinstance(norm, GroupBatchNorm) else _image_norm(norm, x, skip)
        if fused is not None:
            return fused
    output = norm(x)
    return F.relu(output if skip is None else output + skip)


class NormedSequential(nn.Sequential):
    """``nn.Sequential`` that runs a batch norm and the ``nn.ReLU`` after it by :func:`norm_relu`."""

    def forward(self, input: Tensor) -> Tensor:
        """Pass ``input`` through the modules, one after the other."""
        modules = list(self)
        while modules:
            module = modules.pop(0)
            is_norm = isinstance(module, nn.BatchNorm2d | GroupBatchNorm)
            if is_norm and modules and type(modules[0]) is nn.ReLU and not _is_hooked(modules[0]):
                del modules[0]
                input = norm_relu(module, input)
            else:
                input = module(input)
        return input


class GroupBatchNorm(nn.BatchNorm3d):
    """Batch norm for feature maps on a group: one mean and variance per channel, shared by all its planes.

    ``nn.BatchNorm2d`` on the folded planes would scale each orientation by itself and so break the
    equivariance.

    It is ``nn.BatchNorm3d`` on (B, C, |G|, H, W), arguments included, under the name of what it is used for.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, C, |G|, H, W) to the same shape."""
        fused = _group_norm(self, x, relu=False)
        if fused is not None:
            return fused
        planes = x.transpose(1, 2)
        if planes.is_contiguous():  # as a convolution leaves them: to batch norm, planes are more images
            return super().forward(planes.flatten(0, 1).unsqueeze(2)).view(planes.shape).transpose(1, 2)
        # With the channels last, planes are more pixels. Batch norm copies what it finds in any other order.
        return super().forward(x.permute(0, 1, 3, 4, 2)).permute(0, 1, 4, 2, 3)


def _is_hooked(module: nn.Module) -> bool:
    """Return whether something wants to see the module being called."""
    own = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks)
    return any(own) or bool(_module._has_any_global_hook())  # type: ignore[no-untyped-call]  # PyTorch's


def _group_norm(norm: nn.BatchNorm3d, x: Tensor, skip: Tensor | None = None, relu: bool = True) -> Tensor | None:
    """Normalise (B, C, |G|, H, W), whose planes are more images or, with the channels last, more pixels.

    None where the operator cannot.
    """
    if x.dim() != 5 or not _takes(norm, x, skip):  # before anything is copied
        return None
    planes = x.transpose(1, 2)
    if planes.is_contiguous():
        skip = None if skip is None else skip.transpose(1, 2).flatten(0, 1)
        return _passed(norm, planes.flatten(0, 1), skip, relu).view(planes.shape).transpose(1, 2)
    pixels = x.permute(0, 1, 3, 4, 2)
    skip = None if skip is None else skip.permute(0, 1, 3, 4, 2).flatten(3)
    output = _passed(norm, pixels.flatten(3), skip, relu)
    return output.view(pixels.shape).permute(0, 1, 4, 2, 3)


def _image_norm(norm: nn.BatchNorm2d, x: Tensor, skip: Tensor | None) -> Tensor | None:
    """Normalise (B, C, H, W) and cut it off below 0; None where the operator cannot."""
    return _passed(norm, x, skip, relu=True) if x.dim() == 4 and _takes(norm, x, skip) else None


def _takes(norm: nn.BatchNorm2d | nn.BatchNorm3d, x: Tensor, skip: Tensor | None) -> bool:
    """Tell whether the operator computes what the module would."""
    if (
        not norm.training or not _transforms.runs_here(x) or torch._C._len_torch_dispatch_stack()
    ):  # numbers may be missing
        return False
    mean, variance = norm.running_mean, norm.running_var
    if mean is None or variance is None or norm.num_batches_tracked is None or norm.momentum is None:
        return False
    if type(norm) not in (nn.BatchNorm2d, nn.BatchNorm3d, GroupBatchNorm) or not norm.affine:
        return False
    if x.shape[1] != norm.num_features or x.numel() <= x.shape[1]:  # the module says what is wrong
        return False
    if skip is not None and (skip.shape != x.shape or skip.dtype != x.dtype):
        return False
    parameters = (norm.weight, norm.bias, mean, variance)
    return all(p.dtype == torch.float32 and p.device.type == "cpu" for p in parameters) and _native.takes(x)


def _passed(norm: Any, x: Tensor, skip: Tensor | None, relu: bool) -> Tensor:
    """Normalise (B, C, H, W) by the compiled passes and keep the running statistics, which :func:`_takes` has seen."""
    output: Tensor
    output, statistics = _BatchNorm.apply(x, norm.weight, norm.bias, skip, norm.eps, relu)
    with torch.no_grad():
        norm.num_batches_tracked.add_(1)
        norm.running_mean.lerp_(statistics[0], norm.momentum)
        norm.running_var.lerp_(statistics[2], norm.momentum)
    return output


class _BatchNorm(torch.autograd.Function):
    """The compiled passes with their gradients.

    It is not registered with PyTorch as the other operators are: what needs that runs PyTorch's own batch norm, and a
    registered operator takes longer to call, 0.3 ms forward and backward, than many a layer to compute.
    """

    @staticmethod
    def forward(
        ctx: Any, input: Tensor, weight: Tensor, bias: Tensor, skip: Tensor | None, eps: float, relu: bool
    ) -> tuple[Tensor, Tensor]:
        """Return the output and its statistics, as ``_native.batch_norm`` does.

        Kept are the input and, where something was added, the output, which the next layer keeps too.
        """
        output, statistics = _native.batch_norm(input, weight, bias, skip, eps, relu)
        ctx.mark_non_differentiable(statistics)
        ctx.save_for_backward(input, weight, bias, None if skip is None else output, statistics)
        ctx.eps, ctx.relu = eps, relu
        return output, statistics

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of the input, the weight, the bias and what was added."""
        input, weight, bias, output, statistics = ctx.saved_tensors
        if torch.is_grad_enabled():  # the gradients are to have gradients: by what PyTorch can differentiate again
            normed = F.batch_norm(input, None, None, weight, bias, training=True, eps=ctx.eps)
            if ctx.relu:
                grad_output = grad_output.masked_fill((normed if output is None else output) <= 0, 0)
            gradients = torch.autograd.grad(normed, (input, weight, bias), grad_output, create_graph=True)
            return (*gradients, None if output is None else grad_output, None, None)
        of_input, of_skip, of_parameters = _native.batch_norm_grad(
            grad_output, input, weight, bias, output, statistics, ctx.relu
        )
        return (of_input, *of_parameters, of_skip, None, None)
