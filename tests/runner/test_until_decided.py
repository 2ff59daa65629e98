"""Further seeds only where a question is undecided: which, until when, and the same after every kill."""

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from headtohead.cli.errors import UsageError
from headtohead.records import record as records
from headtohead.records.looks import FILE_NAME as LOOKS
from headtohead.records.looks import Looks, read_looks
from headtohead.report.collect import collect
from headtohead.report.comparison import make_comparison
from headtohead.report.verdicts import ENOUGH
from headtohead.runner import main as sweep
from headtohead.runner import until_decided
from headtohead.runner.sweep_file import SEED
from headtohead.runner.until_decided import UntilDecided
from tests.conftest import ROOT
from tests.records.examples import other_config, with_accuracy
from tests.runner.conftest import FILE
from tests.tiny import a_sweep


class Played:
    """What a runner does, without training: each trial ends with the accuracy that ``play`` says, or fails."""

    def __init__(self, folder, play):
        self.folder, self.play, self.rounds = folder, play, []

    def finish(self, trial):
        model, data, seed = (trial.parameters[name] for name in ("model", "data", SEED))
        accuracy = self.play(model, data, seed)
        place = self.folder / trial.name
        if accuracy is None:
            place.mkdir(parents=True, exist_ok=True)
            (place / "failed.txt").write_text("no\n")
        else:
            config = other_config(model=model, data=data)
            record = with_accuracy(accuracy, seed, model=model, data=data, **config)
            records.write(record, place)
            (place / "failed.txt").unlink(missing_ok=True)  # the runner does so at the start

    def run(self, strategy, rounds=100):
        """Go on until nothing is left, or for some rounds; return what each ran, as model and seed."""
        for _ in range(rounds):
            trials = strategy.next_trials(self.folder)
            if not trials:
                break
            for trial in trials:
                self.finish(trial)
            self.rounds.append([f"{trial.parameters['model']}{trial.parameters[SEED]}" for trial in trials])
        return self.rounds


def spread(middles, width=1.0):
    """Accuracies that lie about the middle of each model by turns: by 0, 1 and -1 deviations."""

    def play(model, data, seed):
        return (middles[model] + width * (0, 1, -1)[seed % 3]) / 100

    return play


FIRST = ["A0", "A1", "A2", "B0", "B1", "B2", "C0", "C1", "C2"]


def test_what_is_decided_by_the_seeds_of_the_file_gets_no_more(workplace, sweep_of):
    found = Played(workplace / "mine", spread({"A": 90, "B": 50, "C": 50}))
    said = []
    assert found.run(UntilDecided(sweep_of(), 29, say=said.append)) == [FIRST]
    assert said[0] == "Is A better"
    assert said[1].startswith("  A is better than B upright (+40.00 points, ")
    assert said[-1] == "nothing left to run"
    assert read_looks(workplace / "mine") == Looks(3, 29)


def test_a_seed_in_another_precision_asks_for_no_more(workplace, sweep_of):
    """All further ones would run in the usual precision, and leave it the only one of its row."""

    class Stray(Played):
        def finish(self, trial):
            super().finish(trial)
            path = self.folder / trial.name
            if trial.parameters[SEED] == 0:
                record = records.read(path / records.FILE_NAME)
                hardware = {**record.hardware, "precision": "bf16-mixed"}
                records.write(dataclasses.replace(record, hardware=hardware), path)

    found = Stray(workplace / "mine", spread({"A": 90, "B": 50, "C": 50}, 0.1))
    assert found.run(UntilDecided(sweep_of(), 29)) == [FIRST]


def test_seeds_that_all_end_alike_are_given_up(workplace, sweep_of):
    found = Played(workplace / "mine", spread({"A": 90, "B": 50, "C": 50}, 0.0))
    rounds = found.run(UntilDecided(sweep_of(), 29))
    assert max(int(name[1:]) for ran in rounds for name in ran) == ENOUGH - 1


