"""The metrics and costs that tables show: one entry each, with its column's head and which way is better.

A metric that a task measures joins every table, ``runs.csv`` and the verdicts by an entry in ``CLASSIFICATION`` or
``INPAINTING``; a cost by an entry in ``COSTS``.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeGuard

Goal = Literal["max", "min"]


@dataclass(frozen=True)
class Metric:
    """A number that says how good a trial is.

    Args:
        head: of its column in tables; one without a head stands in ``runs.csv`` only.
        goal: which way is better.
        share: records keep a share in [0, 1], tables show it in per cent.
        unit: of the column.
        digits: decimals in a table.
        narrow: decimals in a terminal.
        wide: a terminal has no room for it.
        compared: where it was measured, in words: two models are compared in it.
        words: a format by which a line says it.
        per_image: what a record keeps of every image of it, a name for :meth:`PerImage.values`.
        margin: the difference up to which two models are called equal, unless a claim file or an argument says another.
        apart: it stands in a table of its own, for those who look closer.
        optional: ``runs.csv`` has its column where a trial has it, and only there; of all others it always has one.
    """

    head: str = ""
    goal: Goal = "max"
    share: bool = False
    unit: str = ""
    digits: int = 2
    narrow: int = 1
    wide: bool = False
    compared: str = ""
    words: str = ""
    per_image: str = ""
    margin: float = 0.5
    apart: bool = False
    optional: bool = False

    @property
    def sign(self) -> int:
        """1 where more is better, -1 where less is."""
        return 1 if self.goal == "max" else -1


@dataclass(frozen=True)
class Cost:
    """A number that says what a trial costs.

    Args:
        head: of its column in tables.
        goal: which way is better.
        narrow: head of its column in a terminal; without one it is left out there.
        size: it belongs to the architecture, whatever the hardware; every record has it.
        form: all its digits, three of them, or three and k, M or G.
        unit: right after the number.
        factor: from the record's unit to the column's.
    """

    head: str
    goal: Goal = "min"
    narrow: str = ""
    size: bool = False
    form: Literal["all", "three", "prefix"] = "three"
    unit: str = ""
    factor: float = 1


COSTS: dict[str, Cost] = {
    "params": Cost("parameters", narrow="params", size=True, form="all"),
    "macs": Cost("MACs", narrow="MACs", size=True, form="prefix"),
    "bytes": Cost("size", narrow="size", size=True, form="prefix", unit="B"),
    "epoch_seconds": Cost("s/epoch", narrow="s/epoch"),
    "total_seconds": Cost("s/trial"),
    "train_images_per_second": Cost("images/s, training", "max", narrow="train/s"),
    "inference_images_per_second": Cost("images/s, inference", "max", narrow="infer/s"),
    "latency_seconds": Cost("latency, ms", narrow="latency ms", factor=1000),
    "peak_memory_mb": Cost("peak memory, MB", narrow="MB"),
    "target_seconds": Cost("s to target", narrow="s to target"),
}


def sizes() -> list[str]:
    """Return the names of the costs that belong to the architecture."""
    return [name for name, cost in COSTS.items() if cost.size]


def times() -> list[str]:
    """Return the names of the costs that also depend on the hardware."""
    return [name for name, cost in COSTS.items() if not cost.size]


@dataclass(frozen=True)
class Kind:
    """What trials of one task are measured by.

    Args:
        called: the main metric, in a sentence.
        title: of their table.
        level: how the target of the time to a stated quality is said: a format of the monitored metric.
        metrics: by their names in the record, in the order of ``runs.csv``. The first is what validation monitors, the
            first with a head is the main one: a record that has it is of this kind, it ranks the rows, and its
            interval is shown.
        unit: of differences between two models.
        note: the sentences without which the table would mislead.
        one_unit: the title says the unit, so that columns of a terminal need not.
        closer: title of the table of the metrics that stand apart.
    """

    called: str
    title: str
    level: str
    metrics: dict[str, Metric]
    unit: str
    note: str
    one_unit: bool = False
    closer: str = ""

    @property
    def shown(self) -> dict[str, Metric]:
        """The metrics that have a column in tables."""
        return {name: metric for name, metric in self.metrics.items() if metric.head}

    @property
    def main(self) -> str:
        """Name of the main metric."""
        return next(name for name, metric in self.metrics.items() if metric.head)

    @property
    def monitor(self) -> str:
        """Name of the metric that validation gives each epoch, better in the same direction as the main one."""
        return next(iter(self.metrics))

    @property
    def compared(self) -> list[str]:
        """Names of the metrics by which two models are compared."""
        return [name for name, metric in self.metrics.items() if metric.compared]

    def is_share(self, name: str) -> bool:
        """Tell whether tables show a number of the record in per cent."""
        return name in self.metrics and self.metrics[name].share


# groups of images over which the error in holes is averaged: by the hole's share of the image, and by whether it
# touches the edge
HOLES = {f"{low}_{low + 10}": f"L1, hole of {low} to {low + 10} %" for low in range(0, 100, 10)}
HOLES |= {"border": "L1, hole at the edge", "inside": "L1, hole inside"}

CORRUPTED = ("noise", "blur", "contrast", "shift", "scale")  # what test images may be corrupted by

CLASSIFICATION = Kind(
    called="test accuracy",
    title="test accuracy in %, mean ± std over n seeds",
    level="{:.4g} % validation accuracy",
    metrics={
        "val_acc": Metric(share=True),
        "test_acc": Metric(
            "0°", share=True, unit=" %", compared="upright", words="test accuracy {:.2%}", per_image="0"
        ),
        "test_acc_top5": Metric("top 5", share=True, unit=" %", apart=True),
        "test_acc_rot90": Metric(
            "90°", share=True, unit=" %", compared="at 90°", words="at 90 degrees {:.2%}", per_image="90"
        ),
        "test_acc_rot180": Metric("180°", share=True, unit=" %"),
        "test_acc_rot270": Metric("270°", share=True, unit=" %"),
        "test_acc_rotation_sweep": Metric("rotation sweep", share=True, unit=" %", wide=True),
        "test_acc_corrupted": Metric("corrupted", share=True, unit=" %", wide=True, optional=True),
        **{f"test_acc_{name}": Metric(name, share=True, unit=" %", apart=True, optional=True) for name in CORRUPTED},
        "test_ece": Metric("calibration error", "min", share=True, unit=" %", wide=True),
        "test_loss": Metric(goal="min"),
        "test_invariance_error": Metric(goal="min"),
        "test_images": Metric(),
    },
    unit="points",
    note="Test accuracy, mean ± standard deviation over n seeds: the test set upright (0°) and turned by quarter "
    "turns; rotation sweep: mean over every 15° on 1,000 test images. Interval: Student's t.",
    one_unit=True,
    closer="the label is among the five likeliest classes (top 5); corrupted images, mean over five strengths",
)
INPAINTING = Kind(
    called="L1 error in holes",
    title="filling holes in test images, mean ± std over n seeds",
    level="{:.4g} % L1 error in validation",
    metrics={
        "val_l1": Metric(goal="min", share=True),
        "test_l1_hole": Metric(
            "L1 hole",
            "min",
            share=True,
            unit=" %",
            narrow=2,
            compared="in holes",
            words="L1 in holes {:.2%}",
            per_image="error",
            margin=0.1,
        ),
        "test_l1_valid": Metric("L1 valid", "min", share=True, unit=" %", narrow=2, compared="elsewhere", margin=0.1),
        "test_psnr": Metric("PSNR", unit=" dB", narrow=2, words="PSNR {:.2f} dB", margin=0.2),
        "test_ssim": Metric("SSIM", digits=4, narrow=3, margin=0.005),
        **{
            f"test_l1_hole_{name}": Metric(head, "min", share=True, per_image=f"error_{name}", margin=0.1, apart=True)
            for name, head in HOLES.items()
        },
        "test_images": Metric(),
    },
    unit="points of L1 error",
    closer="the error in holes, mean over images, by their share of the image, and by whether they reach its edge",
    note="Test images with holes that cover 10 to 50 % of each (task.hole_min to task.hole_max), the same for all; "
    "mean ± standard deviation over n seeds. L1: mean absolute error in per cent of the range of the pixels, over all "
    "pixels in holes, so that an image counts by the size of its hole, and over all others. By group of holes, and in "
    "the test set's part of an interval, each image counts once: such a mean is lower where small holes are filled "
    "better. PSNR (of the mean squared error over all images) and SSIM: of the images whose holes alone are filled. "
    "Interval: Student's t.",
)
KINDS = (CLASSIFICATION, INPAINTING)


def is_number(value: Any) -> TypeGuard[float]:
    """Tell whether a value is a finite number, which True, False and an integer too large for a float are not."""
    kind = type(value)  # of 10,000 records a million values are asked: isinstance takes 1.6 times as long
    return (kind is float or kind is int) and -sys.float_info.max <= value <= sys.float_info.max


def kind_of(quality: Mapping[str, Any]) -> Kind | None:
    """Return the kind whose main metric is in ``quality`` and is a number, or None."""
    return next((kind for kind in KINDS if is_number(quality.get(kind.main))), None)


def in_words(quality: Mapping[str, Any]) -> str:
    """Return the most important metrics of a record's ``quality`` in a few words."""
    kind = kind_of(quality)
    said = {} if kind is None else {name: metric.words for name, metric in kind.metrics.items() if metric.words}
    found = [form.format(quality[name]) for name, form in said.items() if is_number(quality.get(name))]
    return ", ".join(found) or "no number that a table shows"
