"""One trial: train a network, test its best checkpoint once, write the record.

python train.py fit --model=EqCNN --data=MNIST --seed_everything=3 --trainer.max_epochs=5
python train.py fit --help
python train.py predict --ckpt_path=runs/…/checkpoints/best.ckpt --image=digit.png
"""

from __future__ import annotations

import ast
import json
import logging
import os
import re
import signal
import sys
import traceback
import warnings
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from headtohead.cli.errors import UsageError, one_line
from headtohead.cli.output import lasting_output
from headtohead.cli.slurm import forget_the_rank
from headtohead.trial.errors import TERMINATED, Terminated, TrialFailed
from headtohead.trial.first_look import first_look
from headtohead.trial.help import help_of

RANKS = Path(__file__).with_name("__main__.py")  # what Lightning starts as the other processes of a trial


@lasting_output()
def main(args: Sequence[str] | None = None) -> int:
    """Run one command line.

    Args:
        args: ``sys.argv[1:]`` by default.

    Raises:
        SystemExit: help was asked for and printed.

    Returns:
        The exit code. 0: it is done. 2, with one line: the user asked for something that cannot be; nothing is left
        behind. 1, with one line: the trial failed for a reason outside the code, such as data that cannot be had, a
        loss that became NaN, or a full memory or disk. 1, with a traceback: a fault of the code. 143: after SIGTERM.
    """
    given = [_at_home(arg) for arg in (sys.argv[1:] if args is None else args)]
    _own_modules_last()
    # an agent's trial is no rank of another's; and one task is not all the ranks that there are to be
    if "WANDB_SWEEP_ID" in os.environ or os.environ.get("SLURM_NTASKS") == "1":
        forget_the_rank()
    if said := help_of(given):
        print(said)
        sys.exit(0)
    if given[:1] == ["predict"]:
        from headtohead.trial import predict

        return predict.main(given[1:])
    # not under an agent, which is told by its run; nor where all is imported already
    soon = "WANDB_SWEEP_ID" not in os.environ and "lightning" not in sys.modules
    if soon and (said := first_look(given)):
        print(f"train.py: {said}", file=sys.stderr)
        return 2
    from lightning.fabric.utilities.exceptions import MisconfigurationException  # here: they take ten seconds

    from datamodules.sources import DataUnavailable
    from headtohead.trial import tracking
    from headtohead.trial.command_line import TrialCLI

    _prepare(args)
    exit_code, message = 1, ""
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        TrialCLI()
        exit_code = 0
    except (UsageError, MisconfigurationException) as error:
        exit_code, message = 2, f"train.py: {one_line(error)}"
    except (DataUnavailable, TrialFailed) as error:
        message = f"train.py: {error}"
    except Terminated:
        exit_code, message = TERMINATED, "train.py: ended by SIGTERM; --ckpt_path=last goes on from the last epoch"
    except Exception:
        message = traceback.format_exc()
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the end may take a while: W&B gets the rest
        tracking.finish(exit_code, message)  # a process that was forked runs no exit hooks
        signal.signal(signal.SIGTERM, before)
    return exit_code


def resolve(args: Sequence[str]) -> dict[str, Any] | str:
    """Return what a command line comes to, the random seed and the resolved arguments; or what is wrong with it."""
    from lightning.fabric.utilities.exceptions import MisconfigurationException

    from headtohead.trial.command_line import TrialCLI

    _prepare(args)
    try:
        with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
            trial = TrialCLI(check_only=True)
    except (UsageError, MisconfigurationException) as error:
        return one_line(error)
    seed = trial.config[trial.subcommand].seed_everything
    return {"seed_everything": seed, **trial.resolved}


def _prepare(args: Sequence[str] | None) -> None:
    """Set the command line, and keep what says nothing to the user from being printed."""
    if args is not None:
        # Lightning starts the other processes of a trial by what it finds here
        sys.argv = [str(RANKS), *args]
        sys.modules["__main__"].__spec__ = None
    # an agent hands a run that was preempted its own settings among the parameters
    sys.argv[1:] = [_at_home(_none_as_null(arg)) for arg in sys.argv[1:] if not arg.startswith("--_wandb=")]
    _files_first(sys.argv)
    _name_classes_first(sys.argv)
    _own_modules_last()
    for message in (
        "does not have many workers",
        "Checkpoint directory",
        "no last checkpoint available",
        "smaller than the logging interval",
        "LeafSpec",
        "multiple `ModelCheckpoint`",
    ):
        warnings.filterwarnings("ignore", f".*{message}.*")
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _own_modules_last() -> None:
    """Have a user's own architectures and data imported from where they stand, behind all that is installed."""
    if (here := os.getcwd()) not in sys.path:
        sys.path.append(here)


def _terminate(*_: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough: an agent and a scheduler may both send it
    raise Terminated


def _at_home(arg: str) -> str:
    """Return an argument with the user's home in place of ``~``, which a shell leaves alone after an equals sign."""
    name, equals, value = arg.partition("=")
    return f"{name}={os.path.expanduser(value)}" if equals and value.startswith("~") else arg


def _none_as_null(arg: str) -> str:
    """Return an argument in YAML: W&B passes Python's str() of a value, of which YAML does not read None alone."""
    name, equals, value = arg.partition("=")
    if not (arg.startswith("--") and equals and re.search(r"\bNone\b", value)):
        return arg
    try:
        return f"{name}={json.dumps(ast.literal_eval(value))}"
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):  # it is text
        return arg


def _files_first(args: list[str]) -> None:
    """Put configuration files before all other arguments, which else a file that comes later would overwrite."""
    files: list[str] = []
    for at, arg in reversed(list(enumerate(args))):
        if at >= 2 and (arg.startswith("--config=") or arg in ("--config", "-c")):
            files = args[at : at + 2 - ("=" in arg)] + files
            del args[at : at + 2 - ("=" in arg)]
    args[2:2] = files


def _name_classes_first(args: list[str]) -> None:
    """Put ``--model=`` before the first ``--model.…``, and data alike: only of a known class are arguments known.

    A sweep file may list its parameters in any order, and W&B hands them over in one of its own.
    """
    for part in ("--model", "--task", "--data"):
        named = [index for index, arg in enumerate(args) if arg.startswith(f"{part}=")]
        first = next((index for index, arg in enumerate(args) if arg.startswith(f"{part}.")), len(args))
        if len(named) == 1 and first < named[0]:
            args.insert(first, args.pop(named[0]))