def test_only_rows_of_an_undecided_pair_get_seeds_one_at_a_time_until_it_is_decided(workplace, sweep_of):
    """C is asked about by nobody, though it is as near to A as B is."""
    found = Played(workplace / "mine", spread({"A": 91.5, "B": 90, "C": 90}))
    rounds = found.run(UntilDecided(sweep_of(), 29))
    assert rounds[0] == FIRST
    assert rounds[1:] == [[f"A{seed}", f"B{seed}"] for seed in range(3, 3 + len(rounds) - 1)]
    assert 3 <= len(rounds) < 20
    (pair,) = make_comparison(collect(workplace / "mine")).headline[0].pairs
    assert pair.verdict == "better"
    # with a seed less of each it was not decided yet
    for path in (workplace / "mine").glob(f"*seed{2 + len(rounds) - 1}*/record.json"):
        path.unlink()
    (pair,) = make_comparison(collect(workplace / "mine")).headline[0].pairs
    assert pair.verdict == "undecided"


def test_no_row_has_more_seeds_than_the_most(workplace, sweep_of):
    found = Played(workplace / "mine", spread({"A": 90.3, "B": 90, "C": 90}))
    said = []
    rounds = found.run(UntilDecided(sweep_of(), 6, say=said.append))
    assert rounds[1:] == [["A3", "B3"], ["A4", "B4"], ["A5", "B5"]]
    assert "more than the 6 allowed" in " ".join(said)
    assert "next: 2 trials; forecasts are rough, so seeds are added up to the 6 of --most" in said


def test_equal_within_the_margin_is_decided_too(workplace, sweep_of):
    play = spread({"A": 90, "B": 90, "C": 90}, width=0.02)
    assert Played(workplace / "a", play).run(UntilDecided(sweep_of(), 29)) == [FIRST]
    wide = spread({"A": 90, "B": 90, "C": 90}, width=0.3)
    small = len(Played(workplace / "mine", wide).run(UntilDecided(sweep_of(), 29)))
    large = len(Played(workplace / "b", wide).run(UntilDecided(sweep_of(), 29, margin=2.0)))
    assert large < small


def test_a_pair_that_no_number_of_seeds_would_decide_is_given_up(workplace, sweep_of, monkeypatch):
    """From eight seeds on that is believed: here the difference is the margin, and hardly anything scatters."""
    monkeypatch.setattr(until_decided.Pair, "seeds_to_decide", lambda pair: None)
    found = Played(workplace / "mine", spread({"A": 90.3, "B": 90, "C": 90}))
    assert found.run(UntilDecided(sweep_of(), 29))[-1] == ["A7", "B7"]


def test_without_questions_every_pair_is_one(workplace, sweep_of):
    found = Played(workplace / "mine", spread({"A": 95, "B": 90, "C": 90.1}))
    rounds = found.run(UntilDecided(sweep_of(asked=""), 5))
    assert rounds[0] == FIRST
    assert set(rounds[-1]) == {"B4", "C4"}  # A is better than both


def test_the_same_model_on_two_data_sets_is_two_rows(workplace, sweep_of):
    """Only the pair on the first is asked about: the further seeds run there."""
    found = Played(workplace / "mine", spread({"A": 90.3, "B": 90, "C": 90}))
    strategy = UntilDecided(sweep_of(data="MNIST, CIFAR10"), 4)
    found.run(strategy)
    more = [(t.parameters["model"], t.parameters["data"], t.parameters[SEED]) for t in strategy.given[18:]]
    assert more == [("A", "MNIST", 3), ("B", "MNIST", 3)]


def test_what_fails_is_no_seed_and_is_not_run_again(workplace, sweep_of):
    def play(model, data, seed):
        return (
            None
            if (model, seed) in (("A", 1), ("A", 4), ("B", 3))
            else spread({"A": 90.3, "B": 90, "C": 9})(model, data, seed)
        )

    rounds = Played(workplace / "mine", play).run(UntilDecided(sweep_of(), 6))
    assert rounds == [FIRST, ["A3", "B3"], ["A4", "B4"], ["A5", "B5"]]


