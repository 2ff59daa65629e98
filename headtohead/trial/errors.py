"""Error messages of a trial: what jsonargparse, Lightning and PyTorch say, in one line that names the argument."""

from __future__ import annotations

import inspect
import re
import signal
import traceback
from collections.abc import Iterable, Mapping
from typing import Any

from headtohead.cli.errors import did_you_mean, nearest, one_line

Classes = Mapping[str, Mapping[str, Iterable[str]]]

TERMINATED = 128 + signal.SIGTERM  # exit code, by the convention of shells


class Terminated(SystemExit):
    """The process was asked by SIGTERM to end."""


class TrialFailed(Exception):  # noqa: N818  # it reads well as it is
    """The trial was started rightly and could not be finished; the message is one line that says what to change."""


# What jsonargparse says, and what is said in its place; the first that is found decides. A text is filled with the
# groups of its pattern, with key, value and owner of the argument, and with what was probably meant: near_option,
# near_class, near_choice.
_NO_CLASS = "--{key}: no {noun} is named {value!r}{reason}{near_class}"
_NO_OPTION = "{option}: {owner} has no such argument{near_option}"
_MOVED = "{option}: the recipe belongs to the task since the second edition: --task.{name}"
_OF_THE_DATA = "{option}: comes from the data, and is given nowhere else: leave it out"
_A_TASK = "--model: {value} is a task, which wraps a network: give the network as --model and the task as --task"
_BASES = {"Network": "nn.Module, nor a function whose return type is one"}  # what a type is called to the user
_TEXTS = (
    (
        r"class_path '(?P<value>[^']+)':\s+'functools.partial'",
        "--{key}: {value} is a functools.partial: give a class or a function, and its arguments as --{key}.…",
    ),
    (r"class_path .*\s+the following arguments are required: (?P<name>.+)", "--{key}: {owner} needs {name}"),
    (r"arguments are required: (?:\w+\.)?(?P<name>\w+)", "--{name} is required: one of {classes}"),
    (r"[Uu]nrecognized arguments: (?P<option>[^\s=]*)", "{option}: no such argument{near_option}"),
    (r"Option '(?P<name>[^']+)' is not accepted", _NO_OPTION),
    (r"does not accept option '(?P<name>[^']+)'", "{option}: no such argument{near_option}"),
    (  # of an argument that takes a name or any class
        r"Expected a typing.Literal\[(?P<choices>.*)\]\s+- Expected a dot import path string: *(?P<name>.*)",
        "--{key}: must be one of {choices}, or a class by its dotted name: got {shown}{near_meant}",
    ),
    (r"Expected a dot import path string: *(?P<value>.*)", _NO_CLASS),
    (r"Unexpected import path format: (?P<value>.*)", _NO_CLASS),
    (r"class_path '(?P<value>[^']+)':\s+(?P<reason>No module named.*|module .*has no attribute.*)", _NO_CLASS),
    (r"Import path does not correspond to a subclass of (?P<base>\w+)", "--{key}: {value} is no {base}{near_class}"),
    (r"Not a valid subclass of (?P<base>\w+)", "--{key}: {value} is no {base}{near_class}"),
    (r"but (?P<name>\w+) is abstract", "--{key}: {name} is there to be subclassed"),
    (r"invalid choice: '(?P<name>.*)' \(choose from (?P<choices>.*)\)", "no subcommand {name!r}{near_choice}"),
    (r'expected "subcommand" to be one of {(?P<choices>.*)}', "a subcommand must come first: one of {choices}"),
    (r"argument (?:-\w/)?(?P<option>--?\S+): expected one argument", "{option} needs a value: {option}=VALUE"),
    (r"Problems parsing config:?(?P<why>[\s\S]*)", "--config: not valid YAML: {why}"),
    (
        r"Unexpected config|Unable to load config '(?P<value>.*)'",
        "--{config}: must be a mapping, or a file that holds one: got {got}",
    ),
)


