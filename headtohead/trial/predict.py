"""Classifies images, or the whole test set, by a trained network: ``train.py predict --ckpt_path=…``.

python train.py predict --ckpt_path=runs/…/checkpoints/best.ckpt --image=a.png --image=folder
python train.py predict --ckpt_path=runs/…/checkpoints/best.ckpt --out=predictions.csv

python train.py predict --weights=vgg16-397923af.pth --model=VGG --image=kitten.jpg

An image is read in grey or in colours, as the data are. It is resized to their size, whatever its proportions
(bilinear, with antialiasing), and normalised as they were. Its line has the five likeliest classes with their
probabilities. Without images the classes and probabilities of the test set are written as CSV.

``--weights`` are those that torchvision publishes for a network trained on ImageNet. Images are prepared as torchvision
prepares them (the shorter side to 256 pixels, the middle 224, ImageNet's mean and deviation), and the classes are
ImageNet's thousand.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import IO, Any

import torch
import yaml
from lightning.fabric.utilities.exceptions import MisconfigurationException
from PIL import Image, ImageOps
from torch import Tensor, nn

from datamodules import ImageDataModule
from datamodules.formats import read_pixels
from datamodules.sources import DataUnavailable
from headtohead.cli.arguments import OneLineParser
from headtohead.cli.errors import UsageError, one_line
from headtohead.trial.networks import named
from headtohead.trial.opening import CheckpointError, add_trusted_classes, find_data, load
from headtohead.trial.weights import fill, find_weights, published
from lit_models.facts import takes_mask

ENDINGS = (".png", ".jpg", ".jpeg")
BATCH, TOP = 128, 5


def main(args: Sequence[str]) -> int:
    """Predict.

    Args:
        args: what follows ``predict`` on the command line.

    Returns:
        The exit code: 0; 2 when something that was given cannot be used; 1 when the data cannot be had.
    """
    parser = OneLineParser(
        "train.py",
        usage="train.py predict --ckpt_path=FILE [--image=FILE] [options]",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--ckpt_path", type=Path, help="such as runs/…/checkpoints/best.ckpt")
    source.add_argument("--weights", help="a file of torchvision's; --model names the network, --model.… its arguments")
    parser.add_argument(
        "--image", type=Path, action="append", default=[], help="a PNG or JPEG, or a folder of them; can be repeated"
    )
    parser.add_argument("--out", type=Path, help="file for the predictions of the test set (default: standard output)")
    parser.add_argument("--data_dir", help="where the data set is kept, if not where the training found it")
    add_trusted_classes(parser)
    of_a_trial = [arg for arg in args if arg.startswith(("--model.", "--data.", "--task."))]
    options = parser.parse_args([arg for arg in args if arg not in of_a_trial])
    of_the_network = [arg for arg in of_a_trial if options.weights is not None and arg.startswith("--model.")]
    try:
        for arg in of_a_trial:
            if arg not in of_the_network:
                raise CheckpointError(f"{arg.partition('=')[0]}: predict takes it from the checkpoint: leave it out")
        if options.weights is not None:
            return _by_imagenet(options, of_the_network)
        if options.image and options.out is not None:
            raise CheckpointError("--out: is for the predictions of the test set: leave --image out")
        paths = [path for given in options.image for path in _files(given)]
        network, inputs = load(options.ckpt_path, options.model)
        if takes_mask(network):
            raise CheckpointError(f"--ckpt_path: {type(network).__name__} fills holes: a classifier is needed")
        data = find_data(options.ckpt_path, options.data)
        if data is None:
            raise CheckpointError("--data: must name the class of the data, which say how images are normalised")
        if (data.in_channels, data.image_size) != (inputs[0].shape[1], inputs[0].shape[2]):
            raise CheckpointError(f"--data: {type(data).__name__} has other images than the network was trained on")
        data.data_dir = options.data_dir or data.data_dir
        if options.image:
            for path in paths:
                found = probabilities(network, read_image(path, data), data)[0]
                print(f"{path}: {_in_words(found, data.class_names)}")
        else:
            _write(options.out, network, data)
    except (CheckpointError, UsageError) as error:
        print(f"train.py: {str(error).replace('CHECKPOINT:', '--ckpt_path:')}", file=sys.stderr)
        return 2
    except DataUnavailable as error:
        print(f"train.py: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        of_image = error.filename is not None and str(error.filename) != str(options.out)
        said = f"{error.filename}: {error.strerror}" if error.filename else error.strerror  # none if the disk is full
        print(f"train.py: {'--image' if of_image else '--out'}: {said}", file=sys.stderr)
        return 2
    return 0


@torch.no_grad()
def _by_imagenet(options: argparse.Namespace, of_the_network: Sequence[str]) -> int:
    """Classify images by weights that torchvision publishes.

    Raises:
        CheckpointError: something is missing, or changes nothing.
        UsageError: the weights cannot be used.
    """
    for name in ("data", "data_dir", "out"):
        if getattr(options, name) is not None:
            raise CheckpointError(f"--{name}: is for a checkpoint: leave it out")
    if options.model is None or not options.image:
        raise CheckpointError(f"--{'image' if options.model else 'model'}: is needed with --weights")
    class_path = options.model if "." in options.model else f"lit_models.{options.model}"
    arguments = dict(_argument(arg) for arg in of_the_network)
    weights = published(class_path, arguments)
    if weights is None:
        as_given = " ".join([options.model, *of_the_network])
        raise CheckpointError(f"--model: torchvision has no weights of {as_given}")
    try:
        network: nn.Module = named(class_path)(**arguments).eval()
    except Exception as error:  # of anybody's constructor
        raise CheckpointError(f"--model: {options.model}: {one_line(error)}") from None
    if said := fill(network, find_weights(options.weights, class_path, arguments), options.model):
        raise CheckpointError(f"--weights: {said}")
    prepare = weights.transforms()
    for path in (path for given in options.image for path in _files(given)):
        try:
            with Image.open(path) as image:
                pixels = prepare(ImageOps.exif_transpose(image).convert("RGB"))
        except (OSError, Image.DecompressionBombError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else "not an image"
            raise CheckpointError(f"--image: {path}: {reason}") from None
        print(f"{path}: {_in_words(network(pixels.unsqueeze(0)).softmax(1)[0], weights.meta['categories'])}")
    return 0


def _argument(given: str) -> tuple[str, Any]:
    """Return name and value of an argument of the network, ``--model.NAME=VALUE``.

    Raises:
        CheckpointError: the value is no YAML.
    """
    name, _, text = given.partition("=")
    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):  # the second of what looks like a date and is none
        raise CheckpointError(f"{name}: must be a value in YAML, such as A or 10: got {text!r}") from None
    return name.removeprefix("--model."), value


def read_image(path: Path, data: ImageDataModule) -> Tensor:
    """Return a file as bytes ``(1, C, S, S)``, in the colours and at the size of the data.

    Raises:
        CheckpointError: it is no image, or the data are neither grey nor in colours.
    """
    if data.in_channels not in (1, 3):
        raise CheckpointError(f"--image: the data have {data.in_channels} channels; files have 1 or 3")
    try:
        pixels = read_pixels(path, data.in_channels, data.image_size)
    except ValueError as error:
        raise CheckpointError(f"--image: {path}: {error}") from None
    return torch.from_numpy(pixels).unsqueeze(0)


@torch.no_grad()
def probabilities(network: nn.Module, images: Tensor, data: ImageDataModule) -> Tensor:
    """Return the probability of each class ``(B, classes)`` for uint8 images ``(B, C, S, S)``."""
    logits: Tensor = network(data.normalized(images.float(), white=255))
    return logits.softmax(1)


def _files(given: Path) -> list[Path]:
    """Return a file, or the images of a folder by their names."""
    if not given.is_dir():
        return [given]
    found = sorted(path for path in given.iterdir() if path.suffix.lower() in ENDINGS)
    if not found:
        raise CheckpointError(f"--image: {given} has no file that ends in {', '.join(ENDINGS)}")
    return found


def _in_words(shares: Tensor, names: Sequence[str]) -> str:
    likeliest = shares.topk(min(TOP, len(shares)))
    return ", ".join(
        f"{names[index]} {share:.4f}"
        for share, index in zip(likeliest.values.tolist(), likeliest.indices.tolist(), strict=True)
    )


def _write(path: Path | None, network: nn.Module, data: ImageDataModule) -> None:
    """Write a row for each image of the test set: its place, its class, the likeliest class, all probabilities.

    Args:
        path: of the file, which is not touched before the data are there; None is standard output.
        network: that predicts.
        data: whose test set it is.
    """
    try:
        arrays = data.loaded()
    except MisconfigurationException as error:
        raise CheckpointError(str(error)) from None
    output: AbstractContextManager[IO[str]] = (
        nullcontext(sys.stdout) if path is None else path.open("w", newline="", encoding="utf-8")
    )
    with output as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["image", "class", "predicted", *data.class_names])
        for start in range(0, len(arrays.test_labels), BATCH):
            part = slice(start, start + BATCH)
            found = probabilities(network, torch.from_numpy(arrays.test_images[part]), data)
            for index, (label, shares) in enumerate(zip(arrays.test_labels[part].tolist(), found, strict=True), start):
                names = data.class_names[label], data.class_names[int(shares.argmax())]
                writer.writerow([index, *names, *(f"{share:.6f}" for share in shares.tolist())])
