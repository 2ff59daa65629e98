"""How often verdicts are false, simulated with the product's own functions where the truth is known.

``python -m benchmarks verdicts`` takes two minutes on one core and writes ``results/benchmarks/verdicts.md``;
``--tables 30000`` is the same for longer. Every number is a share of simulated tables, each of two independent numbers
per model unless it says otherwise; its standard error is that of so many coin flips.
"""

from __future__ import annotations

import itertools
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import stats

from headtohead.cli.arguments import OneLineParser
from headtohead.cli.checkout import CHECKOUT
from headtohead.records.files import write_text
from headtohead.report.collect import collect, runs_table
from headtohead.report.difference import Difference, Side, difference, side
from headtohead.report.statistics import LEVEL, level_of_each_look, permutation_test

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Draw = Callable[[np.random.Generator, tuple[int, ...]], Floats]

MODELS, SEEDS = (2, 3, 5, 15), (2, 3, 6, 10, 29)
NUMBERS = 2  # per model
TABLES = 3_000  # of which each number is a share
MOST = 29
RESULT = Path("results") / "benchmarks" / "verdicts.md"


def standard(draw: Draw) -> Draw:
    """Return a distribution with mean 0 and standard deviation 1, so that all are compared at one difference."""
    known = draw(np.random.default_rng(0), (1_000_000,))
    middle, unit = known.mean(), known.std()
    return lambda random, shape: (draw(random, shape) - middle) / unit


def residuals() -> Floats:
    """Return how the committed runs lie about their mean, of rows with six seeds or more that all learnt."""
    found = []
    for folder in sorted(((CHECKOUT or Path()) / "results").glob("*/records")):
        runs = runs_table(collect(folder.parent))
        for _, group in runs[runs.learned].groupby("config_hash"):
            for number in ("test_acc", "test_acc_rot90"):
                values = group[number].dropna().to_numpy(float) if number in group else np.empty(0)
                if len(values) >= 6 and values.std() > 0:
                    found.append((values - values.mean()) / values.std(ddof=1))
    return np.concatenate(found)


def distributions() -> dict[str, Draw]:
    """Return how the seeds of a model may scatter, in units of their standard deviation."""
    own = residuals()
    return {
        "normal": lambda random, shape: random.normal(size=shape),
        "log-normal, σ 0.5": standard(lambda random, shape: np.exp(0.5 * random.normal(size=shape))),
        "t, 3 degrees": standard(lambda random, shape: random.standard_t(3, shape)),
        "committed runs": standard(lambda random, shape: random.choice(own, shape)),
    }


def pick(sides: Side, index: Sequence[int]) -> Side:
    """Return the sides of some models, along the last axis."""
    per_image = None if sides.per_image is None else sides.per_image[:, index]
    return Side(sides.mean[:, index], sides.between[:, index], sides.n, sides.interaction[:, index], per_image)


def all_pairs(values: Floats, per_image: Floats | None = None) -> Difference:
    """Compare every two models of many tables.

    Args:
        values: (tables, models, seeds).
        per_image: (tables, models, seeds, images), if they are counted.
    """
    sides = side(values, per_image)
    first, second = zip(*itertools.combinations(range(values.shape[1]), 2), strict=True)
    return difference(pick(sides, first), pick(sides, second))


def differs(found: Difference, level: float) -> Bools:
    """Return where an interval lies on one side of 0; only those that may are looked at: Student's t is slow."""
    distance = np.abs(found.value) / np.sqrt(np.maximum(found.variance, 1e-300))
    result = distance > stats.norm.isf(level / 2)

    def chosen(x: Floats) -> Floats:
        return np.asarray(np.broadcast_to(x, result.shape)[result])

    likely = replace(
        found,
        value=chosen(found.value),
        seeds=chosen(found.seeds),
        images=chosen(found.images),
        interaction=chosen(found.interaction),
        degrees=chosen(found.degrees),
    )
    result[result] = np.abs(likely.value) > likely.half(level)
    return result


def false_verdicts(draw: Draw, models: int, n: int, tables: int) -> float:
    """Return the share of tables in which nothing differs that show a "better" or "worse"."""
    random = np.random.default_rng([models, n])
    tests = NUMBERS * models * (models - 1) // 2
    any_false = np.zeros(tables, bool)
    for _ in range(NUMBERS):
        any_false |= differs(all_pairs(draw(random, (tables, models, n))), LEVEL / tests).any(-1)
    return float(any_false.mean())


@dataclass(frozen=True)
class TestSet:
    """How the logit varies of the chance that a network has an image right.

    Args:
        mean: of all images.
        image: standard deviation over images, of what is common to all networks.
        model: over images, of what is each model's own.
        seed: over seeds, of what is common to all images: a seed that learnt better.
    """

    mean: float
    image: float
    model: float
    seed: float

    def draw(self, random: np.random.Generator, models: int, n: int, images: int) -> Bools:
        """Return which images were right, ``(models, n, images)``."""
        logits = random.normal(self.mean, self.image, images) + random.normal(0, self.model, (models, 1, images))
        seeds = random.normal(0, self.seed, (models, n, 1))
        chance = 1 / (1 + np.exp(-(logits + seeds).astype(np.float32)))
        return np.asarray(random.random((models, n, images), dtype=np.float32) < chance)


