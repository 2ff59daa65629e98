"""What rows are called: short, by what sets them apart, never two alike, or as the claim file says."""

from dataclasses import replace

import pytest

from headtohead.report.claims import name_of, named_rows, read
from headtohead.report.collect import collect, labels
from headtohead.report.comparison import make_comparison
from headtohead.report.labels import label_rows, short
from headtohead.report.main import main
from headtohead.report.write import markdown_of
from tests.conftest import ROOT
from tests.records.examples import make, other_config, save


def row(model="ResNet", data="MNIST", **config):
    found = other_config(model=model, data=data, **config)
    return make(model=model, data=data, **found)


def names(*rows, given=None):
    found = label_rows(rows, given or {})
    return [found[record.config_hash] for record in rows]


@pytest.mark.parametrize(
    ("model", "arguments", "name"),
    [
        ("ResNet", {"model.operator": "involution", "model.width": 34}, "ResNet involution ×34"),
        ("EqCNN", {"model.width": 11}, "EqCNN ×11"),
        ("EqCNN", {"model.width": None}, "EqCNN"),
        ("CNN", {"trainer.max_epochs": 5, "task.lr": 0.01}, "CNN 5 epochs lr=0.01"),
        ("CNN", {"a.size": 1, "b.size": 2}, "CNN a.size=1 b.size=2"),
    ],
)
def test_short_names_by_hand(model, arguments, name):
    assert short(model, arguments) == name
    assert name_of({"model": model, **arguments}) == name


def test_only_what_differs_on_the_same_data_is_shown():
    rows = [
        row(**{"model.operator": "conv", "model.width": 16, "model.depth": 8}),
        row(**{"model.operator": "p4", "model.width": 8, "model.depth": 8}),
        row("CNN", **{"model.width": 5}),
        row(data="CIFAR10", **{"model.operator": "conv", "model.width": 16, "model.depth": 8}),
    ]
    assert names(*rows) == ["ResNet conv ×16", "ResNet p4 ×8", "CNN", "ResNet"]


def test_no_two_rows_share_a_name():
    # the short names of the first two are one, and so are the long names of the last two
    alike = [row("A conv"), row("A", **{"model.operator": "conv"}), row("A", **{"model.operator": "p4"})]
    assert names(*alike)[1:] == ["A (model.operator=conv)", "A p4"]
    told = names(row("B", **{"task.lr": 1}), row("B", **{"task.lr": "1"}))
    assert len(set(told)) == 2
    assert all(name.startswith("B (task.lr=1) ") for name in told)


def test_given_names_stay_and_own_names_make_room():
    one, other = row("A"), row("B")
    found = names(one, other, given={one.config_hash: "B"})
    assert found[0] == "B"
    assert found[1].startswith("B ")


CLAIMS = """
questions: [{ask: Which one, data: MNIST, numbers: [test_acc], pairs: [[{model: A, model.width: 3}, B]]}]
claims: [{of: {model: A, model.width: 3}, data: MNIST, number: test_acc, better_than: B}]
labels:
  Wide: {model: A, model.width: 3}
  Plain: B
"""


@pytest.fixture
def named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "claims").mkdir()
    (tmp_path / "claims" / "mine.yaml").write_text(CLAIMS)
    records = [row("A", **{"model.width": width}) for width in (3, 5)] + [row("B")]
    return save(tmp_path / "mine", *records)


def test_a_claim_file_names_rows_everywhere(named, capsys):
    comparison = make_comparison(collect(named))
    assert sorted(comparison.summary.model) == ["A ×5", "Plain", "Wide"]
    assert comparison.headline[0].sentences[0].startswith("Wide against Plain upright")
    assert (comparison.judged[0].of, comparison.judged[0].said) == ("Wide", "better than Plain")
    assert "| Wide " in markdown_of(comparison)
    assert main(["mine", "--out", "out"]) == 0
    assert "Wide against Plain" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("labels: {New: B, Old: B}", "report.py: claims: labels: New and Old are the same row\n"),
        (
            "labels: {New: A}",
            "report.py: claims: A on MNIST fits 2 rows: name one by its model.width, such as "
            "{model: …, model.width: …}\n",
        ),
        ("labels: {'': A}", "labels..[key]: String should match pattern"),
        ("labels: [B]", "labels: Input should be a valid dictionary\n"),
    ],
)
def test_a_name_that_fits_no_row_is_one_line(named, capsys, text, said):
    (named.parent / "claims" / "mine.yaml").write_text(text)
    assert main(["mine", "--out", "out"]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_a_name_whose_row_has_not_run_is_told_and_the_report_written(named, capsys):
    (named.parent / "claims" / "mine.yaml").write_text("labels: {New: C, Plain: B}")
    assert main(["mine", "--out", "out"]) == 0
    out, error = capsys.readouterr()
    assert error == "report.py: claims: labels: no row of mine is New (C): its rows are A ×3, A ×5, B\n"
    assert "Plain" in out


@pytest.mark.parametrize("sweep", ["compare", "conv_vs_involution", "plain_vs_equivariant", "reproduce"])
def test_names_of_committed_rows_are_short_and_their_own(sweep):
    trials = collect(ROOT / "results" / sweep)
    given = named_rows(read(sweep).labels, trials)  # what the claim file calls them
    found = labels(replace(trials, named=given))
    data = {record.config_hash: record.data for record in trials.records.values()}
    assert len({(name, data[key]) for key, name in found.items()}) == len(found)
    assert max(len(name) for key, name in found.items() if key not in given) <= len("ResNet involution ×34")
