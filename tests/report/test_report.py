"""The report as text: its numbers, its commands, and what its policy lets through."""

import base64
import csv
import hashlib
import math
import re
from dataclasses import replace
from html.parser import HTMLParser

import pandas as pd
import pytest
from PIL import Image

from headtohead.report import claims
from headtohead.report.collect import collect, labels
from headtohead.report.comparison import make_comparison
from headtohead.report.html import command, commands, html
from headtohead.report.write import show
from tests.conftest import ROOT
from tests.records.examples import make, other_config, save, with_accuracy
from tests.report.test_browser import COMMITTED, SCREENSHOTS, hash_of


class Tables(HTMLParser):
    """The texts of the tables of a page by the id of their headings, a list of rows each."""

    def __init__(self, text):
        super().__init__()
        self.found, self._rows, self._cell = {}, [], None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag == "table":
            self._rows = self.found.setdefault(dict(attrs)["aria-labelledby"], [])
        elif tag == "tr":
            self._rows.append([])
        elif tag in ("td", "th"):
            self._cell = ""

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self._rows[-1].append(self._cell)
            self._cell = None

    def handle_data(self, data):
        if self._cell is not None:
            self._cell += data


def test_numbers_equal_runs_csv():
    tables = Tables((COMMITTED / "report.html").read_text()).found
    with (COMMITTED / "runs.csv").open() as file:
        rows = list(csv.reader(file))
    heads = tables["runs"][0]
    order = [rows[0].index(head) for head in heads]
    assert tables["runs"] == [[row[i] for i in order] for row in rows]

    runs = pd.read_csv(COMMITTED / "runs.csv")
    trials = collect(COMMITTED)
    named = claims.named_rows(claims.read(trials.name).labels, trials)
    runs["label"] = runs.config_hash.map(labels(replace(trials, named=named)))
    by_label = runs.groupby("label")
    mean, std = by_label.mean(numeric_only=True), by_label.std(numeric_only=True)
    alone = (runs.trials_at_once == 1) & ~runs.contended.eq(True)
    times = runs[alone].groupby("label").median(numeric_only=True)
    (seconds_to,) = (head for head in tables["table-1-2"][0] if head.startswith("s to "))
    reached = by_label.target_seconds.count()
    quality = {row[0]: dict(zip(tables["table-1-1"][0], row, strict=True)) for row in tables["table-1-1"][1:]}
    costs = {row[0]: dict(zip(tables["table-1-2"][0], row, strict=True)) for row in tables["table-1-2"][1:]}
    assert list(quality) == list(costs) == mean.test_acc.sort_values(ascending=False).index.tolist()  # the best first
    for model in quality:
        for head, name in {"0° %": "test_acc", "90° %": "test_acc_rot90", "calibration error %": "test_ece"}.items():
            spread = "" if math.isnan(std[name][model]) else f" ± {std[name][model]:.2f}"  # one seed has none
            assert quality[model][head] == f"{mean[name][model]:.2f}{spread}"
        assert costs[model]["parameters"] == f"{mean['params'][model]:,.0f}"
        for head, name in {"s/epoch": "epoch_seconds", seconds_to: "target_seconds"}.items():
            if head == seconds_to and reached[model] < len(runs[runs.label == model]):
                assert costs[model][head] == f"{reached[model]} of {len(runs[runs.label == model])} reached it"
            elif model in times.index:
                median = costs[model][head].partition(" (")[0].replace(",", "")  # the range beside it
                assert float(median) == pytest.approx(times[name][model], rel=5e-3)
            else:
                assert costs[model][head] == "–"
    shown = {(row[0], row[1], row[2]): row[5] for row in tables["table-1-3"][1:]}
    difference = mean.test_acc["EqCNN ×11"] - mean.test_acc["SimpleCNN"]  # of the same four seeds
    assert shown["EqCNN ×11", "SimpleCNN", "0°"] == f"{difference:+.2f}".replace("-", "−")


