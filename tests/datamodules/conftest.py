"""What the tests of sources and of formats share."""

import pytest

from tests.datamodules.published import Fake


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """Tiny data sets in the place of the real ones, and no network."""
    return Fake(tmp_path, monkeypatch)
