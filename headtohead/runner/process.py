"""Runs trials in processes of their own, forked from a server that has imported PyTorch once."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess, parent_process
from pathlib import Path
from typing import Any

from filelock import Timeout

from headtohead.records.files import lock

LOG = "log.txt"
BUSY = 75  # exit code: another process runs this trial
PATIENCE = 5.0  # seconds that a trial has to end kindly
PRELOADED = [
    "headtohead.trial.command_line",
    "wandb.sdk.launch.inputs.internal",
]  # the second takes W&B half a second when a run starts

_METHOD = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
_context: Any = multiprocessing.get_context(_METHOD)  # typed as a context that cannot start processes


def start_server() -> None:
    """Start importing PyTorch and all else that a trial needs, in the background."""
    if _METHOD != "forkserver":
        return
    from multiprocessing import forkserver

    root = str(Path(__file__).resolve().parents[2])
    # The server does not inherit sys.path, and leaves out without a word what it cannot import. A safe path lacks the
    # current folder: a user's datamodules.py must not be imported in place of ours.
    own = {"PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")])), "PYTHONSAFEPATH": "1"}
    before = dict(os.environ)
    os.environ.update(own)
    try:
        _context.set_forkserver_preload(PRELOADED)
        forkserver.ensure_running()
    finally:
        for name in own:
            os.environ.pop(name)
        os.environ.update(before)


def check(command_lines: Sequence[Sequence[str]], trials_at_once: int) -> list[dict[str, Any] | str]:
    """Ask ``train.py`` what each command line comes to, as resolved arguments; or what is wrong with it."""
    here, there = _context.Pipe(duplex=False)
    process = _context.Process(target=_check, args=(command_lines, there, {"TRIALS_AT_ONCE": str(trials_at_once)}))
    process.start()
    there.close()
    try:
        answers: list[dict[str, Any] | str] = here.recv()
    except EOFError:
        process.join()
        raise RuntimeError(f"train.py could not be started: exit code {process.exitcode}") from None
    process.join()
    return answers


def start(args: Sequence[str], folder: Path, environment: dict[str, str]) -> BaseProcess:
    """Start a trial.

    Args:
        args: command line for ``train.py``.
        folder: of the trial; its output goes to ``log.txt`` there.
        environment: variables to set.

    Returns:
        The process. Its exit code is that of ``train.py``, or ``BUSY``.
    """
    process: BaseProcess = _context.Process(target=_run, args=(list(args), folder, environment), name=folder.name)
    process.start()
    return process


def stop(process: BaseProcess) -> None:
    """End a trial and what it started: kindly, then at once."""
    if not hasattr(os, "killpg"):  # Windows: its processes have no groups, and end by no signal
        process.terminate()
        process.join(PATIENCE)
        return
    for number in (signal.SIGTERM, signal.SIGKILL):  # the second reaches ranks that outlived the first of them
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid or 0, number)
        process.join(PATIENCE)


def _check(command_lines: Sequence[Sequence[str]], answer: Connection, environment: dict[str, str]) -> None:
    os.environ.update(environment)
    from headtohead.trial import main as trial

    answer.send([trial.resolve(args) for args in command_lines])


def _run(args: list[str], folder: Path, environment: dict[str, str]) -> None:
    if hasattr(os, "setpgid"):
        os.setpgid(0, 0)  # a group of its own: it is ended with the ranks that it starts
        _die_with_parent()
    os.environ.pop("PYTHONSAFEPATH", None)  # which was for the server alone
    os.environ.pop("WANDB_SERVICE", None)  # that of the process above ends with it; a trial has its own
    os.environ.update(environment)
    try:
        held = lock(folder)
    except Timeout:
        sys.exit(BUSY)
    log = os.open(folder / LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (1, 2):
        os.dup2(log, stream)
    from headtohead.trial import main as trial

    code = trial.main(args)
    if held is not None:
        held.release()
    sys.exit(code)


def _die_with_parent() -> None:
    """End this process group when the runner is gone, however it went: nobody would wait for the result."""
    parent = parent_process()
    if parent is None:
        return

    def watch() -> None:
        wait([parent.sentinel])
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()
