"""The suite as a wheel: whole, and at work in an environment and a folder that know nothing of the repository."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

import lit_models
from tests.conftest import ROOT
from tests.test_own_page import blocks
from tests.tiny import COMMAND, a_sweep

OPERATORS = "lit_models/operators"
ROOMS = ("datamodules", "headtohead", "lit_models")


def call(*command, compiler=None, **options) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if compiler is not None:
        environment["CC"] = compiler
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def built(tmp_path_factory, compiler=None):
    """Built of a copy, with what is installed: no build of its own environment, no network."""
    source, out = (tmp_path_factory.mktemp(name) for name in ("source", "wheel"))
    left_out = shutil.ignore_patterns(".*", "data", "runs", "wandb", "build", "*.egg-info", "__pycache__", "*.so")
    shutil.copytree(ROOT, source, ignore=left_out, dirs_exist_ok=True)
    options = ["--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", out]
    call(sys.executable, "-m", "pip", "wheel", *options, source, compiler=compiler)
    (path,) = out.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel as it is built on this machine."""
    return built(tmp_path_factory)


@pytest.mark.slow
def test_the_wheel_holds_every_module_and_what_they_read(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    modules = {path.relative_to(ROOT).as_posix() for room in ROOMS for path in (ROOT / room).rglob("*.py")}
    templates = {path.relative_to(ROOT).as_posix() for path in (ROOT / "headtohead" / "report" / "templates").iterdir()}
    sources = {path.relative_to(ROOT).as_posix() for path in (ROOT / OPERATORS / "native").iterdir()}
    found = {name for name in names if ".dist-info/" not in name and not name.endswith(".so")}
    assert found == modules | templates | sources
    assert any(name.endswith("/LICENSE") for name in names)


USE = """
import torch
from lit_models.operators import DepthwiseConv2d, _native, involution2d
images, kernel = (torch.ones(shape, requires_grad=True) for shape in ((1, 2, 4, 4), (1, 1, 9, 4, 4)))
layer = DepthwiseConv2d(2, 3, padding=1)
torch.nn.init.ones_(layer.weight)
torch.nn.init.zeros_(layer.bias)
print(_native.vectors() or "none")
for output, weight in ((involution2d(images, kernel), kernel), (layer(images), layer.weight)):
    print(output.sum().item(), *(t.sum().item() for t in torch.autograd.grad(output.sum(), (images, weight))))
"""


@pytest.mark.slow
@pytest.mark.parametrize("compiler", [None, "/bin/false"])
def test_operators_of_a_wheel_run_with_and_without_a_compiler(tmp_path_factory, wheel, compiler):
    path = wheel if compiler is None else built(tmp_path_factory, compiler)
    place = tmp_path_factory.mktemp("unpacked")
    zipfile.ZipFile(path).extractall(place)
    compiled = list((place / OPERATORS).glob("_passes*.so"))
    vectors, *sums = call(
        sys.executable, "-c", f"import sys; sys.path.insert(0, {str(place)!r})\n{USE}", cwd=place
    ).split()
    # two channels; the windows of a row of four hold 2 + 3 + 3 + 2 pixels: so many products are in all outputs, each of
    # one pixel and one weight
    assert [float(one) for one in sums] == [2 * 100] * 6
    if compiler is None and shutil.which(sysconfig.get_config_var("CC").split()[0]):
        assert len(compiled) == 1
        assert vectors in ("plain", "avx2", "avx512")
    elif compiler is not None:
        assert compiled == []
        assert vectors == "none"


@pytest.mark.slow
def test_installed_from_its_wheel_the_suite_runs_outside_the_repository(wheel, tmp_path):
    place = tmp_path / "venv"
    venv.create(place)
    python = str(place / "bin" / "python")
    call(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel)
    (site,) = place.glob("lib/python*/site-packages")
    (site / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")  # what it depends on, from this environment
    here = tmp_path / "elsewhere"
    here.mkdir()
    for name, code in blocks().items():
        (here / name).write_text(code)

    for name in ("train", "sweep", "results", "report", "trial", "datamodules"):  # a user's own are not run for ours
        (here / f"{name}.py").write_text("raise SystemExit('not this one')")
    where = call(python, "-c", "import lit_models, headtohead; print(headtohead.__file__)", cwd=here)
    assert Path(where.strip()) == site / "headtohead" / "__init__.py"
    listed = call(python, "-m", "lit_models", cwd=here)
    for name in lit_models.__all__:
        assert (name in listed.split()) == (name in lit_models.architectures.__all__)
    headtohead = str(place / "bin" / "headtohead")
    assert "to run   Linear-Stripes-seed0" in call(headtohead, "sweep", "mine.yaml", "--dry-run", cwd=here)
    fit = ["fit", "--model=mine.Linear", "--data=my_data.Stripes", "--data.val_size=500", "--trainer.max_epochs=1"]
    assert "Linear on Stripes" in call(headtohead, "train", *fit, "--trainer.accelerator=cpu", cwd=here)
    assert re.search(r"Linear +1 ", call(python, "-m", "headtohead", "report", "runs/train", cwd=here))
    (record,) = here.glob("runs/train/*/record.json")
    assert '"commit": ""' in record.read_text()
    assert (here / "results" / "train" / "report.html").read_text().endswith("</html>\n")

    sweep = a_sweep(
        model="{value: mine.Linear}", data="{value: my_data.Stripes}", data__val_size="{value: 500}",
        trainer__devices="{value: 2}",
    )  # fmt: skip
    command = '["${env}", "${interpreter}", "-m", headtohead, train, fit, "${args}"]'
    (here / "two.yaml").write_text(sweep.replace(COMMAND, command))
    call(headtohead, "sweep", "two.yaml", cwd=here)
    (path,) = here.glob("runs/two/*/record.json")
    found = json.loads(path.read_text())
    assert found["hardware"]["devices"] == 2
    assert found["quality"]["test_images"] == 500
    assert found["quality"]["test_acc"] > 0.9  # both ranks learnt, and from the user's files

    # python -m looks in the current folder first; with -P it does not, and the user's own is found all the same
    assert call(python, "-P", "-m", "datamodules", "my_data.Stripes", cwd=here) == "Stripes-augmented.png\n"
