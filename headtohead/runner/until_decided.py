"""Runs further seeds of those models only whose question is undecided, until it is decided or the seeds are used up."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from headtohead.cli.errors import UsageError
from headtohead.cli.output import counted
from headtohead.records import record as records
from headtohead.records.looks import Looks, read_looks, write_looks
from headtohead.report import claims
from headtohead.report.collect import Trials, collect
from headtohead.report.comparison import Asked, make_comparison
from headtohead.report.sentences import sentence
from headtohead.report.verdicts import ENOUGH, Pair
from headtohead.runner.sweep_file import SEED, Sweep, Trial

WAIT = 5.0  # seconds between two looks for the trials of other shards


class UntilDecided:
    """The trials of a sweep file, then a seed more of each model whose question is undecided, again and again.

    The questions are those of the sweep's claim file; without one, every two rows of a table. It is stopped and started
    again like any sweep: what it runs follows from the records alone. How often it looks, and for how many seeds at
    once, is written down before anything runs, for all runners that share the folder
    (:mod:`headtohead.records.looks`). A trial that failed is tried again at the next start, where nobody else shares
    the sweep: others may have looked without it.

    Args:
        sweep: the file, a grid with seeds.
        most: seeds of a row, those of the file included.
        margin: what counts as equal; by default what the claim file says.
        share: which of the trials this runner runs, of several that share the folder; all by default.
        at_once: trials that are run at once: where a look asks for fewer, it asks for further seeds. What stands in the
            folder counts for more.
        say: prints a line.

    Raises:
        UsageError: the file has no seeds, or as many as ``most`` or more, or its claim file is wrong.
    """

    def __init__(
        self,
        sweep: Sweep,
        most: int,
        margin: float | None = None,
        share: Callable[[Sequence[Trial]], list[Trial]] | None = None,
        at_once: int = 1,
        say: Callable[[str], None] = print,
    ) -> None:
        self.sweep, self.margin, self.share, self.say = sweep, margin, share, say
        seeds = {trial.parameters.get(SEED) for trial in sweep.trials}
        if None in seeds:
            raise UsageError(f"--until-decided: the sweep must have parameters.{SEED}, to which it adds values")
        if len(seeds) >= most:
            raise UsageError(f"--most: must be more than the {len(seeds)} seeds of the file: got {most}")
        claims.read(sweep.name)  # what is wrong with it is said before hours of training, not after
        self.looks = Looks(max(len(seeds), 2), most, at_once)
        self.given: list[Trial] = []  # so far, those of other shards too
        self.own: set[str] = set()  # names of this runner's
        self.again: set[str] = set()  # names of those that failed before this start

    def next_trials(self, folder: Path) -> Sequence[Trial]:
        """Return the trials of the file, then those of the next rounds, as far as they are this runner's."""
        while new := self.next_round(folder):
            mine = new if self.share is None else self.share(new)
            self.own |= {trial.name for trial in mine}
            if mine:
                return mine
        return []

    def next_round(self, folder: Path) -> list[Trial]:
        """Return the trials that the next look asks for, whoever runs them; none when all is decided.

        After a restart the rounds that were run before are gone through again, each with the records that its look saw,
        so that what is run does not depend on when the sweep was stopped.
        """
        new = []
        if not self.given:
            new = list(self.sweep.trials)
            if self.share is None:
                self.again = {path.parent.name for path in folder.glob(f"*/{records.FAILED}")}
            self.note_looks(folder)
        while True:
            if self.given:
                self._wait_for_others(folder)
                new = self.look(self._seen(folder))
            self.given += new
            waiting = [trial for trial in new if trial.name in self.again or not _has_ended(folder / trial.name)]
            self.again -= {trial.name for trial in waiting}
            self.own |= {trial.name for trial in new} - {trial.name for trial in waiting}
            if waiting or not new:
                return waiting

    def _seen(self, folder: Path) -> Trials:
        """Return the records of the rounds so far."""
        found, names = collect(folder), {trial.name for trial in self.given}
        return replace(found, records={name: record for name, record in found.records.items() if name in names})

    def next_file(self, path: Path, found: Trials, rows: Mapping[str, dict[str, Any]]) -> str | None:
        """Return the W&B sweep file of the next round, for trials that agents ran; None when all is decided.

        Args:
            path: of the sweep file.
            found: the records so far, by whatever name.
            rows: the parameters of each row of the file, without the seed, by the ``config_hash`` it resolves to.

        Raises:
            UsageError: some trial of the file has no record yet.
        """
        renamed = {}
        for record in found.records.values():
            if record.config_hash in rows:
                trial = self.sweep.trial({**rows[record.config_hash], SEED: record.seed})
                self.given.append(trial)
                renamed[trial.name] = record
        if missing := [trial.name for trial in self.sweep.trials if trial.name not in renamed]:
            raise UsageError(f"--next: {counted(len(missing), 'trial')} of the file without a record: {missing[0]}")
        kept = claims.read(self.sweep.name).looks
        if kept is None or (kept.first, kept.most) != (self.looks.first, self.looks.most):
            self.say(
                f"write looks: {{first: {self.looks.first}, most: {self.looks.most}}} into "
                f"{claims.FOLDER}/{self.sweep.name}.yaml: the report's intervals depend on it"
            )
        points = [trial.parameters for trial in self.look(replace(found, records=renamed, looks=self.looks))]
        if not points:
            return None
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
        values = {name: [point[name] for point in points] for name in points[0]}
        config["parameters"] = {name: _distinct(found) for name, found in values.items()}
        count = math.prod(len(spec.get("values", [0])) for spec in config["parameters"].values())
        more = f" and {count - len(points)} more, which no grid leaves out" if count > len(points) else ""
        head = f"# The next round of {path}: {counted(len(points), 'trial')} that its questions ask for{more}.\n"
        return head + str(yaml.safe_dump(config, sort_keys=False, allow_unicode=True))

    def note_looks(self, folder: Path) -> None:
        """Write down how often the questions are looked at, before anything runs, or take over what stands there.

        Raises:
            UsageError: the sweep was started with another number of looks.
        """
        before = read_looks(folder)
        if before is None:
            write_looks(self.looks, folder)
            return
        if (before.first, before.most) != (self.looks.first, self.looks.most):
            raise UsageError(
                f"--most: {folder} was begun with {before.first} seeds in its file and --most {before.most}, on which "
                f"its intervals depend: got {self.looks.first} and {self.looks.most}"
            )
        self.looks = before

    def look(self, trials: Trials) -> list[Trial]:
        """Say how the questions stand, and return the trials that they ask for."""
        if not trials.records:
            return []
        comparison = make_comparison(trials, margin=self.margin)
        asked = [question for part in comparison.parts for question in part.questions]
        asked = asked or [part.others for part in comparison.parts if part.others.pairs]
        by_name = {trial.name: trial.parameters for trial in self.given}
        rows = {record.config_hash: by_name[name] for name, record in trials.records.items()}
        asked = [replace(question, pairs=_once(question, rows)) for question in asked]
        wanted: dict[str, None] = {}
        still_open = [(question, pair) for question in asked for pair in self._open(question)]
        for question, pair in still_open:  # a model has the same name on all data
            keys = dict(zip(question.rows.model, question.rows.config_hash, strict=True))
            wanted |= dict.fromkeys(keys[name] for name in (pair.model, pair.other))
        new = []
        for key in wanted:
            drawn = [trial.parameters[SEED] for trial in self.given if _alike(trial.parameters, rows[key])]
            count = min(max(1, self.looks.at_once // len(wanted)), self.looks.most - len(drawn))
            new += [self.sweep.trial({**rows[key], SEED: max(drawn) + step}) for step in range(1, count + 1)]
        short = any((pair.seeds_to_decide() or math.inf) > self.looks.most for _, pair in still_open)
        rough = f"; forecasts are rough, so seeds are added up to the {self.looks.most} of --most" if short else ""
        self.say(f"next: {counted(len(new), 'trial')}{rough}" if new else "nothing left to run")
        return new

    def _open(self, question: Asked) -> list[Pair]:
        """Say how the pairs of a question stand; return those for which further seeds are run."""
        found = []
        if question.ask:
            self.say(question.ask)
        for pair in question.pairs:
            hopeless = min(pair.n) >= ENOUGH and pair.difference is not None and pair.seeds_to_decide() is None
            at_cap = min(n + never for n, never in zip(pair.n, pair.never, strict=True)) >= self.looks.most
            self.say(f"  {sentence(question.kind, pair, question.looks)}; n = {pair.n[0]} and {pair.n[1]}")
            if not pair.decided and not hopeless and not at_cap:
                found.append(pair)
        return found

    def _wait_for_others(self, folder: Path) -> None:
        """Wait until the trials of other shards have ended, so that the look sees all records."""
        others = [trial for trial in self.given if trial.name not in self.own]
        said = False
        while left := [trial for trial in others if not _has_ended(folder / trial.name)]:
            if not said:
                waited = counted(len(left), "trial")
                self.say(f"waiting for {waited} of other shards before the next look: {left[0].name}")
                said = True
            time.sleep(WAIT)


def _once(question: Asked, rows: Mapping[str, dict[str, Any]]) -> list[Pair]:
    """Return the pairs, of those that ran in two precisions the first: no trial asks for the other precision."""
    keys = dict(zip(question.rows.model, question.rows.config_hash, strict=True))
    first: dict[tuple[str, ...], Pair] = {}
    for pair in question.pairs:
        both = (json.dumps({**rows[keys[name]], SEED: None}, sort_keys=True) for name in (pair.model, pair.other))
        first.setdefault((*both, pair.number), pair)
    return list(first.values())


def _distinct(values: Sequence[Any]) -> dict[str, Any]:
    """Return the values of a parameter as a sweep file has them."""
    different = list({json.dumps(value, sort_keys=True): value for value in values}.values())
    return {"value": different[0]} if len(different) == 1 else {"values": different}


def _alike(a: dict[str, Any], b: dict[str, Any]) -> bool:
    """Tell whether two trials differ in nothing but the seed."""
    return {**a, SEED: None} == {**b, SEED: None}


def _has_ended(folder: Path) -> bool:
    """Tell whether a trial has a record or has failed: it is not waited for, nor run again in this round."""
    return (folder / records.FILE_NAME).is_file() or (folder / records.FAILED).is_file()
