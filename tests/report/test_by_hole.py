"""Errors by hole: in the record, in a table of their own; a claim of two numbers of a row, by hand and simulated."""

import dataclasses

import numpy as np
import pytest

from headtohead.cli.errors import UsageError
from headtohead.records.per_image import of_inpainter
from headtohead.report.claims import Claim, read
from headtohead.report.collect import collect
from headtohead.report.comparison import make_comparison
from headtohead.report.difference import half_of_paired
from headtohead.report.html import html
from headtohead.report.judge import judge
from headtohead.report.terminal import terminal
from headtohead.report.write import markdown_of
from tests.records.examples import filled, make, save

SMALL, LARGE = "test_l1_hole_10_20", "test_l1_hole_40_50"
OTHER = {"model": "ConvUNet", "config": {"model": "ConvUNet", "data": "CIFAR10"}, "config_hash": "1" * 8}
GROUPS = {"10_20": [1, 1, 1, 0, 0, 0, 0], "40_50": [0, 0, 0, 1, 1, 1, 0]}


def measured(seed, small, large, kept=None):
    record = filled(seed)
    quality = {**record.quality, SMALL: small, LARGE: large}
    return dataclasses.replace(record, quality=quality, per_image=kept)


def claim(**said):
    return Claim(**{"of": "PConvUNet", "data": "CIFAR10", "number": LARGE, "no_worse_than": SMALL, **said})


def test_images_of_a_group_come_back():
    packed = of_inpainter("abc", [0.5, 0.25, 1.0, 2.0, 0.125, 0.75, 0.0], GROUPS)
    assert packed.values("error_10_20").tolist() == [0.5, 0.25, 1.0]
    assert packed.values("error_40_50").tolist() == [2.0, 0.125, 0.75]
    assert packed.values("error_20_30") is None
    assert len({packed.images_of(name) for name in ("error", "error_10_20", "error_40_50")}) == 3
    other = of_inpainter("abc", [0.0] * 7, {**GROUPS, "10_20": [1, 1, 0, 0, 0, 0, 1]})
    assert packed.images_of("error_10_20") != other.images_of("error_10_20")  # as many, but others
    assert packed.images_of("error_40_50") == other.images_of("error_40_50")


# differences of 1, 2 and 3 points: 2 with a standard error of 1 / sqrt(3), t(0.975; 2) = 4.302653: 2 +- 2.484
@pytest.mark.parametrize(
    ("margin", "outcome"), [(4.5, "holds"), (4.4, "undecided"), (0.1, "undecided"), (None, "undecided")]
)
def test_two_numbers_of_a_row_by_hand(tmp_path, margin, outcome):
    trials = collect(save(tmp_path, *(measured(s, 0.05, 0.06 + 0.01 * s) for s in range(3))))
    (found,) = judge([claim(margin=margin)], trials)
    assert (found.measured, found.interval, found.n) == ("+2.00", "-0.48 to 4.48", "3")
    assert found.outcome == outcome
    assert found.said == "no worse than L1, hole of 10 to 20 %"


def test_it_is_refuted_where_it_is_worse_and_holds_where_it_is_better(tmp_path):
    trials = collect(save(tmp_path, *(measured(s, 0.05, 0.10 + 0.001 * s) for s in range(3))))
    worse, better = judge([claim(), claim(number=SMALL, no_worse_than=LARGE)], trials)
    assert (worse.outcome, better.outcome) == ("refuted", "holds")
    assert (worse.measured, better.measured) == ("+5.10", "-5.10")


def test_more_is_better_of_some_numbers(tmp_path):
    found = [make(seed=s) for s in range(3)]
    shares = [{"test_acc": 0.90 + s / 100, "test_acc_rot90": 0.95 + s / 100 + s % 2 / 1000} for s in range(3)]
    found = [
        dataclasses.replace(one, quality={**one.quality, **two}, per_image=None)
        for one, two in zip(found, shares, strict=True)
    ]
    turned = Claim(of="EqCNN", data="MNIST", number="test_acc_rot90", no_worse_than="test_acc", margin=1)
    (line,) = judge([turned], collect(save(tmp_path, *found)))
    assert (line.measured, line.outcome) == ("+5.03", "holds")