def test_the_policy_lets_only_the_reports_own_style_and_script_through():
    text = (COMMITTED / "report.html").read_text()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1].replace("&#39;", "'")
    assert policy.startswith("default-src 'none'; img-src data:; ")
    for tag, name in (("style", "style-src"), ("script", "script-src")):
        content = re.search(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)[1]
        hashed = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{name} 'sha256-{hashed}'" in policy
    assert not re.search(r"https?://|<link|@import|url\(|style=|\son\w+=", text)


def test_commands_are_what_train_py_takes():
    record = make()
    config = {**record.config, "data.normalize": False, "data.name": "a b", "data.none": None}
    assert command(config).splitlines() == [
        "python train.py fit \\",
        "  --model=EqCNN \\",
        "  --data=MNIST \\",
        "  --task.lr=0.001 \\",
        "  --trainer.max_epochs=5 \\",
        "  --data.normalize=false '--data.name=a b' --data.none=null",
    ]
    records = list(collect(COMMITTED).records.values())
    found = commands(records)
    (equal,) = (text for text in found if "--model=EqCNN --model.width=8" in text)
    assert equal.splitlines() == [
        "for seed in 0 1 2; do",
        "  python train.py fit \\",
        "    --model=EqCNN --model.width=8 \\",
        "    --task=Classifier --task.optimizer=adamw --task.lr=0.0005 --task.weight_decay=0.01 --task.momentum=0.9 "
        "--task.schedule=constant \\",
        "    --data=MNIST --data.batch_size=64 --data.augment=none --data.normalize=false --data.val_size=5000 \\",
        "    --trainer.max_epochs=5 --trainer.max_steps=-1 --trainer.accumulate_grad_batches=1 "
        "--trainer.overfit_batches=0.0 --trainer.sync_batchnorm=false \\",
        "    --seed_everything=$seed",
        "done",
    ]
    assert sum("--model=SimpleCNN" in text for text in found) == 8
    assert commands([record])[0].endswith(" \\\n  --seed_everything=3")


def test_one_model_has_nothing_to_compare(tmp_path):
    text = html(make_comparison(collect(save(tmp_path, make()))))
    assert "There is one model only: nothing to compare." in text
    assert '<h2 id="figures">' not in text
    assert "python sweep.py" not in text  # no such sweep file


def test_the_last_screen_of_one_model_sends_nobody_to_choose_two(tmp_path, capsys):
    show(make_comparison(collect(save(tmp_path, make()))), [])
    text = capsys.readouterr().out
    assert text.splitlines()[0].strip() == "There is one model only: nothing to compare."
    assert "choose two rows" not in text


def test_many_models_without_a_question_have_a_table_of_the_pairs_of_two_seeds(tmp_path):
    found = [
        with_accuracy(0.9 - i / 10 + seed / 1000, seed, model="ABCD"[i], **other_config(model="ABCD"[i]))
        for i, seeds in enumerate((2, 2, 2, 1))
        for seed in range(seeds)
    ]
    text = html(make_comparison(collect(save(tmp_path, *found))))
    assert "No claim file asks a question of this sweep" in text
    rows = Tables(text).found["table-1-3"][1:]
    assert {(row[0], row[1]) for row in rows} == {("B", "A"), ("C", "A"), ("C", "B")}
    assert len(rows) == 6  # in two numbers
    assert "D against A upright: one seed decides nothing (−30.05 points); n = 1 and 2." in text


def test_the_report_is_linked_from_the_readme():
    readme = (ROOT / "README.md").read_text()
    assert "(results/plain_vs_equivariant/report.html)" in readme
    assert "(results/plain_vs_equivariant/report-desktop.png)" in readme


@pytest.mark.parametrize("path", SCREENSHOTS, ids=lambda path: path.stem)
def test_a_committed_screenshot_is_of_the_committed_page(path):
    """Made by ``SUITE_SCREENSHOTS=1 pytest -m slow tests/report/test_browser.py`` after the pages are."""
    with Image.open(path) as taken:
        assert taken.text.get("page") == hash_of(SCREENSHOTS[path][0])
