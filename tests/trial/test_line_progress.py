"""Progress in a log: a long test says where it stands, of each of its loaders."""

import re

from headtohead.trial import callbacks
from headtohead.trial import main as train
from tests.tiny import TINY


def test_a_long_test_says_where_it_stands(workplace, monkeypatch, capsys):
    init = callbacks.LineProgress.__init__
    monkeypatch.setattr(callbacks.LineProgress, "__init__", lambda self, interval=0.0: init(self, 0.0))
    arguments = ["--model=FCNet", *TINY, "--trainer.max_epochs=1", "--trainer.accelerator=cpu"]
    assert train.main(["fit", *arguments, "--trainer.logger=false", "--trainer.default_root_dir=here"]) == 0
    printed = capsys.readouterr().out.splitlines()
    first = next(line for line in printed if line.startswith("epoch 1/1 · step 1/"))
    assert re.search(r" · loss \d\.\d{4}( ·|$)", first)  # before the first validation
    assert any(re.search(r"val_acc \d\.\d{4}", line) for line in printed)
    lines = [line for line in printed if line.startswith("testing")]
    # 200 images in batches of 128; the rotation sweep has 50 of them
    both = ["testing · step 1/2", "testing · step 2/2"]
    assert lines == ["testing the best checkpoint", *both, "testing · step 1/1"]
