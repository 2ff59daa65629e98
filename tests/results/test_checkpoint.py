"""Pictures of a trained network: the numbers drawn are the network's own, and no file makes the suite run code."""

import subprocess
import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import yaml
from PIL import Image
from torch import nn

import lit_models
import train
from lit_models import Classifier
from lit_models.operators import DepthwiseSeparableConv2d, Involution2d
from results import checkpoint
from results.__main__ import main
from results.checkpoint import (
    CheckpointError,
    Sample,
    convolutions,
    depthwise,
    draw,
    first_filters,
    kernel_maps,
    load,
    mosaic,
    moves,
    outputs,
    read_images,
)
from tests.tiny import TINY, Tiny


class Mine(Classifier):
    """A user's own architecture, with parts that no other file knows."""

    def __init__(self, in_channels=1, image_size=28, num_classes=10, width=3, **recipe):
        super().__init__(in_channels, image_size, num_classes, **recipe)
        self.body = nn.Sequential(
            nn.Conv2d(in_channels, width, 4, stride=4),
            DepthwiseSeparableConv2d(width, 5, 3),
            nn.ReLU(inplace=True),
            Involution2d(5, 3),
        )
        self.head = nn.Linear(5, num_classes)

    def forward(self, images):
        return self.head(self.body(images).mean((2, 3)))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """An EqCNN that learnt for an epoch, in the folder of its trial."""
    folder = tmp_path_factory.mktemp("trial")
    fit = ["fit", "--model=EqCNN", *TINY, "--trainer.accelerator=cpu", "--trainer.logger=false"]
    fit += [f"--trainer.{limit}" for limit in ("max_epochs=1", "limit_train_batches=4", "limit_test_batches=1")]
    assert train.main([*fit, f"--trainer.default_root_dir={folder}"]) == 0
    return folder / "checkpoints" / "best.ckpt"


def image(seed=0, channels=1, size=28):
    return torch.rand(1, channels, size, size, generator=torch.Generator().manual_seed(seed))


def sample(pixels):
    return Sample("noise", pixels[0].permute(1, 2, 0).numpy().mean(2), (pixels,))


def shown(axes):
    return np.asarray(axes.images[0].get_array())


def saved(folder, model, **changes):
    """Write a checkpoint as Lightning lays it out."""
    arguments = {"_class_path": f"{type(model).__module__}.{type(model).__name__}", **model.hparams}
    path = folder / "some.ckpt"
    torch.save({"state_dict": model.state_dict(), "hyper_parameters": arguments, **changes}, path)
    return path


def test_a_checkpoint_is_loaded_with_its_weights(trained):
    model = load(trained)
    assert type(model) is lit_models.EqCNN
    assert not model.training
    state = torch.load(trained, weights_only=True)["state_dict"]
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


def test_the_maps_of_eqcnn_change_places_when_the_image_is_turned(trained):
    model = load(trained)
    before, after = (outputs(model, (turned,)) for turned in (image(), image().rot90(1, (2, 3))))
    for layer in ("features.0", "features.3", "features.7"):
        assert len(before[layer]) == 4
        assert after[layer] == pytest.approx(before[layer][[1, 2, 3, 0]], abs=1e-5)
    found = moves(before["features.0"], after["features.0"])
    assert [(move.source, move.turns) for move in found] == [(1, 0), (2, 0), (3, 0), (0, 0)]
    assert max(move.difference for move in found) < 1e-5


def test_the_maps_of_a_group_convolution_change_places_and_turn():
    torch.manual_seed(0)
    model = lit_models.P4CNN(width=2).eval()
    before, after = (outputs(model, (turned,))["features.0"] for turned in (image(), image().rot90(1, (2, 3))))
    assert before.shape == (4, 2, 26, 26)
    assert [(move.source, move.turns) for move in moves(before, after)] == [(3, 1), (0, 1), (1, 1), (2, 1)]


