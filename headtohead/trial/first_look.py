"""Finds what is wrong with a command line before PyTorch and Lightning are imported, which takes ten seconds.

Signatures and names are read from source files, which are parsed and not run. Only what is certain is said: a name that
nothing has, a file that is not there, a number that is none. All else (a user's own classes, values that a constructor
judges, types of several kinds) is left to the parser that imports, and says the same words.
"""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from headtohead.cli.errors import did_you_mean
from headtohead.trial.errors import explain
from headtohead.trial.refused import REFUSED

ROOT = Path(__file__).parents[2]
SUBCOMMANDS = ("fit", "validate", "test", "predict")
OPTIONS = (
    "--help",
    "-h",
    "--config",
    "-c",
    "--print_config",
    "--seed_everything",
    "--weights",
    "--compile",
    "--trainer",
)
FACTS = ("in_channels", "in_chans", "image_size", "img_size", "num_classes")  # filled in from the data
NOT_TO_BE_JUDGED = ("null", "none", "~", ".nan", ".inf")  # by a number's own rules: YAML's words
PARTS = ("model", "task", "data")
Signature = Mapping[str, str]  # annotations by the names of arguments
Known = Mapping[str, Mapping[str, Signature]]  # by part, then by class


def first_look(args: Sequence[str]) -> str | None:
    """Return what is wrong with a command line, in one line, or None where nothing is found so soon.

    Args:
        args: as ``train.py`` gets them.
    """
    if not args or args[0].startswith("-"):
        return None
    if args[0] not in SUBCOMMANDS:
        choices = ", ".join(f"'{name}'" for name in SUBCOMMANDS)
        return explain(f"invalid choice: {args[0]!r} (choose from {choices})", {}, [])
    trainer = _signature(lightning_file("trainer", "trainer.py"), "Trainer")
    classes = _classes()
    if not trainer or any(arg.startswith("--_") or arg in ("-h", "--help") for arg in args):
        return None
    named: dict[str, str] = {}
    given = [arg.partition("=") for arg in args[1:]]
    for name, _, value in given:
        if name.removeprefix("--") in PARTS:
            named[name.removeprefix("--")] = value
    if any(name in ("--config", "-c") for name, _, _ in given):
        named.setdefault("task", "of the file")
    for name, equals, value in given:
        if said := _wrong(name, value if equals else None, named, trainer, classes):
            return said
    if args[0] == "fit" and not any(name in ("--config", "-c") for name, _, _ in given):
        for part in ("data", "model"):  # as the parser does, the data first
            if not any(name.startswith(f"--{part}") for name, _, _ in given):
                return explain(f"the following arguments are required: {part}", classes, [])
    return None


def _wrong(
    name: str,
    value: str | None,
    named: Mapping[str, str],
    trainer: Signature,
    classes: Mapping[str, dict[str, Signature]],
) -> str | None:
    """Return what is wrong with one argument."""
    option, key = name.rstrip("+"), name.strip("-").rstrip("+")
    part, _, rest = key.partition(".")
    argument = rest.partition(".")[0]
    if key in ("trainer.callbacks", "trainer.logger") and value and re.fullmatch(r"[A-Z]\w*", value):
        if value not in classes[key]:
            return explain(f'Parser key "{key}": Expected a dot import path string: {value}', classes, [])
    elif key in PARTS:
        return _class(key, value, classes)
    elif part == "trainer" and argument and option.startswith("--"):
        if argument not in trainer:
            return explain(f"unrecognized arguments: {option}", classes, _options(trainer))
        return None if "." in rest else _number(key, value, trainer[argument])
    elif part in PARTS and argument and (own := _takes(part, named, classes)):
        if argument not in (*own, *FACTS, "init_args", "dict_kwargs"):
            path = f"class_path '{named.get(part, 'Classifier')}'"
            return explain(f"Parser key \"{part}\": {path}: Option '{argument}' is not accepted", classes, [], FACTS)
        return None if "." in rest else _number(key, value, own.get(argument, ""))
    elif key == "ckpt_path" and value not in (None, "", "last", "best", "hpc", "registry", "null", "None"):
        file = Path(str(value))
        if "://" not in str(value) and not file.is_file():
            return f"--ckpt_path: no file {file}{did_you_mean(str(file), map(str, file.parent.glob('*.ckpt')))}"
    elif key == "config" and value and re.fullmatch(r"[\w./-]+\.ya?ml", value) and not Path(value).exists():
        return f"--config: File does not exist: {value}"
    elif option.startswith("--") and part not in PARTS and option not in (*_options(trainer), *OPTIONS):
        return explain(f"unrecognized arguments: {option}", classes, _options(trainer))
    return None


def _takes(part: str, named: Mapping[str, str], classes: Known) -> Signature | None:
    """Return the arguments of the class that is named, where they are known; without a task, those of every task."""
    if part == "task" and part not in named:  # the network's own; which that is, the parser sees
        return {name: kind for of in classes[part].values() for name, kind in of.items()}
    return classes[part].get(named.get(part, ""))


