"""Weights from a file: the network starts from them by name, and torchvision's classify as torchvision's own would."""

import pytest
import torch
import torchvision
from PIL import Image

from headtohead.records import record as records
from headtohead.trial import main as train
from headtohead.trial.weights import published
from lit_models import FCNet
from tests.tiny import TINY
from tests.trials import fitted, weights

FIT = ["fit", "--model=FCNet", "--model.width=8", *TINY, "--trainer.accelerator=cpu", "--trainer.logger=false"]
STILL = ["--trainer.max_epochs=1", "--task.lr=1e-12", "--task.weight_decay=0", "--trainer.precision=32-true"]
NOWHERE = "it must be a state dict, as torch.save writes it, or a checkpoint of another trial"


@pytest.fixture
def saved(workplace):
    """A network whose weights lie in start.pt."""
    torch.manual_seed(7)
    network = FCNet(width=8)
    torch.save(network.state_dict(), workplace / "start.pt")
    return network


def test_a_trial_starts_from_them_and_is_another_trial(saved, workplace, capsys):
    assert train.main([*FIT, *STILL, "--weights=start.pt"]) == 0
    (path,) = workplace.glob("runs/train/*/record.json")
    for name, value in saved.state_dict().items():
        torch.testing.assert_close(weights(path.parent)[f"net.{name}"], value, rtol=0, atol=1e-6)
    named = records.read(path).config["weights"]
    assert named.startswith("start.pt@")
    # the same by that name, another without it, and one that is resumed with it goes on
    known = train.resolve([*FIT, "--weights=start.pt"])
    assert known["weights"] == named
    assert train.resolve([*FIT, f"--weights={named}"]) == known
    assert train.resolve(FIT) == {name: value for name, value in known.items() if name != "weights"}
    assert train.main([*FIT, *STILL, "--weights=start.pt", "--ckpt_path=last"]) == 0
    torch.save({**saved.state_dict(), "layers.0.bias": torch.ones(8)}, workplace / "start.pt")
    changed = train.resolve([*FIT, "--weights=start.pt"])["weights"]
    assert changed != named
    assert train.resolve([*FIT, f"--weights={named}"]) == (
        f"--weights: start.pt is another file: its SHA-256 begins with {changed[-8:]}: got {named[-8:]}"
    )
    # the checkpoint of a trial is such a file too
    capsys.readouterr()
    assert isinstance(train.resolve([*FIT, f"--weights={path.parent / 'checkpoints' / 'best.ckpt'}"]), dict)
    test = ["test", *FIT[1:], f"--ckpt_path={path.parent / 'checkpoints' / 'best.ckpt'}", "--weights=start.pt"]
    assert train.resolve(test) == "--weights: changes nothing of what --ckpt_path holds: leave one of them out"


