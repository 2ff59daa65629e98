"""Records as they are found on real disks: broken, failed, doubled, old, new, of several machines."""

import dataclasses
import json
import math
import re

import pytest

from headtohead.records import per_image
from headtohead.records import record as records
from headtohead.report.collect import Trials, collect, mixed_hardware, mixed_images
from headtohead.report.comparison import make_comparison
from headtohead.report.figures import Drawing
from headtohead.report.html import html
from headtohead.report.main import main
from headtohead.report.write import latex_of, markdown_of, show
from tests.records.examples import make, other_config, save

WRONG = [None, "x", -1, 1e300, math.nan, True, [1], {}]


def write_raw(folder, name, raw):
    (folder / name).mkdir(parents=True)
    (folder / name / records.FILE_NAME).write_text(json.dumps(raw))


def test_everything_that_is_left_out_is_named_and_stays_named(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "runs" / "mine"
    good = json.loads(records.dumps(make(seed=0)))
    save(folder, make(seed=0))
    write_raw(folder, "lacks", {name: value for name, value in good.items() if name != "size"})
    write_raw(folder, "newer", {**good, "seed": 1, "schema": 3})
    write_raw(folder, "older", {**good, "seed": 2, "schema": 0})
    write_raw(folder, "nan", {**good, "seed": 3, "quality": {**good["quality"], "test_acc": math.nan}})
    write_raw(folder, "twice", good)
    (folder / "broken").mkdir()
    (folder / "broken" / "record.json").write_text("{")
    (folder / "sad").mkdir()
    (folder / "sad" / "failed.txt").write_text("ValueError: no\n")
    (folder / "begun" / "checkpoints").mkdir(parents=True)
    assert main([]) == 0
    said = [
        "broken/record.json: not valid JSON",
        "lacks/record.json: lacks the field 'size'",
        "newer/record.json: schema 3 is newer than 2, the newest this version reads",
        "older/record.json: not a record: it has no schema number",
        "nan/record.json: has no test accuracy, nor L1 error in holes",
        "twice/record.json: the same configuration and seed as trial0, which is kept",
        "sad: failed: ValueError: no",
        "begun: has no record yet: it runs, or was interrupted",
    ]
    told = sorted(capsys.readouterr().err.splitlines())
    assert [line.partition(" (")[0] for line in told] == sorted(f"mine: left out: {line}" for line in said)
    report = (tmp_path / "results" / "mine" / "report.html").read_text()
    assert report.count("<h2") == 5  # with one of what was left out
    assert main(["results/mine"]) == 0  # from the kept records, among which those are not
    assert (tmp_path / "results" / "mine" / "report.html").read_text() == report
    assert collect(tmp_path / "results" / "mine").problems == (
        (tmp_path / "results" / "mine" / "left_out.txt").read_text().splitlines()
    )


def test_mixed_hardware_is_named(tmp_path):
    usual = make().hardware
    other = make(seed=2, hardware={**usual, "device": "GPU"})
    at_once = make(seed=3, hardware={**usual, "trials_at_once": 2})
    trials = collect(save(tmp_path, make(seed=0), make(seed=1), other, at_once))
    (line,) = mixed_hardware(trials)
    assert "its trials ran on different hardware, 2 on CPU (2 cores), 2 threads" in line
    assert "trial2 (GPU, precision 32-true)" in line
    assert "trial0" not in line
    assert "trial3" not in line  # its times would be left out anyway
    comparison = make_comparison(trials)
    assert line in comparison.notes
    assert line in markdown_of(comparison)
    assert math.isnan(comparison.summary.epoch_seconds[0])
    assert comparison.summary.test_acc[0] == pytest.approx(96.84)


GPU = {"device": "NVIDIA X", "accelerator": "cuda", "devices": 4, "nodes": 1, "host": "Xeon (8 cores)", "tf32": True}
GPU |= {"precision": "32-true", "memory_format": "channels_last", "images_on": "device", "trials_at_once": 1}
MAC = {
    "device": "M1 (8 cores)",
    "accelerator": "cpu",
    "host": "M1 (8 cores)",
    "images_on": "device",
    "trials_at_once": 1,
}


@pytest.mark.parametrize(
    ("usual", "other", "said"),
    [
        (GPU, {"images_on": "host"}, "channels_last, images in the host's memory, host Xeon"),
        (GPU, {"nodes": 2}, "2 machines × 4 × NVIDIA X"),
        (GPU, {"devices": 1}, "(NVIDIA X, precision"),
        (GPU, {"host": "Epyc (64 cores)"}, "host Epyc (64 cores)"),
        (GPU, {"tf32": False}, "precision 32-true, channels_last"),
        (GPU, {"compiled": True}, "compiled"),
        (MAC, {"accelerator": "mps"}, "M1 (8 cores), MPS"),
    ],
)
def test_times_of_two_hardwares_are_not_averaged(tmp_path, usual, other, said):
    found = [make(seed=seed, hardware=usual) for seed in range(2)]
    trials = collect(save(tmp_path, *found, make(seed=2, hardware={**usual, **other})))
    (line,) = mixed_hardware(trials)
    assert "trial2 (" in line
    assert said in line
    comparison = make_comparison(trials)
    assert (comparison.summary.n.tolist(), comparison.summary.timed.tolist()) == ([3], [0])
    assert math.isnan(comparison.summary.epoch_seconds[0])
    assert {record.config_hash for record in trials.records.values()} == {make().config_hash}


def test_trials_of_two_precisions_are_two_rows_whoever_chose_them(tmp_path):
    usual = make().hardware
    bf16 = {**usual, "precision": "bf16-mixed"}
    named = {name: other_config(**{"trainer.precision": name}) for name in ("32-true", "bf16-mixed")}
    found = [
        make(seed=0, hardware=usual),
        make(seed=1, hardware=usual, **named["32-true"]),
        make(seed=0, hardware=bf16),
        make(seed=1, hardware=bf16, **named["bf16-mixed"]),
    ]
    trials = collect(save(tmp_path, *found))
    assert not trials.problems
    rows = make_comparison(trials).summary.set_index("model")
    assert rows.n.to_dict() == {"EqCNN precision=32-true": 2, "EqCNN precision=bf16-mixed": 2}
    assert rows.setting.str.contains("precision bf16-mixed").to_list() == ["bf16" in name for name in rows.index]


def test_a_precision_that_is_not_known_is_not_made_up(tmp_path):
    usual = make().hardware
    unknown = {name: value for name, value in usual.items() if name != "precision"}
    found = (
        make(seed=0, hardware=unknown),
        make(seed=0, hardware=usual),
        make(seed=1, hardware={**usual, "precision": "bf16-mixed"}),
    )
    trials = collect(save(tmp_path, *found))
    assert not trials.problems
    said = [record.config.get("trainer.precision") for record in trials.records.values()]
    assert said == [None, "32-true", "bf16-mixed"]
    assert trials.records["trial0"] == found[0]


def test_hardware_of_which_little_is_known_has_a_name_in_words(tmp_path):
    bare = {**make().hardware, **dict.fromkeys(("device", "devices", "precision"))}
    text = markdown_of(
        make_comparison(collect(save(tmp_path, make(), make(model="INN", hardware=bare, **other_config(model="INN")))))
    )
    assert "unknown device, precision unknown" in text
    assert "nan" not in text.lower()
    assert "None" not in text


def test_what_differs_between_rows_is_shown(tmp_path):
    changed = {"task.lr": 0.1, "data.normalize": False, "trainer.precision": "bf16"}
    plain = other_config(**{"data.normalize": True, "trainer.precision": "32-true"})
    bf16 = {**make().hardware, "precision": "bf16"}
    comparison = make_comparison(
        collect(save(tmp_path, make(**plain), make(model="INN", hardware=bf16, **other_config(model="INN", **changed))))
    )
    setting = dict(zip(comparison.summary.model, comparison.summary.setting, strict=True))
    assert setting == {
        "INN": "lr=0.1, normalize=False, precision bf16",
        "EqCNN": "lr=0.001, normalize=True, precision 32-true",
    }
    assert "differs in" in markdown_of(comparison)


def test_threads_tell_rows_apart_but_not_those_of_trials_at_once(tmp_path):
    """Half of them had a thread each beside another trial: their times do not count."""
    rig = {**make().hardware, "device": "Xeon (2 cores, AMX)", "accelerator": "cpu", "trials_at_once": 1}
    halved = {**rig, "threads": 1, "trials_at_once": 2}
    sweep = (
        make(hardware=rig),
        make(seed=1, hardware=halved),
        make(model="INN", hardware=rig, **other_config(model="INN")),
    )
    assert set(make_comparison(collect(save(tmp_path / "at once", *sweep))).summary.setting) == {""}
    alone = {**rig, "threads": 1}
    sweep = make(hardware=rig), make(model="INN", hardware=alone, **other_config(model="INN"))
    found = make_comparison(collect(save(tmp_path / "alone", *sweep))).summary
    assert dict(zip(found.model, found.setting, strict=True)) == {"EqCNN": "2 threads", "INN": "1 thread"}
    inn = make(model="INN", hardware=alone, **other_config(model="INN"))
    sweep = make(hardware=rig), make(seed=1, hardware=alone), inn
    found = make_comparison(collect(save(tmp_path / "both", *sweep))).summary
    assert dict(zip(found.model, found.setting, strict=True)) == {"EqCNN": "1 thread or 2 threads", "INN": "1 thread"}


def test_what_belongs_to_an_architecture_is_no_difference_of_recipe(tmp_path):
    small, large = other_config(**{"model.width": 8}), other_config(**{"model.width": 11})
    comparison = make_comparison(collect(save(tmp_path, make(**small), make(**large))))
    assert sorted(comparison.summary.model) == ["EqCNN ×11", "EqCNN ×8"]
    assert set(comparison.summary.setting) == {""}
    assert "Recipe or hardware differ" not in markdown_of(comparison)
    limited = other_config(model="INN", **{"trainer.limit_train_batches": 9})
    comparison = make_comparison(collect(save(tmp_path / "limited", make(), make(model="INN", **limited))))
    assert set(comparison.summary.setting) == {"limit_train_batches=default", "limit_train_batches=9"}
    assert "Recipe or hardware differ: see the table." in markdown_of(comparison)


def test_what_one_architecture_alone_has_is_no_difference(tmp_path):
    other = make(model="INN", **other_config(model="INN", **{"model.kernel_size": 7}))
    assert set(make_comparison(collect(save(tmp_path, make(), other))).summary.setting) == {""}


def mutations(value, path=()):
    """Yield every path into a record, and into its dicts."""
    for name, item in value.items():
        yield (*path, name)
        if isinstance(item, dict):
            yield from mutations(item, (*path, name))


def test_any_wrong_value_is_named_or_shown(tmp_path, capsys):
    raw = json.loads(records.dumps(make()))
    raw["quality"]["rotation_sweep"] = {"0": 0.9, "15": 0.8}  # the other angles would be wrong in the same ways
    seed = 100
    for path in [*mutations(raw), ("history", 0), ("history", 0, "val_acc"), ("hardware", "versions")]:
        for index, wrong in enumerate(WRONG):
            changed = json.loads(json.dumps({**raw, "seed": (seed := seed + 1)}))
            place = changed
            for name in path[:-1]:
                place = place[name]
            place[path[-1]] = wrong
            write_raw(tmp_path / "in", f"{'.'.join(map(str, path))}-{index}".replace("/", "_"), changed)
    save(tmp_path / "in", make(seed=7))
    trials = collect(tmp_path / "in")
    assert "trial0" in trials.records
    files = len(list((tmp_path / "in").iterdir()))
    assert len(trials.records) + len(trials.problems) == files
    # all together, and every seventh by itself: of each place one or two of the values
    some = list(trials.records.items())[::7]
    alone = [Trials("x", {"good": make(seed=7), name: record}) for name, record in some]
    for few in (trials, *alone):
        comparison = make_comparison(few)
        show(comparison, [])
        text = markdown_of(comparison) + latex_of(comparison) + capsys.readouterr().out
        assert not re.search(r"(?<!=)\bnan\b", text.lower()), list(few.records)  # lr=nan is what that recipe says
        if few is trials or any(
            name.startswith(("config-", "hardware.")) for name in few.records
        ):  # what only it shows
            assert "</html>" in html(comparison)
    Drawing(tmp_path).finish(make_comparison(trials))


def test_names_are_text_in_every_form(tmp_path):
    evil = "<script>alert(1)</script>"
    config = {"model": evil, "data": "<b>&", "model.x": "\"><img src=x onerror='1'>"}
    record = make(model=evil, data="<b>&", config=config, config_hash="1" * 8, commit="<i>", seed=4)
    trials = collect(save(tmp_path, record, dataclasses.replace(record, seed=5)))
    trials.problems.append("<u>: broken")
    text = html(make_comparison(trials))
    for tag in ("<script>alert", "<b>", "<img src=x", "<i>", "<u>"):
        assert tag not in text
    assert text.count("<script>") == 1
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text


def test_copies_of_records_hide_no_trial_that_ran_later(tmp_path, monkeypatch):
    """``report.py runs --out runs`` leaves them in the sweep's own folder."""
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "runs" / "mine", make(seed=0))
    assert main(["runs", "--out=runs"]) == 0
    assert [path.stem for path in (tmp_path / "runs" / "mine" / "records").glob("*.json")] == ["trial0"]
    save(tmp_path / "runs" / "mine", make(seed=0), make(seed=1))
    assert sorted(collect(tmp_path / "runs" / "mine").records) == ["trial0", "trial1"]


