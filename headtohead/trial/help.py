"""Says what a trial can be given, read from source files: PyTorch and Lightning take ten seconds to import."""

from __future__ import annotations

import ast
import re
import textwrap
from pathlib import Path

from headtohead.trial.first_look import FACTS, ROOT, constructor, known_classes, lightning_file, source

WIDTH, INDENT = 100, 44
TRAINER_DEFAULTS = {"max_epochs": 10, "enable_model_summary": False, "devices": 1}  # small networks
OTHERS = {
    "--seed_everything=0": "Random seed of the trial.",
    "--weights": "A file of weights to start from: a state dict, such as torchvision's, or a checkpoint.",
    "--compile=no": "How torch.compile fuses the network: default, reduce-overhead or max-autotune.",
    "--ckpt_path": "With the value last, go on where the trial stopped; with a file, go on from that checkpoint.",
    "--config, -c": "A file of arguments; those of the command line count for more.",
    "--print_config": "Print all resolved arguments and stop.",
}
HEAD = """usage: train.py fit --model=NAME --data=NAME [arguments]

Trains a network, tests its best checkpoint once, and writes the record."""
NAMES = {"model": "networks", "data": "data sets", "task": "tasks; without one, Inpainter for networks that fill holes"}


def help_of(args: list[str]) -> str | None:
    """Return the help that a command line asks for; None where it asks for none, or for that of a class of others'.

    Args:
        args: as ``train.py`` gets them: ``fit --help``, or ``fit --model.help=EqCNN`` for one of the suite's classes.
    """
    if args in (["fit", "--help"], ["fit", "-h"]):
        return _of_all()
    found = re.fullmatch(r"--(model|data|task)\.help=(\w+)", args[1]) if len(args) == 2 and args[0] == "fit" else None
    if found is None or found[2] not in known_classes(found[1]):
        return None
    part, name = found[1], found[2]
    node = _class(known_classes(part)[name], name)
    said = textwrap.dedent(ast.get_docstring(node) or "").partition("\nArgs:")[0].strip()
    return "\n".join([f"{name}: {said}", "", *_arguments(part, known_classes(part)[name], name)])


def _of_all() -> str:
    lines = [HEAD]
    for part, what in NAMES.items():
        names = ", ".join(known_classes(part))
        said = f"{names}, or a class by its dotted name, such as mine.Own. Arguments of one: --{part}.help=NAME"
        lines += ["", f"--{part}: {what}", *textwrap.wrap(said, WIDTH, initial_indent="  ", subsequent_indent="  ")]
    lines += ["", "The recipe (--task.help=NAME has those of one task)"]
    lines += _arguments("task", known_classes("task")["Classifier"], "Classifier")
    lines += ["", "The data", *_arguments("data", ROOT / "datamodules" / "image.py", "ImageDataModule")]
    lines += ["", "The Trainer, which is Lightning's"]
    lines += _arguments("trainer", lightning_file("trainer", "trainer.py"), "Trainer")
    lines += ["", "The trial", *(_line(option, said) for option, said in OTHERS.items())]
    return "\n".join(lines)


def _arguments(part: str, path: Path, name: str) -> list[str]:
    """Return a line for each argument of a class: its default, and the first sentence of its description."""
    init = constructor(path, name)
    if init is None or init.args.kwarg is not None:  # it takes what its base takes
        base = {"data": ROOT / "datamodules" / "image.py"}.get(part)
        return _arguments(part, base, "ImageDataModule") if base and path != base else []
    said = {**_described(ROOT / "lit_models" / "tasks" / "task.py", "Task"), **_described(path, name)}
    every = [*init.args.args, *init.args.kwonlyargs]
    values = [*init.args.defaults, *init.args.kw_defaults]
    defaults = [""] * (len(every) - len(values)) + [_value(value, path) if value else "" for value in values]
    filled = ("self",) if part == "data" else ("self", "net", *FACTS)  # an ImageFolder is given its image_size
    lines = []
    for argument, default in zip(every, defaults, strict=True):
        own = TRAINER_DEFAULTS.get(argument.arg) if part == "trainer" else None
        shown = str(own) if own is not None else default
        if argument.arg not in filled:
            option = f"--{part}.{argument.arg}" + (f"={shown}" if shown not in ("", "None") else "")
            lines.append(_line(option, said.get(argument.arg, "")))
    return lines


def _described(path: Path, name: str) -> dict[str, str]:
    """Return the first sentence that the docstrings of a class and its constructor have for each argument."""
    found: dict[str, str] = {}
    init = constructor(path, name)
    docstrings = ast.get_docstring(_class(path, name)), ast.get_docstring(init) if init is not None else None
    for said in filter(None, docstrings):
        block = said.partition("Args:\n")[2].partition("\nRaises:")[0]
        for argument, text in re.findall(r"^    (\w+): (.*(?:\n(?:     .*)?)*)", block, re.MULTILINE):
            first = re.split(r"(?<=[.;])\s", " ".join(text.split()))[0]
            found[argument] = first.rstrip(" ;.") + "."
    return {argument: text for argument, text in found.items() if not text.startswith("see ")}


def _value(node: ast.expr, path: Path) -> str:
    """Return a default: a constant, one that the file names, or one of a tuple of these."""
    known: dict[str, ast.expr] = {}
    for line in source(path).body:
        if isinstance(line, ast.Assign):
            names, value = line.targets[0], line.value
            if isinstance(names, ast.Tuple) and isinstance(value, ast.Tuple):
                known |= {ast.unparse(name): of for name, of in zip(names.elts, value.elts, strict=True)}
            else:
                known[ast.unparse(names)] = value
    whole = known.get(ast.unparse(node.value if isinstance(node, ast.Subscript) else node), node)
    if isinstance(node, ast.Subscript):
        return str(ast.literal_eval(whole)[ast.literal_eval(node.slice)])
    return str(ast.literal_eval(whole)) if isinstance(whole, ast.Constant | ast.UnaryOp) else ast.unparse(whole)


def _class(path: Path, name: str) -> ast.ClassDef:
    return next(node for node in source(path).body if isinstance(node, ast.ClassDef) and node.name == name)


def _line(option: str, said: str) -> str:
    said = re.sub(r":\w+:`~?([^`]*)`|``([^`]*)``|`([^`]*)`", r"\1\2\3", said)
    said = said[:1].upper() + said[1:]
    start = f"  {option}".ljust(INDENT - 1) + " "
    lines = textwrap.wrap(said, WIDTH - INDENT) or [""]
    if len(start) > INDENT:
        lines.insert(0, "")
    return "\n".join([(start + lines[0]).rstrip(), *(" " * INDENT + line for line in lines[1:])])
