"""Makes the tables of a comparison, and writes them as Markdown and as LaTeX, the best of each column marked."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from headtohead.records.metrics import COSTS, Cost, Kind, Metric
from headtohead.report.claims import metric_of
from headtohead.report.judge import Judged
from headtohead.report.sentences import ratio_of_times
from headtohead.report.statistics import share_interval
from headtohead.report.times import AGAIN, ratio_in_turn
from headtohead.report.verdicts import Pair

PRICED = ("total_seconds", "target_seconds")  # of which a price per hour gives the price


@dataclass(frozen=True)
class Cell:
    """What stands in a table: its text, the value by which it is sorted, and whether it is the best of its column."""

    text: str
    value: float | str
    best: bool = False


@dataclass(frozen=True)
class Column:
    """A column of a table: its head, its cells, whether they are words or numbers."""

    head: str
    cells: list[Cell]
    words: bool = False

    @cached_property
    def long(self) -> bool:
        """Whether its words need lines of their own."""
        return self.words and any(len(cell.text) > 24 for cell in self.cells)


@dataclass(frozen=True)
class Grid:
    """A table: a title and columns of one length; a report folds it away if it is ``folded``."""

    title: str
    columns: list[Column]
    folded: bool = False

    @property
    def rows(self) -> list[tuple[Cell, ...]]:
        """Cells by row."""
        return list(zip(*(column.cells for column in self.columns), strict=True))


def quality(kind: Kind, data: str, rows: pd.DataFrame, narrow: bool = False) -> Grid:
    """Return the table of what the trials of one kind and data set were measured by.

    Args:
        kind: of the trials.
        data: name of the data set.
        rows: of a summary, of that kind and data.
        narrow: for 100 columns.
    """
    counts = zip(rows.learned, rows.n, strict=True)
    n = [str(n) if learned == n else f"{learned} of {n}" for learned, n in counts]
    columns = [words("model", rows.model), _column("n", n, rows.n)]
    if rows.setting.any() and not narrow:
        columns.append(words("differs in", rows.setting))
    for name, metric in kind.shown.items():
        missing = name not in rows or rows[name].isna().all()
        if not (metric.apart or (narrow and metric.wide) or missing):
            digits = metric.narrow if narrow else metric.digits
            texts = [_spread(row[name], row[f"{name}_std"], digits) for _, row in rows.iterrows()]
            head = metric.head + ("" if narrow and kind.one_unit else metric.unit)
            columns.append(_column(head, texts, rows[name], metric.goal))
    if not narrow:
        main = kind.shown[kind.main]
        intervals = [_interval(row[kind.main], row[f"{kind.main}_ci"], main.digits) for _, row in rows.iterrows()]
        columns.append(_column(f"95 % interval, {main.head}", intervals, rows[kind.main] - rows[f"{kind.main}_ci"]))
        if rows.test_set.notna().any():
            columns.append(_numbers(f"binomial SE, {main.head}", rows.test_set, "{:.2f}"))
    return Grid(f"{data}: {kind.title}", columns)


def closer(kind: Kind, data: str, rows: pd.DataFrame) -> Grid | None:
    """Return the table of the metrics that stand apart, as far as they were measured; None where none was."""
    columns = [words("model", rows.model)]
    for name, metric in kind.shown.items():
        if metric.apart and name in rows and rows[name].notna().any():
            texts = [_spread(row[name], row[f"{name}_std"], metric.digits) for _, row in rows.iterrows()]
            columns.append(_column(metric.head + metric.unit, texts, rows[name], metric.goal))
    return Grid(f"{data}: {kind.closer}", columns, folded=True) if len(columns) > 1 else None


def costs(data: str, rows: pd.DataFrame, narrow: bool = False) -> Grid:
    """Return the table of what the same rows cost; arguments as for :func:`quality`."""
    columns = [words("model", rows.model)]
    for name, cost in COSTS.items():
        unknown = rows.target if name == "target_seconds" else rows[name]
        if (narrow and not cost.narrow) or unknown.isna().all():
            continue
        texts = [_cost(name, row, narrow) for _, row in rows.iterrows()]
        head = cost.narrow if narrow else cost.head
        if name == "target_seconds":
            head = f"s to {rows.target.iloc[0]:.4g} %"
        comparable = cost.size or rows.hardware.nunique() == 1  # no model wins by a faster machine
        columns.append(_column(head, texts, rows[name], cost.goal if comparable else None))
        if name in PRICED and "price_per_hour" in rows:
            prices = rows[name] * rows.price_per_hour / 3600
            texts = ["–" if math.isnan(price) else f"{price:.3g}" for price in prices]
            columns.append(_column(head.replace("s/", "price/").replace("s to", "price to"), texts, prices, "min"))
    return Grid(f"{data}: what it costs", columns)


def brief(kind: Kind, data: str, rows: pd.DataFrame) -> Grid:
    """Return a small table of rows: seeds, the numbers that are compared, sizes and the time of an epoch."""
    measured, paid = quality(kind, data, rows), costs(data, rows)
    heads = [kind.metrics[name].head + kind.metrics[name].unit for name in kind.compared]
    heads += [COSTS[name].head for name in ("params", "macs", "epoch_seconds")]
    rest = [column for column in measured.columns[2:] + paid.columns[1:] if column.head in heads]
    return Grid(measured.title, measured.columns[:2] + rest)


def never_learning(kind: Kind, data: str, rows: pd.DataFrame) -> Grid | None:
    """Return the table of the rows of which some seeds never learnt; None if all did."""
    some = [row for row in rows.to_dict("records") if row["learned"] < row["n"]]
    if not some:
        return None
    never = [int(row["n"] - row["learned"]) for row in some]
    shares = [share_interval(count, int(row["n"])) for count, row in zip(never, some, strict=True)]
    learnt, of_all = ([float(row[name]) for row in some] for name in (kind.main, f"{kind.main}_all"))
    return Grid(
        f"{data}: seeds that never learn",
        [
            words("model", [str(row["model"]) for row in some]),
            _column("never learn", [f"{k} of {row['n']}" for k, row in zip(never, some, strict=True)], never),
            _column("95 % interval", [f"{low:.0%} to {high:.0%}" for low, high in shares], [low for low, _ in shares]),
            _column("mean of those that learnt", [_spread(value, math.nan) for value in learnt], learnt),
            _column("mean of all", [_spread(value, math.nan) for value in of_all], of_all),
        ],
    )


def pairwise(kind: Kind, title: str, pairs: Sequence[Pair]) -> Grid:
    """Return the table of pairs with all their numbers."""
    metrics = [kind.metrics[pair.number] for pair in pairs]
    both = list(zip(pairs, metrics, strict=True))
    return Grid(
        title,
        [
            words("model", [pair.model for pair in pairs]),
            words("against", [pair.other for pair in pairs]),
            words("in", [metric.head for metric in metrics]),
            words("n", [" and ".join(map(str, dict.fromkeys(pair.n))) for pair in pairs]),
            words("verdict", [verdict_in_words(pair) for pair in pairs]),
            _column("difference", [_signed(pair.value, m.digits) for pair, m in both], [pair.value for pair in pairs]),
            _column("interval", [_ends(pair, m.digits) for pair, m in both], [pair.half for pair in pairs]),
            _column(
                "± seeds",
                [_spread(pair.part("seeds"), math.nan, m.digits) for pair, m in both],
                [pair.part("seeds") for pair in pairs],
            ),
            _column(
                "± test set",
                [_spread(pair.part("images"), math.nan, m.digits) for pair, m in both],
                [pair.part("images") for pair in pairs],
            ),
            _column("P(better)", [_chance(pair) for pair in pairs], [pair.better[0] for pair in pairs]),
        ],
        folded=True,
    )


def verdict_table(kind: Kind, title: str, rows: pd.DataFrame, pairs: Sequence[Pair]) -> Grid:
    """Return the table of verdicts: who, the verdict, the difference with its interval, and the ratios of costs."""
    models = {row["model"]: row for row in rows.to_dict("records")}
    metrics = [kind.metrics[pair.number] for pair in pairs]
    columns = [
        words("model", [pair.model for pair in pairs]),
        words("verdict", [verdict_in_words(pair) for pair in pairs]),
        words("other", [pair.other for pair in pairs]),
        words("in", [metric.head for metric in metrics]),
        _column(
            "difference",
            [difference_in_words(pair, metric) for pair, metric in zip(pairs, metrics, strict=True)],
            [pair.value for pair in pairs],
        ),
        words("n", [" and ".join(map(str, dict.fromkeys(pair.n))) for pair in pairs]),
    ]
    for name, head in (("params", "parameters"), ("macs", "MACs")):
        ratios = [
            models[pair.model][name] / models[pair.other][name] if models[pair.other][name] > 0 else math.nan
            for pair in pairs
        ]
        columns.append(_column(head, ["–" if math.isnan(ratio) else f"{ratio:.3g} ×" for ratio in ratios], ratios))
    times = [ratio_of_times(models[pair.model], models[pair.other]) for pair in pairs]
    texts = ["–" if time is None else time.in_words() for time in times]
    columns.append(_column("time of training", texts, [math.nan if time is None else time.value for time in times]))
    return Grid(title, columns)


def ratios(title: str, pairs: Sequence[tuple[str, str]], rows: Mapping[str, Mapping[str, list[float]]]) -> Grid:
    """Return the table of the ratios of what was measured again, a row for each pair of names."""
    columns = [words("model", [one for one, _ in pairs]), words("against", [other for _, other in pairs])]
    for name in AGAIN:
        found = [ratio_in_turn(rows[one][name], rows[other][name]) for one, other in pairs]
        columns.append(_column(COSTS[name].head, [one.in_words() for one in found], [one.value for one in found]))
    return Grid(title, columns)


def claimed(found: Sequence[Judged]) -> Grid:
    """Return the table of claims beside what was measured."""
    return Grid(
        "Claimed and measured",
        [
            words("source", [line.claim.source for line in found]),
            words("of", [line.of for line in found]),
            words("data", [line.claim.data for line in found]),
            words("what", [_what(line.claim.number) for line in found]),
            words("claimed", [line.said for line in found]),
            words("measured", [line.measured.replace("-", "−") for line in found]),
            words("95 % interval", [line.interval.replace("-", "−") for line in found]),
            words("n", [line.n for line in found]),
            words("outcome", [line.outcome for line in found]),
            words("note", [line.claim.note for line in found]),
        ],
    )


def markdown(grids: Sequence[Grid], verdicts: Sequence[str], notes: Sequence[str]) -> str:
    """Return tables in Markdown, then what they say in words, then the notes without which they would mislead."""
    parts = []
    for grid in grids:
        texts = [[_marked(cell) for cell in row] for row in grid.rows]
        frame = pd.DataFrame(texts, columns=[plain(column.head) for column in grid.columns])
        align = ["left" if column.words else "right" for column in grid.columns]
        parts += [plain(grid.title), frame.to_markdown(index=False, disable_numparse=True, colalign=align)]
    if verdicts:
        parts.append("\n".join(f"- {plain(line)}" for line in verdicts))
    if notes:
        parts.append("\n".join(f"{plain(line)}  " for line in notes))
    return "\n\n".join(parts) + "\n"


def latex(grids: Sequence[Grid], notes: Sequence[str]) -> str:
    r"""Return tables for ``\input`` in LaTeX; they need the package booktabs."""
    parts = [r"% needs \usepackage{booktabs}"]
    for grid in grids:
        frame = pd.DataFrame(
            [[cell.text for cell in row] for row in grid.rows], columns=[column.head for column in grid.columns]
        )
        bold = pd.DataFrame(
            [["textbf:--rwrap" if cell.best else "" for cell in row] for row in grid.rows], columns=frame.columns
        )
        style = frame.style.hide(axis="index").format(escape="latex").format_index(escape="latex", axis=1)
        align = "".join("l" if column.words else "r" for column in grid.columns)
        text = style.apply(lambda _, bold=bold: bold, axis=None).to_latex(hrules=True, column_format=align)
        parts.append(f"% {_line(grid.title)}\n{text.replace('−', '$-$').strip()}")
    return "\n\n".join([*parts, "\n".join(f"% {_line(note)}" for note in notes)]) + "\n"


def verdict_in_words(pair: Pair) -> str:
    """Return a verdict in a word or two."""
    word = {"better": "better than", "worse": "worse than", "equal": f"equal within ± {pair.margin:g} to"}
    said = word.get(pair.verdict, "undecided against")
    if not any(pair.never):
        return "one seed" if pair.difference is None else said
    if pair.verdict_of_all != "undecided" and pair.verdict_of_all != pair.verdict:
        of_all = f"{word[pair.verdict_of_all]} (all seeds)"
        return of_all if pair.verdict == "undecided" else f"{said} (when it learns), {of_all}"
    return f"{said} (when it learns)"


def difference_in_words(pair: Pair, metric: Metric) -> str:
    """Return a difference with the ends of its interval."""
    return f"{_signed(pair.value, metric.digits)} ({_ends(pair, metric.digits)})"


def _signed(value: float, digits: int) -> str:
    return "–" if math.isnan(value) else f"{value:+.{digits}f}".replace("-", "−")


def _ends(pair: Pair, digits: int) -> str:
    if not math.isfinite(pair.half):
        return "–"
    return f"{pair.value - pair.half:.{digits}f} to {pair.value + pair.half:.{digits}f}".replace("-", "−")


def _chance(pair: Pair) -> str:
    share, low, high = pair.better
    return f"{share:.2f}" if math.isnan(low) else f"{share:.2f} ({low:.2f} to {high:.2f})"


def _what(number: str) -> str:
    """Return what a column of ``runs.csv`` is called in tables."""
    if number in COSTS:
        return COSTS[number].head
    metric = metric_of(number)
    of = "accuracy " if number.startswith("test_acc") else ""
    return f"{of}{metric.head or number}{metric.unit}"


def words(head: str, texts: Iterable[str]) -> Column:
    """Return a column of words."""
    return Column(head, [Cell(text, text) for text in texts], words=True)


def _numbers(head: str, values: Iterable[float], form: str) -> Column:
    return Column(head, [Cell("–" if math.isnan(value) else form.format(value), float(value)) for value in values])


def _column(head: str, texts: Iterable[str], values: Iterable[float], goal: str | None = None) -> Column:
    """Return a column of numbers; with a ``goal`` its best is marked, if they are not all the same."""
    numbers = [float(value) for value in values]
    known = {value for value in numbers if not math.isnan(value)}
    best = (max if goal == "max" else min)(known) if goal and len(known) > 1 else math.nan
    return Column(head, [Cell(text, value, value == best) for text, value in zip(texts, numbers, strict=True)])


def _marked(cell: Cell) -> str:
    return f"**{plain(cell.text)}**" if cell.best else plain(cell.text)


def _line(text: str) -> str:
    return " ".join(text.split())


def plain(text: str) -> str:
    """Return text in one line that Markdown does not take for a table's edge or for HTML."""
    return _line(text).replace("|", "\\|").replace("<", "&lt;")


