"""Stages that ask whether a device computes what a CPU computes in float64."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from benchmarks.gpu_check.findings import Findings
from benchmarks.gpu_check.networks import Case, cases, far, loss_of
from benchmarks.involution import unfolded
from datamodules.augmentation import Augment, augmentation
from headtohead.trial.hardware import lay_channels_last
from lit_models.operators import (
    DepthwiseConv2d,
    GroupBatchNorm,
    P4ConvP4,
    P4ConvZ2,
    P4MConvP4,
    P4MConvZ2,
    PartialConv2d,
    involution2d,
)

# of an operator whose sums are exact to float32, by the dtype of what goes in and comes out
BOUNDS = {torch.float64: 1e-12, torch.float32: 3e-6, torch.bfloat16: 6e-3, torch.float16: 1e-3}
MODES = ("float32", "TF32", "bfloat16")


@contextmanager
def computing(mode: str, device: torch.device) -> Iterator[None]:
    """Compute in float32 proper, with TF32 in products, or under autocast to bfloat16."""
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = mode == "TF32"
    try:
        with torch.autocast(device.type, torch.bfloat16, enabled=mode == "bfloat16"):
            yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


def gapped(t: Tensor) -> Tensor:
    """Return the same numbers with gaps between them."""
    view = t.new_full((*t.shape[:-1], 2 * t.shape[-1]), torch.nan)[..., ::2]
    return view.copy_(t)


def channels_last(t: Tensor) -> Tensor:
    """Return the same numbers with channels last in memory, of kernels the taps."""
    order = [0, *range(t.dim() - 2, t.dim()), *range(1, t.dim() - 2)]
    back = [order.index(place) for place in range(t.dim())]
    return t.permute(order).contiguous().permute(back)


def involution(found: Findings) -> None:
    """Involution and both gradients in every dtype, layout and stride."""
    shapes = [  # batch, channels, height, width, groups, kernel size, stride
        (8, 16, 9, 7, 4, 7, 1),
        (4, 34, 32, 32, 2, 7, 1),
        (4, 68, 32, 32, 4, 7, 2),
        (5, 3, 32, 32, 1, 3, 1),
        (2, 300, 11, 13, 1, 3, 1),  # more channels than a program's registers would like
        (3, 24, 10, 14, 3, 5, 3),
        (2, 16, 56, 56, 16, 7, 1),
    ]
    for shape in shapes[:2] if found.tiny else shapes:
        batch, channels, height, width, groups, size, stride = shape
        x = torch.randn(batch, channels, height, width, dtype=torch.float64)
        k = torch.randn(batch, groups, size**2, -(-height // stride), -(-width // stride), dtype=torch.float64)
        grad = torch.randn(batch, channels, *k.shape[3:], dtype=torch.float64)
        worst: dict[torch.dtype, float] = {}
        for dtype in BOUNDS:
            # the reference gets what was rounded to this dtype: what is judged is the operator
            exact = [t.to(dtype).double().requires_grad_() for t in (x, k)]
            out = unfolded(exact[0], exact[1], stride)
            wanted = [out, *torch.autograd.grad(out, exact, grad.to(dtype).double())]
            for place in (
                (torch.Tensor.contiguous, channels_last, gapped) if dtype == torch.float32 else (channels_last,)
            ):
                mine = [place(t.to(found.device, dtype)).requires_grad_() for t in (x, k)]
                out = involution2d(mine[0], mine[1], stride)
                got = [out, *torch.autograd.grad(out, mine, place(grad.to(found.device, dtype)))]
                error = max(far(one, other) for one, other in zip(got, wanted, strict=True))
                worst[dtype] = max(worst.get(dtype, 0.0), error)
        found.right(
            f"involution of {shape[:4]}, G = {groups}, K = {size}, stride {stride}",
            all(worst[dtype] < bound for dtype, bound in BOUNDS.items()),
            ", ".join(f"{str(dtype)[6:]} {error:.1e}" for dtype, error in worst.items()),
        )


def operators(found: Findings) -> None:
    """Group, depthwise and partial convolutions in float32, and the augmentations."""
    layers: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
        "P4ConvZ2": (P4ConvZ2(3, 8, 3, padding=1), (4, 3, 12, 12)),
        "P4ConvP4": (P4ConvP4(6, 8, 3, padding=1), (4, 6, 4, 12, 12)),
        "P4MConvZ2": (P4MConvZ2(3, 8, 3, padding=1), (4, 3, 12, 12)),
        "P4MConvP4": (P4MConvP4(6, 8, 3, padding=1), (4, 6, 8, 12, 12)),
        "GroupBatchNorm": (GroupBatchNorm(6), (4, 6, 4, 12, 12)),
        "DepthwiseConv2d": (DepthwiseConv2d(16, 5, padding=2), (4, 16, 12, 12)),
    }
    for name, (layer, shape) in layers.items():
        exact, there, x = copy.deepcopy(layer).double(), copy.deepcopy(layer).to(found.device), torch.randn(shape)
        errors = {}
        for mode in ("float32", "TF32"):
            with computing(mode, found.device):
                rx, dx = x.double().requires_grad_(), x.to(found.device).requires_grad_()
                wanted, got = exact(rx), there(dx)
                grad = torch.randn(wanted.shape, dtype=torch.float64)
                all_wanted = [wanted, *torch.autograd.grad(wanted, (rx, *exact.parameters()), grad)]
                all_got = [
                    got,
                    *torch.autograd.grad(got, (dx, *there.parameters()), grad.float().to(found.device)),
                ]
                errors[mode] = max(far(a, b) for a, b in zip(all_got, all_wanted, strict=True))
        found.right(name, errors["float32"] < 3e-5, ", ".join(f"{mode} {e:.1e}" for mode, e in errors.items()))
    partial = PartialConv2d(3, 8, 3, padding=1)
    x, mask = torch.randn(4, 3, 12, 12), (torch.rand(4, 1, 12, 12) > 0.3).float()
    wanted, wanted_mask = copy.deepcopy(partial).double()(x.double(), mask.double())
    with computing("float32", found.device):
        got, got_mask = partial.to(found.device)(x.to(found.device), mask.to(found.device))
    good = far(got, wanted) < 1e-5 and torch.equal(got_mask.cpu().double(), wanted_mask)
    found.right("PartialConv2d", good, f"float32 {far(got, wanted):.1e}")
    names: tuple[Augment, ...] = ("flip", "shift", "crop_flip", "quarter_turns", "rotate", "color")
    for augment in names:
        images = torch.randint(0, 256, (16, 3, 32, 32), dtype=torch.uint8)
        given = images if augment == "crop_flip" else images.float() / 255
        both = []
        for device in (torch.device("cpu"), found.device):
            torch.manual_seed(3)
            both.append(augmentation(augment)(given.to(device)).double().cpu())
        apart = float((both[0] - both[1]).abs().max())
        found.right(
            f"augment={augment}: the pixels that the CPU makes", apart < 2e-3, f"largest difference {apart:.1e}"
        )


def networks(found: Findings) -> None:
    """One step of every network: its loss and gradients against float64 on the CPU, and logits of turned images."""
    for name, one in cases(found.tiny).items():
        torch.manual_seed(0)
        net = one.make()
        for part in net.modules():
            if isinstance(part, nn.Dropout | nn.Dropout2d):
                part.p = 0.0
        images, labels = torch.rand(8, one.channels, one.size, one.size), torch.arange(8) % 10
        exact = copy.deepcopy(net).double()
        wanted = loss_of(exact, images.double(), labels)
        flat = torch.cat([g.flatten() for g in torch.autograd.grad(wanted, list(exact.parameters()))])
        there = copy.deepcopy(net).to(found.device)
        lay_channels_last(there)
        x = images.to(found.device).to(memory_format=torch.channels_last)
        losses, gradients = {}, {}
        for mode in MODES:
            fresh = copy.deepcopy(there)
            with computing(mode, found.device):
                loss = loss_of(fresh, x, labels.to(found.device))
            parts = torch.autograd.grad(loss, list(fresh.parameters()))
            losses[mode], gradients[mode] = far(loss, wanted), far(torch.cat([g.flatten() for g in parts]), flat)
        there.train()
        optimizer = torch.optim.AdamW(there.parameters(), fused=True)
        loss_of(there, x, labels.to(found.device)).backward()
        optimizer.step()
        finite = all(bool(p.isfinite().all()) for p in there.parameters())
        good = losses["float32"] < 1e-4 and gradients["float32"] < 1e-2 and gradients["bfloat16"] < 1 and finite
        said = ", ".join(f"{mode} {gradients[mode]:.1e}" for mode in MODES)
        found.right(f"{name}: loss {losses['float32']:.1e}, gradients", good, said)
        if name in ("EqCNN", "P4CNN", "ResNet-8 p4"):
            there.eval()
            turned = {}
            for mode in MODES:
                with torch.no_grad(), computing(mode, found.device):
                    upright = there(x)
                    turned[mode] = max(
                        float((there(x.rot90(turn, (2, 3))) - upright).abs().max()) for turn in (1, 2, 3)
                    )
            said = ", ".join(f"{mode} {turned[mode]:.1e}" for mode in MODES)
            found.right(f"{name}: logits of turned images", turned["float32"] < 1e-4, said)


def repeats(found: Findings) -> None:
    """The same steps twice from the same seed: are the weights the same to the last bit?"""
    for name, one in cases(found.tiny).items():
        for mode in ("float32", "bfloat16"):
            same = {}
            for deterministic in (False, True):
                torch.backends.cudnn.deterministic = deterministic
                ends = [_some_steps(found, one, mode) for _ in range(2)]
                same[deterministic] = torch.equal(*ends)
            found.row(
                "The same weights after 5 steps from one seed",
                network=name,
                precision=mode,
                **{"as it is": same[False], "cudnn.deterministic": same[True]},
            )
            found.right(f"{name} in {mode}: a step repeats to the last bit", same[True])
    torch.backends.cudnn.deterministic = False


def _some_steps(found: Findings, one: Case, mode: str) -> Tensor:

    torch.manual_seed(0)
    net = one.make().to(found.device).train()
    lay_channels_last(net)
    images = torch.rand(one.batch, one.channels, one.size, one.size).to(found.device)
    images = images.to(memory_format=torch.channels_last)
    labels = (torch.arange(one.batch) % 10).to(found.device)
    optimizer = torch.optim.AdamW(net.parameters(), fused=True)
    for _ in range(5):
        with computing(mode, found.device):
            loss = loss_of(net, images, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return torch.cat([p.detach().flatten() for p in net.parameters()])
