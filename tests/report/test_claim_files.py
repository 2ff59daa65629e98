"""Claim files: where they are looked for, what is said of wrong ones, and what those of the suite are about."""

import pytest

from headtohead.cli.errors import UsageError
from headtohead.report import claims
from headtohead.report.claims import find_row, name_of, read
from headtohead.report.main import main
from tests.conftest import ROOT
from tests.records.examples import make, other_config, save


def ask(folder, monkeypatch, text):
    """A folder with a claim file of the sweep ``mine``."""
    monkeypatch.chdir(folder)
    (folder / "claims").mkdir()
    (folder / "claims" / "mine.yaml").write_bytes(text.encode(errors="surrogateescape"))


@pytest.mark.parametrize("margin", ["nan", "0", "-1", "inf", "much"])
def test_a_margin_is_a_number_above_0(tmp_path, capsys, margin):
    with pytest.raises(SystemExit) as ended:
        main([str(tmp_path), f"--margin={margin}"])
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"report.py: --margin: must be a number above 0, such as 0.2: got {margin}\n"


def test_the_users_own_files_stand_before_the_suites(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert set(claims.files()) == {path.stem for path in (ROOT / "claims").glob("*.yaml")}
    (tmp_path / "claims").mkdir()
    (tmp_path / "claims" / "reproduce.yaml").write_text("")
    (tmp_path / "claims" / "own.yaml").write_text("claims: []")
    assert {"own", "reproduce", "inpainting"} <= set(claims.files())
    assert read("reproduce").claims == []  # the user's, which is empty
    assert read("inpainting").questions
    assert read("no such sweep") == claims.ClaimFile()


CLAIM = "of: A, data: MNIST, number: test_acc"
ASK = "ask: a, data: MNIST, numbers: [test_acc]"
BOMB = "a: &a [x, x]\nb: &b [*a, *a]\nclaims: *b"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("claims: [", "not valid YAML"),
        ("\udcff\udcfe\0", "not a text file"),
        ("\x00", "not valid YAML"),
        (BOMB, "aliases are not read here"),
        ("claims: &a [*a]", "aliases are not read here"),
        ("- 1", "should be"),
        ("claim: []", "claim: Unexpected keyword argument"),
        ("claims: {a: 1}", "claims: Input should be a valid list"),
        ("claims: [1]", "claims.0: "),
        ("looks: {first: 1, most: 29}", "looks: first must be 2 to most, 29: got 1"),
        ("looks: {first: 9, most: 3}", "looks: first must be 2 to most, 3: got 9"),
        (f"claims: [{{{CLAIM}}}]", "claims.0: one of value, better_than, equal_to, no_worse_than, at_most, at_least"),
        (f"claims: [{{{CLAIM}, value: 1, equal_to: B}}]", "claims.0: one of value"),
        (f"claims: [{{{CLAIM}, value: .nan}}]", "claims.0.value: Input should be a finite number"),
        (f"claims: [{{{CLAIM}, value: 1, margin: -1}}]", "claims.0.margin: Input should be greater than 0"),
        (f"claims: [{{{CLAIM}, valeu: 1}}]", "claims.0.valeu: Unexpected keyword argument"),
        (f"claims: [{{{CLAIM}, better_than: A}}]", "claims.0: of: A: is compared with itself"),
        ("claims: [{of: {}, data: MNIST, number: test_acc, value: 1}]", "claims.0.of."),
        ("claims: [{of: A, data: MNIST, number: tset, value: 1}]", "claims.0: number: tset: there are params, "),
        ("claims: [{of: A, data: MNIST, number: params, better_than: B}]", "claims.0: number: params: is a cost"),
        ("claims: [{of: A, data: MNIST, number: total_seconds, value: 1}]", "claims.0: margin: missing: total_seconds"),
        ("claims: [{of: A, data: MNIST, number: macs, at_most: 4}]", "claims.0: at_most and at_least need times"),
        (
            "claims: [{of: A, data: MNIST, number: macs, at_most: 0, times: B}]",
            "claims.0.at_most: Input should be greater",
        ),
        (
            "claims: [{of: A, data: MNIST, number: test_loss, no_worse_than: test_ece}]",
            "claims.0: no_worse_than: test_ece: test_loss has another unit",
        ),
        (f"claims: [{{{CLAIM}, at_most: 4, times: B}}]", "claims.0: number: test_acc: multiples are of costs"),
        (f"questions: [{{{ASK}}}]", "questions.0.pairs: Field required"),
        (f"questions: [{{{ASK}, pairs: []}}]", "questions.0.pairs: "),
        (f"questions: [{{{ASK}, pairs: [[A, A]]}}]", "questions.0: pairs: A: is compared with itself"),
        ("questions: [{ask: a, data: MNIST, numbers: [], pairs: [[A, B]]}]", "questions.0.numbers: "),
        (
            "questions: [{ask: a, data: MNIST, numbers: [params], pairs: [[A, B]]}]",
            "questions.0: numbers: params: there are ",
        ),
        (
            "questions: [{ask: a, data: MNIST, numbers: [test_acc, test_psnr], pairs: [[A, B]]}]",
            "questions.0: numbers: test_psnr: not of the same trials as test_acc",
        ),
    ],
)
def test_a_wrong_file_is_one_line_that_names_the_key(tmp_path, monkeypatch, capsys, text, said):
    ask(tmp_path, monkeypatch, text)
    save(tmp_path / "runs" / "mine", make())
    for args in ([], ["runs", "--claims"]):
        assert main(args) == 2
        error = capsys.readouterr().err
        assert error.startswith("report.py: claims/mine.yaml: ")
        assert error.count("\n") == 1
        assert said in error


