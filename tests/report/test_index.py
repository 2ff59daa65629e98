"""The list of all sweeps: their verdicts as in their own reports, links that lead somewhere, nothing loaded."""

import re

import pytest

from headtohead.records.looks import Looks, read_looks, write_looks
from headtohead.report.collect import collect
from headtohead.report.comparison import make_comparison
from headtohead.report.html import lead
from headtohead.report.main import main
from tests.conftest import ROOT
from tests.records.examples import make, other_config, save, with_accuracy


@pytest.fixture
def listed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = [with_accuracy(0.9 + seed / 1000, seed, model="A", **other_config(model="A")) for seed in range(3)]
    found += [with_accuracy(0.8 + seed / 1000, seed, model="B", **other_config(model="B")) for seed in range(3)]
    save(tmp_path / "results" / "two <of them>", *found)
    save(tmp_path / "results" / "one", make())
    return tmp_path / "results"


def test_every_sweep_is_listed_with_its_verdicts(listed, capsys):
    assert main(["results", "--index"]) == 0
    printed = capsys.readouterr()
    assert printed.out == "2 sweeps in results/index.html and results/README.md\n"
    assert printed.err == (
        "report.py: results has no report of one, two <of them>, to which the list links: write it by "
        "python report.py results --out results\n"
    )
    page, text = ((listed / name).read_text() for name in ("index.html", "README.md"))
    (asked,) = make_comparison(collect(listed / "two <of them>")).headline
    difference = asked.verdicts.columns[4].cells[0].text
    assert re.fullmatch(r"−10\.00 \(−10\.\d\d to −9\.\d\d\)", difference)
    for said in (page, text):
        assert difference in said
        assert "worse than" in said
        assert "1 row on MNIST; 1 trial, 1 seed of each, 20 seconds in all." in said
    assert '<a href="one/report.html">one</a>' in page
    assert '<a href="two%20%3Cof%20them%3E/report.html">two &lt;of them&gt;</a>' in page
    assert not re.search(r"https?://|<script|<link|style=", page)
    assert text.startswith("# Results\n")


def test_of_several_rows_without_a_question_it_is_said_that_nobody_asked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [(model, seed, 0.9 - index / 10 + seed / 1000) for index, model in enumerate("ABC") for seed in (0, 1)]
    found = [with_accuracy(accuracy, seed, model=model, **other_config(model=model)) for model, seed, accuracy in rows]
    save(tmp_path / "results" / "three", *found)
    save(tmp_path / "results" / "one", make())
    assert main(["results", "--index"]) == 0
    said = "No claim file asks a question of this sweep: its report compares any two rows."
    assert [(tmp_path / "results" / name).read_text().count(said) for name in ("index.html", "README.md")] == [1, 1]


def test_what_a_sweep_took_and_what_looking_early_saved(tmp_path):
    """Five trials of 20,000 s; of two rows and at most 9 seeds each, 13 were not needed."""
    cost = {"total_seconds": 20_000.0}
    found = [with_accuracy(0.9, seed, cost=cost, model="A", **other_config(model="A")) for seed in range(3)]
    found += [with_accuracy(0.8, seed, cost=cost, model="B", **other_config(model="B")) for seed in range(2)]
    write_looks(Looks(2, 9), save(tmp_path / "two", *found))
    said = (
        "2 rows on MNIST; 5 trials, 2 to 3 seeds of each, 27.8 hours in all; 9 seeds of each would be 13 trials more."
    )
    assert lead(make_comparison(collect(tmp_path / "two"))) == said


def test_records_that_were_looked_at_stay_so_without_the_note_of_it(tmp_path, capsys):
    """Copied elsewhere beside new ones they are the same records; those of somebody else's run are not."""
    ran = save(tmp_path / "runs" / "two", with_accuracy(0.9, 0), with_accuracy(0.8, 1))
    write_looks(Looks(2, 9), ran)
    assert main([str(ran), f"--out={tmp_path / 'results'}"]) == 0
    copied = save(tmp_path / "copy" / "two", with_accuracy(0.9, 0), with_accuracy(0.7, 2))
    assert main([str(copied), f"--out={tmp_path / 'results'}"]) == 0
    assert read_looks(tmp_path / "results" / "two") == Looks(2, 9)
    assert "which were looked at as they came" in capsys.readouterr().out
    others = save(tmp_path / "other" / "two", with_accuracy(0.6, 0))
    assert main([str(others), f"--out={tmp_path / 'results'}"]) == 0
    assert read_looks(tmp_path / "results" / "two") is None


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["nowhere", "--index"], "RUNS: no folder nowhere"),
        (["results", "--index", "--out=x"], "--out: changes nothing with --index: leave it out"),
        (["results", "--claims", "--margin=1"], "--margin: changes nothing with --claims: leave it out"),
        (["results", "--claims", "--push"], "--push: changes nothing with --claims: leave it out"),
        (["results", "--index", "--price-per-hour=1"], "--price-per-hour: changes nothing with --index: leave it out"),
        (["results/one", "--best", "--target=0.5"], "--target: changes nothing with --best: leave it out"),
        (["results/one", "--beside=x", "--out=x"], "--out: changes nothing with --beside: leave it out"),
        (["team/project/sweep", "--claims"], "--claims: RUNS must be a folder of sweeps: got team/project/sweep"),
        (["team/project/sweep", "--index"], "--index: RUNS must be a folder of sweeps: got team/project/sweep"),
    ],
)
def test_a_wrong_folder_is_one_line(listed, capsys, args, said):
    assert main(args) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_the_committed_list_names_every_committed_sweep():
    folder = ROOT / "results"
    page, text = ((folder / name).read_text() for name in ("index.html", "README.md"))
    linked = re.findall(r'href="([^"]+)"', page)
    assert sorted(linked) == sorted(
        f"{path.parent.name}/report.html" for path in folder.glob("*/records") if path.is_dir()
    )
    assert all((folder / path).is_file() for path in linked)
    assert all((folder / path).is_file() for path in re.findall(r"\]\(([^)]+)\)", text))


@pytest.mark.parametrize("path", sorted((ROOT / "results").glob("*/report.html")), ids=lambda path: path.parent.name)
def test_a_committed_report_is_smaller_than_a_megabyte(path):
    assert path.stat().st_size < 1_000_000


def test_only_one_of_what_is_written_is_asked_for(listed, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["results", "--index", "--claims"])
    assert ended.value.code == 2
    assert capsys.readouterr().err == "report.py: --claims: not allowed with argument --index\n"


def test_one_sweep_is_no_list_of_sweeps(listed, capsys):
    assert main(["results/one", "--index"]) == 2
    said = "--index: RUNS must be a folder of sweeps, such as results: got results/one, which is one sweep"
    assert capsys.readouterr().err == f"report.py: {said}\n"
    assert not (listed / "one" / "index.html").exists()
