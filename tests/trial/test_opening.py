"""A checkpoint is opened with its weights, and makes the suite run no code."""

import sys

import pytest
import torch

import lit_models
from headtohead.pictures.main import main
from headtohead.trial.opening import CheckpointError, find_data, load
from tests.pictures.networks import Mine, saved

OURS = {"class_path": "lit_models.EqCNN"}


def test_a_checkpoint_is_loaded_with_its_weights(trained):
    model, inputs = load(trained)
    assert [tuple(part.shape) for part in inputs] == [(1, 1, 28, 28)]
    assert type(model) is lit_models.EqCNN
    assert not model.training
    state = torch.load(trained, weights_only=True)["state_dict"]
    assert all(torch.equal(value, state[f"net.{name}"]) for name, value in model.state_dict().items())


def test_a_users_own_class_is_imported_only_by_the_users_word(tmp_path, capsys):
    path = saved(tmp_path, Mine())
    assert main([str(path)]) == 2
    said = capsys.readouterr().err
    assert f"it names {Mine.__module__}.Mine, which is none of ours; if you trust that code, say --model=" in said
    assert len(said.splitlines()) == 1
    assert main([str(path), f"--model={Mine.__module__}.Mine", "--out", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out" / "involution.png").is_file()


@pytest.mark.parametrize(
    ("origin", "said"),
    [
        ({"class_path": "evil.Net"}, "it names evil.Net, which is none of ours"),
        ({"class_path": "evil.EqCNN"}, "it names evil.EqCNN, which is none of ours"),  # named as ours, but elsewhere
        (OURS | {"init_args": {"_instantiator": "evil.run"}}, "does not fit EqCNN: "),  # is not called
        (OURS | {"init_args": {"width": {"class_path": "evil.Net"}}}, "does not fit EqCNN"),
        (OURS | {"init_args": {"widht": 8}}, "does not fit EqCNN: "),
        (OURS | {"dict_kwargs": {"widht": 8}}, "does not fit EqCNN: "),
        (OURS | {"init_args": {"width": 9}}, "does not fit EqCNN: Error(s) in loading state_dict"),
        (OURS | {"init_args": "words", "dict_kwargs": [1]}, None),
        ({"class_path": "lit_models.Classifier"}, "it names lit_models.Classifier, which is none of ours"),
        ({}, "it does not name its class; say --model=module.Class"),
        ("words", "it does not name its class"),
    ],
)
def test_a_checkpoint_cannot_run_code(tmp_path, monkeypatch, origin, said):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "evil.py").write_text(f"import pathlib\npathlib.Path({str(tmp_path / 'ran')!r}).touch()\n")
    path = saved(tmp_path, lit_models.EqCNN(), trial={"model": origin, "data": {"class_path": "evil.MNIST"}})
    if said is None:
        load(path)
    else:
        with pytest.raises(CheckpointError, match=said.replace("(", r"\(").replace(")", r"\)")):
            load(path)
    assert find_data(path) is None
    assert not (tmp_path / "ran").exists()
    assert "evil" not in sys.modules