def test_what_failed_is_tried_again_at_the_next_start(workplace, sweep_of):
    broken = {("A", 1), ("B", 3)}
    middles = spread({"A": 90.3, "B": 90, "C": 9})
    found = Played(workplace / "mine", lambda *trial: None if trial[::2] in broken else middles(*trial))
    found.run(UntilDecided(sweep_of(), 4))
    found.play = middles
    found.rounds = []
    assert found.run(UntilDecided(sweep_of(), 4)) == [["A1"], ["B3"]]
    assert found.run(UntilDecided(sweep_of(), 4)) == [["A1"], ["B3"]]  # nothing more


def test_all_runners_ask_for_as_many_at_once_as_the_first(workplace, sweep_of):
    """Else two shards would wait for trials that none of them runs."""
    found = Played(workplace / "mine", spread({"A": 90.3, "B": 90, "C": 90}))
    found.run(UntilDecided(sweep_of(), 29, at_once=4), rounds=2)
    third = found.run(UntilDecided(sweep_of(), 29, at_once=1), rounds=1)[-1]
    assert third == ["A5", "A6", "B5", "B6"]
    assert read_looks(found.folder) == Looks(3, 29, at_once=4)


def test_where_all_fail_nothing_is_left(workplace, sweep_of):
    assert Played(workplace / "mine", lambda *_: None).run(UntilDecided(sweep_of(), 6)) == [FIRST]


@pytest.mark.parametrize("at_once", [1, 2, 8])
def test_jobs_that_would_stand_idle_get_further_seeds(workplace, sweep_of, at_once):
    found = Played(workplace / "mine", spread({"A": 90.3, "B": 90, "C": 90}))
    second = found.run(UntilDecided(sweep_of(), 29, at_once=at_once), rounds=2)[1]
    each = max(1, at_once // 2)
    assert second == [f"{model}{seed}" for model in "AB" for seed in range(3, 3 + each)]
    assert len(second) <= max(2, at_once)


def test_a_restart_goes_through_the_same_rounds(workplace, sweep_of):
    """Stopped after every trial, as by a kill: what is run in all is what one run would have run, in its order."""
    play = spread({"A": 91.5, "B": 90, "C": 90})
    whole = [
        name for ran in Played(workplace / "whole" / "mine", play).run(UntilDecided(sweep_of(), 29)) for name in ran
    ]
    found, ran = Played(workplace / "mine", play), []
    while trials := UntilDecided(sweep_of(), 29, say=lambda line: None).next_trials(found.folder):
        found.finish(trials[0])
        ran.append(f"{trials[0].parameters['model']}{trials[0].parameters[SEED]}")
    assert ran == whole
    assert len(ran) == len(set(ran)) > 9


def test_a_look_sees_the_records_of_its_round_only(workplace, sweep_of):
    """Seeds that are there already, from a run with a smaller margin say, do not change what a look decides."""
    play = spread({"A": 91.5, "B": 90, "C": 90})
    once = Played(workplace / "one" / "mine", play)
    strategy = UntilDecided(sweep_of(), 29)
    once.run(strategy)
    found = Played(workplace / "mine", play)
    for seed in (20, 21, 22):
        found.finish(sweep_of().trial({"model": "A", "data": "MNIST", SEED: seed}))
    again = UntilDecided(sweep_of(), 29)
    found.run(again)
    assert [trial.name for trial in again.given] == [trial.name for trial in strategy.given]


def test_shards_share_the_rounds_and_wait_for_each_other(workplace, sweep_of, monkeypatch):
    play = spread({"A": 91.5, "B": 90, "C": 90})
    whole = Played(workplace / "one" / "mine", play).run(UntilDecided(sweep_of(), 29))
    found = Played(workplace / "mine", play)
    shards = [
        UntilDecided(sweep_of(), 29, share=lambda trials, i=i: sweep._part(trials, i, 2), say=lambda line: None)
        for i in (1, 2)
    ]
    waits, mine = [], [[], []]

    def other_works(seconds):
        """While the one waits, the other does what is its own."""
        assert seconds == until_decided.WAIT
        waits.append(len(list(found.folder.glob("*/record.json"))))
        assert waits.count(waits[-1]) < 3, "nobody has anything to do"
        trials = shards[1].share(shards[1].next_round(found.folder)) if not mine[1] else []
        mine[1] += trials
        for trial in [t for t in [*mine[1], *pending()] if not (found.folder / t.name).is_dir()]:
            found.finish(trial)

    def pending():
        return [t for t in shards[0].given if t.name not in shards[0].own]

    monkeypatch.setattr(time, "sleep", other_works)
    while trials := shards[0].next_trials(found.folder):
        for trial in trials:
            found.finish(trial)
            mine[0].append(trial)
    names = {path.parent.name for path in found.folder.glob("*/record.json")}
    assert names == {trial.name for trial in shards[0].given}
    assert len(names) == sum(map(len, whole))
    assert waits
    assert 0 < len(mine[0]) < len(names)


def test_another_number_of_looks_after_the_start_is_refused(workplace, sweep_of, capsys):
    found = Played(workplace / "runs" / "mine", spread({"A": 90.3, "B": 90, "C": 90}))
    found.run(UntilDecided(sweep_of(), 5))
    again = UntilDecided(sweep_of(), 6)
    said = r"--most: .*mine was begun with 3 seeds in its file and --most 5, on which its intervals depend: got 3 and 6"
    with pytest.raises(UsageError, match=said):
        again.next_trials(found.folder)
    more = FILE.replace("[0, 1, 2]", "[0, 1, 2, 3]")
    with pytest.raises(UsageError, match="got 4 and 5"):
        UntilDecided(sweep_of(more), 5).next_trials(found.folder)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"first": 1, "most": 5}', '{"first": 9, "most": 5}', '{"first": "x"}']
)
def test_a_broken_note_of_the_looks_is_told(tmp_path, text):
    """Without it the report's intervals would be those of one look, which are too narrow."""
    (tmp_path / LOOKS).write_text(text)
    with pytest.raises(UsageError, match=r'looks\.json: must say .* such as \{"first": 3, "most": 29\}: '):
        read_looks(tmp_path)


