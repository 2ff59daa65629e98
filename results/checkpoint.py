"""``python -m results figures CHECKPOINT``: pictures of a trained network.

The one file of this room that opens a model; the others know records alone, and need no torch.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import inspect
import math
import pickle
import sys
import textwrap
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
import torch
import yaml
from lightning.pytorch import LightningModule
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure as Canvas
from PIL import Image
from torch import Tensor, nn

import datamodules
import lit_models
from datamodules import ImageDataModule
from datamodules.sources import DataUnavailable
from lit_models.operators import Involution2d, P4ConvP4, P4ConvZ2, P4MConvP4, P4MConvZ2, PartialConv2d
from results.figures import Figure, save, style

Floats = npt.NDArray[np.float32]

GROUP_CONVOLUTIONS = (P4ConvZ2, P4ConvP4, P4MConvZ2, P4MConvP4)
CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d, PartialConv2d, Involution2d, *GROUP_CONVOLUTIONS)
PASSED_OVER = (nn.Identity, nn.Dropout, nn.Dropout2d)  # they change nothing once a network is trained
MAPS, TILES = 60, 256  # at most so many in one figure: panels with a title, tiles without
COLUMNS, TILE_COLUMNS = 6, 16
GAP = "#A8C8E8"  # between tiles: neither of them is blue


class CheckpointError(ValueError):
    """The figures cannot be drawn; the message is one line and says what would work."""


@dataclass(frozen=True)
class Sample:
    """An image as people see it, ``(H, W)`` or ``(H, W, 3)`` in [0, 1], and as the network takes it."""

    name: str
    shown: Floats
    inputs: tuple[Tensor, ...]


@dataclass(frozen=True)
class Picture:
    """A figure that is drawn and not yet written."""

    name: str
    title: str
    caption: str
    canvas: Canvas


def main(args: Sequence[str] | None = None) -> int:
    """Draw the figures of one checkpoint.

    Args:
        args: command line after ``figures``, ``sys.argv[2:]`` by default.

    Returns:
        The exit code: 0, or 2 when something that was given cannot be used.
    """
    parser = argparse.ArgumentParser("python -m results figures", description=__doc__, allow_abbrev=False)
    parser.add_argument(
        "checkpoint", type=Path, help="runs/<sweep>/<trial>/checkpoints/best.ckpt, or any of Lightning's"
    )
    parser.add_argument("--out", type=Path, help="folder for the figures (default: figures/ beside the checkpoint)")
    parser.add_argument(
        "--image", type=Path, nargs="+", help="images to look at (default: the first of the test set that it knows)"
    )
    parser.add_argument(
        "--layer", help="whose outputs and kernels are drawn (default: the first; depthwise: the middle)"
    )
    parser.add_argument(
        "--model", help="class of the network, such as mine.Linear; its module will be imported and run"
    )
    parser.add_argument(
        "--data", help="class of the data, such as my_data.Stripes; its module will be imported and run"
    )
    options = parser.parse_args(sys.argv[2:] if args is None else args)
    try:
        model = load(options.checkpoint, options.model)
        data = find_data(options.checkpoint, options.data)
        samples = read_images(options.image, model, data) if options.image else [first_image(model, data)]
        pictures = draw(model, samples, options.layer)
        folder = options.out or options.checkpoint.parent / "figures"
        for figure in write(pictures, folder):
            print(f"{figure.caption}\n  wrote {figure.svg}\n  wrote {figure.png}")
    except CheckpointError as error:
        print(f"results figures: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"results figures: --out: {error.filename}: {error.strerror}", file=sys.stderr)
        return 2
    return 0


def load(path: Path, name: str | None = None) -> LightningModule:
    """Build the network of a checkpoint, ready to be looked at.

    Its class and arguments stand in the checkpoint itself (``hyper_parameters``). Weights are read without running
    code; a class that the checkpoint names is used only if it is one of ``lit_models``, for importing any other
    would run what a stranger wrote. Lightning's ``load_from_checkpoint`` is not used, because it can call functions
    that a checkpoint names.

    Args:
        path: of the checkpoint.
        name: class of the network, if the user says so: one of ``lit_models``, or ``module.Class``.

    Raises:
        CheckpointError: the file is missing or no checkpoint, or does not fit the class.
    """
    if not path.is_file():
        raise CheckpointError(f"CHECKPOINT: no file {path}")
    try:
        raw = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged input makes its readers raise nearly anything
        refused = zipfile.is_zipfile(path) and isinstance(error, pickle.UnpicklingError)
        reason = "not loaded: it holds more than weights and plain values" if refused else "not a checkpoint"
        raise CheckpointError(f"CHECKPOINT: {path}: {reason}") from None
    if not isinstance(raw, dict) or not isinstance(raw.get("state_dict"), dict):
        raise CheckpointError(f"CHECKPOINT: {path}: not a checkpoint of Lightning: it has no state_dict")
    arguments = raw.get("hyper_parameters")
    arguments = {str(key): value for key, value in arguments.items()} if isinstance(arguments, dict) else {}
    said = str(arguments.get("_class_path") or "")
    kind = _find("model", lit_models, name, said, LightningModule)
    try:
        model: LightningModule = kind(**{key: value for key, value in arguments.items() if not key.startswith("_")})
        model.load_state_dict(raw["state_dict"])
    except Exception as error:  # of a constructor that may be anybody's
        why = textwrap.shorten(str(error), 200, placeholder=" …") or type(error).__name__
        raise CheckpointError(f"CHECKPOINT: {path} does not fit {kind.__name__}: {why}") from None
    return model.eval()


def find_data(path: Path, name: str | None = None) -> ImageDataModule | None:
    """Build the data module that a checkpoint was trained on, as far as that is known; nothing is read yet.

    Args:
        path: of the checkpoint. Lightning's command line leaves a ``config.yaml`` in the folder of the trial, which
            names the data.
        name: class of the data, if the user says so: one of ``datamodules``, or ``module.Class``.

    Raises:
        CheckpointError: ``name`` cannot be imported or built.
    """
    config: Any = None
    for folder in (path.parent, path.parent.parent):
        try:
            config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
            break
        except (OSError, ValueError, yaml.YAMLError):
            continue
    part = config.get("data") if isinstance(config, dict) else None
    part = part if isinstance(part, dict) else {}
    said = str(part.get("class_path") or "")
    if name is None and not _is_ours(datamodules, said):
        if said:
            print(f"not read: the data {said}; if you trust that code, say --data={said}", file=sys.stderr)
        return None
    kind = _find("data", datamodules, name, said, ImageDataModule)
    found = part.get("init_args")
    known = found if isinstance(found, dict) else {}
    wanted = {key: known[key] for key, of in (("data_dir", str), ("normalize", bool)) if isinstance(known.get(key), of)}
    try:
        data: ImageDataModule = kind(**wanted)
    except (TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(f"--data: {kind.__name__}: {' '.join(str(error).split())}") from None
    return data


def first_image(model: LightningModule, data: ImageDataModule | None) -> Sample:
    """Return the first image of the test set if that is on this machine, else a drawn letter.

    Args:
        model: says what its images look like.
        data: the data set; it is not fetched.
    """
    inputs = example_inputs(model)
    arrays = None
    if data is not None and _is_here(data):
        with contextlib.suppress(DataUnavailable):  # the file is damaged, and no source has it either
            arrays = data.load()  # without the split, which no picture needs
    if data is not None and arrays is not None:
        image = torch.from_numpy(arrays.test_images[:1]).float() / 255
        if image.shape[1:] == inputs[0].shape[1:]:
            label = data.class_names[int(arrays.test_labels[0])]
            return _sample(f"first test image, {label}", image, inputs, data)
    return _sample("a drawn letter", letter(inputs[0]), inputs, data)


def read_images(paths: Sequence[Path], model: LightningModule, data: ImageDataModule | None) -> list[Sample]:
    """Read images, in the colours and at the size that the network takes.

    Raises:
        CheckpointError: a file is no image, or the network takes neither grey images nor colours.
    """
    inputs = example_inputs(model)
    channels, height, width = inputs[0].shape[1:]
    if channels not in (1, 3):
        raise CheckpointError(f"--image: the network takes images of {channels} channels; 1 and 3 can be read")
    samples = []
    for path in paths:
        try:
            with Image.open(path) as image:
                pixels = np.array(image.convert("L" if channels == 1 else "RGB").resize((width, height)), np.float32)
        except (OSError, ValueError, Image.DecompressionBombError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else "not an image"
            raise CheckpointError(f"--image: {path}: {reason}") from None
        tensor = torch.from_numpy(pixels).view(1, height, width, channels).permute(0, 3, 1, 2) / 255
        samples.append(_sample(path.name, tensor, inputs, data))
    return samples


def example_inputs(model: LightningModule) -> tuple[Tensor, ...]:
    """Return what the network's ``forward`` takes for one image.

    Raises:
        CheckpointError: nothing says what it takes.
    """
    found = getattr(model, "example_inputs", None)  # of our own tasks; the next is Lightning's name for it
    found = model.example_input_array if found is None else found
    inputs = tuple(found) if isinstance(found, tuple | list) else (found,)
    if not all(isinstance(part, Tensor) for part in inputs) or inputs[0].dim() != 4:
        raise CheckpointError(
            f"--model: {type(model).__name__} does not say what it takes; give it an example_input_array (1, C, H, W)"
        )
    return tuple(part[:1] for part in inputs)


def letter(like: Tensor) -> Tensor:
    """Draw an F, which no turn and no mirror maps onto itself, as an image ``(1, C, H, W)`` in [0, 1]."""
    _, channels, height, width = like.shape
    image = torch.zeros(1, channels, height, width)
    bar = max(1, height // 8)
    top, left = height // 6, width // 3
    image[..., top : height - top, left : left + bar] = 1
    image[..., top : top + bar, left : width - left + bar] = 1
    image[..., height // 2 - bar // 2 : height // 2 - bar // 2 + bar, left : width - left] = 1
    return image


def convolutions(model: nn.Module) -> dict[str, nn.Module]:
    """Return the convolutions of a network, involutions among them, by name; not what those are made of."""
    return {name: module for name, module in _layers(model).items() if isinstance(module, CONVOLUTIONS)}


@torch.no_grad()
def outputs(model: nn.Module, inputs: tuple[Tensor, ...]) -> dict[str, Floats]:
    """Return what each layer that gives feature maps makes of one image.

    Args:
        model: in evaluation mode.
        inputs: what its ``forward`` takes for one image.

    Returns:
        Arrays (V, C, H, W) by the name of the layer, in the order in which they ran. V is 1, or the number of
        orientations: the planes of a group convolution, or the turned copies that a network makes of its image.
    """
    found: dict[str, Floats] = {}

    def keep(name: str) -> Callable[..., None]:
        def hook(_: nn.Module, __: Any, output: Any) -> None:
            maps = output[0] if isinstance(output, tuple) else output  # a partial convolution returns its mask too
            if isinstance(maps, Tensor) and maps.dim() in (4, 5) and name not in found:
                planes = maps.transpose(1, 2).flatten(0, 1) if maps.dim() == 5 else maps
                found[name] = planes.float().numpy().copy()  # a layer after it may work in place

        return hook

    handles = [module.register_forward_hook(keep(name)) for name, module in _layers(model).items()]
    try:
        model(*inputs)
    finally:
        for handle in handles:
            handle.remove()
    return found


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


@dataclass(frozen=True)
class Move:
    """Which map a map equals after the input was turned: its index, its quarter turns, and the largest difference."""

    source: int
    turns: int
    difference: float


def moves(before: Floats, after: Floats) -> list[Move]:
    """Find for each orientation's maps after a turn those before it that come nearest, themselves turned or not.

    Args:
        before: (V, C, H, W), of the image.
        after: the same of the turned image.
    """
    result = []
    for maps in after:
        tried = [
            Move(source, turns, float(np.abs(np.rot90(other, turns, (1, 2)) - maps).max()))
            for turns in range(4)
            for source, other in enumerate(before)
            if np.rot90(other, turns, (1, 2)).shape == maps.shape
        ]
        result.append(min(tried, key=lambda move: move.difference))
    return result


def first_filters(model: nn.Module) -> tuple[str, Floats] | None:
    """Return the filters of the first layer, if it is a convolution with fixed ones.

    Returns:
        Its name and an array (N, K, K, C): a filter for each output channel, and for a group convolution one for each
        of its orientations after the other. C is the number of channels it looks at.
    """
    for name, module in convolutions(model).items():
        if isinstance(module, PartialConv2d):
            module = module.conv
        if isinstance(module, nn.Conv2d):
            weight = module.weight
        elif isinstance(module, P4ConvZ2 | P4MConvZ2):
            weight = module.filters().flatten(0, 1).squeeze(2)
        else:
            return None
        return name, weight.detach().float().permute(0, 2, 3, 1).numpy()
    return None


def depthwise(model: nn.Module) -> dict[str, Floats]:
    """Return the kernels (N, K, K) of each depthwise convolution by name."""
    return {
        name: module.weight.detach().float().flatten(0, 1).numpy()
        for name, module in convolutions(model).items()
        if isinstance(module, nn.Conv2d) and module.groups == module.in_channels > 1
    }


def mosaic(tiles: Floats, columns: int) -> Floats:
    """Lay tiles (N, H, W) or (N, H, W, 3) side by side in rows, a gap of NaN, a pixel or more wide, around each."""
    count, height, width, *colors = tiles.shape
    gap = max(1, height // 12)
    rows = math.ceil(count / columns)
    columns = min(columns, count)
    whole = np.full((rows * (height + gap) + gap, columns * (width + gap) + gap, *colors), np.nan, np.float32)
    for index, tile in enumerate(tiles):
        top, left = (
            gap + place * (size + gap) for place, size in zip(divmod(index, columns), (height, width), strict=True)
        )
        whole[top : top + height, left : left + width] = tile
    return whole


def draw(model: LightningModule, samples: Sequence[Sample], layer: str | None = None) -> list[Picture]:
    """Draw every figure for which the network has the layers; nothing is written.

    Args:
        model: in evaluation mode.
        samples: images; what depends on the image is drawn for each.
        layer: whose outputs, and if it is depthwise whose kernels, are drawn.

    Raises:
        CheckpointError: the network has no convolution, none named ``layer``, or cannot take the image.
    """
    names = list(convolutions(model))
    if not names:
        raise CheckpointError(f"CHECKPOINT: {type(model).__name__} has no convolution and no involution to draw")
    if layer is not None and layer not in names:
        raise CheckpointError(f"--layer: no convolution is named {layer!r}; there are {', '.join(names)}")
    pictures = _weight_pictures(model, layer)
    for index, sample in enumerate(samples, start=1):
        suffix = f"-{index}" if len(samples) > 1 else ""
        try:
            pictures += _image_pictures(model, sample, layer or names[0], suffix)
        except (RuntimeError, TypeError, ValueError) as error:
            why = textwrap.shorten(str(error), 200, placeholder=" …")
            raise CheckpointError(f"CHECKPOINT: {type(model).__name__} cannot take the image: {why}") from None
    return pictures


def write(pictures: Sequence[Picture], folder: Path) -> list[Figure]:
    """Write figures as SVG and PNG.

    Raises:
        OSError: the folder cannot be written.
    """
    with style():
        return [save(picture.canvas, folder, picture.name, picture.title, picture.caption) for picture in pictures]


def _weight_pictures(model: LightningModule, layer: str | None) -> list[Picture]:
    """Draw what a network looks for, whatever it is shown."""
    pictures = []
    kind = type(model).__name__
    if first := first_filters(model):
        name, filters = first
        module: Any = model.get_submodule(name)
        patches = isinstance(module, nn.Conv2d) and module.stride == module.kernel_size != (1, 1)
        what = "Patch embedding" if patches else "Filters of the first layer"
        colors = filters.shape[3] == 3
        tiles = filters if colors else filters.transpose(0, 3, 1, 2).reshape(-1, *filters.shape[1:3])
        scale = "grey is zero, and colours are those of the image" if colors else "grey is zero, white positive"
        planes = module.order if isinstance(module, GROUP_CONVOLUTIONS) else 1
        scale += f"; each in its {planes} orientations" if planes > 1 else ""
        pictures.append(_tiles("first_layer", f"{what} of {kind}, {name}", _around_grey(tiles), scale, planes))
    kernels = depthwise(model)
    if kernels:
        chosen = layer if layer in kernels else list(kernels)[len(kernels) // 2]
        title = f"Depthwise kernels of {kind}, {chosen}"
        pictures.append(_tiles("depthwise", title, _around_grey(kernels[chosen]), "grey is zero, white positive"))
    return pictures


def _image_pictures(model: LightningModule, sample: Sample, layer: str, suffix: str) -> list[Picture]:
    """Draw what a network makes of an image."""
    kind = type(model).__name__
    found = outputs(model, sample.inputs)
    types = {name: type(module).__name__ for name, module in model.named_modules()}
    pictures = [_layer_outputs(f"layers{suffix}", f"Outputs of each layer of {kind}", sample, found, types)]
    if layer in found:  # a network need not use all that it has
        tiles = np.stack([_stretched(channel) for channel in found[layer][0]])
        title = f"Outputs of each filter of {kind}, {layer}"
        pictures.append(
            _tiles(
                f"filters{suffix}",
                title,
                tiles,
                f"input: {sample.name}; each from its lowest value, black, to its highest",
            )
        )
        if sample.shown.shape[0] == sample.shown.shape[1]:
            image, *others = sample.inputs
            turned = (image.rot90(1, (2, 3)), *(part.rot90(1, (2, 3)) if part.dim() == 4 else part for part in others))
            after = outputs(model, turned)[layer]
            pictures.append(_turned(f"turned{suffix}", f"{kind}, {layer}", sample, found[layer], after))
    if maps := kernel_maps(model, sample.inputs):
        pictures.append(_heat_maps(f"involution{suffix}", f"Involution kernels of {kind}", sample, maps))
    return pictures


def _layer_outputs(
    name: str, title: str, sample: Sample, found: Mapping[str, Floats], types: Mapping[str, str]
) -> Picture:
    """Draw the mean over the channels of each layer's output, of the first orientation."""
    maps_only = {layer: maps for layer, maps in found.items() if maps.shape[2] * maps.shape[3] > 1}
    shown = dict(list(maps_only.items())[:MAPS])
    left_out = f", the first {len(shown)} of {len(maps_only)}" if len(shown) < len(maps_only) else ""
    caption = f"{title} for one image ({sample.name}): the mean over the channels, in the order they run{left_out}."
    with _plain_style():
        canvas, panels = _grid(len(shown) + 1, title)
        _show_image(panels[0], sample)
        for axes, (layer, maps) in zip(panels[1:], shown.items(), strict=True):
            axes.imshow(maps[0].mean(0), cmap="viridis")
            size = f"{maps.shape[1]}×{maps.shape[2]}×{maps.shape[3]}"
            axes.set_title(f"{textwrap.fill(layer, 24)}\n{types[layer]}\n{size}", fontsize=6.5)
    return Picture(name, title, caption, canvas)


