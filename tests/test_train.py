"""One trial from the command line: its record, its resumption, its error messages."""

import os
import re
import subprocess
import sys

import pytest
import torch

from headtohead.records import record as records
from headtohead.trial import main as train
from headtohead.trial import precision
from tests.conftest import ROOT
from tests.tiny import TINY
from tests.trials import fitted, record_in, without_times

FIT = ["fit", "--model=EqCNN", *TINY, "--trainer.max_epochs=2", "--trainer.accelerator=cpu"]
SMALL = [*FIT, "--model.width=2"]  # where it is not about the network
FLOAT32 = "--trainer.precision=32-true"  # where numbers are compared that another precision rounds


def run(*args, cwd=None, **environment) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, ROOT / "train.py", *args],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=120,
        cwd=cwd,
    )


def only_record(folder):
    (path,) = folder.glob(f"runs/train/*/{records.FILE_NAME}")
    return records.read(path)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """What a whole trial leaves and prints, as a process with an offline run of W&B: its folder and its output."""
    place = tmp_path_factory.mktemp("finished")
    done = run(*FIT, "--seed_everything=3", WANDB_MODE="offline", PYTHONPATH=str(ROOT), cwd=place)
    assert done.returncode == 0, done.stderr
    return place, done


def test_fit_tests_and_writes_the_record(finished):
    workplace, done = finished
    record = only_record(workplace)
    assert (record.model, record.data, record.seed) == ("EqCNN", "Tiny", 3)
    assert record.size["params"] == 7_834
    assert record.quality["test_images"] == 200
    assert record.quality["class_names"] == list("0123456789")
    assert [epoch["epoch"] for epoch in record.history] == [0, 1]
    assert record.quality["val_acc"] == pytest.approx(max(epoch["val_acc"] for epoch in record.history))
    assert {"train_loss", "train_acc", "val_loss", "val_acc", "seconds"} <= set(record.history[0])
    assert record.config["task.lr"] == 0.001
    assert record.config["trainer.max_epochs"] == 2
    assert record.hardware["accelerator"] == "cpu"
    assert all(value > 0 for value in record.cost.values())
    assert "test accuracy" in done.stdout
    assert "epoch 2/2" in done.stdout
    assert list(workplace.glob("runs/train/*/wandb/offline-run-*"))
    assert "Traceback" not in done.stderr


def test_the_checkpoint_says_of_what_it_is(finished):
    (path,) = finished[0].glob("runs/train/*/checkpoints/best.ckpt")
    origin = torch.load(path, weights_only=True)["trial"]
    found = [origin[part]["class_path"] for part in ("model", "task", "data")]
    assert found == ["lit_models.EqCNN", "lit_models.Classifier", "tests.tiny.Tiny"]
    assert origin["facts"] == {"in_channels": 1, "image_size": 28, "num_classes": 10}


def test_same_seed_same_record_and_another_seed_another(finished, workplace):
    """The first of them in a process of its own."""
    found = [without_times(only_record(finished[0]))]
    for folder, seed in (("b", 3), ("c", 2)):
        found.append(without_times(fitted(*FIT, f"--seed_everything={seed}", folder=folder)))
    assert found[0] == found[1]
    assert found[0]["history"] != found[2]["history"]
    assert found[0]["config_hash"] == found[2]["config_hash"]


@pytest.mark.slow
def test_two_processes_learn_what_one_learns_and_count_every_image_once(workplace):
    # 99 images for validation cannot be shared evenly; of those for training, whole batches are
    fit = [*SMALL, FLOAT32, "--data.val_size=99", "--trainer.limit_train_batches=7"]
    done = run(*fit, "--trainer.devices=2", "--trainer.default_root_dir=two", WANDB_MODE="offline")
    assert done.returncode == 0, done.stderr
    one, two = fitted(*fit, folder="one"), record_in("two")
    assert two.hardware["devices"] == 2
    assert two.quality["test_images"] == 200
    right = two.quality["val_acc"] * 99
    assert right == pytest.approx(round(right), abs=1e-3)
    assert len(list(workplace.glob("two/wandb/offline-run-*"))) == 1
    curves = [[epoch[name] for epoch in record.history for name in ("train_loss", "val_loss")] for record in (one, two)]
    assert len(curves[0]) == 4
    assert curves[0] == pytest.approx(curves[1], abs=1e-4)


