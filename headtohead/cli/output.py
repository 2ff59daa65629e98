"""Standard output that may lose its reader, as with ``| head`` or a pager that is quit."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any


def counted(number: int, thing: str) -> str:
    """Return how many there are of a thing: ``1 trial``, ``2 trials``."""
    return f"{number:,} {thing}{'s' * (number != 1)}"


@contextmanager
def lasting_output() -> Iterator[None]:
    """Go on without a word when nobody reads standard output any more; use it as the decorator of a ``main``.

    Not by the default action of SIGPIPE, which would end a sweep in the midst of its trials, or an upload whose server
    hangs up.
    """
    output: Any = _Lasting(sys.stdout)
    with redirect_stdout(output):
        try:
            yield
        finally:
            output.flush()  # now, for at its own end Python would complain


class _Lasting:
    """A stream that, once its reader is gone, leads nowhere."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with self._unheard():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with self._unheard():
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @contextmanager
    def _unheard(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
