"""Writes the report of a sweep: one HTML file that holds everything and loads nothing."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import itertools
import json
import shlex
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from headtohead.cli.checkout import CHECKOUT
from headtohead.cli.output import counted
from headtohead.records.metrics import is_number
from headtohead.records.record import PREVIEW, Record
from headtohead.report.classes import class_table
from headtohead.report.collect import Trials, hardware_name, labels
from headtohead.report.comparison import Comparison
from headtohead.report.figures import Figure
from headtohead.report.figures.groups import groups
from headtohead.report.table import Cell, Column, Grid, claimed, words

WHICH = ("trial", "model", "data", "seed")  # columns that say which trial a row is of
MOST_PAIRS = 100  # in a table of exploratory pairs: any two can be chosen, and table.md has them all
MOST_TRIALS = 1000  # in the table of every trial: with ten thousand no browser is quick
MOST_PREVIEWS = 6  # pictures of augmentations
ANSWERS = ("verdicts", "claims", "ranks")  # the figures of what is asked, beside the verdicts
TITLES = {
    "best_of_k": "What a search finds",
    "scaling": "Over size and data",
    "pareto": "What a cost buys",
    "validation": "Training",
    "loss": "Training",
    "rotation": "Turned images",
    "confusion": "Which classes are taken for which",
    "augmentation": "Images before and after their augmentation",
}
TEMPLATES = Path(__file__).parent / "templates"
# autoescape: a name such as <script> is text
ENVIRONMENT = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined)


def html(comparison: Comparison, figures: Sequence[Figure] = ()) -> str:
    """Return the report as HTML.

    Args:
        comparison: the tables and verdicts.
        figures: become part of the file.
    """
    style, script = ((TEMPLATES / name).read_text(encoding="utf-8") for name in ("report.css", "report.js"))
    shown = list(comparison.shown.records.values())
    sweep = f"sweeps/{comparison.trials.name}.yaml"
    text = ENVIRONMENT.get_template("report.html").render(
        comparison=comparison,
        notes=comparison.notes,
        claimed=claimed(comparison.judged) if comparison.judged else None,
        lead=lead(comparison),
        answers=[figure for figure in figures if figure.name.partition("-")[0] in ANSWERS],
        figures=_sorted([*figures, *previews(comparison.shown)]),
        data_uri=_data_uri,
        spots=_json({figure.name: figure.spots for figure in figures if figure.spots}),
        commands=commands(shown),
        sweep_command=f"python sweep.py {sweep}" if CHECKOUT and (CHECKOUT / sweep).is_file() else "",
        classes=[grid for group in groups(comparison.shown) if (grid := class_table(group.data, group.models))],
        recipes=_recipes(shown, labels(comparison.shown)),
        hardware=_hardware(list(comparison.trials.records.values())),
        most_pairs=MOST_PAIRS,
        every_trial=_every_trial(comparison.csv),
        # only this style and this script, pictures from within, nothing from anywhere else
        policy=f"default-src 'none'; img-src data:; style-src '{sha256_of(style)}'; script-src '{sha256_of(script)}'; "
        "base-uri 'none'; form-action 'none'",
        style=Markup(style),  # noqa: S704 - of templates/, in which nothing of a record stands
        script=Markup(script),  # noqa: S704 - of templates/ too
    )
    return text + "\n"


def previews(trials: Trials) -> list[Figure]:
    """Return the pictures that trials left in their folders of what their augmentation does, one for each."""
    found: dict[str, Path] = {}
    for name, path in trials.paths.items():
        if name in trials.records and (there := path.parent / PREVIEW).is_file():
            record = trials.records[name]
            found.setdefault(f"{record.data}, augment={record.config.get('data.augment')}", there)
    said = "Above: training images; below each: what becomes of it, drawn four times."
    figures = []
    for number, (title, path) in enumerate(list(found.items())[:MOST_PREVIEWS]):
        with suppress(OSError), Image.open(path) as picture:  # of a file that is none any more, nothing is shown
            figures.append(Figure(f"augmentation-{number}", title, said, path, picture.size))
    return figures


def commands(records: Sequence[Record]) -> list[str]:
    """Return for each configuration the command of its trials, a loop over the seeds that ran."""
    seeds: dict[str, list[int]] = {}
    for record in records:
        seeds.setdefault(record.config_hash, []).append(record.seed)
    configs = {record.config_hash: record.config for record in records}
    return [_over_seeds(command(configs[key]), sorted(found)) for key, found in seeds.items()]


def command(config: dict[str, Any]) -> str:
    """Return the call of ``train.py`` that resolves to ``config``, without the seed; a line for each part of it."""
    values = {name: value if isinstance(value, str) else json.dumps(value) for name, value in config.items()}
    parts = itertools.groupby(values, key=lambda name: name.partition(".")[0])
    lines = [shlex.join(f"--{name}={values[name]}" for name in names) for _, names in parts]
    return " \\\n  ".join(["python train.py fit", *lines])


def _over_seeds(call: str, seeds: list[int]) -> str:
    if len(seeds) == 1:
        return f"{call} \\\n  --seed_everything={seeds[0]}"
    if len(seeds) > 20 and seeds == list(range(seeds[0], seeds[-1] + 1)):
        listed = f"$(seq {seeds[0]} {seeds[-1]})"
    else:
        listed = " ".join(map(str, seeds))
    indented = call.replace("\n", "\n  ")
    return f"for seed in {listed}; do\n  {indented} \\\n    --seed_everything=$seed\ndone"


def lead(comparison: Comparison) -> str:
    """Return how many rows, trials and seeds a sweep has, on which data, the time it took and the trials it saved."""
    data = ", ".join(dict.fromkeys(part.data for part in comparison.parts))
    seeds = comparison.runs.groupby("config_hash").seed.nunique()
    few, many = int(seeds.min()), int(seeds.max())
    of_each = counted(many, "seed") if few == many else f"{few} to {counted(many, 'seed')}"
    trials = len(comparison.runs)
    said = f"{counted(len(seeds), 'row')} on {data}; {counted(trials, 'trial')}, {of_each} of each"
    seconds = [record.cost.get("total_seconds") for record in comparison.trials.records.values()]
    if seconds and all(map(is_number, seconds)):
        said += f", {_duration(sum(filter(is_number, seconds)))} in all"
    if looks := comparison.trials.looks:
        saved = looks.most * len(seeds) - trials
        said += f"; {looks.most} seeds of each would be {counted(saved, 'trial')} more"
    return f"{said}."


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 6000 else f"{seconds / 3600:.1f} hours"


def _recipes(records: Sequence[Record], names: dict[str, str]) -> Grid:
    """Return the table of all arguments: a row each, a column per configuration; what differs is bold."""
    configs = {record.config_hash: record for record in records}
    arguments = list(dict.fromkeys(name for record in configs.values() for name in record.config))
    values = {name: [_argument(record, name) for record in configs.values()] for name in arguments}
    differs = {name: len(set(found)) > 1 for name, found in values.items()}
    columns = [words("argument", arguments)]
    for index, key in enumerate(configs):
        texts = {name: values[name][index] for name in arguments}
        head = f"{names[key]} on {configs[key].data}"
        columns.append(Column(head, [Cell(text, text, differs[name]) for name, text in texts.items()], words=True))
    return Grid("Recipes: the resolved arguments of each row, in bold where they differ", columns)


def _argument(record: Record, name: str) -> str:
    return "–" if name not in record.config else str(record.config[name])


def _hardware(records: Sequence[Record]) -> Grid:
    """Return the table of what the trials ran on: a row for all that differ in hardware, versions or commit."""
    kinds = Counter(
        (
            hardware_name(record.hardware),
            str(record.hardware.get("trials_at_once")),
            ", ".join(f"{name} {said}" for name, said in (record.hardware.get("versions") or {}).items()) or "–",
            record.commit or "unknown",
        )
        for record in records
    )
    rows = [(*kind, str(count)) for kind, count in kinds.items()]
    heads = ("hardware", "trials at once", "versions", "commit", "trials")
    return Grid(
        "Hardware, versions and code (-dirty: with changes that are not in that commit)",
        [
            Column(head, [Cell(text, text) for text in texts], words=head not in ("trials", "trials at once"))
            for head, texts in zip(heads, zip(*rows, strict=True), strict=True)
        ],
    )


def _every_trial(text: str) -> Grid:
    """Return the table of ``runs.csv`` or of its first rows, its texts as they stand there, the trial's name first.

    What all trials have alike would be two thirds of a large table.
    """
    heads, *rows = itertools.islice(csv.reader(io.StringIO(text)), 1 + MOST_TRIALS)
    columns = [
        _csv_column(head, list(cells))
        for head, cells in zip(heads, zip(*rows, strict=True), strict=True)
        if head in WHICH or len(rows) == 1 or len(set(cells)) > 1
    ]
    columns.sort(key=lambda column: column.head != "trial")
    return Grid("Every trial", columns)


def _csv_column(head: str, texts: list[str]) -> Column:
    numbers = all(_is_number(text) for text in texts if text)
    return Column(head, [Cell(text, text) for text in texts], words=not numbers)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def sha256_of(text: str) -> str:
    """Return how a page's policy names a style or a script that it may run."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _sorted(figures: Sequence[Figure]) -> list[tuple[str, list[Figure]]]:
    """Return the figures under the titles below which they are folded."""
    found: dict[str, list[Figure]] = {}
    for start, title in TITLES.items():
        for figure in figures:
            if figure.name.startswith(start) and figure.name.partition("-")[0] not in ANSWERS:
                found.setdefault(title, []).append(figure)
    return list(found.items())


def _data_uri(figure: Figure) -> str:
    return f"data:image/png;base64,{base64.b64encode(figure.png.read_bytes()).decode()}"


def _json(value: Any) -> Markup:
    """Return JSON that stands in a script: no sign in it ends that."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    return Markup(text)  # noqa: S704 - nothing in it is HTML
