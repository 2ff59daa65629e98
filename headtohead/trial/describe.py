"""Describes what somebody has built, a network or a data module, by its class and arguments, as a sweep file names it.

A trial builds its network anew for every random seed, so that it needs what made it, not the thing itself.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import Any, get_args

import torch
from lightning.pytorch import LightningDataModule, Trainer
from torch import Tensor, nn

import datamodules
from datamodules.augmentation import Augment
from headtohead.cli.errors import UsageError, did_you_mean
from headtohead.trial.networks import FROM_THE_DATA, facts_of, left_as_it_is, named
from lit_models import Classifier, Inpainter, architectures
from lit_models.facts import FACTS, default_facts, example_inputs, taken_by

Description = str | dict[str, Any]  # a name, or class_path with init_args
PLAIN = (bool, int, float, str, type(None))
HOMES: dict[str, Any] = {"networks": architectures, "data": datamodules}


def describe_network(given: Any, argument: str, facts: Mapping[str, int]) -> Description:
    """Return the class, or the function that makes it, and the arguments of a network.

    Of an instance the arguments are those that it keeps as attributes of the same names, and else the defaults, or one
    number among the sizes of its weights. They are believed if what they make is the same: it has the same layers, and
    with the weights of the instance it gives the same output to the bit, in training too. What leaves no trace in a
    network, such as how its weights were drawn, is taken to be the default.

    Args:
        given: a network, a class or a function that makes one, ``functools.partial`` of these, a name, or
            ``class_path`` with ``init_args``.
        argument: what it is called to the user.
        facts: of the data; what a network is told of them is no part of its description.

    Raises:
        UsageError: it is none of these, cannot be imported by another process, or its arguments cannot be known.
    """
    if not isinstance(given, nn.Module):
        return _named(given, argument, "networks")
    for kind in _makers(given):
        for arguments in _guesses(given, kind, facts):
            if _makes(kind, arguments, given):
                own = {name: value for name, value in arguments.items() if name not in FROM_THE_DATA}
                return _description(_path(kind, argument), own)
    name = type(given).__name__
    takes = [one for one in inspect.signature(type(given)).parameters if one not in FROM_THE_DATA]
    with_own = f"functools.partial({name}, {takes[0]}=…)" if takes else name
    raise UsageError(
        f"{argument}: the arguments of {name} cannot be told from the network: give what makes it, such as "
        f"{with_own}, or a function without arguments"
    )


def describe_data(given: Any) -> tuple[Description, dict[str, int]]:
    """Return class and arguments of a data module, and its facts; arguments as for :func:`describe_network`.

    Raises:
        UsageError: it is no data module, or its arguments cannot be known.
    """
    if not isinstance(given, LightningDataModule):
        found = _named(given, "data", "data")
        path = found if isinstance(found, str) else found["class_path"]
        return found, facts_of(named(path) if "." in path else getattr(datamodules, path))
    kind = type(given)
    kept = {name: value for name, value in _kept(given, kind).items() if name != "augment"}
    for more in ({}, *({"augment": name} for name in get_args(Augment))):
        try:
            made = kind(**{**kept, **more})
        except Exception:  # noqa: S112 - of anybody's constructor: it is another that made the instance
            continue
        if _attributes(made) == _attributes(given) and _augment(made) == _augment(given):
            return _description(_path(kind, "data"), {**kept, **more}), facts_of(given)
    raise UsageError(
        f"data: the arguments of {kind.__name__} cannot be told from it: give what makes it, such as "
        f"functools.partial({kind.__name__}, batch_size=128)"
    )


def parameter(name: str, value: Any) -> str:
    """Return the command-line name of an argument of the recipe, the Trainer or the data: ``task.lr`` of ``lr``.

    Raises:
        UsageError: none of them has it, or the value is no number, name or list.
    """
    kinds: dict[str, tuple[Callable[..., Any], ...]] = {
        "task": (Classifier, Inpainter),
        "trainer": (Trainer,),
        "data": (datamodules.ImageDataModule,),
    }
    known = {of: part for part, own in kinds.items() for kind in own for of in inspect.signature(kind).parameters}
    if name not in known or name in ("net", "num_classes"):
        raise UsageError(f"{name}: no such argument of task, Trainer or data{did_you_mean(name, known)}")
    if not _is_plain(value):
        raise UsageError(f"{name}: must be a number, a name or a list of these: got a {type(value).__name__}")
    return f"{known[name]}.{name}"


def _named(given: Any, argument: str, home: str) -> Description:
    """Describe what is no instance."""
    if isinstance(given, Mapping) and set(given) <= {"class_path", "init_args"} and "class_path" in given:
        return _description(str(given["class_path"]), dict(given.get("init_args") or {}))
    if isinstance(given, str):
        module, _, name = given.rpartition(".")
        try:
            getattr(import_module(module) if module else HOMES[home], name)
        except (ImportError, AttributeError, ValueError):
            hint = "" if module else did_you_mean(given, HOMES[home].__all__)
            raise UsageError(f"{argument}: nothing is named {given!r}{hint}") from None
        return given
    if isinstance(given, functools.partial):
        bound = inspect.signature(given.func).bind_partial(*given.args, **given.keywords).arguments
        bound |= bound.pop("kwargs", {})
        if wrong := [name for name, value in bound.items() if not _is_plain(value)]:
            kind = type(bound[wrong[0]]).__name__
            raise UsageError(f"{argument}: {wrong[0]} must be a number, a name or a list of these: got a {kind}")
        return _description(_path(given.func, argument), bound)
    if callable(given) and hasattr(given, "__qualname__"):
        return _path(given, argument)
    what = "a data module" if home == "data" else "a network"
    raise UsageError(
        f"{argument}: must be {what}, its class, a function that makes it, or its dotted name: "
        f"got a {type(given).__name__}"
    )


def _path(kind: Any, argument: str) -> str:
    """Return the dotted name by which another process imports a class or function; of ours the short one.

    Raises:
        UsageError: there is none, as for what a notebook defines.
    """
    module, name = str(kind.__module__), str(kind.__qualname__)
    for home in HOMES.values():
        if getattr(home, name, None) is kind and module.startswith(home.__name__.partition(".")[0]):
            return name
    if module == "__main__" or "<" in name:
        raise UsageError(
            f"{argument}: {name.rpartition('.')[2]} is defined where no other process finds it: write it into a file, "
            "such as mine.py, and import it from there"
        )
    if getattr(sys.modules.get(module), name, None) is not kind:
        raise UsageError(f"{argument}: {module}.{name} is not what another process would import by that name")
    return f"{module}.{name}"


def _description(path: str, arguments: Mapping[str, Any]) -> Description:
    return {"class_path": path, "init_args": dict(arguments)} if arguments else path


def _makers(network: nn.Module) -> Iterator[Callable[..., nn.Module]]:
    """Yield what may have made a network: its class, then the functions beside it that return one, as torchvision's."""
    kind = type(network)
    yield kind
    for name, made in vars(sys.modules[kind.__module__]).items():
        own = inspect.isfunction(made) and not name.startswith("_") and made.__module__ == kind.__module__
        if own and inspect.signature(made).return_annotation in (kind, kind.__name__):
            yield made