def on_a_test_set(models: int, n: int, images: int, spread: TestSet, tables: int) -> float:
    """Return the same where all models are equal over all seeds and images there are, but not over those drawn.

    Args:
        models: of a table.
        n: seeds of each.
        images: of the test set.
        spread: of the logits of being right.
        tables: that are simulated, one number each.
    """
    random = np.random.default_rng([models, n, images])
    false = 0
    for _ in range(tables):
        right = spread.draw(random, models, n, images)[None].astype(float)
        found = all_pairs(right.mean(-1), right)
        false += bool(differs(found, LEVEL / found.value.size).any())
    return false / tables


def never_learning(n: int, tables: int) -> float:
    """Return the share of tables of two models, of which one seed in six never learns, with a false verdict.

    As a pair's verdict is made: half of the level for those that learn, half for a permutation test of all.
    """
    random = np.random.default_rng(n)
    false = 0
    for _ in range(tables):
        values = random.normal(45, 0.6, (2, n))
        dead = random.random((2, n)) < 1 / 6
        values[dead] = random.normal(10, 0.05, dead.sum())
        learnt = [values[i][~dead[i]] for i in range(2)]
        level = LEVEL / 2 if dead.any() else LEVEL
        wrong = False
        if min(map(len, learnt)) > 1:
            found = difference(side(learnt[0]), side(learnt[1]))
            wrong = bool(abs(found.value) > found.half(level))
        false += wrong or (bool(dead.any()) and permutation_test(*values) <= level)
    return false / tables


def coverage(draw: Draw, n: int, tables: int) -> float:
    """Return how often the 95 % interval of one difference holds the truth."""
    found = all_pairs(draw(np.random.default_rng(n), (tables, 2, n)))
    return float((np.abs(found.value) <= found.half()).mean())


def power(draw: Draw, n: int, apart: float, tables: int) -> tuple[float, float]:
    """Return how often a difference of two models in one number is found: here, and by the first edition's rule."""
    values = draw(np.random.default_rng(n), (tables, 2, n))
    values[:, 0] += apart
    return float(differs(all_pairs(values), LEVEL).mean()), float(_sign_flips(values[:, 0] - values[:, 1]).mean())


def _sign_flips(paired: Floats) -> Bools:
    """Return where the first edition says that two models differ: by flipping signs from 6 seeds on.

    Args:
        paired: (tables, n) differences of two models with the same seed, of which fewer than 6 were not tested.
    """
    n = paired.shape[1]
    if n < 6:
        return np.zeros(len(paired), bool)
    signs = (
        np.array(list(itertools.product((1, -1), repeat=n)))
        if n <= 10
        else np.random.default_rng(0).choice((1, -1), (2**12, n))
    )
    sums = np.abs(paired @ signs.T)
    least = np.abs(paired.sum(-1))[:, None] * (1 - 1e-12)
    return np.asarray((sums >= least).mean(-1) < LEVEL)


def equal(draw: Draw, n: int, tables: int, margin: float = 3.0) -> float:
    """Return how often two models whose true difference is the margin are called equal."""
    values = draw(np.random.default_rng(n), (tables, 2, n))
    values[:, 0] += margin
    found = all_pairs(values)
    return float((np.abs(found.value) + found.half() < margin).mean())


def wrong_claim(draw: Draw, n: int, tables: int, off: float = 3.0, margin: float = 2.0) -> float:
    """Return how often a claimed value that is off by three standard deviations of a run holds."""
    values = draw(np.random.default_rng(n), (tables, n))
    half = stats.t.ppf(1 - LEVEL / 2, n - 1) * values.std(-1, ddof=1) / np.sqrt(n)
    return float((np.abs(values.mean(-1) - off) + half <= margin).mean())


@dataclass(frozen=True)
class Sequential:
    """What looking after every seed gives.

    Args:
        false: share of tables that end in a verdict "better" or "worse".
        seeds: of each model, on average, until decided or at the cap.
        fixed: share found by a fixed number of seeds, the cap.
    """

    false: float
    seeds: float
    fixed: float


def until_decided(
    draw: Draw, apart: float, tables: int, first: int = 3, most: int = MOST, wider: float = 1.0
) -> Sequential:
    """Add a seed to both of two models until their difference is decided.

    Args:
        draw: how seeds scatter.
        apart: difference, in standard deviations of a run.
        tables: that are simulated.
        first: seeds at the first look.
        most: seeds at the last.
        wider: how many times as much as the second model the first scatters.
    """
    values = draw(np.random.default_rng(round(10 * apart)), (tables, 2, most))
    values[:, 0] *= wider
    values[:, 0] += apart
    level = level_of_each_look(LEVEL, first, most)
    stopped = np.full(tables, most)
    found = np.zeros(tables, bool)
    for n in range(first, most + 1):
        now = differs(all_pairs(values[..., :n]), level)[:, 0] & ~found
        stopped[now] = n
        found |= now
    return Sequential(float(found.mean()), float(stopped.mean()), float(differs(all_pairs(values), LEVEL).mean()))


