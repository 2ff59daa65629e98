"""The server from which trials are forked."""

import subprocess
import sys

import pytest

from headtohead.runner.process import _METHOD, PRELOADED

ASK = f"""
from headtohead.runner import process

process.start_server()
look = "import sys; sys.exit(not all(name in sys.modules for name in {PRELOADED}))"
trial = process._context.Process(target=exec, args=(look,))
trial.start()
trial.join()
raise SystemExit(trial.exitcode)
"""


@pytest.mark.slow
@pytest.mark.skipif(_METHOD != "forkserver", reason="elsewhere every trial imports for itself")
def test_a_trial_finds_imported_what_takes_long(workplace):
    # what cannot be imported, the server leaves out without a word
    done = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