def _class(part: str, value: str | None, classes: Known) -> str | None:
    """Return what is wrong with the name of a network, a task or data."""
    if value is None or not re.fullmatch(r"[A-Za-z_][\w.]*", value) or value in ("null", "None", *classes[part]):
        return None
    if value in ("Task", "Classifier", "Inpainter", "ImageDataModule", "Module", "LightningDataModule"):
        return None
    module = value.partition(".")[0]
    why = ""
    if module != value:
        if _is_there(module):
            return None
        why = f"class_path '{value}': No module named '{module}'"
    return explain(f'Parser key "{part}": {why or f"Expected a dot import path string: {value}"}', classes, [])


def _number(key: str, value: str | None, annotation: str) -> str | None:
    """Return what is wrong with a value whose type is a number and nothing else."""
    wanted = re.fullmatch(r"(int|float)|Optional\[(int|float)\]", annotation)
    if wanted is None or value is None or value.lower().strip("+-") in NOT_TO_BE_JUDGED or value[:1] in "[{'\"":
        return None
    kind = wanted[1] or wanted[2]
    try:
        float(value) if kind == "float" else int(value.replace("_", ""), 0)
    except ValueError:
        return explain(f"Parser key \"{key}\": Expected a <class '{kind}'>. Got value: {value}", {}, [])
    return None


def _options(trainer: Signature) -> list[str]:
    methods = ("ckpt_path", "weights_only", "verbose", "return_predictions")
    return [
        *OPTIONS,
        *(f"--{part}" for part in PARTS),
        *(f"--trainer.{n}" for n in trainer),
        *(f"--{m}" for m in methods),
    ]


@cache
def known_classes(part: str) -> dict[str, Path]:
    """Return the suite's own classes of a part, ``model``, ``task`` or ``data``, with the file of each."""
    folders = {"model": "lit_models/architectures", "task": "lit_models/tasks", "data": "datamodules"}
    found: dict[str, Path] = {}
    for path in sorted((ROOT / folders[part]).glob("[!_]*.py")):
        for node in source(path).body:
            name = node.name if isinstance(node, ast.ClassDef) and node.bases else ""  # Pool is no data set
            if name and name.lower() == path.stem.replace("_", "") and name != "Task":
                found[name] = path
    return dict(sorted(found.items(), key=lambda item: item[0].lower()))


@cache
def _classes() -> dict[str, dict[str, Signature]]:
    """Return what can be given for each part, with the arguments that it takes as far as they can be read."""
    base = _signature(ROOT / "datamodules" / "image.py", "ImageDataModule")
    found: dict[str, dict[str, Signature]] = {"model": {}, "task": {}, "data": {}}
    for part in found:
        for name, path in known_classes(part).items():
            filled = () if part == "data" else (*FACTS, "net")
            as_base = part == "data" and constructor(path, name) is None
            found[part][name] = base if as_base else _signature(path, name, filled)
    for part in ("callbacks", "logger"):
        path = lightning_file("loggers" if part == "logger" else part, "__init__.py")
        names = set(re.findall(r'"(\w+)"', path.read_text(encoding="utf-8"))) if path.is_file() else set()
        known = [n for n in sorted(names) if n[0].isupper()]
        found[f"trainer.{part}"] = {n: {} for n in known if n not in REFUSED}
    return found


def _signature(path: Path, name: str, filled: Sequence[str] = ()) -> Signature:
    """Return the arguments of a class by its source, with their annotations; none where it takes any.

    Args:
        path: of the source.
        name: of the class.
        filled: the arguments that nobody gives, because the suite fills them in.
    """
    made = constructor(path, name)
    if made is None or made.args.kwarg is not None:
        return {}
    every = [*made.args.args[1:], *made.args.kwonlyargs]
    return {a.arg: ast.unparse(a.annotation) if a.annotation else "" for a in every if a.arg not in filled}


def constructor(path: Path, name: str) -> ast.FunctionDef | None:
    """Return the constructor of a class by its source; None where it has none of its own, or is not there."""
    parts = [node.body for node in source(path).body if isinstance(node, ast.ClassDef) and node.name == name]
    methods = (node for body in parts for node in body if isinstance(node, ast.FunctionDef))
    return next((method for method in methods if method.name == "__init__"), None)


@cache
def source(path: Path) -> ast.Module:
    """Return what a source file holds, parsed and not run; nothing where it is not there."""
    return ast.parse(path.read_text(encoding="utf-8")) if path.is_file() else ast.Module([], [])


def lightning_file(*parts: str) -> Path:
    """Return a file of Lightning's, which is found without being imported."""
    spec = importlib.util.find_spec("lightning")
    places = spec.submodule_search_locations if spec is not None else None
    return Path(next(iter(places or ["nowhere"])), "pytorch", *parts)


def _is_there(module: str) -> bool:
    """Tell whether a module of this name could be imported; it is not."""
    if Path(module).is_dir() or Path(f"{module}.py").is_file():
        return True
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return True  # it is in the midst of something: the parser will see
