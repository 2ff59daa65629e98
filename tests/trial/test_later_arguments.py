"""Arguments that came after records were kept: at their defaults they change no identity, otherwise they part of it."""

import inspect

import pytest

import lit_models
from headtohead.trial import main as train
from headtohead.trial.config import LATER
from tests.tiny import TINY

pytestmark = pytest.mark.usefixtures("workplace")
FILLS = ["fit", "--model=ConvUNet", "--task=Inpainter", *TINY, "--data.normalize=false"]


def identity(*args):
    found = train.resolve(args)
    assert isinstance(found, dict), found
    return found


def test_defaults_are_left_out_and_others_are_kept():
    plain = identity(*FILLS)
    assert plain == identity(*(arg for arg in FILLS if arg != "--task=Inpainter"))
    assert not any(name.startswith(("task.hole", "task.strokes")) for name in plain)
    assert identity(*FILLS, "--task.hole_min=0.1", "--task.strokes=3", "--task.holes=strokes") == plain
    other = identity(*FILLS, "--task.hole_max=0.3", "--task.strokes=1", "--task.holes=inside")
    assert {name: value for name, value in other.items() if name not in plain} == {
        "task.hole_max": 0.3,
        "task.strokes": 1,
        "task.holes": "inside",
    }


@pytest.mark.parametrize("name", LATER)
def test_the_arguments_are_there(name):
    parameters = inspect.signature(getattr(lit_models, name)).parameters
    for argument in LATER[name]:
        assert parameters[argument].default is not inspect.Parameter.empty


def test_the_recipe_of_a_classifier_is_that_of_an_inpainter_but_for_its_labels():
    bare = [arg for arg in FILLS if arg != "--task=Inpainter"]
    found = identity(*bare, "--task.l1=0.001", "--task.warmup=5", "--task.optimizer=rmsprop")
    assert (found["task"], found["task.l1"], found["task.warmup"]) == ("Inpainter", 0.001, 5)
    assert train.resolve([*bare, "--task.label_smoothing=0.1"]) == (
        "--task.label_smoothing: Inpainter has no such argument; it is one of Classifier's: add --task=Classifier"
    )
    labels = identity("fit", "--model=SimpleCNN", *TINY, "--task.label_smoothing=0.1")
    assert labels["task.label_smoothing"] == 0.1