REAL = a_sweep(
    model="{values: [ConvNet, SimpleCNN]}", model__width="{value: 4}", data__batch_size="{value: 25}",
    task__lr="{value: 0.01}", trainer__max_epochs="{value: 2}", seed_everything="{values: [0, 1]}",
)  # fmt: skip


def numbers_of(folder):
    """What each trial found, without what differs between two runs of it."""
    found = {}
    for path in folder.glob("*/record.json"):
        record = json.loads(path.read_text())
        found[path.parent.name] = {name: record[name] for name in ("seed", "config", "quality")}
    return found


@pytest.mark.slow
def test_a_real_sweep_that_is_killed_twice_ends_with_the_same_trials(workplace):
    (workplace / "tiny.yaml").write_text(REAL)
    command = [sys.executable, ROOT / "sweep.py", "tiny.yaml", "--until-decided", "--most=4", "--margin=0.0001"]
    environment = {**os.environ, "WANDB_MODE": "disabled"}
    whole = subprocess.run(
        [*command, "--runs=whole"], capture_output=True, text=True, timeout=400, env=environment, check=True
    )
    rounds = re.findall(r"next: (\d+) trials", whole.stdout)
    assert rounds, whole.stdout
    for ended in (1, 5):  # within the seeds of the file, and within a further round
        with subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
            start_new_session=True,
        ) as process:
            while len(list(workplace.glob("runs/tiny/*/record.json"))) < ended and process.poll() is None:
                time.sleep(0.05)
            os.killpg(process.pid, signal.SIGKILL)
    last = subprocess.run(command, capture_output=True, text=True, timeout=400, env=environment, check=True)
    assert "0 failed" in last.stdout
    found, expected = (numbers_of(workplace / name / "tiny") for name in ("runs", "whole"))
    assert sorted(found) == sorted(expected)
    assert len(found) == 4 + sum(map(int, rounds))
    assert found == expected
    assert read_looks(workplace / "runs" / "tiny") == Looks(2, 4)
    # the report counts the looks
    subprocess.run([sys.executable, ROOT / "report.py", "runs/tiny"], timeout=100, check=True)
    assert "a look after 2 to at most 4 of each" in (workplace / "results" / "tiny" / "table.md").read_text()
    assert read_looks(workplace / "results" / "tiny") == Looks(2, 4)
