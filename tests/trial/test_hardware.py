"""The hardware of a trial: the name of its processor, the precision it gets when nobody names one, kept memory."""

import os
import platform
import resource
import subprocess
import sys

import pytest
import torch

from headtohead.trial.hardware import best_precision, cpu_name


@pytest.mark.parametrize(
    ("bf16", "cuda", "accelerator", "expected"),
    [
        (True, None, "auto", "bf16-mixed"),
        (True, None, "cpu", "bf16-mixed"),
        (False, None, "auto", "32-true"),
        (False, None, "cpu", "32-true"),
        (False, True, "auto", "bf16-mixed"),
        (False, True, "gpu", "bf16-mixed"),
        (False, True, "cpu", "32-true"),  # what counts is where the trial runs
        (True, False, "auto", "32-true"),
        (True, False, "cuda", "32-true"),
        (True, None, "mps", "32-true"),
    ],
)
@pytest.mark.parametrize("instructions", ["_is_amx_tile_supported", "_is_avx512_bf16_supported"])
def test_bfloat16_only_where_the_hardware_multiplies_in_it(
    monkeypatch, instructions, bf16, cuda, accelerator, expected
):
    for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"):
        monkeypatch.setattr(torch.cpu, name, lambda has=bf16 and name == instructions: has)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda is not None)
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: cuda is not None)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: cuda and not including_emulation)
    assert best_precision(accelerator) == expected


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries are left as they are")
def test_freed_memory_is_kept():
    faults = """
import resource, statistics, torch
from headtohead.trial import hardware
def faults():
    counts = []
    for _ in range(15):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        (torch.ones(2**23) + 1).relu()
        counts.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
    return statistics.median(counts)
print(faults())
hardware.keep_freed_memory()
print(faults())
"""
    output = subprocess.run([sys.executable, "-c", faults], capture_output=True, text=True, check=True).stdout
    by_default, kept = map(float, output.split())
    pages = 3 * 2**25 // resource.getpagesize()
    assert by_default > 0.9 * pages
    assert kept < 0.01 * pages


@pytest.mark.parametrize(("flags", "amx"), [("fpu amx_bf16 amx_tile", ", AMX"), ("fpu avx512_bf16", "")])
def test_processors_of_one_name_differ_by_their_matrix_tiles(tmp_path, flags, amx):
    core = f"processor\t: 0\nmodel name\t: Some Xeon: 2.0 GHz\nflags\t\t: {flags}\npower management:\n\n"
    (tmp_path / "cpuinfo").write_text(core * 2)
    assert cpu_name(tmp_path / "cpuinfo") == f"Some Xeon: 2.0 GHz ({os.cpu_count()} cores{amx})"


def test_without_linux_the_name_is_what_python_knows(tmp_path):
    assert cpu_name(tmp_path / "missing").endswith(f"({os.cpu_count()} cores)")