def _guesses(network: nn.Module, kind: Callable[..., nn.Module], facts: Mapping[str, int]) -> Iterator[dict[str, Any]]:
    """Yield arguments that may have made a network: those that it keeps, and one more among the sizes of its weights.

    What is told by the data is what it keeps, or the default, or what these data would tell it.
    """
    parameters = inspect.signature(kind).parameters
    kept = _kept(network, kind)
    with torch.device("meta"):
        by_data = {name: value for name, value in taken_by(kind, facts, **kept).items() if name not in kept}
    starts = [kept, {**by_data, **kept}] if by_data else [kept]
    yield from starts
    numbers = [name for name, of in parameters.items() if type(of.default) is int and name not in kept]
    sizes = sorted({size for weight in network.state_dict().values() for size in weight.shape})
    for start, name, size in itertools.product(starts, numbers, sizes):
        if name not in FROM_THE_DATA:
            yield {**start, name: size}


def _kept(instance: Any, kind: Callable[..., Any]) -> dict[str, Any]:
    """Return the constructor's arguments that an instance keeps under their names, or in Lightning's ``hparams``."""
    parameters = inspect.signature(kind).parameters
    held = _attributes(instance)
    if isinstance(hparams := getattr(instance, "hparams", None), Mapping):
        held |= {str(name): value for name, value in hparams.items() if _is_plain(value)}
    return {
        name: held[name]
        for name, of in parameters.items()
        if name in held and not (type(held[name]) is type(of.default) and held[name] == of.default)
    }


def _makes(kind: Callable[..., nn.Module], arguments: Mapping[str, Any], network: nn.Module) -> bool:
    """Tell whether a class or function makes a network of these arguments: the same layers, and the same outputs."""
    with torch.random.fork_rng():
        try:
            with torch.device("meta"):  # first without its weights, which may be many
                if _layers(kind(**arguments)) != _layers(network):
                    return False
            made = kind(**arguments)
            made.load_state_dict(network.state_dict())
            facts = FACTS | default_facts(kind) | {fact: arguments[fact] for fact in FACTS if fact in arguments}
            images, *masks = example_inputs(network, facts)
            example = [torch.rand_like(images), *(torch.rand_like(mask).round() for mask in masks)]
            return all(_same(made, network, mode, example) for mode in (False, True))
        except Exception:  # of anybody's constructor and forward: these are not what made it
            return False


def _layers(network: nn.Module) -> list[tuple[Any, ...]]:
    """Return what can be compared of a network without its weights: of each layer, its kind, shapes and settings."""
    return [
        (name, type(layer), [(of, tuple(weight.shape)) for of, weight in layer.state_dict().items()], _settings(layer))
        for name, layer in network.named_modules()
    ]


def _settings(layer: nn.Module) -> dict[str, Any]:
    return {name: value for name, value in _attributes(layer).items() if name != "training"}


def _attributes(instance: Any) -> dict[str, Any]:
    """Return the attributes of an instance that are numbers, names or lists of these."""
    return {name: value for name, value in vars(instance).items() if _is_plain(value)}


def _same(made: nn.Module, network: nn.Module, training: bool, example: list[Tensor]) -> bool:
    """Tell whether two networks give the same output to the bit, with the same random numbers."""
    outputs = []
    for one in (made, network):
        with left_as_it_is(one), torch.no_grad():
            torch.manual_seed(0)
            outputs.append(one.train(training)(*(torch.cat([part, 1 - part]) for part in example)))
    return torch.equal(*outputs)


def _is_plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return isinstance(value, PLAIN)


def _augment(data: Any) -> str:
    return repr(getattr(data, "augment", None))