def _turned(name: str, of: str, sample: Sample, before: Floats, after: Floats) -> Picture:
    """Draw the maps of every orientation before and after the image is turned by 90 degrees."""
    views = len(before)
    # the filter whose maps differ most: between orientations, or where there is one, between pixels
    channel = int((before.std(0).mean((1, 2)) if views > 1 else before.std((0, 2, 3))).argmax())
    found = moves(before, after)
    largest = max(move.difference for move in found)
    unit = max(float(np.abs(before).max()), 1e-12)
    same = largest <= 1e-4 * unit
    title = f"Feature maps before and after turning the image: {of}"
    caption = f"{title}, filter {channel + 1} of {before.shape[1]}. "
    if same:
        steps = ", ".join(f"map {i} is the former map {move.source + 1}" for i, move in enumerate(found, start=1))
        turning = ", each turned along with the image" if any(move.turns for move in found) else ""
        caption += f"Turning the image by 90° only moves the maps: {steps}{turning}."
    else:
        caption += (
            f"Turning the image by 90° changes the maps: by up to {100 * largest / unit:.0f} % of the largest value."
        )
    with _plain_style():
        canvas = Canvas(figsize=(max(1.35 * (views + 1), 4.2), 3.4 if views > 1 else 3.9), layout="constrained")
        canvas.suptitle(textwrap.fill(title, 24 * max(views, 2)), fontsize=10)
        grid = canvas.subplots(2, views + 1, squeeze=False)
        low, high = float(before[:, channel].min()), float(before[:, channel].max())
        for row, (maps, shown) in enumerate(((before, sample.shown), (after, np.rot90(sample.shown)))):
            _show_image(grid[row, 0], Sample("turned by 90°" if row else "image", shown, ()))
            for index in range(views):
                axes = grid[row, index + 1]
                axes.imshow(maps[index, channel], cmap="viridis", vmin=low, vmax=high)
                move = found[index]
                now = f"= map {move.source + 1}{', turned' if move.turns else ''}" if same else "differs"
                axes.set_title(now if row else f"map {index + 1}", fontsize=8)
                axes.set_axis_off()
    return Picture(name, title, caption, canvas)


