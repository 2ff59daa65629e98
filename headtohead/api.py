"""Compares networks from Python, as in a notebook: ``compare([SimpleCNN(), EqCNN()], MNIST(), seeds=5)``.

It writes a sweep file and runs it as ``sweep.py`` would: the trials, their records and the verdict are the same.
"""

from __future__ import annotations

import io
import re
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from headtohead.cli.errors import UsageError
from headtohead.records import files
from headtohead.records import record as records
from headtohead.records.metrics import COSTS
from headtohead.report.collect import collect
from headtohead.report.comparison import Comparison, make_comparison
from headtohead.report.html import ENVIRONMENT
from headtohead.report.table import brief
from headtohead.report.write import show, write
from headtohead.runner import main as runner
from headtohead.runner.sweep_checks import MODULE
from headtohead.runner.sweep_file import SEED, read_sweep
from headtohead.trial.arrays import FOLDER, Arrays, OwnArrays, keep
from headtohead.trial.describe import describe_data, describe_network, parameter

HTML = ENVIRONMENT.from_string(
    "{% from 'table.html' import table %}{% for grid in verdicts %}{{ table(grid, name ~ '-verdict-' ~ loop.index) }}"
    "{% endfor %}{% for line in further %}<p>{{ line }}</p>{% endfor %}"
    "{% for grid in tables %}{{ table(grid, name ~ '-' ~ loop.index) }}{% endfor %}"
)


@dataclass(frozen=True, repr=False)
class Compared:
    """What a comparison found: a table in a notebook, the last screen of ``report.py`` as ``str``.

    Args:
        comparison: its tables and verdicts.
        paths: of all files that were written.
    """

    comparison: Comparison
    paths: Sequence[Path]

    @property
    def verdicts(self) -> list[str]:
        """A sentence for every pair and number that was asked about; without a claim file, for every one."""
        others = [line for part in self.comparison.parts for line in part.others.sentences]
        return self.comparison.verdicts or others

    @property
    def table(self) -> pd.DataFrame:
        """A row per network, the best first: means and spreads of what is compared, sizes and times.

        ``comparison.summary`` has every column.
        """
        summary, kinds = self.comparison.summary, [part.kind for part in self.comparison.parts]
        numbers = [f"{name}{end}" for kind in kinds for name in kind.compared for end in ("", "_std", "_ci")]
        names = dict.fromkeys(["data", "model", "n", "learned", "epochs", *numbers, *COSTS])
        return summary[[name for name in names if name in summary and summary[name].notna().any()]]

    @property
    def figures(self) -> list[Path]:
        """The figures, PNG."""
        return [path for path in self.paths if path.suffix == ".png"]

    @property
    def report(self) -> Path:
        """The report, HTML."""
        return next(path for path in self.paths if path.name == "report.html")

    def __str__(self) -> str:
        with redirect_stdout(io.StringIO()) as said:
            show(self.comparison, list(self.paths))
        return said.getvalue().rstrip()

    __repr__ = __str__

    def _repr_html_(self) -> str:
        found = self.comparison
        verdicts = [asked.verdicts for asked in found.headline]
        tables = [brief(part.kind, part.data, part.rows) for part in found.parts]
        further = found.further
        if not (verdicts or further) and len(found.summary) > 1:  # every two of three are too many to be one question
            further = ["Every two of them are compared in .verdicts, a sentence each."]
        return HTML.render(verdicts=verdicts, further=further, tables=tables, name=found.trials.name)


