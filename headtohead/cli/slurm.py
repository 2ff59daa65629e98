"""What the commands must know of Slurm, which starts many of them side by side."""

import os


def forget_the_rank() -> None:
    """Let this process be one of its own, whichever of a job's tasks it is.

    Lightning takes the tasks of a job for the ranks of one trial, of which only the first logs and writes. It asks when
    it is imported, so this comes first. What a trial of several devices needs, it sets itself.
    """
    for name in ("NTASKS", "PROCID", "LOCALID", "NODEID"):
        os.environ.pop(f"SLURM_{name}", None)