def test_rows_by_model_or_by_arguments(tmp_path):
    narrow, wide = other_config(**{"model.width": 8}), other_config(**{"model.width": 11})
    found = [make(seed=0, **narrow), make(seed=0, **wide), make(seed=1, data="CIFAR10")]
    assert find_row(found, {"model": "EqCNN", "model.width": 11}, "MNIST") == wide["config_hash"]
    assert find_row(found, {"model.width": 8}, "MNIST") == narrow["config_hash"]
    assert find_row(found, "EqCNN", "CIFAR10") == make().config_hash
    assert find_row(found, {"model": "EqCNN", "model.width": 9}, "MNIST") is None
    assert find_row(found, {"no.such": None}, "CIFAR10") is None  # what is not there is not None
    with pytest.raises(UsageError, match=r"EqCNN on MNIST fits 2 rows: name one by its model.width, such as"):
        find_row(found, "EqCNN", "MNIST")
    assert name_of({"model": "EqCNN", "model.width": 11}) == "EqCNN ×11"
    assert name_of({"model.width": 11}) == "×11"


def test_every_claim_of_the_suite_names_a_recipe_and_its_document():
    found = [*read("reproduce").claims, *read("inpainting").claims]
    assert len({(name_of(line.of), line.number) for line in found}) == len(found) == 21
    for line in found:
        recipe = (ROOT / "recipes" / f"{line.of}.yaml").read_text()
        assert f"class_path: {line.data}," in recipe
        assert line.source.capitalize() in recipe


@pytest.mark.parametrize("name", ["conv_vs_involution", "inpainting", "plain_vs_equivariant"])
def test_every_question_of_the_suite_is_about_rows_of_its_sweep(name):
    """Each row is the only one of the sweep file that fits."""
    from headtohead.runner.sweep_file import read_sweep  # only here: the other tests of claims need no sweep file

    points = [trial.parameters for trial in read_sweep(ROOT / "sweeps" / f"{name}.yaml").trials]
    for question in read(name).questions:
        for row in [row for pair in question.pairs for row in pair]:
            model = row if isinstance(row, str) else row["model"]
            assert any(model in str(point) for point in points), (name, model)
