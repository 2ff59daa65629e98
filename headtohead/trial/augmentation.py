"""Says in one line what is wrong with ``--data.augment``, and with which element where it is a list."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from typing import Any, get_args

from jsonargparse import Namespace
from torch import nn

from datamodules.augmentation import Augment
from headtohead.cli.errors import did_you_mean, one_line
from headtohead.trial.errors import root
from headtohead.trial.networks import build

NAMES = get_args(Augment)
ARGUMENT = "--data.augment"
WITH = ", with arguments {class_path: NAME, init_args: {p: 0.5}}"


def wrong_augmentation(message: str) -> str | None:
    """Return what is wrong, or None where a message of jsonargparse is not about an augmentation.

    Args:
        message: as jsonargparse raised it. What was given stands there, of a list the first element that is wrong.
    """
    _, found, after = message.partition('Parser key "augment"')
    if not found or NAMES[-1] not in after:  # a user's own data may call something else so
        return None
    refused = re.search(r"class_path '(?P<path>[^']+)':(?P<why>[\s\S]*)", after)
    if refused and refused["path"] != "torch.nn.Module":
        return f"{ARGUMENT}: {_wrong_class(refused['path'], refused['why'])}"
    given = re.search(r"Given value: (.*)", after)
    element: Any = given[1] if given else ""
    if nested := re.match(r"NestedArg\(key='(\w+)'", str(element)):
        return f"{ARGUMENT}.{nested[1]}: only a class takes arguments, not a name"
    with suppress(ValueError, SyntaxError):
        element = ast.literal_eval(element)
    if isinstance(element, Mapping) and isinstance(element.get("class_path"), str):
        element = element["class_path"] if set(element) <= {"class_path", "init_args"} else element
    if isinstance(element, str) and "." in element and "(" not in element:
        return f"{ARGUMENT}: {_wrong_class(element, '')}"
    near = did_you_mean(element, NAMES) if isinstance(element, str) else ""
    near = near if "did you mean" in near else ""
    shown = "null" if element is None else element
    return f"{ARGUMENT}: must be one of {', '.join(NAMES)}, or a class by its dotted name{WITH}: got {shown}{near}"


def wrong_element(data: Namespace) -> str | None:
    """Return which class of an augmentation refuses its arguments when it is built, and why, or None if none does.

    Args:
        data: of the data module, as it was parsed.
    """
    augment = data.get("init_args", Namespace()).get("augment")
    for element in augment if isinstance(augment, list) else [augment]:
        if isinstance(element, Namespace):
            try:
                build(nn.Module, element)
            except Exception as error:  # of anybody's constructor
                return f"{ARGUMENT}: {element.class_path.rpartition('.')[2]}: {one_line(root(error))}"
    return None


def _wrong_class(path: str, why: str) -> str:
    """Return what is wrong with a class or its arguments.

    Args:
        path: its dotted name.
        why: what jsonargparse said of it.
    """
    module, _, name = path.rpartition(".")
    try:
        there = import_module(module)
    except ImportError as error:
        return f"no class is named {path!r} ({one_line(error)})"
    kind = getattr(there, name, None)
    if kind is None:
        near = did_you_mean(name, (other for other in vars(there) if other[:1].isupper()))
        return f"no class is named {path!r}{near if 'did you mean' in near else ''}"
    if not callable(kind) or (isinstance(kind, type) and not issubclass(kind, nn.Module)):
        return f"{path} is no nn.Module"
    arguments = inspect.signature(kind).parameters
    if found := re.match(r"\s*Option '([^']+)' is not accepted", why):
        return f"{name} has no argument {found[1]!r}{did_you_mean(found[1], arguments)}"
    if found := re.match(r"\s*the following arguments are required: (.+)", why):
        return f"{name} needs {found[1]}"
    if found := re.search(r"Parser key \"(\w+)\":[\s\S]*?(?:Got|Given) value: (.*)", why):
        wanted = str(arguments[found[1]].annotation) if found[1] in arguments else "another"
        if "Tensor" in wanted and "[" not in wanted:
            return f"{name}: {found[1]} is a tensor, which cannot be typed: name a function that returns the module"
        wanted = re.sub(r"<class '(\w+)'>", r"\1", wanted).replace("typing.", "").replace("torch.Tensor, ", "")
        return f"{name}: {found[1]} must be {wanted}: got {found[2]}"
    return f"{name}: must be an nn.Module or a function that returns one{WITH}"
