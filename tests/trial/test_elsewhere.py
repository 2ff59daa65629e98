"""Without what Windows and macOS lack (hidden here) everything imports, and a sweep of one trial runs to its record."""

import os
import subprocess
import sys

import pytest

from headtohead.records import record as records
from tests.conftest import ROOT
from tests.tiny import a_sweep

HIDE = """
import multiprocessing
import os
import sys

for name in ("resource", "fcntl", "pwd", "grp", "termios"):
    sys.modules[name] = None
multiprocessing.get_all_start_methods = lambda: ["spawn"]
for name in ("setpgid", "killpg", "sched_getaffinity"):
    delattr(os, name)
"""
EVERY = """
import importlib
import pkgutil

import headtohead

for module in pkgutil.walk_packages(headtohead.__path__, "headtohead."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
"""
SWEEP = a_sweep(model="{value: SimpleCNN}", model__width="{value: 2}")


@pytest.mark.slow
def test_everything_imports_and_a_sweep_runs(tmp_path):
    (tmp_path / "tiny.yaml").write_text(SWEEP)
    run = f"{HIDE}{EVERY}\nfrom headtohead.runner.main import main\nsys.exit(main(['tiny.yaml', '--runs=runs']))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "WANDB_MODE": "disabled"}
    command = [sys.executable, "-c", run]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = tmp_path.glob(f"runs/tiny/*/{records.FILE_NAME}")
    assert records.read(path).quality["test_images"] == 200
