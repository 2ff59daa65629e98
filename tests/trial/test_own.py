"""What a user's network or task may be: it works to the end, or is refused in one line before training."""

from pathlib import Path

import pytest

from headtohead.records import record as records
from headtohead.trial import main as train
from tests.tiny import TINY
from tests.trials import fitted, weights

FIT = ["fit", *TINY, "--trainer.accelerator=cpu", "--trainer.logger=false", "--trainer.max_epochs=2"]

pytestmark = pytest.mark.usefixtures("workplace")


def test_the_network_of_every_tutorial_is_tested_on_grey_images_too(workplace):
    record = fitted(*FIT, "--model=tests.trial.own_networks.LeNet")
    assert record.quality["test_images"] == 200
    assert record.size["params"] == 44_426
    assert record.hardware["memory_format"] == "contiguous"  # views do not fit channels last
    assert "data.memory_format" not in record.config
    (workplace / "here" / records.FILE_NAME).unlink()
    again = fitted(*FIT, "--model=tests.trial.own_networks.LeNet", "--ckpt_path=last")  # its test alone
    assert again.quality == record.quality


def test_a_task_may_have_a_training_step_of_its_own():
    record = fitted(*FIT, "--model=tests.trial.own_networks.Small", "--task=tests.trial.own_networks.Mixup")
    for epoch in record.history:
        assert epoch["train_mixed"] > 0
        assert epoch["val_acc"] >= 0
        assert "train_loss" not in epoch
    assert record.config["task"] == "tests.trial.own_networks.Mixup"


def test_trying_a_network_leaves_its_buffers_as_they_were():
    """And a last batch of one image is one like any other, without batch norm."""
    fitted(*FIT, "--model=tests.trial.own_networks.Small", "--data.batch_size=499")
    assert weights("here")["net.seen"] == 2 * 500


ONE_LOGIT = "OneLogit must return logits of shape (2, 10) (images, classes): got (2, 1); one for each class, of two too"


@pytest.mark.parametrize(
    "said",
    [
        f"--model: {ONE_LOGIT}",
        "--model: Nothing has no parameters that could be trained",
        "--model: Auxiliary in training must return logits of shape (2, 10): got a",
        "--model: InPlace cannot be trained on images of shape (2, 1, 28, 28): ",
        "--model: Detached cannot be trained on images of shape (2, 1, 28, 28): ",
        "--data.augment: Shrink must return images of shape (2, 1, 28, 28): got (2, 1, 28, 27)",
    ],
)
def test_what_cannot_work_is_refused_before_training_and_by_the_check_of_a_sweep(capfd, said):
    argument, name = said.split()[:2]
    args = ["--model=tests.trial.own_networks.Small", f"{argument[:-1]}=tests.trial.own_networks.{name}"]
    assert str(train.resolve([*FIT, *args])).startswith(said)
    assert train.main([*FIT, *args]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith(f"train.py: {said}")
    assert not list(Path().iterdir())


def test_a_last_batch_of_one_image_is_refused_where_batch_norm_cannot_take_it(capfd):
    assert train.main([*FIT, "--model=tests.trial.own_networks.Normed", "--data.batch_size=499"]) == 2
    out, err = capfd.readouterr()
    assert err.startswith(
        "train.py: --data.batch_size: 499 leaves one image for the last batch of an epoch, on which Normed cannot be "
        "trained (Expected more than 1 value per channel when training"
    )
    assert err.endswith("): give another\n")
    assert "epoch" not in out
    assert not list(Path().iterdir())
    assert (
        fitted(*FIT, "--model=tests.trial.own_networks.Normed", "--data.batch_size=498").quality["test_images"] == 200
    )
