"""What a search found: the expected best of k against brute force, the sweep of the best points, budgets, warnings."""

import dataclasses
import itertools

import numpy as np
import pytest
import yaml

from headtohead.records import record as records
from headtohead.report.comparison import make_comparison
from headtohead.report.figures.best_of_k import best_of_k
from headtohead.report.main import main
from headtohead.report.tuning import expected_best, order_at, searches, warnings
from headtohead.report.write import markdown_of
from tests.records.examples import make, save, with_accuracy
from tests.report.figures.trials import lines, sweep

LR = (0.001, 0.003, 0.01)
# by architecture and learning rate: validation and, the other way round, test accuracy
FOUND = {"CNN": (0.5, 0.7, 0.6), "EqCNN": (0.55, 0.65, 0.68)}


def point(model, lr, val, test=0.5, seed=1000, **more):
    config = {"model": model, "model.width": 8, "task": "Classifier", "task.lr": lr, "task.schedule": "cosine"}
    config |= {"data": "MNIST", "data.batch_size": 128, "trainer.max_epochs": 2, **more}
    record = with_accuracy(test, seed, model=model, config=config, config_hash=records.config_hash(config))
    return dataclasses.replace(
        record, quality={**record.quality, "val_acc": val}, cost={"total_seconds": 10.0, "epoch_seconds": 1.0}
    )


def a_search():
    return [
        point(model, lr, val, 1 - val) for model, values in FOUND.items() for lr, val in zip(LR, values, strict=True)
    ]


@pytest.mark.parametrize("sign", [1, -1])
def test_the_expected_best_is_that_of_all_ways_to_draw(sign):
    values = np.array([0.3, 0.9, 0.5, 0.5, 0.7])
    mean, low, high = expected_best(values, sign)
    for k in range(1, 6):
        draws = np.array(list(itertools.product(values, repeat=k)))  # each as likely as any other
        best = draws.max(1) if sign == 1 else draws.min(1)
        assert mean[k - 1] == pytest.approx(best.mean())
        ends = np.quantile(best, [0.025, 0.975], method="inverted_cdf")
        assert sorted([low[k - 1], high[k - 1]]) == pytest.approx(ends)
    assert mean[0] == pytest.approx(values.mean())
    assert (low <= high).all()


def test_the_best_point_is_that_of_validation_and_the_sweep_has_new_seeds(tmp_path, capsys):
    save(tmp_path / "mine", *a_search())
    assert main([str(tmp_path / "mine"), "--best"]) == 0
    text = capsys.readouterr().out
    file = yaml.safe_load(text)
    parameters = file["parameters"]
    assert parameters["seed_everything"] == {"values": [0, 1, 2, 3, 4]}
    arguments = [point["task"]["init_args"] for point in parameters["config"]["values"]]
    models = [point["model"]["class_path"] for point in parameters["config"]["values"]]
    assert dict(zip(models, arguments, strict=True)) == {"CNN": {"lr": 0.003}, "EqCNN": {"lr": 0.01}}
    assert parameters["task.schedule"] == {"value": "cosine"}
    assert parameters["data"] == {"value": "MNIST"}
    assert not {"task", "model", "task.lr"} & set(parameters)
    assert (file["metric"], file["method"]) == ({"name": "val_acc", "goal": "maximize"}, "grid")
    comment = [line for line in text.splitlines() if line.startswith("#")]
    assert "#   CNN on MNIST: 3 points, 3 trials, 30 s; 70.00 %" in comment
    assert comment[-1] == "# Warning: EqCNN on MNIST: task.lr=0.01 is the largest tried: look further."


def test_seeds_of_the_search_are_used_by_no_comparison(tmp_path, capsys):
    save(tmp_path / "mine", *[point("CNN", lr, 0.5, seed=seed) for lr in LR for seed in (0, 2)])
    assert main([str(tmp_path / "mine"), "--best"]) == 0
    file = yaml.safe_load(capsys.readouterr().out)
    assert file["parameters"]["seed_everything"] == {"values": [1, 3, 4, 5, 6]}


