"""How ``sweep.py --until-decided`` may be called: what is refused in one line, from any thread, interrupted."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from headtohead.runner import main as sweep
from tests.runner.conftest import FILE


@pytest.mark.parametrize(
    ("text", "args", "said"),
    [
        (
            FILE.replace("  seed_everything: {values: [0, 1, 2]}\n", ""),
            [],
            "--until-decided: the sweep must have parameters.seed",
        ),
        (FILE, ["--most=3"], "--most: must be more than the 3 seeds of the file: got 3"),
        (FILE, ["--most=0"], "--most: must be more than the 3 seeds of the file: got 0"),
        (FILE.replace("grid", "random") + "run_cap: 3\n", [], "--until-decided: needs a sweep file with method: grid"),
    ],
)
def test_wrong_calls_are_one_line(workplace, sweep_of, capsys, text, args, said):
    sweep_of(text)
    assert sweep.main(["mine.yaml", "--until-decided", *args]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"sweep.py: {said}")
    assert error.count("\n") == 1
    assert not (workplace / "runs").exists()


@pytest.mark.parametrize(
    ("arg", "goes_with"),
    [
        ("--most=5", "--until-decided or --next"),
        ("--margin=1", "--until-decided or --next"),
        ("--like=CNN", "--match"),
        ("--wandb", "--next"),
    ],
)
def test_an_argument_that_would_change_nothing_is_refused(workplace, sweep_of, capsys, arg, goes_with):
    sweep_of()
    assert sweep.main(["mine.yaml", arg]) == 2
    assert capsys.readouterr().err == f"sweep.py: {arg.partition('=')[0]}: goes with {goes_with}\n"


def test_a_margin_is_a_number_above_0(workplace, sweep_of, capsys):
    sweep_of()
    with pytest.raises(SystemExit):
        sweep.main(["mine.yaml", "--until-decided", "--margin=nan"])
    assert capsys.readouterr().err == "sweep.py: --margin: must be a number above 0, such as 0.2: got nan\n"


def test_a_dry_run_asks_for_no_next_round(workplace, sweep_of, capsys):
    """With --wandb it would start a sweep on the server."""
    sweep_of()
    assert sweep.main(["mine.yaml", "--next", "--wandb", "--dry-run"]) == 2
    assert capsys.readouterr().err == "sweep.py: --dry-run: --next runs no trial: leave one of them out\n"


def test_a_finished_sweep_may_be_called_from_any_thread(workplace, sweep_of, capsys, monkeypatch):
    class Nothing:
        def next_trials(self, folder):
            return []

    sweep_of()
    monkeypatch.setattr(sweep, "_until_decided", lambda *_: Nothing())
    monkeypatch.setattr(sweep, "_check", lambda *_: None)
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(sweep.main, ["mine.yaml", "--until-decided"]).result() == 0


def test_interrupted_at_its_first_look_it_says_so(workplace, sweep_of, capsys, monkeypatch):
    """As where it waits for the trials of another shard."""

    class Waits:
        def next_trials(self, folder):
            raise KeyboardInterrupt

    sweep_of()
    monkeypatch.setattr(sweep, "_until_decided", lambda *_: Waits())
    monkeypatch.setattr(sweep, "_check", lambda *_: None)
    assert sweep.main(["mine.yaml", "--until-decided"]) == 130
    assert capsys.readouterr().out.endswith("\ninterrupted; the same command goes on\n")


def test_a_wrong_claim_file_is_told_before_anything_runs(workplace, sweep_of, capsys):
    sweep_of(asked="questions: [{}]")
    assert sweep.main(["mine.yaml", "--until-decided"]) == 2
    assert capsys.readouterr().err == "sweep.py: claims/mine.yaml: questions.0.ask: Field required\n"
