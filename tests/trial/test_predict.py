"""Predictions of a checkpoint: of files as PyTorch and PIL give them by hand, of the test set as the record counted."""

import csv
import io

import numpy as np
import pytest
import torch
from PIL import Image

from datamodules.sources import DataUnavailable
from headtohead.trial import main as train
from lit_models import SimpleCNN
from tests.tiny import TINY, Tiny
from tests.trials import best, fitted, record_in

FIT = ["fit", "--model=SimpleCNN", "--model.width=4", *TINY, "--trainer.accelerator=cpu", "--trainer.max_epochs=3"]
DATA = "--data=tests.tiny.Tiny"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("trained")
    fitted(*FIT, "--trainer.logger=false", "--task.lr=0.01", folder=place)
    return place


@pytest.fixture
def checkpoint(folder):
    return f"--ckpt_path={folder / 'checkpoints' / 'best.ckpt'}"


def shares(folder, pixels):
    """The probabilities of one grey image, by hand."""
    image = (torch.tensor(np.asarray(pixels, np.float32) / 255) - 0.3) / 0.3
    with torch.no_grad():
        return best(folder, SimpleCNN(width=4))(image.view(1, 1, 28, 28)).softmax(1)[0]


def test_files_and_folders_are_classified(folder, checkpoint, tmp_path, capsys):
    own = Tiny().load().test_images[3, 0]
    Image.fromarray(own).save(tmp_path / "a.png")
    large = Image.fromarray(np.random.RandomState(0).randint(0, 256, (90, 61, 3)).astype(np.uint8))
    large.save(tmp_path / "b.jpeg")
    (tmp_path / "c.txt").write_text("no image")
    capsys.readouterr()
    assert train.main(["predict", checkpoint, DATA, f"--image={tmp_path / 'a.png'}", f"--image={tmp_path}"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(": ")[0] for line in lines] == [str(tmp_path / name) for name in ("a.png", "a.png", "b.jpeg")]
    with Image.open(tmp_path / "b.jpeg") as image:
        pixels = image.convert("L").resize((28, 28), Image.Resampling.BILINEAR)
    for line, expected in ((lines[0], shares(folder, own)), (lines[2], shares(folder, pixels))):
        top = expected.topk(5)
        found = [pair.split() for pair in line.split(": ")[1].split(", ")]
        assert [name for name, _ in found] == [str(index) for index in top.indices.tolist()]
        assert [float(share) for _, share in found] == pytest.approx(top.values.tolist(), abs=1e-4)


def test_the_test_set_is_predicted_as_the_record_counted(folder, checkpoint, tmp_path, capsys):
    capsys.readouterr()
    assert train.main(["predict", checkpoint, DATA]) == 0
    printed = capsys.readouterr().out
    rows = list(csv.DictReader(io.StringIO(printed)))
    right = np.array([row["class"] == row["predicted"] for row in rows])
    assert np.array_equal(right, record_in(folder).per_image.values("0"))
    assert [int(row["image"]) for row in rows] == list(range(200))
    for row in rows:
        assert sum(float(row[str(name)]) for name in range(10)) == pytest.approx(1, abs=1e-5)
    assert train.main(["predict", checkpoint, DATA, f"--out={tmp_path / 'test.csv'}"]) == 0
    assert (tmp_path / "test.csv").read_text() == printed


def test_a_file_of_predictions_stays_where_the_data_cannot_be_had(workplace, checkpoint, capsys, monkeypatch):
    def refuse(data):
        raise DataUnavailable("nobody has it")

    monkeypatch.setattr(Tiny, "load", refuse)
    (workplace / "old.csv").write_text("kept")
    assert train.main(["predict", checkpoint, DATA, "--out=old.csv"]) == 1
    assert (workplace / "old.csv").read_text() == "kept"


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ([], "one of the arguments --ckpt_path --weights is required"),
        (["--ckpt_path=none.ckpt"], "--ckpt_path: no file none.ckpt"),
        (["CHECKPOINT"], "--data: must name the class of the data"),
        (["CHECKPOINT", "--data=tests.tiny.Few"], "--data: Few has other images than the network was trained on"),
        (["CHECKPOINT", DATA, "--image=none.png"], "--image: none.png: No such file or directory"),
        (["CHECKPOINT", DATA, "--image=text.png"], "--image: text.png: not an image"),
        (["CHECKPOINT", DATA, "--image=."], "--image: text.png: not an image"),
        (["CHECKPOINT", DATA, "--image=empty"], "--image: empty has no file that ends in .png, .jpg, .jpeg"),
        (["CHECKPOINT", DATA, "--image=text.png", "--out=x"], "--out: is for the predictions of the test set"),
        (["CHECKPOINT", DATA, "--out=no/where.csv"], "--out: no/where.csv: No such file or directory"),
        (["CHECKPOINT", DATA, "--images=x"], "--images: no such argument; did you mean --image?"),
        (["CHECKPOINT", "--model=EqCNN", DATA], "does not fit EqCNN"),
    ],
)
def test_a_wrong_call_is_one_line(workplace, checkpoint, capsys, args, said):
    (workplace / "text.png").write_text("text")
    (workplace / "empty").mkdir()
    capsys.readouterr()
    try:
        code = train.main(["predict", *(checkpoint if arg == "CHECKPOINT" else arg for arg in args)])
    except SystemExit as end:
        code = end.code
    assert code == 2
    *_, line = capsys.readouterr().err.splitlines()
    assert said in line
    assert line.startswith("train.py: ")


def test_a_folder_that_cannot_be_read_is_that_of_the_images(workplace, checkpoint, capsys, monkeypatch):
    (workplace / "locked").mkdir()

    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(type(workplace), "iterdir", refuse)
    assert train.main(["predict", checkpoint, DATA, "--image=locked"]) == 2
    assert capsys.readouterr().err == "train.py: --image: locked: Permission denied\n"
