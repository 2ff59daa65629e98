"""The check of a GPU runs to its end on a CPU, where all that it checks is right; what is fast is no test."""

import subprocess
import sys

import pytest

from benchmarks.gpu_check.__main__ import STAGES, main
from tests.conftest import ROOT

LONG = {"sweep", "compiled-fits", "real", "compiled-speed"}  # they start trials, or compile: each has a test of its own


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_check_itself(tmp_path):
    """In a process that has computed nothing: OpenMP's threads do not live on in the stages that it forks."""
    stages = [name for name in STAGES if name not in LONG]
    command = [sys.executable, "-m", "benchmarks.gpu_check", *stages, "--device=cpu", "--tiny", "--limit=800"]
    done = subprocess.run([*command, f"--out={tmp_path}"], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    report = (tmp_path / "report.md").read_text()
    assert done.returncode == 0, [line for line in report.splitlines() if line.startswith("- wrong")]
    assert report.count("- right: ") > 30
    assert all(f"\n## {name}\n" in report for name in stages if name != "environment")
    assert "| network | precision | batch | Trainer | bare loop | CUDA graph |" in report
    assert done.stdout.count(" done\n") == len(stages)


@pytest.mark.parametrize(
    ("args", "said"),
    [(["speeed"], "STAGE: must be one of"), (["--device=tpu"], "--device: must be cuda or cpu: got tpu")],
)
def test_what_it_refuses(args, said, capsys):
    assert main(args) == 2
    assert said in capsys.readouterr().err
