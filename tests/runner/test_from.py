"""A sweep goes on from the results of one whose trials are gone."""

import pytest

from headtohead.records.looks import Looks, read_looks, write_looks
from headtohead.report.collect import collect
from headtohead.report.comparison import make_comparison
from headtohead.report.write import write
from headtohead.runner import main as runner
from headtohead.runner.sweep_file import read_sweep
from tests.records.examples import other_config, save, with_accuracy
from tests.tiny import a_sweep

TWO = a_sweep(model="{values: [SimpleCNN, EqCNN]}", seed_everything="{values: [0, 1]}")


@pytest.fixture
def kept(workplace):
    """A sweep file, and the results of its trials, of which nothing else was kept."""
    (workplace / "two.yaml").write_text(TWO)
    trials = read_sweep(workplace / "two.yaml").trials
    found = [
        with_accuracy(0.9, t.parameters["seed_everything"], **other_config(model=t.parameters["model"])) for t in trials
    ]
    folder = save(workplace / "elsewhere" / "two", *found)
    for path, trial in zip(sorted(folder.iterdir()), sorted(trials, key=lambda t: t.name), strict=True):
        path.rename(folder / trial.name)
    write_looks(Looks(2, 9), folder)
    write(make_comparison(collect(folder)), workplace / "results" / "two")
    return workplace


def test_what_is_kept_is_not_run_again(kept, capsys):
    assert runner.main(["two.yaml", "--from=results/two"]) == 0
    said = capsys.readouterr().out
    assert "two: 4 trials taken over from results/two\n" in said
    assert "two: 4 of 4 trials finished, 0 failed" in said
    assert read_looks(kept / "runs" / "two") == Looks(2, 9)
    here, there = collect(kept / "runs" / "two"), collect(kept / "results" / "two")
    assert here.records == there.records


def test_a_record_that_is_there_stays(kept, capsys):
    """A trial that was run here has more than its record: it is not replaced by a copy from elsewhere."""
    runner.main(["two.yaml", "--from=results/two"])
    path = min((kept / "runs" / "two").glob("*/record.json"))
    path.write_text(path.read_text().replace('"seed"', ' "seed"'))
    before = path.read_bytes()
    assert runner.main(["two.yaml", "--from=results/two"]) == 0
    assert path.read_bytes() == before
    assert capsys.readouterr().out.count("taken over") == 1


def test_a_dry_run_lists_them_and_writes_nothing(kept, capsys):
    next((kept / "results" / "two" / "records").glob("EqCNN*seed1*")).unlink()
    assert runner.main(["two.yaml", "--from=results/two", "--dry-run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if "-seed" in line] == ["finished", "finished", "finished", "to"]
    assert not (kept / "runs").exists()


def test_what_holds_no_records_is_one_line(kept, capsys):
    assert runner.main(["two.yaml", "--from=results/tow"]) == 2
    assert capsys.readouterr().err.startswith("sweep.py: --from: must be a sweep's results, such as results/quick: ")
    broken = next((kept / "results" / "two" / "records").glob("*.json"))
    broken.write_text("{")
    assert runner.main(["two.yaml", "--from=results/two"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert broken.name in said
    assert not (kept / "runs").exists()
