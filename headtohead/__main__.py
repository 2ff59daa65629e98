"""The command line where the suite is installed: ``headtohead train | sweep | report | pictures …``."""

import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from headtohead.cli.errors import did_you_mean

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
    verb, *rest = (sys.argv[1:] if args is None else list(args)) or ["--help"]
    if verb in ("-h", "--help"):
        print("usage: headtohead VERB [arguments]; each verb knows --help")
        for name, what in VERBS.items():
            print(f"  {name:10}{what}")
        return 0
    if verb not in VERBS:
        print(f"headtohead: no verb {verb!r}{did_you_mean(verb, VERBS)}", file=sys.stderr)
        return 2
    run: Callable[[Sequence[str]], int] = import_module(f"headtohead.{ROOMS.get(verb, verb)}.main").main
    return run(rest)


if __name__ == "__main__":
    # ``python -m`` looks for modules in the current folder first: last is soon enough for a user's own, and his
    # datamodules.py is not taken for ours.
    if sys.path[0] == os.getcwd():
        sys.path.append(sys.path.pop(0))
    sys.exit(main())