@pytest.mark.slow
def test_spawned_processes_leave_the_same_record(workplace):
    found = []
    for strategy in ("ddp", "ddp_spawn"):
        done = run(
            *SMALL, "--trainer.devices=2", f"--trainer.strategy={strategy}", f"--trainer.default_root_dir={strategy}"
        )
        assert done.returncode == 0, done.stderr
        found.append(without_times(record_in(strategy)))
    qualities = [record.pop("quality") for record in found]
    # the largest of rounding errors is one itself: it depends on how the kernels share their work
    differences = [quality.pop("test_invariance_error") for quality in qualities]
    assert max(differences) < 1e-5
    assert qualities[0] == qualities[1]
    assert qualities[0]["test_images"] == 200  # and not once for each process that shares the counts
    assert found[0] == found[1]


def test_a_share_of_the_test_set_that_holds_no_batch_is_refused_before_the_training(workplace, capfd):
    assert train.main([*SMALL, "--trainer.limit_test_batches=0.2", "--data.batch_size=100"]) == 2
    said = "--trainer.limit_test_batches: 0.2 of 1 test batches is none: give 1 batch, or a share of 1 at least"
    assert capfd.readouterr().err == f"train.py: {said}\n"
    assert not list(workplace.glob("runs/**/*.ckpt"))


def test_a_checkpoint_can_be_tested_again(finished, workplace, capfd):
    (folder,) = finished[0].glob("runs/train/*")
    before = (folder / records.FILE_NAME).read_bytes()
    checkpoint = f"--ckpt_path={folder}/checkpoints/best.ckpt"
    assert train.main(["test", "--model=EqCNN", *TINY, checkpoint, "--trainer.accelerator=cpu"]) == 0
    (shown,) = re.findall(r"(?m)^test_acc ([\d.]+)$", capfd.readouterr().out)
    assert float(shown) == pytest.approx(records.read(folder / records.FILE_NAME).quality["test_acc"], abs=1e-6)
    assert (folder / records.FILE_NAME).read_bytes() == before


def test_precision_is_the_hardwares_unless_named_and_changes_no_identity(workplace, monkeypatch):
    seen = []
    for fastest, named in (("32-true", []), ("bf16-mixed", []), ("bf16-mixed", [FLOAT32])):
        monkeypatch.setattr(precision, "best_precision", lambda _, fastest=fastest: fastest)
        short = ["--trainer.max_epochs=1", "--trainer.limit_test_batches=1"]
        seen.append(fitted(*SMALL, *named, *short, folder=f"{fastest}{len(named)}"))
    assert [record.hardware["precision"] for record in seen] == ["32-true", "bf16-mixed", "32-true"]
    assert seen[0].config_hash == seen[1].config_hash  # the same trial on two machines
    assert seen[0].history[0]["train_loss"] == seen[2].history[0]["train_loss"]
    assert seen[0].history[0]["train_loss"] == pytest.approx(seen[1].history[0]["train_loss"], abs=0.02)
    assert seen[0].history[0]["train_loss"] != seen[1].history[0]["train_loss"]
    for record in seen:  # the test is run in full precision
        assert record.quality["test_invariance_error"] < 1e-4
        assert record.hardware["memory_format"] == "channels_last"
        assert record.hardware["compiled"] is False
        assert record.hardware["images_on"] == "device"


@pytest.mark.slow
def test_a_compiled_network_learns_what_the_other_learns(workplace):
    found = []
    for mode in ("no", "default"):
        found.append(fitted(*SMALL, FLOAT32, f"--compile={mode}", "--trainer.max_epochs=1", folder=mode))
    assert [record.hardware["compiled"] for record in found] == [False, True]
    assert found[0].config_hash == found[1].config_hash
    assert found[0].history[0]["train_loss"] == pytest.approx(found[1].history[0]["train_loss"], abs=1e-4)
    assert found[0].size == found[1].size


@pytest.mark.nightly
@pytest.mark.data
@pytest.mark.parametrize(
    ("model", "data", "choices"),
    [
        ("SimpleCNN", "MNIST", (FLOAT32, "--trainer.precision=bf16-mixed")),
        ("CNN", "CIFAR10", ("--data.memory_format=contiguous", "--data.memory_format=channels_last")),
    ],
)
def test_what_a_machine_chooses_costs_no_accuracy(workplace, real_data, model, data, choices):
    shared = ["fit", f"--model={model}", f"--data={data}", f"--data.data_dir={real_data}", "--trainer.max_epochs=1"]
    shared += ["--trainer.limit_train_batches=200", "--trainer.accelerator=cpu", "--trainer.limit_test_batches=1"]
    differences = []
    for seed in range(3):
        found = []
        for choice in choices:
            record = fitted(*shared, choice, f"--seed_everything={seed}", folder=f"{choice}{seed}")
            found.append(record.quality["val_acc"])
        differences.append(found[1] - found[0])
    assert abs(sum(differences) / 3) < 0.02, differences  # on 5,000 images: seeds differ by more


