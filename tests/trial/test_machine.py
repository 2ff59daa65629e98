"""The name of the processor, by which times of different machines are kept apart."""

import os

import pytest

from headtohead.trial.hardware import cpu_name


@pytest.mark.parametrize(("flags", "amx"), [("fpu amx_bf16 amx_tile", ", AMX"), ("fpu avx512_bf16", "")])
def test_processors_of_one_name_differ_by_their_matrix_tiles(tmp_path, flags, amx):
    core = f"processor\t: 0\nmodel name\t: Some Xeon: 2.0 GHz\nflags\t\t: {flags}\npower management:\n\n"
    (tmp_path / "cpuinfo").write_text(core * 2)
    assert cpu_name(tmp_path / "cpuinfo") == f"Some Xeon: 2.0 GHz ({os.cpu_count()} cores{amx})"


def test_without_linux_the_name_is_what_python_knows(tmp_path):
    assert cpu_name(tmp_path / "missing").endswith(f"({os.cpu_count()} cores)")
