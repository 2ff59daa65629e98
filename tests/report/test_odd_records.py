"""Whatever records hold, verdicts are one of four, sentences have no NaN, and every form can be written."""

import dataclasses
import math
import re

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headtohead.records.looks import Looks
from headtohead.records.per_image import of_classifier
from headtohead.report.collect import Trials
from headtohead.report.comparison import make_comparison
from headtohead.report.write import markdown_of
from tests.records.examples import make, other_config

CLASSES = list("0123456789")
ACCURACY = st.one_of(st.sampled_from([0.0, 0.1, 0.5, 1.0]), st.floats(0, 1))


@st.composite
def records(draw):
    """A record of one of three models on one of two data sets."""
    model, data = draw(st.sampled_from("ABC")), draw(st.sampled_from(["MNIST", "CIFAR10"]))
    accuracy = draw(ACCURACY)
    turned = draw(st.one_of(st.none(), ACCURACY))
    quality = {"test_acc": accuracy, "test_acc_rot90": turned, "val_acc": draw(st.one_of(st.none(), ACCURACY))}
    quality |= draw(
        st.sampled_from([{}, {"class_names": CLASSES}, {"confusion": [[1, 2], [3, 4]]}, {"class_names": []}])
    )
    size = draw(st.sampled_from([{"params": 0, "macs": 0, "bytes": 0}, {"params": 5, "macs": 7, "bytes": 20}]))
    images = draw(st.sampled_from([0, 1, 2, 9]))
    right = draw(st.lists(st.booleans(), min_size=images, max_size=images))
    kept = of_classifier(draw(st.sampled_from(["t", "u"])), {0: right}) if images else None
    history = draw(st.sampled_from([[], [{"epoch": 0, "val_acc": accuracy}], [{"epoch": 0}]]))
    named = other_config(model=model, data=data, **draw(st.sampled_from([{}, {"data.val_size": 3}])))
    seed = draw(st.integers(0, 5))
    return make(model=model, data=data, seed=seed, quality=quality, size=size, history=history, per_image=kept, **named)


@settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(records(), min_size=1, max_size=14), st.one_of(st.none(), st.just(Looks(2, 5))))
def test_any_records_can_be_compared(found, looks):
    once = {f"{r.config_hash}-{r.seed}": r for r in found}
    comparison = make_comparison(Trials("odd", once, looks=looks))
    pairs = [pair for part in comparison.parts for pair in part.others.pairs]
    for pair in pairs:
        assert pair.verdict in {"better", "worse", "equal", "undecided"}
        if pair.verdict in ("better", "worse"):
            assert abs(pair.value) > pair.half
        if min(pair.n) < 2:
            assert pair.verdict == "undecided"
        needed = pair.seeds_to_decide()
        assert needed is None or needed > min(pair.n)
    text = markdown_of(comparison)
    text += "\n".join(line for part in comparison.parts for line in part.others.sentences)
    assert not re.search(r"\b(nan|inf)\b", text, re.IGNORECASE)


def test_a_hundred_and_twenty_rows_are_compared_with_the_best():
    found = {}
    for lr in range(125):
        for seed in (0, 1):
            named = other_config(**{"task.lr": lr})
            found[f"{lr}-{seed}"] = make(seed=seed, quality={"test_acc": 0.9 - lr / 1000 + seed / 5000}, **named)
    comparison = make_comparison(Trials("many", found))
    assert len(comparison.summary) == 120
    pairs = comparison.parts[0].others.pairs
    assert {pair.other for pair in pairs} == {"EqCNN lr=0"}
    assert len(pairs) == 119
    assert {pair.level for pair in pairs} == {
        0.05 / math.comb(125, 2) / 2
    }  # the best was found by its result; two numbers


def test_errors_of_images_that_are_no_numbers_are_not_counted():
    from headtohead.records.per_image import of_inpainter  # only here
    from tests.records.examples import filled

    errors = np.random.default_rng(0).random((4, 30))
    kept = [of_inpainter("t", row) for row in errors]
    kept[3] = of_inpainter("t", [np.nan, *errors[3][1:]])
    other = {**other_config(model="ConvUNet"), "model": "ConvUNet"}
    found = [filled(0, 0.1), filled(1, 0.11), filled(0, 0.2, **other), filled(1, 0.21, **other)]
    given = {str(i): dataclasses.replace(r, per_image=k) for i, (r, k) in enumerate(zip(found, kept, strict=True))}
    pair = make_comparison(Trials("holes", given)).parts[0].others.pairs[0]
    assert pair.number == "test_l1_hole"
    assert not pair.difference.counted
    assert np.isfinite(pair.half)
