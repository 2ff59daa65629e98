"""Reads command lines, and says in one line what is wrong with them and what was probably meant."""

from __future__ import annotations

import argparse
import math
import re
from pathlib import Path
from typing import NoReturn

from headtohead.cli.errors import nearest


class OneLineParser(argparse.ArgumentParser):
    """An ``ArgumentParser`` that ends with one line and exit code 2, without the usage before it."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and end."""
        message = re.sub(r"^argument ([^:]+): ", r"\1: ", message)
        if unknown := re.search(r"unrecognized arguments: ([^\s=]+)", message):
            words = [
                name[2:] for name in self._option_string_actions if name.startswith("--")
            ]  # dashes are no likeness
            near = nearest(unknown[1].lstrip("-"), words)
            there_are = f"there are {', '.join(f'--{word}' for word in words)}"
            message = f"{unknown[1]}: no such argument; " + (f"did you mean --{near}?" if near else there_are)
        self.exit(2, f"{self.prog}: {message}\n")


def positive(text: str) -> float:
    """Return the number that ``text`` is.

    Raises:
        ArgumentTypeError: it is no finite number above 0.
    """
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number above 0, such as 0.2: got {text}")
    return number


def is_address(text: str) -> bool:
    """Tell whether ``text`` is W&B's ``ENTITY/PROJECT`` or ``ENTITY/PROJECT/SWEEP`` rather than a folder."""
    return bool(re.fullmatch(r"\w[\w.-]*(/\w[\w.-]*){1,2}", text)) and not Path(text.partition("/")[0]).exists()