# As the answers of real networks: with these the test set alone gives a difference a standard error of 0.11 points
# (MNIST) and 0.41 (CIFAR-10), and seeds scatter by 0.25 and 0.7 points.
TEST_SETS = {"MNIST, 97 %": TestSet(6.5, 2.6, 1.6, 0.1), "CIFAR-10, 58 %": TestSet(0.6, 1.6, 2.2, 0.05)}


def report(tables: int) -> Iterator[str]:
    """Yield the lines of the report."""
    known = distributions()
    yield "# How often verdicts are false"
    yield ""
    yield (
        f"Simulated with the functions that make the tables, {tables:,} tables a cell, shares in per cent: "
        f"`python -m benchmarks verdicts{'' if tables == TABLES else f' --tables {tables}'}`."
    )
    yield from _table(
        "False better or worse where nothing differs: share of tables with any, at most 5",
        ["seeds scatter as", "models", *(f"n = {n}" for n in SEEDS)],
        [
            [name, str(k), *(_percent(false_verdicts(draw, k, n, tables)) for n in SEEDS)]
            for name, draw in known.items()
            for k in MODELS
        ],
    )
    some = max(100, tables // 5)
    yield from _table(
        f"The same where the test set, 10,000 images, is drawn too (one number, {some:,} tables)",
        ["models equal on all images", "models", *(f"n = {n}" for n in SEEDS)],
        [
            [name, str(k), *(_percent(on_a_test_set(k, n, 10_000, spread, some)) for n in SEEDS)]
            for name, spread in TEST_SETS.items()
            for k in (2, 3)
        ],
    )
    yield from _table(
        f"The same where one seed in six never learns ({some:,} tables of two models, a third of them from n = 10 on)",
        [f"n = {n}" for n in SEEDS],
        [[_percent(never_learning(n, some if n <= 6 else some // 3)) for n in SEEDS]],
    )
    own_error = 3 * math.sqrt(0.05 * 0.95 / tables)
    yield from _table(
        f"Coverage of the 95 % interval of one difference: 93 to 97, within the {_percent(own_error)} of a simulation",
        ["seeds scatter as", *(f"n = {n}" for n in SEEDS)],
        [[name, *(_percent(coverage(draw, n, tables)) for n in SEEDS)] for name, draw in known.items()],
    )
    yield from _table(
        "Called equal though the true difference is the margin: at most 5",
        ["seeds scatter as", *(f"n = {n}" for n in SEEDS)],
        [[name, *(_percent(equal(draw, n, tables)) for n in SEEDS)] for name, draw in known.items()],
    )
    yield from _table(
        "A claimed value that is wrong by three standard deviations of a run holds (margin two): at most 5",
        ["seeds scatter as", *(f"n = {n}" for n in SEEDS)],
        [[name, *(_percent(wrong_claim(draw, n, tables)) for n in SEEDS)] for name, draw in known.items()],
    )
    yield from _table(
        "Found, of a difference of 2.5 standard deviations of a run in one number; first edition beside it",
        ["seeds scatter as", *(f"n = {n}" for n in (3, 4, 5, 6, 10))],
        [
            [name, *(" / ".join(map(_percent, power(draw, n, 2.5, tables))) for n in (3, 4, 5, 6, 10))]
            for name, draw in known.items()
        ],
    )
    rows = []
    for name, wider in (*((name, 1.0) for name in known), ("normal, one three times as wide", 3.0)):
        found = until_decided(known.get(name, known["normal"]), 0, 10_000, wider=wider)
        rows.append([f"0 ({name})", _percent(found.false), f"{found.seeds:.1f}", _percent(found.fixed)])
    for apart in (1, 1.5, 2, 3):
        found = until_decided(known["normal"], apart, tables)
        rows.append([f"{apart:g} (normal)", _percent(found.false), f"{found.seeds:.1f}", _percent(found.fixed)])
    yield from _table(
        f"A look after every seed from 3 to {MOST} (`--until-decided`); where the difference is 0, at most 5",
        ["difference, standard deviations of a run", "decided", "seeds of each", f"decided by n = {MOST}, one look"],
        rows,
    )


def _table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield ""
    yield f"## {title}"
    yield ""
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def main(args: Sequence[str] | None = None) -> int:
    """Simulate, print and keep the report.

    Args:
        args: command line, ``sys.argv[1:]`` by default.
    """
    parser = OneLineParser("python -m benchmarks verdicts", description=__doc__, allow_abbrev=False)
    parser.add_argument("--tables", type=int, default=TABLES, help=f"simulated for each number (default: {TABLES})")
    tables = parser.parse_args(args).tables
    if tables < 100:
        print(f"python -m benchmarks verdicts: --tables: must be 100 or more: got {tables}", file=sys.stderr)
        return 2
    start = time.perf_counter()
    lines = []
    for line in report(tables):
        lines.append(line)
        print(line, flush=True)
    path = write_text(RESULT, "\n".join(lines) + "\n")
    print(f"\n{time.perf_counter() - start:.0f} s; {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
