"""Trials whose figures are known, and what is drawn of them."""

import dataclasses

from headtohead.records import record as records
from headtohead.report.collect import Trials
from headtohead.report.comparison import make_comparison
from headtohead.report.figures.draw import _jobs_of_trials, _jobs_of_verdicts
from tests.records.examples import make

ANGLES = range(0, 360, 15)


def trial(model="EqCNN", data="MNIST", seed=0, acc=0.9, params=1_000, macs=50_000, seconds=2.0, **changes):
    config = {"model": model, "data": data}
    quality = {
        **make().quality,
        "test_acc": acc,
        "rotation_sweep": {str(angle): acc * (1 - angle / 1_000) for angle in ANGLES},
        "confusion": [[9, 1], [3, 7]],
    }
    history = [{"epoch": e, "val_acc": acc - 0.1 / (e + 1), "train_loss": 1 / (e + 1)} for e in range(4)]
    record = make(model=model, data=data, seed=seed, quality=quality, history=history)
    size = {"params": params, "macs": macs, "bytes": 4 * params}
    cost = {"epoch_seconds": seconds}
    named = {"config": config, "config_hash": records.config_hash(config), "size": size, "cost": cost}
    hardware = {**record.hardware, "trials_at_once": 1}
    return dataclasses.replace(record, **{**named, "hardware": hardware, **changes})


def sweep(*found):
    return Trials("mine", {f"trial{index}": record for index, record in enumerate(found)})


def draw(comparison):
    """Return every picture of a comparison; none is written."""
    jobs = _jobs_of_verdicts(comparison) + _jobs_of_trials(comparison.shown)
    return [picture for job in jobs for picture in job()]


def drawn(*found):
    """Return the pictures of some trials by their names."""
    return {picture.name: picture for picture in draw(make_comparison(sweep(*found)))}


def lines(picture):
    """Return the curves in the one panel of a picture by their labels."""
    (axes,) = picture.canvas.axes
    return {line.get_label(): line for line in axes.get_lines() if not line.get_label().startswith("_")}
