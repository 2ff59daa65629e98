"""What the tests of figures share."""

import numpy as np
import pytest

from headtohead.records import record as records
from tests.report.figures.trials import drawn, trial


@pytest.fixture(scope="session")
def pair():
    """The pictures of two models, of three and two seeds."""
    found = [trial("Slow", data="<&>", acc=0.9 + s / 100, seed=s, params=9_000) for s in range(3)]
    found += [trial("Fast", data="<&>", acc=0.7, seed=s, params=2_000) for s in range(2)]
    return drawn(*found)


@pytest.fixture(scope="session")
def fifteen():
    """The pictures of fifteen models, seven of them with long names."""
    random = np.random.RandomState(1)
    options = {"model.operator": "involution", "model.a_long_argument": "a_long_value"}
    found = []
    for index in range(15):
        config = {"model": f"Architecture{index // 2}", "data": "MNIST", **(options if index % 2 else {})}
        named = {"config": config, "config_hash": records.config_hash(config)}
        size = int(10 ** random.uniform(4, 7))
        quality = {"test_acc": 0.9 + 0.09 * random.rand()}
        found.append(trial(config["model"], params=size, macs=0, seconds=0, quality=quality, **named))
    return drawn(*found)
