"""What a network is made of: its layers in the order they run, with output shape, size, MACs and receptive field."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from lit_models import operators

OPERATORS = tuple(kind for name in operators.__all__ if isinstance(kind := getattr(operators, name), type))
CHUNK = 32  # images at a time, with which receptive fields are found


@dataclass(frozen=True)
class Layer:
    """A layer of a network.

    Args:
        name: of the module, such as ``features.0``.
        kind: its class.
        shape: of its output for one image, as of its first call: ``(C, H, W)``, ``(C, |G|, H, W)`` or ``(F,)``.
        params: its trainable parameters.
        macs: multiply-accumulates of all its calls for one image, as :func:`lit_models.sizes.size` counts them.
        bytes: of its parameters and buffers.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    params: int
    macs: int
    bytes: int


def layers(model: nn.Module, *example: Tensor) -> list[Layer]:
    """Return the layers of a network in the order they run.

    A layer is a module without parts, or one of ``lit_models.operators`` with all of its own. What is computed outside
    of modules, such as a mean over space or a shortcut, is in the shapes of the layers after it.

    Args:
        model: any network; it is left as it was.
        *example: what it takes for one image, ``(1, C, H, W)``.
    """
    ghost = copy.deepcopy(model).to("meta").eval()
    ghost._compiled_call_impl = None
    names = _names(ghost)
    shapes: dict[str, tuple[int, ...]] = {}
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        _watched(ghost, names, lambda name, output: shapes.setdefault(name, tuple(output.shape[1:])))(
            *(part.to("meta") for part in example)
        )
    root = type(ghost).__name__
    counts: dict[str, int] = {name: sum(of.values()) for name, of in counter.get_flop_counts().items()}
    modules = dict(ghost.named_modules())
    every = list(ghost.named_modules(remove_duplicate=False))  # a layer in two places is counted in one of them

    def macs(module: nn.Module) -> int:
        called = {f"{root}.{name}" if name else root for name, other in every if other is module}
        return sum(counts.get(name, 0) for name in called) // 2

    return [
        Layer(
            name,
            type(modules[name]).__name__,
            shape,
            sum(p.numel() for p in modules[name].parameters() if p.requires_grad),
            macs(modules[name]),
            sum(t.numel() * t.element_size() for t in (*modules[name].parameters(), *modules[name].buffers())),
        )
        for name, shape in shapes.items()
    ]


def receptive_fields(model: nn.Module, *example: Tensor) -> dict[str, tuple[int, int]]:
    """Find by trial on how many rows and columns of the image the units of each layer depend, by the layer's name.

    A row of the image is made NaN, and whatever became NaN depends on it: through strides, dilation, pooling, shortcuts
    and what is computed outside of modules. In float64, where no convolution mixes the pixels of a tile. What the
    image's edge cuts off is not counted: a unit that could see more than the image sees the whole image.

    Args:
        model: any network; it is left as it was.
        *example: what it takes for one image, ``(1, C, H, W)``.

    Returns:
        Of the unit that sees most: rows and columns from the first that matters to the last. A layer that depends on
        no pixel is not there.
    """
    twin = copy.deepcopy(model).to("cpu", torch.float64).eval()
    twin._compiled_call_impl = None
    image, *others = (part.to("cpu", torch.float64) for part in example)
    names = _names(twin)
    found: dict[str, list[int]] = {}
    for dim in (2, 3):
        size = image.shape[dim]
        pictures = torch.full((size, *image.shape[1:]), 0.5, dtype=torch.float64)
        for place, picture in enumerate(pictures):
            picture.select(dim - 1, place).fill_(torch.nan)
        for name, touched in _touched(twin, names, pictures, others).items():
            first, last = touched.int().argmax(0), size - 1 - touched.flip(0).int().argmax(0)
            extent = int(torch.where(touched.any(0), last - first + 1, 0).max())
            found.setdefault(name, []).append(extent)
    return {name: (rows, columns) for name, (rows, columns) in found.items() if rows and columns}


def _touched(model: nn.Module, names: dict[nn.Module, str], images: Tensor, others: list[Tensor]) -> dict[str, Tensor]:
    """Return for each layer and image which units are NaN, (images, units), any of the channels of a pixel."""
    batches: set[int] = set()
    _run(model, names, images[:2], others, lambda _, output: batches.add(len(output)))
    alone = bool(batches - {2})  # of a network that makes several images of one, each goes alone
    found: dict[str, list[Tensor]] = {}
    for chunk in images.split(1 if alone else CHUNK):
        seen: dict[str, Tensor] = {}

        def keep(name: str, output: Tensor, seen: dict[str, Tensor] = seen, count: int = len(chunk)) -> None:
            bad = output[:count].isnan()  # of a network that turns its image, the first turn
            seen.setdefault(name, (bad.flatten(1, -3).any(1) if bad.dim() > 3 else bad).flatten(1))

        _run(model, names, chunk, others, keep)
        for name, bad in seen.items():
            found.setdefault(name, []).append(bad)
    return {name: torch.cat(parts) for name, parts in found.items()}


def _run(
    model: nn.Module,
    names: dict[nn.Module, str],
    images: Tensor,
    others: list[Tensor],
    look: Callable[[str, Tensor], Any],
) -> None:
    with torch.no_grad():
        rest = (part.expand(len(images), *part.shape[1:]) for part in others)
        _watched(model, names, look)(images, *rest)


def _names(model: nn.Module) -> dict[nn.Module, str]:
    """Return the layers of a network with their names."""
    found: dict[nn.Module, str] = {}
    whole: list[str] = []
    for name, module in model.named_modules():
        if any(not outer or name.startswith(f"{outer}.") for outer in whole) or isinstance(module, nn.Identity):
            continue
        if isinstance(module, OPERATORS):
            whole.append(name)
        if isinstance(module, OPERATORS) or not any(True for _ in module.children()):
            found[module] = name
    return found


def _watched(model: nn.Module, names: dict[nn.Module, str], look: Callable[[str, Tensor], Any]) -> Callable[..., Any]:
    """Return the network as a function that shows the output of each layer to ``look``."""

    def hook(module: nn.Module, _: Any, output: Any) -> None:
        output = output[0] if isinstance(output, tuple) else output  # a partial convolution returns its mask too
        if isinstance(output, Tensor) and output.dim() > 0:
            look(names[module], output)

    def run(*inputs: Tensor) -> Any:
        handles = [module.register_forward_hook(hook) for module in names]
        try:
            return model(*inputs)
        finally:
            for handle in handles:
                handle.remove()

    return run
