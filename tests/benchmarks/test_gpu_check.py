"""The check of a GPU runs to its end on a CPU, where all that it checks is right; what is fast is no test."""

import pytest

from benchmarks.gpu_check.__main__ import STAGES, main

LONG = {"sweep", "compiled-fits", "real", "compiled-speed"}  # they start trials, or compile: each has a test of its own


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_check_itself(tmp_path, capfd):
    stages = [name for name in STAGES if name not in LONG]
    code = main([*stages, "--device=cpu", "--tiny", "--limit=800", f"--out={tmp_path}"])
    report = (tmp_path / "report.md").read_text()
    assert code == 0, [line for line in report.splitlines() if line.startswith("- wrong")]
    assert report.count("- right: ") > 30
    assert all(f"\n## {name}\n" in report for name in stages if name != "environment")
    assert capfd.readouterr().out.count(" done\n") == len(stages)


@pytest.mark.parametrize(
    ("args", "said"),
    [(["speeed"], "STAGE: must be one of"), (["--device=tpu"], "--device: must be cuda or cpu: got tpu")],
)
def test_what_it_refuses(args, said, capsys):
    assert main(args) == 2
    assert said in capsys.readouterr().err
