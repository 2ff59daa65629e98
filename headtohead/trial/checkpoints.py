"""How the files of checkpoints are written and read: whole or not at all, as data and never as code."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO


class SafeCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint beside its place and moves it there, and reads no code.

    Lightning's own goes through the system's folder for temporary files. Where that is on another disk the last step
    is a copy, which a full disk or a kill leaves half done in the place of the checkpoint that was good.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Replace the file at ``path`` in one step; on an OSError it is as it was."""
        path = Path(path)
        path.parent.mkdir(exist_ok=True)  # not its parents: a trial whose folder has vanished is to fail
        temporary = path.with_name(f".{path.name}.tmp")  # always the same: a kill leaves no more than one
        content = io.BytesIO()  # torch.save hides what the disk says behind an error of its own
        torch.save(checkpoint, content)
        try:
            with temporary.open("wb") as file:
                file.write(content.getbuffer())
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise OSError(error.errno, error.strerror, str(path)) from error  # a write does not say of what

    def load_checkpoint(
        self, path: str | Path, map_location: Any = lambda storage, _: storage, weights_only: bool | None = True
    ) -> dict[str, Any]:
        """Read tensors and plain values; anything else is refused, whatever ``weights_only`` says."""
        checkpoint: dict[str, Any] = super().load_checkpoint(path, map_location, weights_only=True)
        return checkpoint
