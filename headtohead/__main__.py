"""The command line where the suite is installed: ``headtohead train | sweep | report | pictures …``."""

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

VERBS = {
    "train": "run one trial: train a network, test its best checkpoint once, write the record",
    "sweep": "run every trial of a W&B sweep file on this machine",
    "report": "turn the records of trials into tables, verdicts, figures and one HTML report",
    "pictures": "draw a trained network: filters, feature maps, involution kernels",
}
ROOMS = {"train": "trial", "sweep": "runner"}  # where a verb lives, if not in the room of its name


def main(args: Sequence[str] | None = None) -> int:
    """Run one verb.

    Args:
        args: the verb, then its own arguments; ``sys.argv[1:]`` by default.

    Returns:
        The exit code of the verb; 2 if there is no such verb.
    """
    verb, *rest = [*(sys.argv[1:] if args is None else args), ""][:1] + list((sys.argv[1:] if args is None else args)[1:])
    if verb not in VERBS:
        usage = "usage: headtohead VERB [arguments]\n" + "".join(f"  {name:10}{what}\n" for name, what in VERBS.items())
        if verb in ("", "-h", "--help"):
            print(usage, end="")
            return 0 if verb else 2
        print(f"headtohead: no verb {verb!r}; there are {', '.join(VERBS)}", file=sys.stderr)
        return 2
    run: Callable[[Sequence[str]], int] = import_module(f"headtohead.{ROOMS.get(verb, verb)}.main").main
    return run(rest)
