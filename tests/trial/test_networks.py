"""Any network joins by its name: what it is told of the data, what its record says, what is refused beforehand."""

import pytest

from headtohead.trial import main as train
from headtohead.trial.networks import facts_of
from tests.tiny import Few
from tests.trials import fitted, weights

FIT = ["fit", "--data=tests.tiny.Few", "--data.val_size=20", "--data.batch_size=20", "--trainer.accelerator=cpu"]
FIT += ["--trainer.max_epochs=1"]
MODULE = "tests.trial.own_networks"


def test_the_data_state_their_facts():
    assert facts_of(Few()) == {"in_channels": 3, "image_size": 32, "num_classes": 10}


@pytest.mark.parametrize(
    ("args", "name", "own", "shape"),
    [
        (["Plain"], "Plain", {"width": 4}, (10, 3 * 4)),
        (["Plain", "--model.width=6"], "Plain", {"width": 6}, (10, 3 * 6)),
        (["Fixed"], "Fixed", {}, (10, 3)),
        (["make", "--model.depth=2"], "make", {"depth": 2}, (10, 3)),
    ],
)
def test_a_module_or_function_gets_the_facts_it_has_arguments_for(workplace, args, name, own, shape):
    record = fitted(*FIT, f"--model={MODULE}.{args[0]}", *args[1:])
    assert (record.model, record.config["model"]) == (name, f"{MODULE}.{name}")
    assert {key: value for key, value in record.config.items() if key.startswith("model.")} == {
        f"model.{key}": value for key, value in own.items()
    }  # what comes from the data is no choice of anybody's
    assert [tuple(value.shape) for value in weights("here").values() if value.dim() == 2] == [shape]
    assert record.size["params"] == shape[0] * shape[1] + 10
    assert record.hardware["memory_format"] == "channels_last"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("args", "name", "said"),
    [
        (["torchvision.models.resnet18"], "resnet18", {}),
        (
            ["timm.create_model", "--model.model_name=resnet18", "--model.drop_rate=0.1"],
            "resnet18",
            {"model.model_name": "resnet18", "model.drop_rate": 0.1},
        ),
    ],
    ids=["torchvision", "timm"],
)
def test_a_network_of_another_library_is_trained(workplace, args, name, said):
    one_batch = [f"--trainer.limit_{part}_batches=1" for part in ("train", "val", "test")]
    record = fitted(*FIT, f"--model={args[0]}", *args[1:], *one_batch, "--data.batch_size=4")
    assert (record.model, record.config["model"]) == (name, args[0])
    assert said.items() <= record.config.items()
    assert weights("here")["net.conv1.weight"].shape == (64, 3, 7, 7)
    assert weights("here")["net.fc.weight"].shape == (10, 512)
    assert record.size["params"] == 11_181_642  # those of ResNet-18 for ten classes


def test_timm_is_told_the_channels_too(workplace):
    """In the one channel of the other data set; it calls them in_chans."""
    args = ["fit", "--model=timm.create_model", "--model.model_name=test_resnet", "--data=tests.tiny.Tiny"]
    assert isinstance(train.resolve([*args, "--data.val_size=100", "--trainer.accelerator=cpu"]), dict)
    wrong = train.resolve([*args, "--data.val_size=100", "--trainer.accelerator=cpu", "--model.nonsense=1"])
    assert wrong == "--model.nonsense: ResNet.__init__() got an unexpected keyword argument 'nonsense'"


@pytest.mark.parametrize("kind", ["deep", "flat"])
def test_a_constructors_own_words_are_said_whatever_error_led_to_them(workplace, kind):
    wrong = train.resolve([*FIT, f"--model={MODULE}.OneOf", f"--model.kind={kind}"])
    assert wrong == f"--model.kind must be wide or narrow: got {kind}"


@pytest.mark.parametrize(
    ("network", "said"),
    [
        ("Grey", "--model: Grey cannot take images of shape (2, 3, 32, 32): Given groups=1, weight of size [1, 1, 3"),
        ("AtMost28", "--model: AtMost28: images of at most 28 pixels: got 32"),
        ("Nope", f"--model: no model is named '{MODULE}.Nope'"),
    ],
)
def test_what_cannot_be_trained_is_refused_in_one_line_before_it_is(workplace, capfd, network, said):
    assert train.main([*FIT, f"--model={MODULE}.{network}"]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith(f"train.py: {said}")
    assert not list(workplace.iterdir())
