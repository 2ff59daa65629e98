"""Stated questions of which pairs have not run: named wherever the questions that ran are."""

import pytest

from headtohead.report.collect import collect
from headtohead.report.comparison import make_comparison
from headtohead.report.main import main
from tests.records.examples import other_config, save, with_accuracy
from tests.report.test_claim_files import ask

QUESTIONS = """
questions:
  - {ask: "Is A better than B?", data: MNIST, numbers: [test_acc], pairs: [[A, B]]}
  - ask: Is it better than the others?
    data: MNIST
    numbers: [test_acc]
    pairs: [[A, B], [A, {model: C, model.width: 9, model.kernel_size: default}], [{model: D, model.width: 3}, A]]
  - {ask: "Does it hold for colours?", data: CIFAR10, numbers: [test_acc], pairs: [[A, B]]}
labels: {Named <D>: {model: D, model.width: 3}}
"""
LINES = [
    "MNIST: Is it better than the others? Not run yet: A against C ×9; Named <D> against A.",
    "CIFAR10: Does it hold for colours? Not run yet: A against B.",
]


def rows(models):
    return [
        with_accuracy(0.9 - index / 10 + seed / 1000, seed, model=model, **other_config(model=model))
        for index, model in enumerate(models)
        for seed in range(3)
    ]


def test_every_stated_question_is_on_every_page(tmp_path, monkeypatch, capsys):
    ask(tmp_path, monkeypatch, QUESTIONS)
    save(tmp_path / "runs" / "mine", *rows("AB"))
    assert main([]) == 0
    screen = " ".join(capsys.readouterr().out.split())
    assert main(["results", "--index"]) == 0
    pages = [tmp_path / "results" / name for name in ("mine/table.md", "mine/report.html", "README.md", "index.html")]
    for line in LINES:
        assert line in screen
        for page in pages:
            text = page.read_text().replace("&lt;", "<").replace("&gt;", ">")
            assert text.count(line) == 1, page
    asked = make_comparison(collect(tmp_path / "runs" / "mine")).headline
    assert [question.ask for question in asked] == ["Is A better than B?", "Is it better than the others?"]


def test_where_no_question_has_run_none_is_said_to_be_missing(tmp_path, monkeypatch, capsys):
    ask(tmp_path, monkeypatch, QUESTIONS.replace("data: MNIST", "data: CIFAR100"))
    save(tmp_path / "runs" / "mine", *rows("ABCDE"))  # whose pairs are too many to be a question
    assert main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "CIFAR100: Is A better than B? Not run yet: A against B."
    assert main(["results", "--index"]) == 0
    for page in ("mine/report.html", "index.html"):
        text = (tmp_path / "results" / page).read_text()
        assert "<p>CIFAR100: Is A better than B? Not run yet: A against B.</p>" in text
        assert "No claim file asks" not in text


@pytest.mark.parametrize(("text", "models"), [(QUESTIONS, ""), ("", "AB")], ids=["all", "no question"])
def test_what_has_run_or_was_not_asked_is_not_said_to_be_missing(tmp_path, monkeypatch, text, models):
    ask(tmp_path, monkeypatch, text)
    found = rows(models)
    for data in ("MNIST", "CIFAR10") if text else ():
        for model, width in (("A", None), ("B", None), ("C", 9), ("D", 3)):
            config = {"model": model, "data": data, **({"model.width": width} if width else {})}
            found += [with_accuracy(0.9, seed, model=model, data=data, **other_config(**config)) for seed in range(2)]
    comparison = make_comparison(collect(save(tmp_path / "mine", *found)))
    assert comparison.not_run == []
    assert "Not run yet" not in "".join(comparison.verdicts)
