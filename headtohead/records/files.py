"""Writes files whole or not at all, so that a kill or a full disk leaves what was there."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from filelock import FileLock


def write_text(path: Path, text: str) -> Path:
    """Replace the file at ``path`` by ``text``; see :func:`write_bytes`."""
    return write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes, durable: bool = True) -> Path:
    """Replace the file at ``path`` by ``content`` in one step.

    Args:
        path: of the file.
        content: all that it is to hold.
        durable: wait for the disk, so that it is there after a power cut. A copy of what lies elsewhere need not be.

    Raises:
        OSError: the file cannot be written; what it held before is intact.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, 0o644)  # mkstemp makes it readable by its owner only
            file.write(content)
            file.flush()
            if durable:
                os.fsync(descriptor)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return path


def lock(folder: Path) -> FileLock | None:
    """Take the lock of a trial's folder, which another process then cannot; this one may take it more than once.

    Args:
        folder: of the trial.

    Returns:
        The lock, to be released; None on a file system that has no locks.

    Raises:
        filelock.Timeout: another process has it.
    """
    taken = FileLock(folder.resolve() / ".lock", is_singleton=True)
    try:
        taken.acquire(timeout=0)
    except NotImplementedError:  # of earlier versions of filelock; later ones make a file the lock there
        return None
    return taken
