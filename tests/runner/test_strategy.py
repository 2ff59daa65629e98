"""What is run next is one class's decision: the runner asks again whenever it has run all that it was given."""

import json

from headtohead.records import record as records
from headtohead.runner import main as runner
from headtohead.runner.sweep_file import Trial
from tests.tiny import TINY

LEARNS = ["fit", "--model=FCNet", "--model.width=4", *TINY, "--trainer.max_epochs=1", "--trainer.accelerator=cpu"]


class UntilThree:
    """A seed at a time, until three have a record; what it has seen when it was asked is kept."""

    def __init__(self):
        self.seen = []

    def next_trials(self, folder):
        finished = sorted(json.loads(path.read_text())["seed"] for path in folder.glob("*/record.json"))
        self.seen.append(finished)
        seed = len(self.seen) - 1
        args = [*LEARNS, f"--seed_everything={seed}"]
        return [Trial(f"seed{seed}", {"seed_everything": seed}, args)] if len(finished) < 3 else []


def test_the_runner_asks_until_the_strategy_has_no_more(workplace, monkeypatch):
    """Of the trials one is there already, so that a look that gives nothing to run is followed by another."""
    runner.processes.start_server()
    first = runner.Run("mine", strategy := UntilThree(), workplace / "mine", jobs=1)
    first.run()
    assert strategy.seen == [[], [0], [0, 1], [0, 1, 2]]
    assert [trial.name for trial in first.trials] == ["seed0", "seed1", "seed2"]
    assert first.summary() == 0
    assert [records.read(workplace / "mine" / f"seed{n}" / records.FILE_NAME).seed for n in range(3)] == [0, 1, 2]
    again = runner.Run("mine", AllThree(), workplace / "mine", jobs=1)
    again.run()  # nothing of it
    assert (again.waiting, again.planned) == ([], 3)


class AllThree:
    """Gives trials that are finished one by one: none of them waits, and all are asked for."""

    def __init__(self):
        self.left = [Trial(f"seed{n}", {"seed_everything": n}, [*LEARNS, f"--seed_everything={n}"]) for n in range(3)]

    def next_trials(self, folder):
        return [self.left.pop(0)] if self.left else []