def test_the_maps_of_a_plain_network_are_others():
    torch.manual_seed(0)
    model = lit_models.SimpleCNN().eval()
    before, after = (outputs(model, (turned,))["features.0"] for turned in (image(), image().rot90(1, (2, 3))))
    (move,) = moves(before, after)
    assert move.difference > 0.1 * np.abs(before).max()
    (picture,) = [p for p in draw(model, [sample(image())]) if p.name == "turned"]
    assert "changes the maps" in picture.caption


def test_outputs_are_those_of_each_layer_before_the_next_one_works_in_place():
    torch.manual_seed(0)
    model = Mine().eval()
    found = outputs(model, (image(),))
    assert list(found) == ["body.0", "body.1.depthwise", "body.1.pointwise", "body.2", "body.3"]
    patches = model.body[0](image())
    mixed = model.body[1](patches)
    assert found["body.0"] == pytest.approx(patches.detach().numpy())
    assert found["body.1.pointwise"] == pytest.approx(mixed.detach().numpy())
    assert found["body.1.pointwise"].min() < 0
    assert found["body.2"] == pytest.approx(mixed.relu().detach().numpy())
    assert not any(module._forward_hooks for module in model.modules())


def test_an_involution_is_seen_as_the_sum_of_its_kernels():
    torch.manual_seed(0)
    model = lit_models.ResNet(depth=8, operator="involution", width=32, image_size=8).eval()
    pixels = image(channels=3, size=8)
    maps = kernel_maps(model, (pixels,))
    first = next(module for module in model.modules() if isinstance(module, Involution2d))
    x = F.relu(model.norm(model.stem(pixels)))
    filters = first.span(F.relu(first.norm(first.reduce(x))))  # (1, G * K * K, H, W)
    (name, *_) = maps
    assert maps[name].shape == (2, 8, 8)
    for group in range(2):
        by_hand = sum(filters[0, 49 * group + tap] for tap in range(49))
        assert maps[name][group] == pytest.approx(by_hand.detach().numpy(), abs=1e-5)


def test_first_filters_are_the_weights():
    torch.manual_seed(0)
    mixer = lit_models.ConvMixer(width=6, depth=1)
    name, filters = first_filters(mixer)
    assert name == "stem.0"
    assert filters.shape == (6, 2, 2, 3)
    assert filters[4, 1, 0, 2] == mixer.stem[0].weight[4, 2, 1, 0].item()
    group = lit_models.P4CNN(width=2)
    _, filters = first_filters(group)
    weight = group.features[0].weight.detach()
    for channel in range(2):
        for turns in range(4):
            assert filters[4 * channel + turns, ..., 0] == pytest.approx(weight[channel, 0].rot90(turns).numpy())
    partial = lit_models.PConvUNet(width=4)
    assert first_filters(partial)[1].shape == (4, 7, 7, 3)
    assert first_filters(lit_models.INN()) is None  # an involution has no fixed filters


def test_depthwise_kernels_are_the_weights():
    model = lit_models.ConvMixer(width=6, depth=2)
    kernels = depthwise(model)
    assert list(kernels) == ["blocks.0.space.0", "blocks.1.space.0"]
    assert kernels["blocks.1.space.0"][5].tolist() == model.blocks[1].space[0].weight[5, 0].tolist()
    assert list(depthwise(Mine())) == ["body.1.depthwise"]
    assert depthwise(lit_models.EqCNN()) == {}  # one channel in one group is no depthwise convolution


def test_convolutions_are_not_what_they_are_made_of():
    assert list(convolutions(lit_models.INN(width=4))) == ["stem", "features.0", "features.3", "features.6"]
    assert list(convolutions(Mine())) == ["body.0", "body.1.depthwise", "body.1.pointwise", "body.3"]


def test_tiles_lie_row_by_row():
    nan = np.nan
    whole = mosaic(np.arange(3, dtype=np.float32).reshape(3, 1, 1), 2)
    expected = [[nan] * 5, [nan, 0, nan, 1, nan], [nan] * 5, [nan, 2, nan, nan, nan], [nan] * 5]
    assert np.array_equal(whole, np.array(expected), equal_nan=True)


