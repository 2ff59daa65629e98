"""``python report.py`` as a process, and what it says of calls that it does not take."""

import subprocess
import sys

from headtohead.report.main import main
from tests.records.examples import make, save

HEAVY = "{'torch', 'lightning', 'kornia', 'torchvision', 'wandb', 'lit_models', 'datamodules'}"


def test_a_report_needs_neither_torch_nor_wandb(tmp_path):
    save(tmp_path / "runs" / "mine", make())
    code = f"import sys, headtohead.report.main as report; report.main([]); assert not {HEAVY} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, cwd=tmp_path)
    assert (tmp_path / "results" / "mine" / "report.html").is_file()


def test_a_folder_of_ours_that_is_not_there_is_no_address_of_wandb(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["runs/mine"]) == 2
    assert capsys.readouterr().err == "report.py: RUNS: there is no folder runs/mine\n"
