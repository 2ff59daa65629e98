"""Ends a trial at SIGTERM, on all its ranks, also where a rank waits for another and runs no Python."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from headtohead.trial.errors import TERMINATED, Terminated

SECONDS = 10.0  # after which the first rank ends without having closed its loggers


class Termination(Callback):
    """Ends a trial on all its ranks at SIGTERM, whoever of them gets it; the last checkpoint stays.

    Lightning's own handler, which this one replaces, talks to the other ranks from within: when a scheduler sends the
    signal to all of them, as Slurm does, each waits for the others for ever. It also asks the first rank before every
    step whether the signal came, for which a GPU has to be waited for (Lightning's issue 21487): that is left out.

    A rank that waits for another, in NCCL for half an hour, runs no Python, and no handler. A thread is told of the
    signal there: the first rank then ends ``SECONDS`` later, any other at once.

    Raises:
        Terminated: on the first rank, wherever it is. The others write nothing and end at once.
    """

    def __init__(self) -> None:
        self._handled = self._watched = False

    def _install(self, trainer: Trainer, pl_module: LightningModule) -> None:
        def end(*_: object) -> None:
            self._handled = True
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough: an agent and a scheduler may both send it
            self._end_others(trainer)
            if not trainer.is_global_zero:
                os._exit(0)  # 0, or Lightning would kill the first rank before it has ended its run
            raise Terminated

        signal.signal(signal.SIGTERM, end)
        if trainer.world_size > 1 and not self._watched:
            self._watched = True
            self._watch(trainer)
            # ignored: of this one loop alone the method is replaced; a loop of our own would need all of its settings
            trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = _nothing  # type: ignore[method-assign]

    # Lightning installs its own before each of these; a fit begins with a validation, to check that it works
    on_validation_start = on_train_start = on_test_start = _install

    def _watch(self, trainer: Trainer) -> None:
        """Start the thread: Python's own part of a handler writes the signal's number to it, whatever the rank does."""
        told, tell = os.pipe()
        os.set_blocking(tell, False)
        signal.set_wakeup_fd(tell, warn_on_full_buffer=False)
        # or a child would tell this process of its own signals
        os.register_at_fork(after_in_child=lambda: signal.set_wakeup_fd(-1))

        def wait() -> None:
            while signal.SIGTERM not in os.read(told, 64):
                pass
            if not trainer.is_global_zero:
                os._exit(0)
            time.sleep(SECONDS)
            if not self._handled:
                self._end_others(trainer)
                os._exit(TERMINATED)

        threading.Thread(target=wait, daemon=True, name="termination").start()

    @staticmethod
    def _end_others(trainer: Trainer) -> None:
        """Pass the signal on to the ranks that this one started."""
        if trainer.strategy.launcher is not None:
            trainer.strategy.launcher.kill(signal.SIGTERM)


def _nothing(*_: Any) -> None:
    pass