def compare(
    networks: Sequence[Any],
    data: Any,
    seeds: int | Sequence[int] = 5,
    *,
    name: str | None = None,
    margin: float | None = None,
    jobs: int | None = None,
    runs: str | Path = "runs",
    results: str | Path = "results",
    **recipe: Any,
) -> Compared:
    """Train networks under one recipe with several random seeds, and say who is better, by how much, how sure.

    What is finished is not run again, and what was interrupted goes on; more seeds add to those that ran. The sweep
    file is kept beside the trials, for ``sweep.py`` to run.

    Args:
        networks: two or more. Each is a network, of which class and arguments are taken, not the weights; or its class;
            a function that makes it; ``functools.partial`` of these; or a name, such as
            ``torchvision.models.resnet18``. What another process cannot import, such as a class that a notebook
            defines, must be written into a file.
        data: a data module, its class or its name; or four arrays: training images, training labels, test images, test
            labels (see :func:`headtohead.trial.arrays.keep`), of which a tenth of the training images validates unless
            ``val_size`` says otherwise.
        seeds: how many, or which.
        name: of the folder; by default it is made of what is compared, so that the same comparison finds its trials.
        margin: difference that counts as none, in the units of the table; by default that of the metric.
        jobs: trials at once; by default one for each GPU, or 1.
        runs: folder of all trials.
        results: folder of all tables and reports.
        **recipe: arguments of the task (``lr=0.01``), the Trainer (``max_epochs=5``) and the data (``batch_size=128``).

    Raises:
        UsageError: an argument cannot be used; one line says which and what would work.
        KeyboardInterrupt: it was interrupted; the same call goes on.
    """
    if not isinstance(networks, list | tuple) or len(networks) < 2:
        raise UsageError("networks: must be a list of two or more")
    drawn = list(range(seeds)) if isinstance(seeds, int) else list(seeds)
    if not drawn or not all(isinstance(seed, int) for seed in drawn):
        raise UsageError(f"seeds: must be 1 or more, or a list of whole numbers: got {seeds}")
    if name is not None and not re.fullmatch(r"\w[\w.-]{0,99}", name):
        raise UsageError(f"name: must be that of a folder: got {name}")
    if data is None:
        raise UsageError("data: must be a data module, its class or its name, or four arrays: got None")
    parameters, facts = _parameters(data, Path(runs), recipe)
    described = [describe_network(one, f"networks[{index}]", facts) for index, one in enumerate(networks)]
    parameters = {"model": {"values": described}, **parameters}
    name = name or f"compare-{records.config_hash(parameters)}"
    folder = Path(runs) / name
    content = {"method": "grid", "parameters": {**parameters, SEED: {"values": drawn}}, "command": MODULE}
    file = files.write_text(folder / f"{name}.yaml", yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
    print("Each network is built anew for every seed: weights of a given one are not used.")
    _run([str(file), f"--runs={runs}", *([] if jobs is None else [f"--jobs={jobs}"])])
    found = collect(folder)
    asked = {trial.name for trial in read_sweep(file).trials}
    found = replace(found, records={trial: record for trial, record in found.records.items() if trial in asked})
    if not found.records:
        raise UsageError(f"networks: no trial ended: {'; '.join(found.problems[:1])}")
    comparison = make_comparison(found, margin=margin)
    return Compared(comparison, write(comparison, Path(results) / name))


def _parameters(data: Any, runs: Path, recipe: dict[str, Any]) -> tuple[dict[str, Any], dict[str, int]]:
    """Return the parameters of a sweep, of data and recipe, and the facts of the data."""
    given = {parameter(key, value): value for key, value in recipe.items()}
    if isinstance(data, tuple | list | Arrays):
        folder = runs / "arrays"
        kept, facts, count = keep(data, folder)
        place = {} if str(folder) == FOLDER else {"data_dir": str(folder)}
        path = f"{OwnArrays.__module__}.{OwnArrays.__qualname__}"
        described: Any = {"class_path": path, "init_args": {"name": kept, **place}}
        given.setdefault("data.val_size", max(1, count // 10))
    else:
        described, facts = describe_data(data)
    return {"data": {"value": described}, **{key: {"value": value} for key, value in given.items()}}, facts


def _run(arguments: list[str]) -> None:
    """Run ``sweep.py``.

    Raises:
        UsageError: with what it says is wrong.
    """
    with redirect_stderr(io.StringIO()) as said, _undisturbed():
        code = runner.main(arguments)
    lines = [line.removeprefix("sweep.py: ") for line in said.getvalue().splitlines()]
    if code == 2:
        raise UsageError("; ".join(lines))
    print("\n".join(lines), end="\n" * bool(lines), file=sys.stderr)
    if code == 130:
        raise KeyboardInterrupt


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Let a script that calls us without ``if __name__ == "__main__"`` not be run again in each process of a trial.

    Nor do the signals of this process mean something else afterwards.
    """
    script = vars(sys.modules["__main__"])
    hidden = {name: script.pop(name) for name in ("__file__",) if name in script}
    in_main = threading.current_thread() is threading.main_thread()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM) if in_main}
    try:
        yield
    finally:
        script.update(hidden)
        for number, handler in handlers.items():
            signal.signal(number, handler)