def explain(message: str, classes: Classes, options: Iterable[str], facts: Iterable[str] = ()) -> str:
    """Turn a message of jsonargparse, several lines on its own types, into one line on the user's argument.

    Args:
        message: as jsonargparse raised it.
        classes: for ``model``, ``data`` and others that are classes, the names that can be given, with the arguments
            that each of them takes.
        options: every option that is not an argument of one of these, such as ``--trainer.max_epochs``.
        facts: arguments that the data fill in, such as ``in_channels``.
    """
    key = ".".join(dict.fromkeys(re.findall(r'Parser key "([^"]+)"', message)))
    value = _value(message)
    for pattern, text in _TEXTS:
        if found := re.search(pattern, message):
            words = _words(message, found.groupdict(default=""), key, value, classes, options)
            text = _elsewhere(text, key, words, classes, facts)
            return text.format(**words)
    types = re.findall(r"Expected an? (.*?)(?:\. Got value.*)?$", message, re.MULTILINE)
    if wanted := dict.fromkeys(_plain_type(one) for one in types if "NoneType" not in one and "path" not in one):
        choices = [choice for one in wanted for choice in one.removeprefix("one of ").split(", ")]
        near = nearest(value, [choice for choice in choices if choice != value])
        meant = f"; did you mean {near}?" if near else ""
        return f"--{key}: must be {' or '.join(wanted)}: got {value or 'nothing'}{meant}"
    return (f"--{key}: " if key else "") + " ".join(re.sub(r'Parser key "[^"]+":', "", message).split())


def _elsewhere(text: str, key: str, words: Mapping[str, str], classes: Classes, facts: Iterable[str]) -> str:
    """Return the text for what is given in another place, or comes from there; else ``text``."""
    of_the_recipe = any(words["name"] in names for names in classes.get("task", {}).values())
    if text == _NO_OPTION and words["name"] in facts:
        return _OF_THE_DATA
    if text == _NO_OPTION and key == "model" and of_the_recipe:
        return _MOVED
    if text == _NO_CLASS and key == "model" and words["value"].rpartition(".")[2] in ("Task", *classes["task"]):
        return _A_TASK
    return text


def is_a_task(path: str) -> str:
    """Return what is said of a task that was given as the network."""
    return _A_TASK.format(value=path.rpartition(".")[2])


def _value(message: str) -> str:
    """Return what the user gave for the argument that a message is about."""
    for pattern in (r"NestedArg\(key='[^']*', val='?(.*?)'?\)$", r"Got value: ?(.*)", r"Given value: ?(.*)"):
        if found := re.search(pattern, message, re.MULTILINE):
            return found[1].strip()
    return ""


def _words(
    message: str, found: Mapping[str, str], key: str, value: str, classes: Classes, options: Iterable[str]
) -> dict[str, str]:
    """Return what the texts are filled with; ``found`` are the groups of the pattern."""
    words = {"key": key, "value": value, "name": "", "choices": "", "reason": "", "config": key or "config"}
    words |= {name: " ".join(group.split()) for name, group in found.items()}
    words["choices"] = words["choices"].replace("'", "")
    meant = did_you_mean(words["name"], re.findall(r"\w+", words["choices"]))
    words["base"] = _BASES.get(words.get("base", ""), words.get("base", ""))
    class_path = re.search(r"class_path '([^']+)'", message)
    owner = (class_path[1] if class_path else key).rpartition(".")[2]
    option = found.get("option") or "--" + ".".join(filter(None, [key, words["name"]]))
    every = [*options, *(f"--{part}.{name}" for part in classes for names in classes[part].values() for name in names)]
    own = classes.get(key, {}).get(owner)
    last = option.lstrip("-").rpartition(".")[2]
    known = [o for o in every if o.rpartition(".")[2] == last and o != option] or every  # --max_epochs: the Trainer's
    near_option = did_you_mean(option, known) if own is None else _near_argument(last, key, own, classes)
    misplaced = option in every and not key  # it is one of the subcommand's, and stands before it
    return words | {
        "owner": owner,
        "option": option,
        "noun": key.split(".")[-1].rstrip("s"),
        "got": words["value"] or " ".join(message.partition(":")[2].split())[:40] or "nothing",
        "reason": f" ({words['reason']})" if words["reason"] else "",
        "classes": ", ".join(classes.get(words["name"], [])),
        "near_class": did_you_mean(words["value"], classes.get(key, [])),
        "near_choice": meant,
        "near_meant": meant if "did you mean" in meant else "",
        "shown": words["name"] or "nothing",
        "near_option": "; it belongs after fit" if misplaced else near_option,
    }


