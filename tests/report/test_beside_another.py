"""Two sweeps of the same architectures beside each other: rank correlation and changed verdicts, by hand."""

import dataclasses

import pytest

from headtohead.records import record as records
from headtohead.report.beside import beside, kendall
from headtohead.report.collect import collect
from headtohead.report.main import main
from tests.records.examples import save, with_accuracy

UNTUNED = {"CNN": 0.90, "EqCNN": 0.80, "FCNet": 0.70, "ConvNet": 0.60}
TUNED = {"CNN": 0.80, "EqCNN": 0.85, "FCNet": 0.70, "ConvNet": 0.6995}


def trial(model, acc, seed, lr=0.001, **more):
    config = {"model": model, "data": "MNIST", "task.lr": lr, **more}
    named = {"model": model, "config": config, "config_hash": records.config_hash(config)}
    return with_accuracy(acc + (-1) ** seed * 0.00002, seed, **named)


def saved(folder, accuracies, *more, **arguments):
    found = [trial(model, acc, seed, **arguments) for model, acc in accuracies.items() for seed in (0, 1)]
    return save(folder, *found, *more)


@pytest.mark.parametrize(
    ("x", "y", "tau"),
    [
        ([1, 2, 3, 4], [1, 2, 3, 4], 1),
        ([1, 2, 3, 4], [4, 3, 2, 1], -1),
        ([1, 2, 3, 4], [2, 1, 3, 4], 4 / 6),  # five pairs of six in order, one is not
        ([1, 2, 3], [1, 1, 2], 2 / 6**0.5),  # two pairs in order, one tied in y: 2 / sqrt(3 * 2)
    ],
)
def test_rank_correlation_by_hand(x, y, tau):
    assert kendall(x, y) == pytest.approx(tau)


def test_the_order_and_the_verdicts_that_change(tmp_path, capsys):
    only_here = trial("INN", 0.5, 0)
    again = [trial("CNN", 0.95, 0, **{"model.width": width}) for width in (3, 4)]
    twice = [trial("CNN", 0.95, 0, **{"model.width": 3}, lr=0.1)]
    one = saved(tmp_path / "tuned", TUNED, only_here, again[0], lr=0.01)
    other = saved(tmp_path / "untuned", UNTUNED, *again, *twice)
    assert main([str(one), "--beside", str(other)]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "| EqCNN | 85.00 % | 1 | 80.00 % | 2 |" in text
    assert "| EqCNN | CNN | better than +5.00" in text  # and worse than it, 10 points, untuned
    assert "| worse than −10.00" in text
    # 70 and 69.95 differ by less than the 0.2 points that count as equal on MNIST
    assert "| FCNet | ConvNet | equal within ± 0.2 to +0.05" in text
    assert "| better than +10.00" in text
    said = "MNIST: test accuracy of 4 architectures in tuned and in untuned: Kendall's rank correlation 0.67; 5 of 6"
    assert f"{said} pairs come in the same order; 2 of 6 verdicts change." in text
    assert "Left out on MNIST, with several rows in a sweep: CNN ×3." in text
    assert "INN" not in text
    assert not (tmp_path / "results").exists()


def test_a_sweep_beside_itself_changes_nothing(tmp_path, capsys):
    one = saved(tmp_path / "mine", UNTUNED)
    assert main([str(one), "--beside", str(one), "--margin", "0.5"]) == 0
    text = capsys.readouterr().out
    assert "rank correlation 1.00; 6 of 6 pairs come in the same order; 0 of 6 verdicts change." in text
    assert "that change" not in text


def test_means_are_of_the_seeds_that_learnt(tmp_path):
    chance = trial("ConvNet", 0.1, 2)
    quality = {**chance.quality, "val_acc": 0.1, "class_names": list("0123456789")}
    dead = dataclasses.replace(chance, quality=quality, history=[{"epoch": 0, "val_acc": 0.1}])
    one, other = (collect(saved(tmp_path / name, UNTUNED, *more)) for name, more in (("one", [dead]), ("other", [])))
    (found,) = beside(one, other)
    assert found.means["ConvNet"] == pytest.approx((60, 60))


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ("nothing", "report.py: --beside: no folder nothing; run a sweep first: python sweep.py sweeps/quick.yaml\n"),
        ("two", "report.py: --beside: mine and two share no data set on which both have 3 architectures or more with "),
        (".", "report.py: --beside: OTHER must be the folder of one sweep: got 2 sweeps\n"),
    ],
)
def test_what_cannot_be_compared_is_refused(tmp_path, monkeypatch, capsys, other, said):
    monkeypatch.chdir(tmp_path)
    saved(tmp_path / "mine", UNTUNED)
    saved(tmp_path / "two", {"CNN": 0.5, "EqCNN": 0.6})
    assert main(["mine", "--beside", other]) == 2
    error = capsys.readouterr().err
    assert error.startswith(said)
    assert error.count("\n") == 1