def _heat_maps(name: str, title: str, sample: Sample, maps: Mapping[str, Floats]) -> Picture:
    """Draw the sum of each pixel's kernel beside the image, a panel per layer and group."""
    panels_of = [
        (textwrap.fill(layer, 24) + (f"\ngroup {index} of {len(groups)}" if len(groups) > 1 else ""), group)
        for layer, groups in maps.items()
        for index, group in enumerate(groups, start=1)
    ]
    shown = panels_of[:MAPS]
    left_out = f", the first {len(shown)} of {len(panels_of)}" if len(shown) < len(panels_of) else ""
    caption = f"{title} beside the image ({sample.name}): the sum over K×K of each pixel's kernel{left_out}."
    with _plain_style():
        canvas, panels = _grid(len(shown) + 1, title, columns=4, width=1.9, height=1.8)
        _show_image(panels[0], sample)
        for axes, (layer, group) in zip(panels[1:], shown, strict=True):
            image = axes.imshow(group, cmap="viridis")
            axes.set_title(layer, fontsize=7.5)
            canvas.colorbar(image, ax=axes, shrink=0.6).ax.tick_params(labelsize=6)
    return Picture(name, title, caption, canvas)


def _tiles(name: str, title: str, tiles: Floats, note: str, together: int = 1) -> Picture:
    """Draw tiles with values in [0, 1] side by side, so many of them always in one row."""
    shown = tiles[:TILES]
    of_all = f"the first {len(shown)} of {len(tiles)}" if len(shown) < len(tiles) else f"{len(shown)}"
    columns = min(TILE_COLUMNS, together * math.ceil(len(shown) ** 0.5 / together))
    image = mosaic(shown, columns)
    side = 6.0 if columns > 4 else 1.2 * columns + 1
    with _plain_style():
        height = side * image.shape[0] / image.shape[1]
        canvas = Canvas(figsize=(max(side, 4.0), height + 0.5), layout="constrained")
        axes = canvas.subplots()
        axes.set_title(textwrap.fill(title, 60), fontsize=10)
        colors = image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)
        axes.imshow(np.where(np.isnan(colors), to_rgb(GAP), colors))
        axes.set_axis_off()
    return Picture(name, title, f"{title}: {of_all}, row by row; {note}.", canvas)


