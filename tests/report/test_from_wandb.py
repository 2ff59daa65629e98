"""Runs of W&B as a report's records: what is read, what is left out, what is pushed back."""

import json
import sys
from types import SimpleNamespace

import pytest

from headtohead.records import record as records
from headtohead.report import from_wandb
from headtohead.report.collect import Trials
from headtohead.report.comparison import make_comparison
from headtohead.report.main import main as make_tables
from tests.records.examples import make, other_config, with_accuracy
from tests.wandb_server import ENTITY


def keep(server, name, state="finished", record=None, **facts):
    """Put a run on the server, as if it had been there."""
    run = server._run(name, facts.pop("sweep", None), "mine")
    run |= {"state": state, "starts": 1, **facts}
    if record is not None:
        server.files[name, records.FILE_NAME] = record if isinstance(record, bytes) else records.dumps(record).encode()


def test_what_is_not_finished_or_no_record_is_listed_and_not_averaged(server, workplace, monkeypatch, capsys):
    monkeypatch.setattr(from_wandb, "PER_PAGE", 2)
    keep(server, "a", record=make(seed=0), displayName="../../outside")
    keep(server, "b", record=make(seed=1), displayName="good")
    keep(server, "c", "failed", record=make(seed=2), displayName="bad")
    keep(server, "d", "running", displayName="slow")
    keep(server, "e", "crashed", displayName="good")
    keep(server, "f", displayName="empty")
    keep(server, "g", record=b"[1", displayName="broken")
    keep(server, "h", record=make(seed=1), displayName="twin")
    keep(server, "i", jobType="results", displayName="pushed")
    assert make_tables([f"{ENTITY}/mine"]) == 0
    said = capsys.readouterr().err
    for line in (
        "bad: failed",
        "slow: running",
        "good-e: crashed",
        "empty: finished, but has no record.json",
        "broken/record.json: not valid JSON",
        "twin/record.json: the same configuration and seed as good, which is kept",
    ):
        assert f"left out: {line}" in said
    assert "pushed" not in said
    kept = sorted(path.relative_to(workplace).as_posix() for path in workplace.rglob("*.json"))
    assert kept == ["results/mine/records/______outside.json", "results/mine/records/good.json"]
    assert "|   2 |" in (workplace / "results" / "mine" / "table.md").read_text()


def test_what_is_pushed_is_one_run_that_is_no_trial(server, workplace, capsys):
    for seed, accuracy in enumerate((0.95, 0.96, 0.97)):
        keep(server, f"a{seed}", record=with_accuracy(accuracy, seed))
        keep(
            server, f"b{seed}", record=with_accuracy(accuracy - 0.3, seed, model="Other", **other_config(model="Other"))
        )
    assert make_tables([f"{ENTITY}/mine", "--push"]) == 0
    (pushed,) = [run for run in server.runs.values() if run["jobType"] == "results"]
    assert (pushed["state"], pushed["project"], pushed["group"]) == ("finished", "mine", "mine")
    assert f"pushed to {server.url}/{ENTITY}/mine/runs/{pushed['name']}" in capsys.readouterr().out
    tables = {
        name.rpartition("/")[2].partition("_")[0]: json.loads(text)
        for (run, name), text in server.files.items()
        if run == pushed["name"] and "media/table" in name
    }
    assert tables["runs"]["data"][0][:3] == ["EqCNN", "MNIST", 0]
    assert tables["verdict"]["columns"][:6] == ["question", "model", "verdict", "other", "in", "difference"]
    first = tables["verdict"]["data"][0]
    assert first[:5] == ["MNIST: every two rows (test set not counted)", "Other", "worse than", "EqCNN", "0°"]
    assert first[5].startswith("−30.00 (")
    assert any(name.startswith("media/html/report") for run, name in server.files if run == pushed["name"])
    assert any(name.startswith("media/images/") for run, name in server.files if run == pushed["name"])
    found = from_wandb.fetch(f"{ENTITY}/mine", workplace / "again")  # read without it
    assert len(found.records) == 6
    from_wandb.push(f"{ENTITY}/mine", make_comparison(found), workplace / "nothing")  # and brought up to date
    assert [run["starts"] for run in server.runs.values() if run["jobType"] == "results"] == [2]


class Block(SimpleNamespace):
    """A block of the stand-in below; it keeps what it was given."""


def workspaces(saved):
    """Return a stand-in for ``wandb_workspaces.reports.v2``, which keeps the reports that are saved."""

    class Report(Block):
        url = "https://wandb.ai/me/mine/reports/1"

        def save(self):
            saved.append(self)

    names = ("MarkdownBlock", "PanelGrid", "Runset", "MediaBrowser", "LinePlot")
    return SimpleNamespace(Report=Report, **{name: type(name, (Block,), {}) for name in names})


def test_a_report_of_wandbs_where_its_package_is_installed(workplace, monkeypatch):
    trials = {f"t{seed}": with_accuracy(0.9 + seed / 100, seed) for seed in range(3)}
    trials |= {
        f"u{seed}": with_accuracy(0.5 + seed / 100, seed, model="Other", **other_config(model="Other"))
        for seed in range(3)
    }
    comparison = make_comparison(Trials("mine", trials))
    figures = [workplace / "verdicts.png", workplace / "validation.png"]
    assert from_wandb._report(ENTITY, "mine", comparison, figures) is None  # it is not installed here
    saved = []
    monkeypatch.setitem(sys.modules, "wandb_workspaces", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "wandb_workspaces.reports", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "wandb_workspaces.reports.v2", workspaces(saved))
    assert from_wandb._report(ENTITY, "mine", comparison, figures) == "https://wandb.ai/me/mine/reports/1"
    (report,) = saved
    assert (report.entity, report.project, report.title) == (ENTITY, "mine", "mine: comparison")
    assert report.description == "2 rows on MNIST; 6 trials, 3 seeds of each, 2 minutes in all."
    said, pictures, tables, curves = report.blocks
    assert all(sentence in said.text for sentence in comparison.verdicts)
    assert "| Other   | worse than | EqCNN" in said.text
    assert pictures.panels[0].media_keys == ["verdicts", "validation"]
    assert "91.00 ± 1.00" in tables.text
    assert curves.runsets[0].groupby == ["group"]


@pytest.mark.parametrize(
    ("address", "environment", "said"),
    [
        ("me/nothing", {}, "RUNS: me/nothing: Could not find project nothing"),
        ("me/mine/nothing", {}, "RUNS: me/mine/nothing: Could not find sweep"),
        ("me/mine", {"WANDB_API_KEY": ""}, "RUNS: not logged in to W&B: run wandb login"),
        ("me/mine", {"WANDB_API_KEY": "f" * 40}, "user is not logged in"),
        ("me/mine", {"WANDB_API_KEY": "short"}, "API key must have 40+ characters"),
        pytest.param("me/mine", {"WANDB_BASE_URL": "http://127.0.0.1:9"}, "http://127.0.0.1:9", marks=pytest.mark.slow),
    ],
)
def test_what_cannot_be_read_is_told_in_one_line(server, monkeypatch, capsys, address, environment, said):
    keep(server, "a", record=make())
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert make_tables([address]) == 2
    printed = capsys.readouterr().err
    assert said in printed
    assert len(printed.splitlines()) == 1


def test_push_needs_a_project(workplace, capsys):
    assert make_tables(["runs", "--push"]) == 2
    assert "--push: RUNS must be ENTITY/PROJECT or ENTITY/PROJECT/SWEEP: got runs" in capsys.readouterr().err