def test_the_last_layer_starts_anew_for_another_number_of_classes(workplace, capsys):
    other = FCNet(width=8, num_classes=3)
    torch.save(other.state_dict(), workplace / "three.pt")
    fitted(*FIT, *STILL, "--weights=three.pt")
    assert "layers.4 starts anew: in three.pt it is for 3 classes" in capsys.readouterr().out
    found = weights("here")
    torch.testing.assert_close(found["net.layers.2.weight"], other.layers[2].weight, rtol=0, atol=1e-6)
    assert found["net.layers.4.weight"].shape == (10, 8)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, f"no file wrong.pt; {NOWHERE}"),
        (b"text", "wrong.pt cannot be used: "),
        ({"a": 1}, "wrong.pt is no state dict, which torch.save(network.state_dict(), FILE) writes"),
        ([1], "wrong.pt is no state dict"),
        ({"layers.0.weight": torch.ones(8, 784)}, "wrong.pt does not fit FCNet: it has no layers.0.bias (and 4 more)"),
        ({**FCNet(width=8).state_dict(), "more": torch.ones(1)}, "does not fit FCNet: the network has no more"),
        (FCNet(width=9).state_dict(), "layers.0.weight is (9, 784) there, (8, 784) here"),
        ({**FCNet(width=8).state_dict(), "layers.4.weight": torch.ones(10, 9)}, "layers.4.weight is (10, 9) there"),
        (FCNet, "wrong.pt cannot be used: it holds more than weights"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_line(workplace, content, said):
    if isinstance(content, bytes):
        (workplace / "wrong.pt").write_bytes(content)
    elif content is not None:
        torch.save(content, workplace / "wrong.pt")
    found = train.resolve([*FIT, "--weights=wrong.pt"])
    assert found.startswith("--weights: ")
    assert said in found
    assert "\n" not in found


@pytest.mark.parametrize(
    ("arguments", "file"),
    [
        ({}, "vgg16-397923af.pth"),
        ({"configuration": "A"}, "vgg11-8a719046.pth"),
        ({"configuration": "E", "batch_norm": True}, "vgg19_bn-c79401a0.pth"),
    ],
)
def test_the_file_is_called_as_torchvision_documents_it(workplace, arguments, file):
    given = [f"--model.{name}={value}" for name, value in arguments.items()]
    said = train.resolve(["fit", "--model=VGG", "--data=tests.tiny.Few", *given, "--weights=none.pth"])
    assert f"no file none.pth; torchvision calls ImageNet's {file}, and keeps it in " in said
    assert "://" not in said


def test_without_torchvisions_weights_none_are_named():
    assert published("lit_models.VGG", {"configuration": "C"}) is None
    assert published("lit_models.VGG", {"configuration": "A-LRN"}) is None
    assert published("lit_models.CNN", {}) is None
    assert published("torchvision.models.nope", {}) is None


def predicted(capsys, *args):
    capsys.readouterr()
    assert train.main(["predict", *args]) == 0
    path, _, said = capsys.readouterr().out.strip().partition(": ")
    words = [one.rpartition(" ") for one in said.split(", ")]
    return path, [word[0] for word in words], [float(word[2]) for word in words]


def by_torchvision(builder, weights, path):
    network = builder(init_weights=False) if "vgg" in builder.__name__ else builder()
    network.load_state_dict(torch.load(weights, weights_only=True))
    meant = torchvision.models.get_model_weights(builder)["IMAGENET1K_V1"]
    with torch.no_grad(), Image.open(path) as image:
        shares = network.eval()(meant.transforms()(image.convert("RGB")).unsqueeze(0)).softmax(1)[0]
    top = shares.topk(5)
    return [meant.meta["categories"][index] for index in top.indices.tolist()], top.values.tolist()


@pytest.fixture
def kitten(workplace):
    noise = torch.randint(0, 256, (260, 300, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    Image.fromarray(noise.numpy()).resize((600, 400)).save(workplace / "kitten.png")
    return workplace / "kitten.png"


def test_imagenets_classes_by_a_network_of_torchvisions(kitten, capsys):
    torch.manual_seed(0)
    network = torchvision.models.squeezenet1_1()
    torch.save(network.state_dict(), "squeeze.pth", _use_new_zipfile_serialization=False)  # as the published ones
    given = ["--weights=squeeze.pth", "--model=torchvision.models.squeezenet1_1", "--image=kitten.png"]
    path, names, shares = predicted(capsys, *given)
    expected, values = by_torchvision(torchvision.models.squeezenet1_1, "squeeze.pth", kitten)
    assert (path, names) == ("kitten.png", expected)
    assert shares == pytest.approx(values, abs=1e-4)


@pytest.mark.slow
def test_imagenets_classes_by_vgg_as_by_torchvisions(kitten, capsys):
    torch.manual_seed(0)
    torch.save(torchvision.models.vgg11().state_dict(), "vgg.pth")
    _, names, shares = predicted(
        capsys, "--weights=vgg.pth", "--model=VGG", "--model.configuration=A", "--image=kitten.png"
    )
    expected, values = by_torchvision(torchvision.models.vgg11, "vgg.pth", kitten)
    assert names == expected
    assert shares == pytest.approx(values, abs=1e-4)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ([], "--model: is needed with --weights"),
        (["--model=VGG"], "--image: is needed with --weights"),
        (["--model=VGG", "--image=kitten.png", "--data=MNIST"], "--data: is for a checkpoint: leave it out"),
        (["--model=CNN", "--image=kitten.png"], "--model: torchvision has no weights of CNN"),
        *(
            (
                ["--model=VGG", f"--model.configuration={value}", "--image=kitten.png"],
                f"--model: torchvision has no weights of VGG --model.configuration={value}",
            )
            for value in ("C", "[A]", "{A: 1}", "")
        ),
        *(
            (
                ["--model=VGG", f"--model.configuration={value}", "--image=kitten.png"],
                f"--model.configuration: must be a value in YAML, such as A or 10: got '{value}'",
            )
            for value in ("[A", "2001-99-99", "!!python/name:os.system")
        ),
        (
            ["--model=torchvision.models.squeezenet1_1", "--model.num_classes=-1", "--image=kitten.png"],
            "--model: torchvision.models.squeezenet1_1: ",
        ),
        (
            ["--model=torchvision.models.squeezenet1_1", "--image=kitten.png"],
            "--weights: no file none.pth; torchvision ",
        ),
    ],
)
def test_a_wrong_call_by_weights_is_one_line(kitten, capsys, args, said):
    assert train.main(["predict", "--weights=none.pth", *args]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"train.py: {said}")