def _spread(mean: float, std: float, digits: int = 2) -> str:
    if math.isnan(mean):
        return "–"
    return f"{mean:.{digits}f}" if math.isnan(std) else f"{mean:.{digits}f} ± {std:.{digits}f}"


def _interval(mean: float, half: float, digits: int) -> str:
    return "–" if math.isnan(half) else f"{mean - half:.{digits}f} to {mean + half:.{digits}f}"


def _cost(name: str, row: pd.Series, narrow: bool) -> str:
    """Return a cost of a row of a summary."""
    cost, value = COSTS[name], float(row[name])
    if name == "target_seconds" and row.reached < row.n:
        return f"{row.reached} of {row.n}" + ("" if narrow else " reached it")
    if math.isnan(value):
        return "–"
    text = _in_digits(cost, value)
    if narrow or cost.size:
        return text
    low, high = (_in_digits(cost, float(row[f"{name}_{end}"])) for end in ("low", "high"))
    return text if low == high else f"{text} ({low} to {high})"


def _in_digits(cost: Cost, value: float) -> str:
    """Return a cost of the record in the unit of its column."""
    value *= cost.factor
    if cost.form == "prefix":
        return _si(value) + cost.unit
    # three digits, or as many as are before the point
    return (f"{value:,.0f}" if cost.form == "all" or abs(value) >= 100 else f"{value:#.3g}") + cost.unit


def _si(value: float) -> str:
    """Return 1,250,000 as 1.25 M."""
    for factor, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= factor:
            return f"{value / factor:.3g} {unit}"
    return f"{value:.0f} "
