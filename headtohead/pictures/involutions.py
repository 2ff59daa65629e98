"""Heat maps of involutions, whose kernels differ from pixel to pixel."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence

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


def heat_maps(model: nn.Module, samples: Sequence[Sample], layer: str | None = None) -> list[Picture]:
    """Draw the sum of each pixel's kernel beside the image, a row per image, if there are involutions.

    Args:
        model: in evaluation mode.
        samples: the images, of one size.
        layer: whose kernels are drawn, if it is an involution; by default those of all.
    """
    rows = [kernel_maps(model, sample.inputs) for sample in samples]
    if layer in rows[0]:
        rows = [{layer: maps[layer]} for maps in rows]
    panels = [(name, group) for name, groups in rows[0].items() for group in range(len(groups))]
    if not panels:
        return []
    shown = panels[: MAPS // len(samples)]
    title = f"Involution kernels of {type(model).__name__}"
    images = samples[0].name if len(samples) == 1 else f"{len(samples)} images"
    left_out = f", the first {len(shown)} of {len(panels)} groups" if len(shown) < len(panels) else ""
    caption = f"{title} beside the image ({images}): the sum over K×K of each pixel's kernel{left_out}."
    columns = 4 if len(samples) == 1 else 1 + len(shown)
    with plain_style():
        width, height = (1.9, 1.8) if len(samples) == 1 else (1.65, 1.35)
        canvas, grid = panel_grid(len(samples) * (1 + len(shown)), title, columns, width, height)
        places = iter(grid)
        for sample, maps in zip(samples, rows, strict=True):
            show_image(next(places), sample)
            for name, group in shown:
                axes = next(places)
                image = axes.imshow(maps[name][group], cmap="viridis")
                if sample is samples[0]:
                    of = f"\ngroup {group + 1} of {len(maps[name])}" if len(maps[name]) > 1 else ""
                    axes.set_title(textwrap.fill(name, 24) + of, fontsize=7.5)
                canvas.colorbar(image, ax=axes, shrink=0.6).ax.tick_params(labelsize=6)
    return [Picture("involution", title, caption, canvas)]