def _grid(
    count: int, title: str, columns: int = COLUMNS, width: float = 1.4, height: float = 1.8
) -> tuple[Canvas, list[Axes]]:
    """Return a figure with ``count`` panels without axes."""
    columns = min(columns, count)
    rows = math.ceil(count / columns)
    canvas = Canvas(figsize=(max(width * columns, 4.0), height * rows + 0.3), layout="constrained")
    canvas.suptitle(title, fontsize=10)
    grid = canvas.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    return canvas, list(grid.flat[:count])


def _show_image(axes: Axes, sample: Sample) -> None:
    axes.imshow(sample.shown, cmap="gray", vmin=0, vmax=1)
    axes.set_title(textwrap.fill(sample.name, 20), fontsize=8)
    axes.set_axis_off()


def _plain_style() -> Any:
    return matplotlib.style.context({"axes.grid": False, "image.interpolation": "nearest"})


def _around_grey(weights: Floats) -> Floats:
    """Map weights to [0, 1] with zero at one half, all by the same factor."""
    return 0.5 + 0.5 * weights / max(float(np.abs(weights).max()), 1e-12)


def _stretched(channel: Floats) -> Floats:
    """Map one channel to [0, 1]."""
    low, high = float(channel.min()), float(channel.max())
    return (channel - low) / max(high - low, 1e-12)