def _near_argument(name: str, key: str, own: Iterable[str], classes: Classes) -> str:
    """Return the end of a message on an argument that a class has not: the nearest of its own or of a task's."""
    for task, names in classes.get("task", {}).items():
        if key == "task" and name in names:
            return f"; it is one of {task}'s: add --task={task}"
    of_tasks = [other for names in classes.get("task", {}).values() for other in names]
    if near := nearest(name, [*own, *of_tasks]):
        return f"; did you mean --{key if near in own else 'task'}.{near}?"
    return f"; there are {', '.join(f'--{key}.{other}' for other in own)}" if own else ""


def root(error: BaseException) -> BaseException:
    """Return what a constructor said, without what jsonargparse wrapped around it.

    What it was itself led to by, such as a KeyError, says less than its own words.
    """
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    wrapped = frame.f_globals.get("__name__", "").startswith("jsonargparse.")
    return root(error.__cause__) if wrapped and error.__cause__ is not None else error


def refusal(error: BaseException, config: Mapping[str, Any], building: str | None = None) -> str:
    """Return what a constructor said, on one line that begins with the command-line name of its argument.

    Args:
        error: as the model, the data module or the Trainer raised it.
        config: of the subcommand, nested as it was parsed.
        building: the part that raised it, where it is somebody else's and may name no argument.
    """
    if is_out_of_memory(error):
        return f"--model: does not fit into memory{smaller(config)}"
    message = re.sub(r"<[\w.]+ object at 0x\w+>", "…", one_line(error))
    for part in ("model", "task", "data"):
        if (name := message.split()[0].rstrip(":")) in config[part].get("init_args", {}):
            return f"--{part}.{message}"
    if found := re.search(r"unexpected keyword argument '(\w+)'", message):
        for part in ("model", "task", "data"):
            if found[1] in (config[part].get("dict_kwargs") or {}):
                return f"--{part}.{found[1]}: {message}"
    if building is not None:
        return f"--{building}: {config[building]['class_path'].rpartition('.')[2]}: {message}"
    message = message.replace("Timer(duration=", "Trainer(max_time=")  # which the user never heard of
    from lightning.pytorch import Trainer  # here, because the runner of sweeps needs this file, and quickly

    parameters = inspect.signature(Trainer).parameters
    named = sorted((message.lower().find(name), name) for name in parameters if name in message.lower())
    if not named or message.startswith("--"):
        return message
    name = named[0][1]
    got, default = config["trainer"].get(name), parameters[name].default
    return (
        f"--trainer.{name}: {message.rstrip('.')}"
        + ("" if str(got) in message else f": got {got}")
        + ("" if default in (None, got) else f"; the default is {default}")
    )


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether memory ran out, whoever says so: PyTorch on any device, NumPy, Python."""
    import torch  # here, because the runner of sweeps needs this file, and quickly

    said = ("can't allocate memory", "out of memory", "not enough memory")  # what a CPU says is a RuntimeError
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and any(words in str(error) for words in said)
    )


def is_of_a_lost_process(error: BaseException) -> bool:
    """Tell whether a process failed because another that it waits for is gone: in the words of gloo and of NCCL."""
    return any(words in str(error) for words in ("closed by peer", "reset by peer", "remote process exiting"))


def smaller(config: Mapping[str, Any]) -> str:
    """Return the end of an error message: what to lower when memory ran out, with the sizes that were asked for."""
    sizes = {
        f"{part}.{name}": value
        for part, arguments in (("data", config["data"]), ("model", config["model"]))
        for name, value in arguments.get("init_args", {}).items()
        if isinstance(value, int) and not isinstance(value, bool) and (part == "model" or name == "batch_size")
    }
    facts = ("model.in_channels", "model.image_size", "model.num_classes")  # of the data, nobody can lower them
    return f": lower {', '.join(f'{name} ({value})' for name, value in sizes.items() if name not in facts)}"


def _plain_type(text: str) -> str:
    """Return "one of a, b" for ``typing.Literal['a', 'b']`` and "int" for ``<class 'int'>``."""
    if literal := re.search(r"Literal\[(.*)\]", text):
        return "one of " + literal.group(1).replace("'", "")
    return re.sub(r"<class '([^']+)'>", r"\1", text).strip()