@pytest.mark.parametrize(
    ("model", "names"),
    [
        (lit_models.EqCNN(), ["first_layer", "layers", "filters", "turned"]),
        (lit_models.INN(1, 28), ["layers", "filters", "turned", "involution"]),
        (lit_models.ConvMixer(1, 28, width=4, depth=3), ["first_layer", "depthwise", "layers", "filters", "turned"]),
        (lit_models.PConvUNet(1, 32, width=4), ["first_layer", "layers", "filters", "turned"]),
        (Mine(), ["first_layer", "depthwise", "layers", "filters", "turned", "involution"]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_network_has_the_pictures_of_its_layers(model, names):
    inputs = checkpoint.example_inputs(model.eval())
    pictures = draw(model, [Sample("noise", inputs[0][0, 0].numpy(), (image(size=inputs[0].shape[2]), *inputs[1:]))])
    assert [picture.name for picture in pictures] == names
    assert all(type(model).__name__ in picture.caption for picture in pictures)


def test_what_is_drawn(trained):
    model = load(trained)
    named = {picture.name: picture for picture in draw(model, [sample(image())])}
    before = outputs(model, (image(),))
    panels = {axes.get_title().split("\n")[0]: axes for axes in named["layers"].canvas.axes}
    assert panels["features.0"].get_title() == "features.0\nConv2d\n8×26×26"
    assert shown(panels["features.3"]) == pytest.approx(before["features.3"][0].mean(0))
    assert "features.7" not in panels  # a single pixel is no map
    axes = named["turned"].canvas.axes
    titles = [panel.get_title() for panel in axes]
    assert titles == [
        "image",
        "map 1",
        "map 2",
        "map 3",
        "map 4",
        "turned by 90°",
        *(f"= map {i}" for i in (2, 3, 4, 1)),
    ]
    assert shown(axes[6]) == pytest.approx(shown(axes[2]), abs=1e-5)
    assert "map 1 is the former map 2" in named["turned"].caption
    (axes,) = named["first_layer"].canvas.axes
    drawn = shown(axes)
    weight = model.features[0].weight.detach()
    assert drawn[1:4, 1:4, 0] == pytest.approx(0.5 + 0.5 * (weight[0, 0] / weight.abs().max()).numpy())


def test_depthwise_kernels_of_the_chosen_layer():
    model = lit_models.ConvMixer(1, 28, width=4, depth=3).eval()
    for layer, drawn in ((None, 1), ("blocks.2.space.0", 2), ("stem.0", 1)):
        _, picture = checkpoint._weight_pictures(model, layer)
        assert picture.title == f"Depthwise kernels of ConvMixer, blocks.{drawn}.space.0"


def test_one_command_writes_the_figures_beside_the_checkpoint(trained, monkeypatch, capsys, tmp_path):
    args = ["figures", str(trained), "--data=tests.tiny.Tiny"]
    assert main(args) == 0
    folder = trained.parent / "figures"
    names = [f"{name}.{kind}" for name in ("first_layer", "layers", "filters", "turned") for kind in ("svg", "png")]
    assert sorted(path.name for path in folder.iterdir()) == sorted(names)
    shown = capsys.readouterr().out
    assert "first test image, 0" in shown
    assert "Turning the image by 90° only moves the maps" in shown
    assert all(f"wrote {folder / name}" in shown for name in names)
    first = {name: (folder / name).read_bytes() for name in names}
    monkeypatch.chdir(tmp_path)
    assert main([*args, "--out=here"]) == 0
    assert first == {path.name: path.read_bytes() for path in (tmp_path / "here").iterdir()}


def test_the_first_test_image_is_normalised_as_in_training(trained):
    data = checkpoint.find_data(trained, "tests.tiny.Tiny")
    found = checkpoint.first_image(load(trained), data)
    raw = Tiny().load().test_images[0] / 255
    assert found.shown == pytest.approx(raw[0].astype(np.float32))
    assert found.inputs[0][0].numpy() == pytest.approx((raw - 0.3) / 0.3, abs=1e-5)


def test_data_that_are_not_here_are_not_fetched(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = {"data": {"class_path": "datamodules.MNIST", "init_args": {"data_dir": "nowhere", "normalize": False}}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    path = saved(tmp_path, lit_models.EqCNN())
    data = checkpoint.find_data(path)
    assert data.data_dir == "nowhere"
    found = checkpoint.first_image(load(path), data)
    assert found.name == "a drawn letter"
    turns = [np.rot90(found.shown, k) for k in range(4)]
    assert all(np.abs(found.shown - other).max() == 1 for other in (*turns[1:], found.shown[:, ::-1]))
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.data
def test_the_first_digit_is_a_seven(tmp_path, real_data):
    config = {"data": {"class_path": "datamodules.MNIST", "init_args": {"data_dir": real_data}}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    path = saved(tmp_path, lit_models.EqCNN())
    assert checkpoint.first_image(load(path), checkpoint.find_data(path)).name == "first test image, 7"


def test_images_of_ones_own(tmp_path, trained):
    Image.fromarray(np.full((56, 40), 51, np.uint8)).save(tmp_path / "grey.png")
    Image.fromarray(np.full((9, 9, 3), 255, np.uint8)).save(tmp_path / "white.jpg")
    found = read_images([tmp_path / "grey.png", tmp_path / "white.jpg"], load(trained), None)
    assert [one.inputs[0].shape for one in found] == [(1, 1, 28, 28)] * 2
    assert [float(one.inputs[0].mean()) for one in found] == pytest.approx([0.2, 1.0])
    pictures = draw(load(trained), found)
    assert [p.name for p in pictures] == [
        "first_layer",
        *(f"{n}-{i}" for i in (1, 2) for n in ("layers", "filters", "turned")),
    ]


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
    assert checkpoint.find_data(path) is None
    assert not (tmp_path / "ran").exists()
    assert "evil" not in sys.modules


class Bomb:
    """What a malicious pickle holds."""

    def __reduce__(self):
        return print, ("boom",)


@pytest.mark.parametrize(
    ("make", "args", "said"),
    [
        (None, [], "CHECKPOINT: no file "),
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
        (lambda path: saved(path.parent, Mine()), ["--model=tests.tiny.Tiny"], "--model: tests.tiny.Tiny is no Lightn"),
        (lambda path: saved(path.parent, Mine()), ["--model=EqCNN"], "does not fit EqCNN"),
        (lambda path: saved(path.parent, lit_models.EqCNN()), ["--layer=x"], "there are features.0, features.3, feat"),
        (lambda path: saved(path.parent, lit_models.EqCNN()), ["--image=none.png"], "none.png: No such file"),
        (lambda path: saved(path.parent, lit_models.EqCNN()), ["--image", __file__], "not an image"),
        (lambda path: saved(path.parent, lit_models.EqCNN()), ["--data=MINST"], "--data: no data is named 'MINST'"),
    ],
)
def test_what_cannot_be_drawn_is_told_in_one_line_and_nothing_is_written(tmp_path, capsys, make, args, said):
    path = tmp_path / "some.ckpt"
    if make is not None:
        make(path)
    assert main(["figures", str(path), *args]) == 2
    printed = capsys.readouterr()
    assert said in printed.err
    assert len(printed.err.splitlines()) == 1
    assert "boom" not in printed.out
    assert [file.name for file in tmp_path.iterdir()] == ([] if make is None else ["some.ckpt"])


def test_a_layer_that_the_network_does_not_use_is_no_fault():
    class Spare(Mine):
        def __init__(self, **recipe):
            super().__init__(**recipe)
            self.spare = nn.Conv2d(1, 1, 1)

    names = [picture.name for picture in draw(Spare().eval(), [sample(image())], "spare")]
    assert names == ["first_layer", "depthwise", "layers", "involution"]


def test_tables_need_no_torch():
    code = "import sys, results.__main__, results.figures; assert not {'torch', 'lightning'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