def _layers(model: nn.Module) -> dict[str, nn.Module]:
    """Return convolutions, and other modules that have no parts, by name; not what convolutions are made of."""
    found: dict[str, nn.Module] = {}
    whole: list[str] = []
    for name, module in model.named_modules():
        if any(name.startswith(f"{outer}.") for outer in whole) or isinstance(module, PASSED_OVER):
            continue
        if isinstance(module, CONVOLUTIONS):
            whole.append(name)
            found[name] = module
        elif name and not any(True for _ in module.children()):
            found[name] = module
    return found


def _sample(name: str, image: Tensor, inputs: tuple[Tensor, ...], data: ImageDataModule | None) -> Sample:
    """Prepare an image ``(1, C, H, W)`` in [0, 1] as the data module does before a network sees it."""
    shown = image[0].permute(1, 2, 0).numpy()
    shown = shown if shown.shape[2] == 3 else shown.mean(2)
    fits = data is not None and data.in_channels == image.shape[1]
    seen = data.normalized(image) if data is not None and fits else image
    return Sample(name, shown, (seen, *inputs[1:]))


def _is_here(data: ImageDataModule) -> bool:
    """Say whether reading the data set would fetch nothing."""
    if type(data).load is not ImageDataModule.load:
        return True  # a user's own, named by that user
    return (Path(data.data_dir) / f"{data.source}.npz").is_file()


