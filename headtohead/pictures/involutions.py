"""Heat maps of involutions, whose kernels differ from pixel to pixel."""

from __future__ import annotations

import textwrap
from collections.abc import Callable

import torch
from torch import Tensor, nn

from headtohead.pictures.images import Sample
from headtohead.pictures.layers import Floats
from headtohead.pictures.panels import MAPS, panel_grid, plain_style, show_image
from headtohead.report.figures.style import Picture
from lit_models.operators import Involution2d


@torch.no_grad()
def kernel_maps(model: nn.Module, inputs: tuple[Tensor, ...]) -> dict[str, Floats]:
    """Return for each involution the sum of each pixel's K x K kernel, (G, H, W) with G groups, by name."""
    found: dict[str, Floats] = {}

    def keep(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: tuple[Tensor, ...]) -> None:
            assert isinstance(module, Involution2d)
            found[name] = module.kernel(args[0])[0].sum(1).float().numpy()

        return hook

    involutions = {name: module for name, module in model.named_modules() if isinstance(module, Involution2d)}
    handles = [module.register_forward_pre_hook(keep(name)) for name, module in involutions.items()]
    try:
        if involutions:
            model(*inputs)
    finally:
        for handle in handles:
            handle.remove()
    return found


def heat_maps(model: nn.Module, sample: Sample, suffix: str) -> list[Picture]:
    """Draw the sum of each pixel's kernel beside the image, a panel per layer and group, if there are involutions."""
    maps = kernel_maps(model, sample.inputs)
    if not maps:
        return []
    title = f"Involution kernels of {type(model).__name__}"
    panels_of = [
        (textwrap.fill(layer, 24) + (f"\ngroup {index} of {len(groups)}" if len(groups) > 1 else ""), group)
        for layer, groups in maps.items()
        for index, group in enumerate(groups, start=1)
    ]
    shown = panels_of[:MAPS]
    left_out = f", the first {len(shown)} of {len(panels_of)}" if len(shown) < len(panels_of) else ""
    caption = f"{title} beside the image ({sample.name}): the sum over K×K of each pixel's kernel{left_out}."
    with plain_style():
        canvas, panels = panel_grid(len(shown) + 1, title, columns=4, width=1.9, height=1.8)
        show_image(panels[0], sample)
        for axes, (layer, group) in zip(panels[1:], shown, strict=True):
            image = axes.imshow(group, cmap="viridis")
            axes.set_title(layer, fontsize=7.5)
            canvas.colorbar(image, ax=axes, shrink=0.6).ax.tick_params(labelsize=6)
    return [Picture(f"involution{suffix}", title, caption, canvas)]