def test_pairing_takes_out_what_seeds_share(tmp_path):
    """Both numbers rise by a point from seed to seed: their difference does not vary but by 0.1."""
    rows = [(0.05, 0.060), (0.06, 0.071), (0.07, 0.080)]
    (found,) = judge([claim(margin=1.3)], collect(save(tmp_path, *(measured(s, *row) for s, row in enumerate(rows)))))
    half = 4.302653 * np.std([1.0, 1.1, 1.0], ddof=1) / 3**0.5
    assert found.interval == f"{31 / 30 - half:.2f} to {31 / 30 + half:.2f}"
    assert found.outcome == "holds"


@pytest.mark.parametrize("seeds", [0, 1])
def test_fewer_than_two_seeds_decide_nothing(tmp_path, seeds):
    trials = collect(save(tmp_path, *(measured(s, 0.05, 0.5) for s in range(seeds)), filled(9)))
    (found,) = judge([claim()], trials)
    assert (found.outcome, found.interval) == (["not run", "undecided"][seeds], "–")


def kept(rng, seeds, images=40, apart=0.0, of_seed=0.02, of_image=0.04, both=0.03):
    """Records of seeds in which images of large holes are worse by ``apart``; the means are those of the images."""
    groups = {"10_20": np.arange(2 * images) < images, "40_50": np.arange(2 * images) >= images}
    truth = 0.5 + of_image * rng.standard_normal(2 * images) + apart * groups["40_50"]
    found = []
    for seed in range(seeds):
        errors = truth + both * rng.standard_normal(2 * images) + of_seed * rng.standard_normal() * groups["40_50"]
        means = [float(errors[among].mean()) for among in groups.values()]
        found.append(measured(seed, *means, of_inpainter("t", errors, groups)))
    return found


def test_the_images_count_where_they_are_kept(tmp_path):
    found = kept(np.random.default_rng(0), 4)
    with_images = judge([claim()], collect(save(tmp_path / "with", *found)))[0]
    without = judge(
        [claim()], collect(save(tmp_path / "without", *(dataclasses.replace(r, per_image=None) for r in found)))
    )
    assert with_images.measured == without[0].measured
    assert with_images.interval != without[0].interval
    # t(0.975; 3) = 3.182446 of the four seeds, t(0.975; 39) = 2.022691 of the 40 images of each group
    errors = 100 * np.stack([r.per_image.values("error") for r in found]).astype(float)
    apart = np.array([100 * (r.quality[LARGE] - r.quality[SMALL]) for r in found])
    squares = 3.182446**2 * apart.var(ddof=1) / 4
    squares += 2.022691**2 * sum(x.mean(0).var(ddof=1) / 40 for x in (errors[:, :40], errors[:, 40:]))
    low, high = map(float, with_images.interval.split(" to "))
    assert (low, high) == pytest.approx((apart.mean() - squares**0.5, apart.mean() + squares**0.5), abs=0.006)
    seeds_alone = 3.182446 * (apart.var(ddof=1) / 4) ** 0.5
    low, high = map(float, without[0].interval.split(" to "))
    assert (low, high) == pytest.approx((apart.mean() - seeds_alone, apart.mean() + seeds_alone), abs=0.006)


