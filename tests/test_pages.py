"""README and the pages in docs/: every command in them is one that works, every link leads somewhere."""

import contextlib
import importlib.util
import io
import os
import re
import shlex
import subprocess
import tomllib

import pytest
import wandb.cli.cli

from benchmarks import __main__ as benchmarks
from datamodules import __main__ as datamodules
from headtohead.pictures import main as pictures
from headtohead.report import main as report
from headtohead.runner import main as sweep
from headtohead.runner.sweep_file import read_sweep
from headtohead.trial.main import main as train
from headtohead.trial.main import resolve
from lit_models import __main__ as lit_models
from tests.conftest import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
VERBS = ("make", "python", "wandb", "pip", "sbatch", "torchrun", "source")


def commands(text):
    """Yield the commands of a page: lines of blocks without a language, and code within a sentence."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    lines = [line for language, block in blocks if not language for line in block.replace("\\\n", " ").splitlines()]
    yield from (line.partition("  #")[0].strip() for line in lines if line.strip())
    yield from re.findall(rf"`((?:{'|'.join(VERBS)}) [^`]+)`", re.sub(r"^```.*?^```", "", text, flags=re.S | re.M))


OLD = "migration.md"  # has the first edition's commands
FOUND = sorted({command for page in PAGES if page.name != OLD for command in commands(page.read_text())})


def check_train(verb, *args):
    if any("help" in arg for arg in args):
        with pytest.raises(SystemExit) as ended:
            train([verb, *args])
        assert ended.value.code == 0
    elif verb == "fit":
        assert not isinstance(resolve([verb, *args]), str)
    else:
        assert verb == "predict"
        assert {arg.partition("=")[0] for arg in args} <= {"--ckpt_path", "--weights", "--model", "--image"}


def check_options(verb, args):
    """Fail if the help of a command does not name an option."""
    with contextlib.redirect_stdout(io.StringIO()) as said, pytest.raises(SystemExit):
        verb.main(["--help"])
    known = set(re.findall(r"--[\w-]+", said.getvalue()))
    assert {arg.partition("=")[0] for arg in args if arg.startswith("--")} <= known


def check_sweep(file, *args):
    check_options(sweep, args)
    if file.startswith("sweeps/"):
        assert read_sweep(ROOT / file).trials


def check_wandb(verb, *args):
    command = wandb.cli.cli.cli.commands[verb]
    known = {option for parameter in command.params for option in parameter.opts}
    assert {arg.partition("=")[0] for arg in args if arg.startswith("--")} <= known


def check_make(*args):
    variables = dict(arg.split("=") for arg in args if "=" in arg)
    assert "SWEEP" not in variables or (ROOT / variables["SWEEP"]).is_file()
    done = subprocess.run(["make", "-n", *args], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def check_module(module, args):
    match module:
        case "lit_models":
            assert lit_models.main(["CNN" if arg == "NETWORK" else arg for arg in args]) == 0
        case "datamodules":  # a small data set in place of the one named: what is tried is all that follows it
            assert datamodules.main(["tests.tiny.Few", *args[1:], "--to=drawn.png"]) == 0
        case "benchmarks":
            own = {"verdicts": benchmarks.verdicts, "widths": benchmarks.widths}  # with options of their own
            check_options(own.get(args[0], benchmarks), args)
            assert {arg for arg in args if arg.isalpha()} <= {"all", "verdicts", "widths", *benchmarks.NAMES}
        case _:
            assert importlib.util.find_spec(module)


def check(words):
    """Fail if a command is not one that works."""
    while re.fullmatch(r"\w+=[^ ]*", words[0]):  # environment variables
        words = words[1:]
    words = [word.removeprefix("suite/") for word in words]
    program, *args = [word for word in words if word not in ("…", "...")]
    program = os.path.basename(program)
    if program == "python" and args[0] == "-m" and args[1] == "headtohead":
        return check([args[2], *args[3:]])
    if program == "python" and args[0] == "-m":
        return check_module(args[1], args[2:])
    if program == "python":
        program, *args = args
    match program.removesuffix(".py"):
        case "train":
            check_train(*args)
        case "sweep":
            check_sweep(*args)
        case "report":
            check_options(report, args)
        case "pictures":
            check_options(pictures, args)
        case "make":
            check_make(*args)
        case "wandb":
            check_wandb(*args)
        case "torchrun":
            script = args.index("train.py")
            check_train(*args[script + 1 :])
        case "pip" if args[0] == "install":
            extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
            assert args[-1] in ("timm", *(f".[{extra}]" for extra in extras))
        case "pip":
            assert args == ["wheel", "--no-deps", "."]
        case "sbatch" | "srun":
            assert (ROOT / args[1]).is_file()
            check_sweep(args[2])
        case "agents.sh":
            assert (ROOT / "examples" / program).is_file()
        case "source":
            assert args == [".venv/bin/activate"]
        case _:
            pytest.fail(f"no check for {program}")
    return None


@pytest.mark.parametrize("command", FOUND)
def test_every_command_of_every_page_is_one_that_works(command, workplace):
    for name in ("daisy", "rose"):  # of the folder of images that a page names
        (workplace / "flowers" / name).mkdir(parents=True)
        (workplace / "flowers" / name / "1.png").touch()
    (workplace / "recipes").symlink_to(ROOT / "recipes")
    check(shlex.split(re.sub(r"\b(FILE|file)\b", "sweeps/quick.yaml", command)))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_file_or_a_heading(page):
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", page.read_text()):
        path, _, heading = target.partition("#")
        there = page.parent / path if path else page
        assert there.exists(), target
        if heading:
            headings = re.findall(r"^#+ (.+)$", there.read_text(), re.MULTILINE)
            assert heading in [re.sub(r"[^\w -]", "", line).lower().replace(" ", "-") for line in headings]


def test_every_page_is_linked_from_the_readme_which_is_short():
    text = (ROOT / "README.md").read_text()
    assert [page.name for page in PAGES[1:] if f"(docs/{page.name})" not in text] == [OLD]
    assert f"({OLD})" in (ROOT / "docs" / "house.md").read_text()
    assert len(text.splitlines()) <= 180
