"""Which numbers the tables show of a trial: of a classifier, of a network that fills holes, and what either costs."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeGuard


@dataclass(frozen=True)
class Shown:
    """A number as tables show it: its column's head, which way is better, its decimals."""

    head: str
    goal: Literal["max", "min"] = "max"
    digits: int = 2
    narrow: int = 1  # decimals where there is less room
    unit: str = ""


COSTS: Mapping[str, Shown] = {
    "params": Shown("parameters", "min"),
    "macs": Shown("MACs", "min"),
    "bytes": Shown("size", "min"),
    "epoch_seconds": Shown("s/epoch", "min"),
    "total_seconds": Shown("s/trial", "min"),
    "train_images_per_second": Shown("images/s, training"),
    "inference_images_per_second": Shown("images/s, inference"),
    "latency_seconds": Shown("latency, ms", "min"),
    "peak_memory_mb": Shown("peak memory, MB", "min"),
    "target_seconds": Shown("s to target", "min"),
}
SIZES = ("params", "macs", "bytes")  # of the architecture; the other costs are also the rig's


@dataclass(frozen=True)
class Kind:
    """The numbers that trials of one kind have.

    Args:
        called: the main number, in a sentence.
        title: of their table.
        level: how the target of the time to a stated quality is said: a format of the monitored number.
        shown: the numbers of a table by their names in the record. The first is the main one, a share: a record
            that has it is of this kind, it ranks the rows, and its interval is shown.
        compared: numbers by which two models are compared, each with where it was measured, in words.
        unit: of their differences.
        before: further columns of ``runs.csv``, before those; the first is what validation monitors.
        after: the same, after those.
        per_cent: numbers that records keep as shares and tables show in per cent.
        words: how a line says the most important numbers; a name and a format each.
        note: the sentences without which the table would mislead.
        wide: numbers that a terminal has no room for.
        one_unit: the title says the unit, so that columns need not.
    """

    called: str
    title: str
    level: str
    shown: Mapping[str, Shown]
    compared: Mapping[str, str]
    unit: str
    before: tuple[str, ...]
    after: tuple[str, ...]
    per_cent: frozenset[str]
    words: Mapping[str, str]
    note: str
    wide: tuple[str, ...] = ()
    one_unit: bool = False

    @property
    def main(self) -> str:
        """Name of the main number."""
        return next(iter(self.shown))

    @property
    def monitor(self) -> str:
        """Name of the number that validation gives each epoch, better in the same direction as the main one."""
        return self.before[0]

    @property
    def columns(self) -> list[str]:
        """Names of all numbers that ``runs.csv`` has of a trial's quality, in order."""
        return [*self.before, *self.shown, *self.after]


CLASSIFICATION = Kind(
    called="test accuracy",
    title="test accuracy in %, mean ± std over n seeds",
    level="{:.4g} % validation accuracy",
    shown={
        "test_acc": Shown("0°", unit=" %"),
        "test_acc_rot90": Shown("90°", unit=" %"),
        "test_acc_rot180": Shown("180°", unit=" %"),
        "test_acc_rot270": Shown("270°", unit=" %"),
        "test_acc_circle": Shown("circle", unit=" %"),
        "test_ece": Shown("calibration error", "min", unit=" %"),
    },
    compared={"test_acc": "upright", "test_acc_rot90": "at 90°"},
    unit="points",
    before=("val_acc",),
    after=("test_loss", "test_logit_difference", "test_images"),
    per_cent=frozenset(
        ("val_acc", "test_acc", "test_acc_rot90", "test_acc_rot180", "test_acc_rot270", "test_acc_circle", "test_ece")
    ),
    words={"test_acc": "test accuracy {:.2%}", "test_acc_rot90": "at 90 degrees {:.2%}"},
    note="Test accuracy, mean ± standard deviation over n seeds: the test set upright (0°) and turned by quarter "
    "turns; circle: mean over every 15° on 1,000 test images. Interval: Student's t.",
    wide=("test_acc_circle", "test_ece"),
    one_unit=True,
)
INPAINTING = Kind(
    called="L1 error in holes",
    title="filling holes in test images, mean ± std over n seeds",
    level="{:.4g} % L1 error in validation",
    shown={
        "test_l1_hole": Shown("L1 hole", "min", narrow=2, unit=" %"),
        "test_l1_valid": Shown("L1 valid", "min", narrow=2, unit=" %"),
        "test_psnr": Shown("PSNR", narrow=2, unit=" dB"),
        "test_ssim": Shown("SSIM", digits=4, narrow=3),
    },
    compared={"test_l1_hole": "in holes", "test_l1_valid": "elsewhere"},
    unit="points of L1 error",
    before=("val_l1",),
    after=("test_images",),
    per_cent=frozenset(("val_l1", "test_l1_hole", "test_l1_valid")),
    words={"test_l1_hole": "L1 in holes {:.2%}", "test_psnr": "PSNR {:.2f} dB"},
    note="Test images with holes that cover 10 to 50 % of each, the same for all; mean ± standard deviation over n "
    "seeds. L1: mean absolute error in per cent of the range of the pixels, in the holes and elsewhere. PSNR (of the "
    "mean squared error over all images) and SSIM: of the images whose holes alone are filled. Interval: Student's t.",
)
KINDS = (CLASSIFICATION, INPAINTING)


def is_number(value: Any) -> TypeGuard[float]:
    """Tell whether a value of a record is a finite number, which True and False are not."""
    kind = type(value)  # quicker than isinstance, and a record of JSON has no subclasses but bool
    return (kind is float or kind is int) and -sys.float_info.max <= value <= sys.float_info.max


def kind_of(quality: Mapping[str, Any]) -> Kind | None:
    """Return the kind whose main number is in ``quality`` and is a number, or None."""
    for kind in KINDS:
        if is_number(quality.get(kind.main)):
            return kind
    return None


def in_words(quality: Mapping[str, Any]) -> str:
    """Return the most important numbers of a record's ``quality`` in a few words."""
    kind = kind_of(quality)
    said = {} if kind is None else {name: form for name, form in kind.words.items() if quality.get(name) is not None}
    return ", ".join(form.format(quality[name]) for name, form in said.items()) or "no number that a table shows"