def test_budgets_and_orders_stand_in_the_report():
    comparison = make_comparison(sweep(*a_search()))
    text = " ".join(markdown_of(comparison).split())
    assert "MNIST: what the search cost and found" in text
    assert "| CNN | 3 | 3 | 30 | 70.00 % | task.lr=0.003 | no |" in text
    assert "| EqCNN | 3 | 3 | 30 | 68.00 % | task.lr=0.01 | task.lr=0.01 is the largest tried |" in text
    # best of three, with replacement: CNN (0.5 + 7 * 0.6 + 19 * 0.7) / 27 = 0.6667, EqCNN, whose best is less, 0.6674
    assert "Best of k points on MNIST: at k = 3 the order is EqCNN, CNN." in text
    assert not any("differ" in line for line in warnings(comparison.searches))


def test_the_order_changes_with_the_budget():
    steady = [point("CNN", lr, 0.6) for lr in np.linspace(0.001, 0.01, 15)]
    risky = [point("EqCNN", lr, 0.9 if i == 7 else 0.4) for i, lr in enumerate(np.linspace(0.001, 0.01, 15))]
    found = searches(sweep(*steady, *risky))
    # the one good point of 15 is among k with 1 - (14 / 15)^k: 0.29 of 5 and 0.64 of 15, so 0.546 and 0.722
    assert order_at(found) == "at k = 5 the order is CNN, EqCNN; at k = 15 the order is EqCNN, CNN"
    (picture,) = best_of_k(found)
    curves = lines(picture)
    assert curves["EqCNN"].get_ydata()[[4, 14]] == pytest.approx(
        [100 * (0.4 + 0.5 * (1 - (14 / 15) ** k)) for k in (5, 15)]
    )
    assert "at k = 5 the order is CNN, EqCNN; at k = 15 the order is EqCNN, CNN" in picture.caption


def test_unequal_budgets_are_said():
    more = [*a_search(), point("CNN", 0.03, 0.4)]
    said = warnings(searches(sweep(*more)))
    assert "Budgets on MNIST differ: the architectures had unequal numbers of trials: CNN 4, EqCNN 3." in said
    assert "Searches on MNIST differ: the architectures were tried with other values." in said


def test_other_lengths_are_no_points_of_a_search():
    shares = [point("CNN", 0.001, 0.5, **{"data.train_size": share}) for share in (0.1, 0.5, 1.0)]
    assert searches(sweep(*shares)) == []
    assert searches(sweep(*a_search()[:2])) == []  # two recipes beside each other
    both = searches(sweep(*a_search(), *[point("CNN", lr, 0.8, **{"trainer.max_epochs": 9}) for lr in LR]))
    assert [search.name for search in both] == ["CNN 9 epochs", "CNN 2 epochs", "EqCNN"]


def test_augmentation_alone_is_a_question_and_no_search():
    turned = [point("CNN", 0.001, 0.5, **{"data.augment": name}) for name in ("none", "rotate", "quarter_turns")]
    assert searches(sweep(*turned)) == []
    both = [point("CNN", lr, 0.5, **{"data.augment": name}) for name in ("none", "rotate") for lr in LR]
    (search,) = searches(sweep(*both))
    assert len(search.points) == 6


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ([make()], "report.py: --best: mine is no search: no architecture ran with 3 recipes or more of equal length"),
        ([], "report.py: RUNS: no records in"),
    ],
)
def test_what_is_no_search_is_refused(tmp_path, capsys, found, said):
    (tmp_path / "mine").mkdir()
    save(tmp_path / "mine", *found)
    assert main([str(tmp_path / "mine"), "--best"]) == 2
    error = capsys.readouterr().err
    assert error.startswith(said)
    assert error.count("\n") == 1
