"""The page on bringing one's own, followed."""

import re
import subprocess
import sys

import pandas as pd
import pytest

from tests.conftest import ROOT


def blocks() -> dict[str, str]:
    """Return the code blocks of the page by the file name in the line above them."""
    text = (ROOT / "docs" / "own.md").read_text()
    return dict(re.findall(r"`([\w.]+)`:\n\n```\w+\n(.*?)```", text, re.DOTALL))


@pytest.mark.slow
def test_bring_your_own(workplace, monkeypatch):
    files = blocks()
    assert set(files) == {"mine.py", "my_data.py", "mine.yaml"}
    # as they stand, but for one seed and a test on one batch: a ResNet on a CPU takes minutes for more
    assert "{values: [0, 1]}" in files["mine.yaml"]
    files["mine.yaml"] = files["mine.yaml"].replace(
        "{values: [0, 1]}", "{value: 0}\n  trainer.limit_test_batches: {value: 1}"
    )
    for name, code in files.items():
        (workplace / name).write_text(code)
    monkeypatch.delenv(
        "PYTHONPATH"
    )  # an installed suite is importable without; here it is made so for the report alone
    done = subprocess.run([sys.executable, ROOT / "sweep.py", "mine.yaml"], capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stdout + done.stderr
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    done = subprocess.run([sys.executable, ROOT / "report.py", "runs/mine"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    runs = pd.read_csv(workplace / "results" / "mine" / "runs.csv")
    assert sorted(zip(runs.model, runs.seed, strict=True)) == [
        ("Linear", 0),
        ("SimpleCNN", 0),
        ("resnet18", 0),
        ("resnet18", 0),
    ]
    assert set(runs.data) == {"Stripes"}
    report = (workplace / "results" / "mine" / "report.html").read_text()
    assert "--model=mine.Linear" in report  # the commands run again as they stand
    assert "--data=my_data.Stripes" in report
    assert "--model=SimpleCNN" in report
    linear = runs[runs.model == "Linear"]
    assert (linear.params == 28 * 28 * 3 * 2 + 2).all()
    assert (linear.test_acc > 90).all()
