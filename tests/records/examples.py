"""Records whose numbers are known, for the tests that need some."""

import dataclasses

from headtohead.records import record as records
from headtohead.records.record import Record


def make(**changes) -> Record:
    config = {"model": "EqCNN", "data": "MNIST", "task.lr": 0.001, "trainer.max_epochs": 5}
    record = Record(
        model="EqCNN",
        data="MNIST",
        seed=3,
        config=config,
        config_hash=records.config_hash(config),
        commit="0123456789",
        hardware={"device": "CPU (2 cores)", "devices": 1, "precision": "32-true", "threads": 2, "trials_at_once": 1},
        size={"params": 7834, "macs": 778_016, "bytes": 31_336},
        quality={
            "val_acc": 0.97,
            "test_acc": 0.9684,
            "test_acc_rot90": 0.9684,
            "test_acc_rot180": 0.9684,
            "test_acc_rot270": 0.9684,
            "test_acc_rotation_sweep": 0.8,
            "test_loss": 0.1,
            "test_ece": 0.01,
            "test_invariance_error": 1e-6,
            "rotation_sweep": {str(angle): 0.8 for angle in range(0, 360, 15)},
        },
        cost={"epoch_seconds": 2.5, "total_seconds": 20.0, "peak_memory_mb": 900.0},
        history=[{"epoch": epoch, "val_acc": 0.9} for epoch in range(5)],
    )
    return dataclasses.replace(record, **changes)


def with_accuracy(accuracy, seed, **changes):
    record = make(seed=seed, **changes)
    quality = {**record.quality, **{f"test_acc{turn}": accuracy for turn in ("", "_rot90", "_rot180", "_rot270")}}
    return dataclasses.replace(record, quality=quality)


def other_config(**config):
    config = {**make().config, **config}
    return {"config": config, "config_hash": records.config_hash(config)}


def filled(seed, l1_hole=0.08, **changes):
    """The record of a network that fills holes."""
    config = {"model": "PConvUNet", "task": "Inpainter", "data": "CIFAR10", "model.width": 16}
    quality = {"val_l1": l1_hole, "test_l1_hole": l1_hole, "test_l1_valid": 0.02, "test_psnr": 21.5 + seed}
    quality |= {"test_ssim": 0.81234, "test_images": 10_000}
    named = {"model": "PConvUNet", "data": "CIFAR10", "config": config, "config_hash": records.config_hash(config)}
    return make(seed=seed, quality=quality, **{**named, **changes})


def save(folder, *found):
    for index, record in enumerate(found):
        records.write(record, folder / f"trial{index}")
    return folder
