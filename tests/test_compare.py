"""``headtohead.compare``: what it returns, and that it runs the trials that a sweep file would."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from headtohead import api, compare
from headtohead.cli.errors import UsageError
from headtohead.records import record as records
from headtohead.report.collect import collect
from headtohead.report.comparison import make_comparison
from headtohead.report.main import main as report
from headtohead.report.write import show
from headtohead.runner import main as sweep
from headtohead.runner.sweep_file import read_sweep
from lit_models import EqCNN, SimpleCNN
from tests.conftest import ROOT
from tests.records.examples import other_config, with_accuracy
from tests.tiny import Tiny, a_sweep, bars

ACCURACIES = {"SimpleCNN": [0.97, 0.971, 0.972], "EqCNN": [0.95, 0.951, 0.952], "FCNet": [0.8, 0.81, 0.82]}


def code_of_the_notebook():
    cells = json.loads((ROOT / "examples" / "compare.ipynb").read_text())["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


@pytest.fixture
def trained(workplace, monkeypatch):
    """Trials that end at once, with these accuracies; yields what the sweep was started with."""
    given = []

    def run(arguments):
        given.append(arguments)
        file = Path(arguments[0])
        for trial in read_sweep(file).trials:
            model, seed = trial.parameters["model"], trial.parameters["seed_everything"]
            name = model if isinstance(model, str) else model["class_path"]
            config = other_config(model=name, data="Tiny")
            one = with_accuracy(ACCURACIES[name][seed], seed, model=name, data="Tiny", **config)
            records.write(one, file.parent / trial.name)
        return 0

    monkeypatch.setattr(api.runner, "main", run)
    return given


def test_what_it_returns_is_what_the_report_says(trained, workplace, capsys):
    found = compare([SimpleCNN(), EqCNN(width=3)], Tiny(val_size=100), seeds=3, lr=0.01, max_epochs=2)
    (arguments,) = trained
    written = yaml.safe_load(Path(arguments[0]).read_text())
    assert {name: spec.get("value", spec.get("values")) for name, spec in written["parameters"].items()} == {
        "model": ["SimpleCNN", {"class_path": "EqCNN", "init_args": {"width": 3}}],
        "data": {"class_path": "tests.tiny.Tiny", "init_args": {"val_size": 100}},
        "task.lr": 0.01,
        "trainer.max_epochs": 2,
        "seed_everything": [0, 1, 2],
    }
    assert found.table.model.tolist() == ["SimpleCNN", "EqCNN"]
    assert found.table.test_acc.tolist() == pytest.approx([97.1, 95.1])
    shown = ["data", "model", "n", "learned", "epochs", "test_acc", "test_acc_std", "test_acc_ci"]
    assert found.table.columns.tolist()[:8] == shown
    assert set(found.table) < set(found.comparison.summary)
    assert len(found.table.columns) <= 20
    assert not found.table.isna().all().any()
    asked = next(cell for cell in code_of_the_notebook() if "found.table[[" in cell)
    assert set(re.findall(r'"(\w+)"', asked)) <= set(found.table)
    assert len(found.verdicts) == 2
    assert found.verdicts[0].startswith("EqCNN is worse than SimpleCNN upright (−2.00 points")
    capsys.readouterr()
    shown = str(found)
    assert repr(found) == shown
    show(make_comparison(collect(Path(arguments[0]).parent)), found.paths)  # as report.py does
    assert capsys.readouterr().out.rstrip() == shown
    html = found._repr_html_()
    assert html.count("<table") == 2
    assert "97.10 ± 0.10" in html
    assert ">worse than<" in html
    assert found.report.read_text().endswith("</html>\n")
    assert {path.name for path in found.figures} >= {"verdicts.png", "validation.png"}


@pytest.fixture
def unwritten(monkeypatch):
    """Tables and figures are left out."""
    monkeypatch.setattr(api, "write", lambda comparison, folder: [folder / "report.html"])


def test_a_notebook_names_the_stated_pairs_that_have_not_run(trained, unwritten, workplace):
    Path("claims").mkdir()
    pairs = "[[EqCNN, SimpleCNN], [<b>INN, SimpleCNN]]"
    question = f'ask: "Which is best?", data: Tiny, numbers: [test_acc], pairs: {pairs}'
    Path("claims/mine.yaml").write_text(f"questions: [{{{question}}}]\n")
    html = compare([SimpleCNN(), EqCNN()], Tiny(), seeds=3, name="mine")._repr_html_()
    verdicts, said, measured = re.split(r"(<p>.*?</p>)", html)
    assert said == "<p>Tiny: Which is best? Not run yet: &lt;b&gt;INN against SimpleCNN.</p>"
    assert ">worse than<" in verdicts
    assert "97.10 ± 0.10" in measured


def test_a_notebook_says_where_many_networks_are_compared(trained, unwritten, workplace):
    """Of three every two are six comparisons, too many to be one question."""
    found = compare([SimpleCNN(), EqCNN(), "FCNet"], Tiny(), seeds=3)
    assert "<p>Every two of them are compared in .verdicts, a sentence each.</p>" in found._repr_html_()
    assert len(found.verdicts) == 6


def test_the_same_comparison_has_one_folder_whatever_its_seeds(trained, unwritten, workplace, capsys):
    three = compare([SimpleCNN(), EqCNN()], Tiny(), seeds=3)
    two = compare(["SimpleCNN", EqCNN], Tiny, seeds=[0, 1])
    assert "weights of a given one are not used" in capsys.readouterr().out
    assert three.report == two.report
    assert (three.table.n.tolist(), two.table.n.tolist()) == ([3, 3], [2, 2])  # those that were asked for
    other = compare([SimpleCNN(), EqCNN()], Tiny(), seeds=2, lr=0.1, results="elsewhere", name="mine")
    assert other.report == Path("elsewhere/mine/report.html")


def test_arrays_are_kept_for_the_trials(trained, unwritten, workplace):
    arrays = bars(1, 28, 60, 20)
    given = (arrays.train_images[:, 0], arrays.train_labels.astype(np.int32), arrays.test_images, arrays.test_labels)
    compare([SimpleCNN, EqCNN], given, seeds=2)
    written = yaml.safe_load(Path(trained[0][0]).read_text())["parameters"]
    assert written["data.val_size"] == {"value": 6}
    described = written["data"]["value"]
    assert described["class_path"] == "headtohead.trial.arrays.OwnArrays"
    data = api.OwnArrays(**described["init_args"], val_size=10)
    assert (data.in_channels, data.image_size, data.num_classes) == (1, 28, 10)
    assert data.mean == pytest.approx((arrays.train_images.mean() / 255,))
    assert data.std == pytest.approx((arrays.train_images.std() / 255,))
    loaded = data.load()
    assert (loaded.train_images == arrays.train_images).all()
    assert (loaded.test_labels == arrays.test_labels).all()
    data.setup()
    assert (len(data.train), len(data.val), len(data.test)) == (50, 10, 20)


TINY = bars(1, 28, 60, 20)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"networks": [SimpleCNN()]}, "networks: must be a list of two or more"),
        ({"networks": SimpleCNN()}, "networks: must be a list of two or more"),
        ({"seeds": 0}, "seeds: must be 1 or more, or a list of whole numbers: got 0"),
        ({"name": "../out"}, "name: must be that of a folder: got ../out"),
        ({"data": None}, "data: must be a data module, its class or its name, or four arrays: got None"),
        ({"data": (1, 2)}, "data: must be four arrays, train_images, train_labels, test_images, test_labels: got 2"),
        ({"data": (TINY.train_images / 255, *[TINY.train_labels] * 3)}, "data: train_images must be uint8"),
        ({"data": "MNISTT"}, "data: nothing is named 'MNISTT'; did you mean MNIST?"),
        ({"max_epoch": 1}, "max_epoch: no such argument of task, Trainer or data; did you mean max_epochs?"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_cannot_be_is_refused_in_one_line(workplace, changed, said):
    with pytest.raises(UsageError) as caught:
        compare(**{"networks": [SimpleCNN(), EqCNN()], "data": Tiny(), **changed})
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)
    assert not (workplace / "runs").exists()


def test_what_the_sweep_refuses_and_an_interruption_reach_the_caller(workplace, monkeypatch, capsys):
    def refuse(_):
        print("sweep.py: runs/x.yaml: parameters.task.lr: must be positive", file=sys.stderr)
        return 2

    monkeypatch.setattr(api.runner, "main", refuse)
    with pytest.raises(UsageError, match=r"^runs/x.yaml: parameters.task.lr: must be positive$"):
        compare([SimpleCNN(), EqCNN()], Tiny())
    monkeypatch.setattr(api.runner, "main", lambda _: 130)
    with pytest.raises(KeyboardInterrupt):
        compare([SimpleCNN(), EqCNN()], Tiny())
    monkeypatch.setattr(api.runner, "main", lambda _: 1)
    with pytest.raises(UsageError, match="no trial ended"):
        compare([SimpleCNN(), EqCNN()], Tiny())


def test_the_package_is_imported_without_torch():
    code = "import sys, headtohead; assert headtohead.__all__ == ['compare']; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


@pytest.mark.slow
def test_its_trials_and_verdicts_are_those_of_a_sweep_file(workplace, capsys):
    """In a script without ``if __name__ == "__main__"``, from which its processes must not start again."""
    (workplace / "script.py").write_text(
        "from headtohead import compare\nfrom lit_models import SimpleCNN, FCNet\nfrom tests.tiny import Tiny\n"
        "found = compare([SimpleCNN(width=4), FCNet()], Tiny(val_size=100), seeds=2, max_epochs=1, accelerator='cpu',"
        " name='mine')\nprint(found)\nopen('said.txt', 'w').write(str(found))\n"
    )
    done = subprocess.run([sys.executable, "script.py"], capture_output=True, text=True, timeout=300, env=os.environ)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("4 to run") == 1
    models = "{values: [{class_path: SimpleCNN, init_args: {width: 4}}, FCNet]}"
    (workplace / "by_hand").mkdir()
    (workplace / "by_hand" / "mine.yaml").write_text(a_sweep(model=models, seed_everything="{values: [0, 1]}"))
    assert sweep.main(["by_hand/mine.yaml", "--runs=by_hand"]) == 0
    here, there = (
        {(one.model, one.seed): one for one in map(records.read, workplace.glob(f"{folder}/mine/*/record.json"))}
        for folder in ("runs", "by_hand")
    )
    assert len(here) == 4
    assert {key: one.config_hash for key, one in here.items()} == {key: one.config_hash for key, one in there.items()}
    for key, one in here.items():
        assert one.quality == there[key].quality
        assert one.per_image == there[key].per_image
    capsys.readouterr()
    assert report(["by_hand/mine", "--out=tables"]) == 0
    assert verdicts(capsys.readouterr().out) == verdicts((workplace / "said.txt").read_text())
    again = subprocess.run([sys.executable, "script.py"], capture_output=True, text=True, timeout=300, env=os.environ)
    assert "mine: 4 of 4 trials finished, 0 failed" in again.stdout
    assert "start " not in again.stdout


def verdicts(screen):
    """Return the sentences of a last screen without their costs in time, which differ."""
    sentences = screen.split("\n\n")[0].replace("\n    ", " ").splitlines()  # a sentence goes on in a deeper line
    return [re.sub(r" (FCNet|SimpleCNN)( ×\d+)? takes .*", "", sentence) for sentence in sentences]


@pytest.mark.slow
@pytest.mark.data
def test_the_notebook(workplace, real_data):
    code = code_of_the_notebook()
    (workplace / "data").symlink_to(real_data)
    script = [  # each cell as a notebook runs it: the value of one line is shown
        f"exec(compile({cell!r}, 'cell', {'exec' if len(cell.splitlines()) > 1 else 'single'!r}))" for cell in code
    ]
    (workplace / "cells.py").write_text("\n".join(script))
    done = subprocess.run([sys.executable, "cells.py"], capture_output=True, text=True, timeout=600, env=os.environ)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "EqCNN" in done.stdout
    assert list(workplace.glob("results/*/report.html"))
