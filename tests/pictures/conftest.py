"""What the tests of pictures share."""

import pytest

from headtohead.trial import main as train
from tests.tiny import TINY


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """An EqCNN that learnt for an epoch, in the folder of its trial."""
    folder = tmp_path_factory.mktemp("trial")
    fit = ["fit", "--model=EqCNN", *TINY, "--trainer.accelerator=cpu", "--trainer.logger=false"]
    fit += [f"--trainer.{limit}" for limit in ("max_epochs=1", "limit_train_batches=4", "limit_test_batches=1")]
    assert train.main([*fit, f"--trainer.default_root_dir={folder}"]) == 0
    return folder / "checkpoints" / "best.ckpt"
