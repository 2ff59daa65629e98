"""The suite as a wheel: whole, and at work in an environment and a folder that know nothing of the repository."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

import lit_models
from tests.conftest import ROOT
from tests.test_readme import blocks


def call(*command, **options) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built of a copy, with what is installed: no build of its own environment, no network."""
    source, out = (tmp_path_factory.mktemp(name) for name in ("source", "wheel"))
    left_out = shutil.ignore_patterns(".*", "data", "runs", "wandb", "build", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT, source, ignore=left_out, dirs_exist_ok=True)
    options = ["--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", out]
    call(sys.executable, "-m", "pip", "wheel", *options, source)
    (path,) = out.glob("*.whl")
    return path


@pytest.mark.slow
def test_the_wheel_holds_every_module_and_what_they_read(wheel):
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    names = zipfile.ZipFile(wheel).namelist()
    packages = [package.replace(".", "/") for package in settings["packages"]]
    modules = {f"{name}.py" for name in settings["py-modules"]}
    for package in packages:
        modules |= {f"{package}/{path.name}" for path in (ROOT / package).glob("*.py")}
    folders = {path.parent.relative_to(ROOT).as_posix() for path in ROOT.glob("[!.]*/**/__init__.py")}
    assert {folder for folder in folders if not folder.startswith(("tests", "build"))} == set(packages)
    templates = {f"results/templates/{path.name}" for path in (ROOT / "results" / "templates").iterdir()}
    found = {name for name in names if ".dist-info/" not in name}
    assert found == modules | templates | {"results/claims.yaml"}
    assert any(name.endswith("/LICENSE") for name in names)


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
    for name, code in blocks("Bring your own").items():
        (here / name).write_text(code)

    where = call(python, "-c", "import lit_models, results, sweep, train; print(train.__file__)", cwd=here)
    assert Path(where.strip()) == site / "train.py"
    listed = call(python, "-m", "lit_models", cwd=here)
    for name in lit_models.__all__:
        assert (name in listed.split()) == (getattr(lit_models, name).forward is not lit_models.Classifier.forward)
    assert "to run   Linear-Stripes-seed0" in call(python, "-m", "sweep", "mine.yaml", "--dry-run", cwd=here)
    fit = ["fit", "--model=mine.Linear", "--data=my_data.Stripes", "--data.val_size=500", "--trainer.max_epochs=1"]
    assert "Linear on Stripes" in call(python, "-m", "train", *fit, "--trainer.accelerator=cpu", cwd=here)
    assert re.search(r"Linear +1 ", call(python, ROOT / "report.py", "runs/train", cwd=here))
    (record,) = here.glob("runs/train/*/record.json")
    assert '"commit": ""' in record.read_text()
    assert (here / "results" / "train" / "report.html").read_text().endswith("</html>\n")
