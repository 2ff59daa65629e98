"""A sweep file with a claim file beside it, for the tests of seeds until all is decided."""

import pytest

from headtohead.runner.sweep_file import read_sweep

FILE = """
program: train.py
method: grid
parameters:
  model: {values: [A, B, C]}
  data: {values: [DATA]}
  seed_everything: {values: [0, 1, 2]}
command: ["${env}", "${interpreter}", "${program}", fit, "${args}"]
"""
QUESTION = "questions: [{ask: Is A better, data: DATA, numbers: [test_acc], margin: 0.2, pairs: [[A, B]]}]"


@pytest.fixture
def sweep_of(workplace, monkeypatch):
    """A sweep file of that text, with a claim file beside it."""

    def sweep_of(text=FILE, asked=QUESTION, data="MNIST"):
        (workplace / "mine.yaml").write_text(text.replace("DATA", data))
        (workplace / "claims").mkdir(exist_ok=True)
        (workplace / "claims" / "mine.yaml").write_text(asked.replace("DATA", data.partition(",")[0]))
        return read_sweep(workplace / "mine.yaml")

    return sweep_of
