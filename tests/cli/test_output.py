"""A reader that goes away, as ``head`` does, ends no work and makes no noise."""

import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from tests.tiny import TINY

WORK = """
import sys
from headtohead.cli.output import lasting_output

@lasting_output()
def main():
    for _ in range(3):
        print("x" * 100_000, flush=True)
    print("still there", file=sys.stderr)
    print("y")  # too little to be written before the end

main()
"""


def unread(*args):
    """Run Python with a standard output that nobody reads."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        return subprocess.run([sys.executable, *args], stdout=writer, stderr=subprocess.PIPE, text=True, timeout=300)
    finally:
        os.close(writer)


def test_work_goes_on_without_a_reader(workplace):
    done = unread("-c", WORK)
    assert (done.returncode, done.stderr) == (0, "still there\n")


@pytest.mark.parametrize(
    "args",
    [
        [ROOT / "report.py", "--help"],
        [ROOT / "sweep.py", "--help"],
        pytest.param(
            [ROOT / "train.py", "fit", "--model=SimpleCNN", *TINY, "--trainer.max_epochs=1"], marks=pytest.mark.slow
        ),
        pytest.param([ROOT / "report.py", ROOT / "results" / "conv_vs_involution"], marks=pytest.mark.slow),
        pytest.param(["-m", "benchmarks", "--list"], marks=pytest.mark.slow),
        pytest.param(["-m", "lit_models"], marks=pytest.mark.slow),
    ],
    ids=lambda args: " ".join(str(arg).rpartition("/")[2] for arg in args),
)
def test_commands_end_without_a_word(workplace, args):
    done = unread(*args)
    assert done.stderr == ""
    assert done.returncode == ("lit_models" in args)  # rich, which prints that table, ends it with 1
