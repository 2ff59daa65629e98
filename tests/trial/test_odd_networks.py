"""An image's output in evaluation is its own, and a checkpoint brings it back; what works works to the end."""

from pathlib import Path

import pytest
import torch

from headtohead.cli.errors import UsageError
from headtohead.trial import main as train
from headtohead.trial.networks import try_on_one_batch
from headtohead.trial.opening import load
from lit_models import Classifier
from lit_models.sizes import size
from tests.tiny import TINY, Tiny
from tests.trial import odd_networks
from tests.trials import fitted, weights

HERE = "tests.trial.odd_networks"
FIT = ["fit", *TINY, "--trainer.accelerator=cpu", "--trainer.logger=false", "--trainer.max_epochs=1"]

pytestmark = pytest.mark.usefixtures("workplace")

BATCH = "lets the output for an image depend on the others of its batch in evaluation"
ANEW = "answers otherwise when it is built anew with the same weights"
REFUSED = {
    "AlwaysDrops": "gives other outputs for the same images in evaluation",
    "Probabilities": "must return logits: got probabilities",
    "Attention": BATCH,
    "NoStatistics": BATCH,
    "PairsOnly": "cannot take a batch of one image in evaluation",
    "Drops": None,
    "LogProbabilities": None,
    "Lazy": None,
}


@pytest.mark.parametrize("name", REFUSED)
def test_numbers_that_would_not_be_an_images_own_are_refused(name):
    task = Classifier(getattr(odd_networks, name)())
    if REFUSED[name] is None:  # it is like those, and right
        try_on_one_batch(task, Tiny(), name)
    else:
        with pytest.raises(UsageError, match=f"^--model: {name} {REFUSED[name]}"):
            try_on_one_batch(task, Tiny(), name)


@pytest.mark.parametrize("name", ["Shuffled", "Warming"])
def test_a_network_that_no_checkpoint_could_bring_back_is_refused(name):
    assert str(train.resolve([*FIT, f"--model={HERE}.{name}"])).startswith(f"--model: {name} {ANEW}")


@pytest.mark.parametrize("name", ["Normed", "Looks"])
def test_multiplications_are_counted_where_no_copy_without_values_can_be_made(name):
    with torch.inference_mode():  # as a test runs
        assert size(getattr(odd_networks, name)(), torch.zeros(1, 1, 28, 28)).macs == 784 * 10


def accuracy(name):
    """The accuracy of the kept weights on the test set, one image at a time."""
    net, _ = load(Path("here/checkpoints/best.ckpt"), f"{HERE}.{name}")
    data = ready()
    images = data.normalized(data.test.images.float(), white=255)
    with torch.no_grad():
        right = [
            int(net(one.clone()).argmax()) == label
            for one, label in zip(images.split(1), data.test.labels, strict=True)
        ]
    return sum(right) / len(right)


def ready():
    data = Tiny(val_size=100)
    data.setup()
    return data


def test_complex_weights_are_trained_and_a_changed_input_changes_no_number():
    record = fitted(*FIT, f"--model={HERE}.Waves")
    assert record.quality["test_acc"] == accuracy("Waves") > 0.2
    assert record.size["macs"] == 784 * 10


def test_a_classifier_may_take_a_mask_and_a_member_of_an_enumeration():
    model = [f"--model={HERE}.Coloured", "--model.hue=BLUE"]
    record = fitted(*FIT, *model)
    assert record.config["model.hue"] == "BLUE"
    assert record.quality["test_images"] == 200
    test = ["test", model[0], *TINY, "--trainer.accelerator=cpu", "--ckpt_path=here/checkpoints/best.ckpt"]
    assert isinstance(train.resolve(test), dict)


def test_a_lazy_layer_begins_with_no_statistics_of_the_images_that_it_was_tried_on():
    """Its momentum is none, so that its mean is that of all batches that it saw."""
    fitted(*FIT, f"--model={HERE}.Lazy", "--data.batch_size=500")
    data = ready()
    mean = data.normalized(data.train.images.float(), white=255).mean()
    held = weights("here")
    assert held["net.layers.0.num_batches_tracked"] == 1
    assert held["net.layers.0.running_mean"].item() == pytest.approx(mean.item(), rel=1e-4)


def test_a_mask_that_a_network_overwrites_is_still_the_one_that_its_error_is_counted_in():
    args = [f"--model={HERE}.Overwrites", "--data.normalize=false", "--trainer.limit_test_batches=1"]
    found = fitted(*FIT, *args).quality
    assert 0 < found["test_l1_hole"] < 1
    assert found["test_l1_hole"] != found["test_l1_valid"]
