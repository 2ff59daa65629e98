"""``python -m results`` as a process."""

import subprocess
import sys


def test_tables_need_neither_torch_nor_wandb():
    heavy = "{'torch', 'lightning', 'wandb'}"
    code = f"import sys, results.__main__, results.figures; assert not {heavy} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