@pytest.mark.parametrize("given", ["two", "0", "-1", "1.5", ""])
def test_a_wrong_number_of_trials_at_once_is_told_in_one_line(workplace, capfd, monkeypatch, given):
    monkeypatch.setenv("TRIALS_AT_ONCE", given)
    assert train.main(FIT) == 2
    said = f"train.py: TRIALS_AT_ONCE: must be a whole number, 1 or more: got {given!r}\n"
    assert capfd.readouterr().err == said
    assert not list(workplace.iterdir())


@pytest.mark.parametrize(
    "args",
    [
        ["--data.val_size=99", "--model.width=5", "--data=tests.tiny.Tiny", "--model=EqCNN"],
        ["--task.lr=0.01", "--data=tests.tiny.Tiny", "--model={'class_path': 'ResNet'}", "--model.operator=separable"],
    ],
)
def test_arguments_stand_in_any_order(workplace, args):
    assert isinstance(train.resolve(["fit", *args]), dict)


def test_check_finds_what_main_would(workplace):
    assert isinstance(train.resolve([*SMALL, "--trainer.limit_val_batches=None"]), dict)  # None of Python is null
    assert "lr must be a positive number" in str(train.resolve([*SMALL, "--task.lr=0"]))
    assert not list(workplace.iterdir())  # and leaves nothing behind


@pytest.mark.parametrize(("limit", "images"), [("3", 3 * 64), ("0.5", 4 * 64)])
def test_images_per_second_are_those_that_were_trained_on(workplace, limit, images):
    short = ["--trainer.max_epochs=1", f"--trainer.limit_train_batches={limit}", "--trainer.limit_test_batches=1"]
    cost = fitted(*SMALL, *short, "--data.batch_size=64").cost
    assert cost["train_images_per_second"] * cost["epoch_seconds"] == pytest.approx(images)


def test_a_dry_run_leaves_no_record(workplace):
    assert train.main([*SMALL, "--trainer.fast_dev_run=true"]) == 0
    assert not list(workplace.rglob(records.FILE_NAME))


INPAINT = [*TINY, "--data.normalize=false", "--model.width=4", "--trainer.accelerator=cpu"]


def test_a_network_that_fills_holes_leaves_a_record(workplace, capfd):
    assert train.main(["fit", "--model=PConvUNet", *INPAINT, "--task.lr=0.01", "--trainer.max_epochs=3"]) == 0
    record = only_record(workplace)
    assert record.quality["val_l1"] == pytest.approx(min(epoch["val_l1"] for epoch in record.history), abs=1e-6)
    assert "val_acc" not in record.quality
    assert record.quality["test_images"] == 200
    assert 0 < record.quality["test_l1_hole"] < 1
    losses = [epoch["train_loss"] for epoch in record.history]
    assert losses == sorted(losses, reverse=True)
    assert all(value > 0 for value in record.cost.values())
    assert re.search(r"PConvUNet on Tiny, seed 0: L1 in holes [\d.]+%, PSNR [\d.]+ dB, ", capfd.readouterr().out)


@pytest.mark.slow
def test_two_processes_fill_the_holes_that_one_fills(workplace, capfd):
    fit = ["fit", "--model=ConvUNet", *INPAINT, "--data.val_size=99", "--trainer.max_epochs=1"]
    done = run(*fit, "--trainer.devices=2")
    assert done.returncode == 0, done.stderr
    record = only_record(workplace)
    assert record.hardware["devices"] == 2
    assert record.quality["test_images"] == 200
    (checkpoint,) = workplace.glob("runs/train/*/checkpoints/best.ckpt")
    # one process: the same network fills the same holes
    assert train.main(["test", *fit[1:], f"--ckpt_path={checkpoint}"]) == 0
    shown = capfd.readouterr().out
    for name in ("test_l1_hole", "test_psnr", "test_ssim"):
        (printed,) = re.findall(rf"(?m)^{name} ([\d.]+)$", shown)
        assert float(printed) == pytest.approx(record.quality[name], rel=1e-4)
