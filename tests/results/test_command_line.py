"""``python -m results`` as a process."""

import subprocess
import sys


def test_tables_need_no_torch():
    code = "import sys, results.__main__, results.figures; assert not {'torch', 'lightning'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
