"""Builds a network from its name and arguments, and tries it on two images before it is trained."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import Any

import torch
from jsonargparse import ArgumentParser, Namespace
from kornia import augmentation as K
from kornia.augmentation.base import _BasicAugmentationBase as KorniaAugmentation
from lightning.pytorch import LightningDataModule
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from datamodules.augmentation import mixing
from headtohead.cli.errors import UsageError, one_line
from headtohead.trial.errors import is_out_of_memory
from lit_models import Task, architectures
from lit_models.facts import FACTS, NAMES, taken_by, takes_mask

FROM_THE_DATA = frozenset(name for names in NAMES.values() for name in names)  # nobody needs to type these
ROUNDING = 1e-3  # of the largest output: float32 leaves less, what is wrong more
OTHER_SEED = 20_260  # a trial's own is hardly ever this one
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


def drawn_images(count: int, facts: dict[str, int]) -> Tensor:
    """Return images ``(count, C, S, S)`` as the facts have them, the same each time; no random numbers are used up."""
    shape = count, facts["in_channels"], facts["image_size"], facts["image_size"]
    return torch.rand(shape, generator=torch.Generator())


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
    images = drawn_images(2, facts)
    layout = str(getattr(data, "memory_format", "contiguous"))
    with torch.random.fork_rng():
        _settle(task, images)
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
    buffers = {name: buffer.detach().clone() for name, buffer in module.named_buffers() if not is_lazy(buffer)}
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
    if said := mixing(augment):
        raise UsageError(f"--data.augment: {said}")
    shape, made, resizes = tuple(images.shape), images.clone(), ""
    for part in augment.children() if type(augment) is K.AugmentationSequential else [augment]:
        name, given = type(part).__name__, tuple(made.shape)
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


def _settle(task: Task, images: Tensor) -> None:
    """Let lazy layers take their shapes from images; what is wrong with the network is said later."""
    if any(map(is_lazy, [*task.parameters(), *task.buffers()])):
        with suppress(Exception), left_as_it_is(task), torch.no_grad():
            task.eval()  # in training, batch norm would begin with the statistics of these images
            task.net(*task.inputs(images.clone()))


def _not_of_its_own(task: Task, images: Tensor) -> str | None:
    """Return why the output for an image, in evaluation, is not that image's alone, or None.

    Its test would then depend on chance, or on which images share a batch.
    """
    # of copies: a network may change its input
    together, again = (task.net(*task.inputs(images.clone())) for _ in range(2))
    if not _alike(together, again):
        return (
            "gives other outputs for the same images in evaluation: what it draws at random must depend on "
            "self.training, as F.dropout(x, p, self.training) does"
        )
    try:
        alone = [task.net(*task.inputs(image.clone())) for image in images.split(1)]
    except Exception as error:  # of anybody's forward
        return f"cannot take a batch of one image in evaluation: {one_line(error)}"
    if isinstance(together, Tensor) and not _alike(together, torch.cat(alone)):
        return (
            "lets the output for an image depend on the others of its batch in evaluation, as batch norm without "
            "running statistics does, and attention or recurrence that is not told batch_first=True"
        )
    return None


def _alike(one: object, other: object) -> bool:
    """Tell whether two outputs are the same but for rounding, which is another for each size of a batch."""
    if not (isinstance(one, Tensor) and isinstance(other, Tensor)):  # of somebody's own task
        return True
    return bool((one - other).abs().max() <= ROUNDING * one.abs().max())


def check_kept(again: Callable[[], nn.Module], task: Task, data: LightningDataModule, name: str) -> None:
    """Refuse a network whose output is not determined by its parameters and buffers: no checkpoint could restore it.

    Args:
        again: builds it anew; it draws other random numbers.
        task: around the network, after some passes in training.
        data: whose facts say what images look like.
        name: of the network, for messages.

    Raises:
        UsageError: built anew and filled with the same weights, it answers otherwise.
    """
    facts = facts_of(data)
    if len(facts) < len(FACTS):
        return
    images = drawn_images(2, facts)
    anew = f"--model: {name} answers otherwise when it is built anew with the same weights, as from a checkpoint"
    with torch.random.fork_rng(), left_as_it_is(task), torch.no_grad():
        torch.manual_seed(OTHER_SEED)
        twin = again()
        try:
            twin.load_state_dict(task.net.state_dict())
            outputs = [one.eval()(*task.inputs(images.clone())) for one in (task.net, twin)]
        except Exception as error:  # of anybody's
            raise UsageError(f"{anew}: {one_line(error)}") from None
    if not _alike(*outputs):
        raise UsageError(f"{anew}: what it draws or changes must be a parameter or a buffer (register_buffer)")


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
            if said := _not_of_its_own(task, images):
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