def _is_ours(home: ModuleType, path: str) -> bool:
    """Say whether a class path, such as ``lit_models.EqCNN``, names a class that ``home`` exports."""
    return path.partition(".")[0] == home.__name__ and path.rpartition(".")[2] in home.__all__


def _find(option: str, home: ModuleType, name: str | None, said: str, base: type) -> Any:
    """Return a class: by the user's word any, by a file's only one of ours.

    Args:
        option: of the command line, ``model`` or ``data``.
        home: our own classes.
        name: what the user gave.
        said: what a file says.
        base: what it must be a subclass of.

    Raises:
        CheckpointError: there is none.
    """
    ours = [key for key in home.__all__ if issubclass(getattr(home, key), base)]
    if name is None:
        name = said.rpartition(".")[2]
        if not _is_ours(home, said):
            what = (
                f"names {said}, which is none of ours; if you trust that code," if said else "does not name its class;"
            )
            raise CheckpointError(f"CHECKPOINT: it {what} say --{option}={said or 'module.Class'}")
    if "." not in name:
        if name not in ours:
            raise CheckpointError(f"--{option}: no {option} is named {name!r}; there are {', '.join(ours)}")
        return getattr(home, name)
    module, _, attribute = name.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise CheckpointError(f"--{option}: {name}: {' '.join(str(error).split())}") from None
    if not (inspect.isclass(found) and issubclass(found, base)):
        raise CheckpointError(f"--{option}: {name} is no {base.__name__}")
    return found
