"""A checkpoint is opened with its weights, and makes the suite run no code."""

import sys

import pytest
import torch

import lit_models
from headtohead.pictures.opening import CheckpointError, find_data, load
from headtohead.report.main import main
from tests.pictures.networks import Mine, saved


def test_a_checkpoint_is_loaded_with_its_weights(trained):
    model = load(trained)
    assert type(model) is lit_models.EqCNN
    assert not model.training
    state = torch.load(trained, weights_only=True)["state_dict"]
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


def test_a_users_own_class_is_imported_only_by_the_users_word(tmp_path, capsys):
    path = saved(tmp_path, Mine())
    assert main(["figures", str(path)]) == 2
    said = capsys.readouterr().err
    assert f"it names {Mine.__module__}.Mine, which is none of ours; if you trust that code, say --model=" in said
    assert len(said.splitlines()) == 1
    assert main(["figures", str(path), f"--model={Mine.__module__}.Mine", "--out", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out" / "involution.svg").is_file()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"_class_path": "evil.Net"}, "it names evil.Net, which is none of ours"),
        ({"_class_path": "evil.EqCNN"}, "it names evil.EqCNN, which is none of ours"),  # named as ours, but elsewhere
        ({"_class_path": "lit_models.EqCNN", "_instantiator": "evil.run"}, None),  # is not called
        ({"_class_path": "lit_models.EqCNN", "width": {"class_path": "evil.Net"}}, "does not fit EqCNN"),
        ({"_class_path": "lit_models.EqCNN", "widht": 8}, "does not fit EqCNN: "),
        ({"_class_path": "lit_models.EqCNN", "width": 9}, "does not fit EqCNN: Error(s) in loading state_dict"),
        ({"_class_path": "lit_models.Task"}, "does not fit Task"),
        ({}, "it does not name its class; say --model=module.Class"),
        ("words", "it does not name its class"),
    ],
)
def test_a_checkpoint_cannot_run_code(tmp_path, monkeypatch, arguments, said):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "evil.py").write_text(f"import pathlib\npathlib.Path({str(tmp_path / 'ran')!r}).touch()\n")
    path = saved(tmp_path, lit_models.EqCNN(), hyper_parameters=arguments)
    (tmp_path / "config.yaml").write_text("data: {class_path: evil.MNIST}")
    if said is None:
        load(path)
    else:
        with pytest.raises(CheckpointError, match=said.replace("(", r"\(").replace(")", r"\)")):
            load(path)
    assert find_data(path) is None
    assert not (tmp_path / "ran").exists()
    assert "evil" not in sys.modules
