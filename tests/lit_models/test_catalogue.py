"""The catalogue names every architecture, its size and its source."""

import re

from lit_models import architectures
from lit_models.__main__ import main, source


def test_every_architecture_is_listed(capsys):
    assert main([]) == 0
    printed = capsys.readouterr().out
    lines = {line.split()[0]: line for line in printed.splitlines() if re.match(r"\w+ +\d+×", line)}
    assert set(lines) == set(architectures.__all__)
    assert "13,978" in lines["SimpleCNN"]
    assert "294,944" in lines["SimpleCNN"]
    assert "0.05 MiB" in lines["SimpleCNN"]
    for name in architectures.__all__:
        assert source(getattr(architectures, name)), name
