"""``headtohead pictures``: every network has the pictures of its layers, and what is wrong is told in a line."""

import numpy as np
import pytest
import torch
from torch import nn

import lit_models
from headtohead.pictures.feature_maps import outputs
from headtohead.pictures.images import Sample
from headtohead.pictures.main import draw, main
from headtohead.trial.opening import CheckpointError
from lit_models.facts import example_inputs
from tests.pictures.networks import Mine, image, sample, saved


@pytest.mark.parametrize(
    ("model", "names"),
    [
        (lit_models.EqCNN(), ["first_layer", "layers", "filters", "turned"]),
        (lit_models.INN(1, 28), ["layers", "filters", "turned", "involution"]),
        (lit_models.ConvMixer(1, 28, width=4, depth=3), ["first_layer", "depthwise", "layers", "filters", "turned"]),
        (lit_models.PConvUNet(1, width=4), ["first_layer", "layers", "filters", "turned"]),
        (Mine(), ["first_layer", "depthwise", "layers", "filters", "turned", "involution"]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_network_has_the_pictures_of_its_layers(model, names):
    inputs = example_inputs(model.eval(), {"in_channels": 1, "image_size": 28})
    pictures = draw(model, [Sample("noise", inputs[0][0, 0].numpy(), (image(size=inputs[0].shape[2]), *inputs[1:]))])
    assert [picture.name for picture in pictures] == names
    assert all(type(model).__name__ in picture.caption for picture in pictures)


def test_a_layer_that_the_network_does_not_use_is_no_fault_unless_it_is_asked_for():
    class Spare(nn.Module):
        def __init__(self):
            super().__init__()
            self.spare, self.used = nn.Conv2d(1, 1, 1), Mine()

        def forward(self, images):
            return self.used(images)

    network = Spare().eval()
    names = [picture.name for picture in draw(network, [sample(image())])]
    assert names == ["first_layer", "depthwise", "layers", "involution"]
    with pytest.raises(CheckpointError, match=r"^--layer: spare gives no maps of this image$"):
        draw(network, [sample(image())], "spare")


@pytest.mark.parametrize("layer", ["body.1.pointwise", "body.2", "body.3"])
def test_any_layer_is_drawn_by_its_name(layer):
    """A convolution, an activation, an involution: 5 channels of 7 x 7."""
    torch.manual_seed(0)
    network = Mine().eval()
    (filters,) = (picture for picture in draw(network, [sample(image())], layer) if picture.name == "filters")
    maps = outputs(network, (image(),))[layer][0]
    assert f"Outputs of each filter of Mine, {layer}: 5, row by row" in filters.caption
    first = np.asarray(filters.canvas.axes[0].images[0].get_array())[1:8, 1:8]  # after a gap of one pixel
    stretched = (maps[0] - maps[0].min()) / (maps[0].max() - maps[0].min())
    assert first == pytest.approx(np.repeat(stretched[..., None], 3, axis=2), abs=1e-6)


def test_one_command_writes_the_figures_beside_the_checkpoint(trained, monkeypatch, capsys, tmp_path):
    args = [str(trained), "--data=tests.tiny.Tiny"]
    assert main(args) == 0
    folder = trained.parent / "figures"
    names = [f"{name}.png" for name in ("first_layer", "layers", "filters", "turned")]
    assert sorted(path.name for path in folder.iterdir()) == sorted(names)
    shown = capsys.readouterr().out
    assert "first test image, 0" in shown
    assert "Turning the image by 90° only moves the maps" in shown
    assert all(f"wrote {folder / name}" in shown for name in names)
    first = {name: (folder / name).read_bytes() for name in names}
    assert {png[25] for png in first.values()} == {2}  # true color: of photographs none is left out
    monkeypatch.chdir(tmp_path)
    assert main([*args, "--out=here"]) == 0
    assert first == {path.name: path.read_bytes() for path in (tmp_path / "here").iterdir()}


def exit_code(args):
    try:
        return main(args)
    except SystemExit as end:
        return end.code


class Bomb:
    """What a malicious pickle holds."""

    def __reduce__(self):
        return print, ("boom",)


@pytest.mark.parametrize(
    ("make", "args", "said"),
    [
        (None, [], "CHECKPOINT: no file "),
        (None, ["--layr=x"], "--layr: no such argument; did you mean --layer?"),
        (lambda path: path.write_text("words"), [], "not a checkpoint"),
        (lambda path: torch.save([1], path), [], "has no state_dict"),
        (
            lambda path: torch.save({"state_dict": {}, "x": Bomb()}, path),
            [],
            "holds more than weights and plain values",
        ),
        (lambda path: saved(path.parent, lit_models.FCNet()), [], "FCNet has no convolution and no involution to draw"),
        (
            lambda path: saved(path.parent, Mine()),
            ["--model=Nothing"],
            "--model: no model is named 'Nothing'; there are ",
        ),
        (lambda path: saved(path.parent, Mine()), ["--model=no.such"], "--model: no.such: No module named 'no'"),
        (lambda path: saved(path.parent, Mine()), ["--model=tests.tiny.Tiny"], "--model: tests.tiny.Tiny is no Module"),
        (lambda path: saved(path.parent, Mine()), ["--model=EqCNN"], "does not fit EqCNN"),
        (lambda path: saved(path.parent, lit_models.EqCNN()), ["--layer=x"], "there are features.0, features.1, feat"),
        (lambda path: saved(path.parent, lit_models.EqCNN()), ["--layer=head"], "--layer: head gives no maps of this"),
        (lambda path: saved(path.parent, lit_models.EqCNN()), ["--image=none.png"], "none.png: No such file"),
        (lambda path: saved(path.parent, lit_models.EqCNN()), ["--image", __file__], "not an image"),
        (lambda path: saved(path.parent, lit_models.EqCNN()), ["--data=MINST"], "--data: no data is named 'MINST'"),
    ],
)
def test_what_cannot_be_drawn_is_told_in_one_line_and_nothing_is_written(tmp_path, capsys, make, args, said):
    path = tmp_path / "some.ckpt"
    if make is not None:
        make(path)
    assert exit_code([str(path), *args]) == 2
    printed = capsys.readouterr()
    assert said in printed.err
    assert len(printed.err.splitlines()) == 1
    assert "boom" not in printed.out
    assert [file.name for file in tmp_path.iterdir()] == ([] if make is None else ["some.ckpt"])