def test_a_trial_beside_kept_records_hides_none_of_them(tmp_path, monkeypatch):
    """``sweep.py --runs results`` leaves it there: the next report must lose nothing."""
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "runs" / "mine", *(make(seed=seed) for seed in range(5)))
    assert main(["runs"]) == 0
    records.write(make(seed=5), tmp_path / "results" / "mine" / "new")
    assert main(["results"]) == 0
    assert len(list((tmp_path / "results" / "mine" / "records").glob("*.json"))) == 6


def test_trials_that_were_tested_on_other_images_are_named(tmp_path):
    """Whatever network and recipe; of another test set that was asked for, there is no telling."""
    most, other = (per_image.of_classifier(test_set, {0: [True, False]}) for test_set in ("aa", "bb"))
    width, seed = other_config(**{"model.width": 4}), other_config(**{"data.test_seed": 1})
    augmented = other_config(**{"data.augment": "flip"})
    found = [make(seed=0, per_image=most), make(seed=1, per_image=most), make(seed=2, per_image=other), make(seed=3)]
    found += [make(per_image=other, **width), make(per_image=most, **augmented), make(per_image=other, **seed)]
    trials = collect(save(tmp_path, *found))
    (said,) = mixed_images(trials)
    assert said.startswith("MNIST has changed: 3 trials tested on the same images, on others trial2, trial4: ")
    assert said in make_comparison(trials).notes
    assert mixed_images(collect(save(tmp_path / "alike", *found[:2], found[3]))) == []
