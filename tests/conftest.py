"""What all tests share."""

import os
from pathlib import Path

import pytest
import torch

# Tests compare numbers, not speed: one thread makes them repeatable, and quick beside other processes.
torch.set_num_threads(1)
os.environ.update(OMP_NUM_THREADS="1", WANDB_MODE="offline", WANDB_SILENT="true", WANDB_ERROR_REPORTING="false")

ROOT = Path(__file__).parents[1]


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """An empty working directory from which the repository can be imported by processes too."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return tmp_path


@pytest.fixture
def real_data():
    """The folder of the real data sets; the test is skipped where they are not."""
    folder = Path(os.environ.get("SUITE_DATA_DIR", ROOT / "data"))
    if not all((folder / name).is_file() for name in ("mnist.npz", "cifar10.npz")):
        pytest.skip(f"no data sets in {folder}; make test-slow fetches them")
    return str(folder)