@pytest.mark.parametrize("seeds", [2, 3, 6])
@pytest.mark.parametrize(
    ("of_seed", "of_image", "both"), [(0.02, 0.04, 0.0), (0.02, 0.04, 0.03), (0.0, 0.1, 0.02), (0.02, 0.0, 0.01)]
)
def test_a_false_outcome_is_not_more_frequent_than_said(seeds, of_seed, of_image, both):
    """Large holes are worse by exactly the margin: "holds" and "refuted" are both false, 2.5 % each."""
    rng, images, tries = np.random.default_rng(seeds), 40, 3000
    tables = [
        of_image * rng.standard_normal((tries, 1, images)) + both * rng.standard_normal((tries, seeds, images))
        for _ in range(2)
    ]
    tables[0] = tables[0] + of_seed * rng.standard_normal((tries, seeds, 1))
    apart = tables[0].mean(-1) - tables[1].mean(-1)
    false = (np.abs(apart.mean(-1)) > half_of_paired(apart, tables)).mean()
    assert 0.001 < false < 0.05 + 3 * (0.05 * 0.95 / tries) ** 0.5


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"no_worse_than": "test_acc"}, "no_worse_than: test_acc: no other number of the trials of test_l1_hole_40_50"),
        ({"no_worse_than": LARGE}, "no_worse_than: test_l1_hole_40_50: no other number of the trials"),
        ({"no_worse_than": "test_psnr"}, "no_worse_than: test_psnr: of test_l1_hole_40_50 the other way is better"),
        ({"value": 3.0}, "one of value, better_than, equal_to, no_worse_than, at_most, at_least"),
        ({"number": "params"}, "no_worse_than: test_l1_hole_10_20: no other number of the trials of params"),
    ],
)
def test_what_is_no_claim_is_refused(said, why):
    with pytest.raises(ValueError, match=why):
        claim(**said)


def test_the_suites_own_claim_is_read():
    found = [said for said in read("inpainting").claims if said.no_worse_than]
    assert [(said.of, said.number, said.no_worse_than) for said in found] == [("PConvUNet", LARGE, SMALL)]


def test_a_wrong_claim_file_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "claims").mkdir()
    text = "claims: [{of: A, data: B, number: test_l1_hole, no_worse_than: test_acc}]"
    (tmp_path / "claims" / "x.yaml").write_text(text)
    with pytest.raises(UsageError, match="no_worse_than: test_acc: no other number"):
        read("x")


def test_a_table_of_its_own_folded_away(tmp_path):
    trials = collect(save(tmp_path, *(measured(s, 0.05, 0.06 + 0.01 * s) for s in range(3))))
    comparison = make_comparison(trials)
    (grid,) = [grid for part in comparison.parts for grid in part.grids if grid.folded]
    cells = {column.head: column.cells[0].text for column in grid.columns}
    assert cells == {
        "model": "PConvUNet",
        "L1, hole of 10 to 20 %": "5.00 ± 0.00",
        "L1, hole of 40 to 50 %": "7.00 ± 1.00",
    }
    assert " L1, hole of 40 to 50 % |" in markdown_of(comparison)
    page = html(comparison)
    assert f"<details>\n<summary>{grid.title} (1 row)</summary>" in page
    assert list(comparison.runs.columns).count(LARGE) == 1
    assert "test_l1_hole_50_60" not in comparison.runs
    assert not any(
        "hole of" in str(column.header)
        for shown in terminal("x", comparison.summary)
        for column in shown.renderables[1].columns
    )


def test_notes_say_which_mean_is_which_and_what_is_kept_of_every_image(tmp_path):
    """L1 in holes is kept of every image, L1 elsewhere of none: the note must not say that nothing is."""
    errors = 0.05 + 0.01 * np.random.default_rng(0).random((2, 3, 40))
    found = [
        dataclasses.replace(
            filled(seed, float(row.mean()), **(OTHER if index else {})), per_image=of_inpainter("t", row)
        )
        for index, rows in enumerate(errors)
        for seed, row in enumerate(rows)
    ]
    comparison = make_comparison(collect(save(tmp_path, *found)))
    counted = {pair.number: pair.difference.counted for pair in comparison.parts[0].others.pairs}
    assert counted == {"test_l1_hole": True, "test_l1_valid": False}
    (note,) = (note for note in comparison.notes if note.startswith("Test set not counted"))
    assert note.startswith("Test set not counted in L1 valid: it is not kept of every image, so that")
    assert comparison.headline[0].verdicts.title == "CIFAR10: every two rows (test set not counted in some)"
    text = markdown_of(comparison)
    assert "over all pixels in holes, so that an image counts by the size of its hole" in text
    assert "By group of holes, and in the test set's part of an interval, each image counts once" in text


def test_records_without_them_have_no_such_table(tmp_path):
    comparison = make_comparison(collect(save(tmp_path, filled(0), filled(1))))
    assert not any(grid.folded for part in comparison.parts for grid in part.grids)
    assert not any(name.startswith("test_l1_hole_") for name in comparison.runs)
