"""Seeds of random streams that have nothing to do with one another, made from what they are for."""

from __future__ import annotations

import numpy as np

ORDER, DRAWS = 0, 1  # what a stream is for: the order of the images, and all that a process draws in an epoch


def stream_seed(seed: int, epoch: int, rank: int, purpose: int) -> int:
    """Return a seed of 64 bits, by a hash: sums would give the epochs of one trial the seeds of another's.

    Args:
        seed: of the trial.
        epoch: counted from 0.
        rank: of the process; 0 where all processes share the stream.
        purpose: ``ORDER`` or ``DRAWS``.
    """
    return int(np.random.SeedSequence([seed, epoch, rank, purpose]).generate_state(1, np.uint64)[0])
