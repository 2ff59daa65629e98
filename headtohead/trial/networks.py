"""Builds a network from its name and arguments, and tries it on two images before it is trained."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import torch
from jsonargparse import ArgumentParser, Namespace
from kornia import augmentation as K
from kornia.augmentation.base import _BasicAugmentationBase as KorniaAugmentation
from lightning.pytorch import LightningDataModule
from torch import Tensor, nn

from headtohead.cli.errors import UsageError, one_line
from headtohead.trial.errors import is_out_of_memory
from lit_models import Task, architectures
from lit_models.facts import FACTS, NAMES, taken_by, takes_mask

FROM_THE_DATA = frozenset(name for names in NAMES.values() for name in names)  # nobody needs to type these
MIXES = K.MixAugmentationBaseV2  # but for one, they need more than the images
LAYOUTS = {"channels_last": torch.channels_last, "contiguous": torch.contiguous_format}


class _AnyNetwork(type):
    """Makes :class:`Network` a base of every ``nn.Module`` that lists only the suite's own as its subclasses.

    jsonargparse looks short names up among the subclasses: without this, ``ResNet`` would be ambiguous as soon as
    torchvision or timm, which have one too, are imported.
    """

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, nn.Module)

    def __subclasscheck__(cls, subclass: type) -> bool:
        return isinstance(subclass, type) and issubclass(subclass, nn.Module)

    def __subclasses__(cls) -> list[type]:
        return [getattr(architectures, name) for name in architectures.__all__]


class Network(metaclass=_AnyNetwork):
    """The type of ``--model``: any ``nn.Module``, or a function that returns one."""


def build(kind: Any, config: Namespace, **more: Any) -> Any:
    """Build what a parsed configuration describes.

    Args:
        kind: the type that it was parsed as.
        config: ``class_path`` with ``init_args`` and ``dict_kwargs``.
        **more: further arguments for the class.
    """
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(kind, "it", fail_untyped=False, skip=set(more))
    with_more = (lambda of, *given, **named: of(*given, **named, **more), kind, True)  # True: subclasses of it too
    return parser.instantiate(Namespace(it=config), instantiators=[with_more] if more else []).it


def build_network(config: Namespace, facts: dict[str, int]) -> nn.Module:
    """Build a network; the facts of the data go to those of its arguments that are for them.

    Args:
        config: of ``--model``, as it was parsed.
        facts: of the data, as far as it states them.
    """
    given = {**config.get("init_args", Namespace()).as_dict(), **(config.get("dict_kwargs") or {})}
    taken = taken_by(named(config.class_path), facts, **given)
    whole = config.clone()
    whole["dict_kwargs"] = {**(config.get("dict_kwargs") or {}), **taken}
    network: nn.Module = build(Network, whole)
    return network


def named(path: str) -> Any:
    """Return the class or function that a dotted name stands for; its module was imported by the parser already."""
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)


def fills_holes(path: str) -> bool:
    """Tell whether a class, by its dotted name, is a network that fills holes."""
    kind = named(path)
    return isinstance(kind, type) and takes_mask(kind)


def facts_of(data: LightningDataModule) -> dict[str, int]:
    """Return the channels, image size and number of classes of a data module, as far as it states them."""
    return {name: int(getattr(data, name)) for name in FACTS if hasattr(data, name)}


def try_on_one_batch(task: Task, data: LightningDataModule, name: str) -> None:
    """Try augmentation and network on two random images before anything is trained: forward, backward and turned.

    A network that flattens by ``x.view(len(x), -1)`` cannot take images whose channels lie last in memory; for it
    they are laid out channel by channel.

    Args:
        task: around the network; both are left as they were.
        data: whose ``memory_format`` may change.
        name: of the network, for messages.

    Raises:
        UsageError: it cannot take the images, or does not return what its task needs, or cannot be trained.
    """
    if not any(parameter.requires_grad for parameter in task.net.parameters()):
        raise UsageError(f"--model: {name} has no parameters that could be trained")
    facts = facts_of(data)
    if len(facts) < len(FACTS):  # somebody else's data module, which does not say what its images look like
        return
    images = torch.rand(2, facts["in_channels"], facts["image_size"], facts["image_size"], generator=torch.Generator())
    layout = str(getattr(data, "memory_format", "contiguous"))
    with torch.random.fork_rng(), left_as_it_is(task):
        _try_augmentation(getattr(data, "augment", None), images)
        wrong = _wrong(task, images, layout)
        if wrong and ".reshape(" in wrong:  # PyTorch's advice where .view( does not fit the strides
            data.memory_format = "contiguous"  # type: ignore[attr-defined]  # ours has it, which the caller asked
            wrong = _wrong(task, images, "contiguous")
    if wrong:
        raise UsageError(f"--model: {name} {wrong}")


@contextmanager
def left_as_it_is(module: nn.Module) -> Iterator[None]:
    """Give a module back its mode and its buffers, such as the statistics of batch norm, and no gradients."""
    modes = {part: part.training for part in module.modules()}
    buffers = {name: buffer.detach().clone() for name, buffer in module.named_buffers()}
    try:
        yield
    finally:
        for part, training in modes.items():
            part.training = training
        with torch.no_grad():
            for name, buffer in module.named_buffers():
                if name in buffers and buffer.shape == buffers[name].shape:
                    buffer.copy_(buffers[name])
        for parameter in module.parameters():
            parameter.grad = None


def _try_augmentation(augment: object, images: Tensor) -> None:
    """Refuse an augmentation of the user's that does not return images like those that it was given.

    Of several that are joined, the message names the one: a crop that a later element resizes again may stand. All
    images are augmented, however rarely it is to happen in training.
    """
    if not isinstance(augment, nn.Module):
        return
    shape, made, resizes = tuple(images.shape), images.clone(), ""
    for part in augment.children() if type(augment) is K.AugmentationSequential else [augment]:
        name, given = type(part).__name__, tuple(made.shape)
        if any(isinstance(inner, MIXES) and not isinstance(inner, K.RandomJigsaw) for inner in part.modules()):
            raise UsageError(f"--data.augment: {name} mixes images, and would have to mix their labels too")
        try:
            with _always(part):
                made = part(made)
        except Exception as error:  # of anybody's forward
            raise UsageError(f"--data.augment: {name} cannot take images {given}: {one_line(error)}") from None
        if not isinstance(made, Tensor):
            got = f"a {type(made).__name__}"
            raise UsageError(f"--data.augment: {name} must return images of shape {given}: got {got}")
        resizes = resizes or (name if tuple(made.shape) != given else "")
    if tuple(made.shape) != shape:
        raise UsageError(f"--data.augment: {resizes} must return images of shape {shape}: got {tuple(made.shape)}")


@contextmanager
def _always(augment: nn.Module) -> Iterator[None]:
    """Have kornia's augmentations applied to every image for a while, unless they are to be applied to none."""
    parts = [part for part in augment.modules() if isinstance(part, KorniaAugmentation)]
    shares = [(part, name, getattr(part, name)) for part in parts for name in ("p", "p_batch")]  # of images, of batches
    try:
        for part, name, share in shares:
            setattr(part, name, 1.0 if share else share)
        yield
    finally:
        for part, name, share in shares:
            setattr(part, name, share)


def _wrong(task: Task, images: Tensor, layout: str) -> str | None:
    """Return what is wrong with a network's answer to images in a layout, or with training it on them, or None."""
    images = images.to(memory_format=LAYOUTS[layout])
    task.eval()
    try:
        with torch.no_grad():
            if said := task.check(images):
                return said
            # as the test gives them: turned, in the same layout
            if getattr(task, "turned", True) and (
                said := task.check(torch.empty_like(images).copy_(images.rot90(1, (2, 3))))
            ):
                return said
    except Exception as error:  # of anybody's forward
        return f"cannot take images of shape {tuple(images.shape)}: {one_line(error)}"
    task.train()
    try:
        with torch.no_grad():
            if said := task.check(images):
                return f"in training {said}"
        output = task.net(*task.inputs(images))
        output.float().square().mean().backward()
    except Exception as error:
        if is_out_of_memory(error):  # the training says so, and what to lower
            return None
        return f"cannot be trained on images of shape {tuple(images.shape)}: {one_line(error)}"
    return None
