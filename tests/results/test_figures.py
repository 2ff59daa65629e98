"""Figures of a sweep: their numbers by hand and against NumPy and SciPy, and what is drawn of them."""

import dataclasses
import itertools
import math
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from scipy import stats

from results import figures
from results import record as records
from results.collect import Trials
from results.figures import angle_curves, band, confusion, cost_points, draw_all, epoch_curves, groups, pareto_front
from results.kinds import CLASSIFICATION, INPAINTING
from tests.results.test_record import make
from tests.results.test_tables import filled

ANGLES = range(0, 360, 15)


def trial(model="EqCNN", data="MNIST", seed=0, acc=0.9, params=1_000, macs=50_000, seconds=2.0, **changes):
    config = {"model": model, "data": data}
    quality = {
        **make().quality,
        "test_acc": acc,
        "circle": {str(angle): acc * (1 - angle / 1_000) for angle in ANGLES},
        "confusion": [[9, 1], [3, 7]],
    }
    history = [{"epoch": e, "val_acc": acc - 0.1 / (e + 1), "train_loss": 1 / (e + 1)} for e in range(4)]
    record = make(model=model, data=data, seed=seed, quality=quality, history=history)
    size = {"params": params, "macs": macs, "bytes": 4 * params}
    cost = {"epoch_seconds": seconds}
    named = {"config": config, "config_hash": records.config_hash(config), "size": size, "cost": cost}
    rig = {**record.rig, "trials_at_once": 1}
    return dataclasses.replace(record, **{**named, "rig": rig, **changes})


def sweep(*found):
    return Trials("mine", {f"trial{index}": record for index, record in enumerate(found)})


def draw(monkeypatch, folder, *found):
    """Draw all and return the figures, and what was drawn by their names."""
    canvases = {}
    real = figures.save

    def save(canvas, folder, name, title, caption):
        canvases[name] = canvas
        return real(canvas, folder, name, title, caption)

    with monkeypatch.context() as patch:
        patch.setattr(figures, "save", save)
        return draw_all(sweep(*found), folder), canvases


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """The figures of two models, three seeds each, and what was drawn."""
    found = [trial("Slow", data="<&>", acc=0.9 + s / 100, seed=s, params=9_000) for s in range(3)]
    found += [trial("Fast", data="<&>", acc=0.7, seed=s, params=2_000) for s in range(2)]
    with pytest.MonkeyPatch.context() as monkeypatch:
        return draw(monkeypatch, tmp_path_factory.mktemp("pair"), *found)


def lines(axes):
    return {line.get_label(): line for line in axes.get_lines() if not line.get_label().startswith("_")}


def test_band_equals_numpy_and_scipy():
    values = np.random.RandomState(0).rand(7, 5)
    mean, low, high = band(values)
    assert mean == pytest.approx(values.mean(0))
    for i, column in enumerate(values.T):
        by_scipy = stats.t.interval(0.95, 6, loc=column.mean(), scale=stats.sem(column))
        assert (low[i], high[i]) == pytest.approx(by_scipy)


def test_band_by_hand_where_seeds_are_missing():
    nan = math.nan
    mean, low, high = band(np.array([[0.96, 1.0, nan], [0.97, nan, nan], [0.98, 3.0, 5.0]]))
    assert mean == pytest.approx([0.97, 2.0, 5.0])
    # t(0.975; 2) = 4.302653 and t(0.975; 1) = 12.7062 degrees of freedom
    assert high - mean == pytest.approx([4.302653 * 0.01 / 3**0.5, 12.7062047, nan], nan_ok=True)
    assert mean - low == pytest.approx(high - mean, nan_ok=True)


@pytest.mark.parametrize(
    ("costs", "scores", "goal", "front"),
    [
        ([1, 2, 3], [10, 20, 30], "max", [0, 1, 2]),  # each step costs more and gives more
        ([3, 2, 1], [10, 20, 30], "max", [2]),  # the cheapest is the best
        ([4, 1, 2, 3], [9, 5, 4, 7], "max", [1, 3, 0]),  # (2, 4) costs more than (1, 5) and is worse
        ([1, 1, 2], [5, 6, 6], "max", [1]),  # equal in one, worse in the other
        ([1, 1, 2], [5, 5, 4], "max", [0, 1]),  # equals stand together
        ([1, 2, 3], [10, 20, 5], "min", [0, 2]),
        ([7], [1], "min", [0]),
        ([], [], "max", []),
    ],
)
def test_pareto_front_by_hand(costs, scores, goal, front):
    assert pareto_front(costs, scores, goal) == front


def test_models_are_the_best_first_and_data_sets_apart():
    found = sweep(
        trial("A", acc=0.8),
        trial("B", acc=0.9),
        trial("B", acc=0.7, seed=1),
        trial("C", "CIFAR10"),
        filled(0),
        filled(1),
    )
    named = {(group.data, group.kind.main): group for group in groups(found)}
    assert {key: list(group.models) for key, group in named.items()} == {
        ("MNIST", "test_acc"): ["A", "B"],  # B: mean 0.8 too, then by name
        ("CIFAR10", "test_acc"): ["C"],
        ("CIFAR10", "test_l1_hole"): ["PConvUNet"],
    }
    assert [group.suffix for group in named.values()] == ["-CIFAR10-test_acc", "-CIFAR10-test_l1_hole", "-MNIST"]
    assert named["CIFAR10", "test_l1_hole"].kind is INPAINTING
    (alone,) = groups(sweep(trial()))
    assert (alone.suffix, alone.kind) == ("", CLASSIFICATION)


def test_learning_curves_have_the_mean_of_each_epoch():
    short = trial(seed=1, acc=0.8)
    short = dataclasses.replace(short, history=[*short.history[:2], {"epoch": 2, "val_acc": None}, "broken"])
    (group,) = groups(sweep(trial(acc=0.9), short))
    (curve,) = epoch_curves(group, "val_acc")
    assert curve.x.tolist() == [1, 2, 3, 4]
    assert curve.mean == pytest.approx([75, 80, 100 * (0.9 - 0.1 / 3), 87.5])
    assert np.isnan(curve.low).tolist() == [False, False, True, True]
    (loss,) = epoch_curves(group, "train_loss")
    assert loss.mean == pytest.approx([1, 1 / 2, 1 / 3, 1 / 4])  # no share: not in per cent
    assert epoch_curves(group, "val_l1") == []


def test_angle_curves_close_the_circle():
    (group,) = groups(sweep(trial(acc=0.8), trial(acc=1.0, seed=1)))
    (curve,) = angle_curves(group)
    assert curve.x.tolist() == [*ANGLES, 360]
    assert curve.mean[:-1] == pytest.approx([90 * (1 - angle / 1_000) for angle in ANGLES])
    assert (curve.mean[-1], curve.low[-1]) == (curve.mean[0], curve.low[0])
    half = stats.t.ppf(0.975, 1) * np.std([80, 100], ddof=1) / 2**0.5
    assert curve.high[0] == pytest.approx(90 + half)


def test_points_have_costs_and_intervals():
    (group,) = groups(
        sweep(trial(acc=0.8, seconds=2.0), trial(acc=0.9, seconds=4.0, seed=1), trial("B", acc=0.95, macs=0))
    )
    points = cost_points(group, "params")
    assert points.label == ["B", "EqCNN"]
    assert points.mean == pytest.approx([95, 85])
    assert np.isnan(points.low).tolist() == [True, False]
    assert cost_points(group, "macs").label == ["EqCNN"]  # no MACs have no place on a logarithmic axis
    assert cost_points(group, "time").x == pytest.approx([2, 3])


@pytest.mark.parametrize("change", [{"device": "another"}, {"trials_at_once": 2}])
def test_times_of_different_or_shared_rigs_are_not_drawn(change):
    (group,) = groups(sweep(trial(), trial("B", rig={**trial().rig, **change})))
    assert cost_points(group, "time").label == []
    assert len(cost_points(group, "params").label) == 2


@pytest.mark.parametrize("count", [1, 4, 5])
def test_confusion_matrices_of_any_number_of_models_share_one_bar(monkeypatch, tmp_path, count):
    _, canvases = draw(monkeypatch, tmp_path, *(trial(f"Model{index}") for index in range(count)))
    assert len(canvases["confusion"].axes) == count + 1


def test_confusion_matrices_are_summed():
    matrix = [[5, 1], [2, 8]]
    broken = [{"confusion": value} for value in (None, "x", [[1, 2]], [[1, "a"], [2, 3]], [[1, None], [0, 1]])]
    found = [trial(quality={**make().quality, **quality}) for quality in ({"confusion": matrix}, *broken)]
    assert confusion([*found, trial()]).tolist() == [[14, 2], [5, 15]]
    assert confusion(found[1:]) is None


def test_what_is_drawn(pair):
    made, drawn = pair
    assert [figure.name for figure in made] == list(drawn) == list(figures.NAMES)
    (axes,) = drawn["validation"].axes
    assert axes.get_ylabel() == "validation accuracy, %"
    assert list(lines(axes)) == ["Slow", "Fast"]
    assert lines(axes)["Slow"].get_ydata() == pytest.approx([81, 86, 91 - 10 / 3, 88.5])
    assert len(axes.collections) == 2  # the bands
    assert [text.get_text() for text in drawn["validation"].legends[0].get_texts()] == ["Slow", "Fast"]
    (axes,) = drawn["training_loss"].axes
    assert axes.get_yscale() == "log"
    (axes,) = drawn["rotation_polar"].axes
    assert axes.name == "polar"
    assert lines(axes)["Fast"].get_xdata()[6] == pytest.approx(math.pi / 2)
    assert lines(axes)["Fast"].get_ydata()[6] == pytest.approx(70 * 0.91)
    (axes,) = drawn["pareto_params"].axes
    assert axes.get_xscale() == "log"
    assert {text.get_text(): text.xy for text in axes.texts} == {
        "Slow": (9_000, pytest.approx(91)),
        "Fast": (2_000, pytest.approx(70)),
    }
    front = axes.get_lines()[-1]
    assert front.get_xdata()[1:3].tolist() == [2_000, 9_000]
    assert front.get_ydata()[1:3] == pytest.approx([70, 91])
    slow, fast, _bar = drawn["confusion"].axes
    assert (slow.get_title(), fast.get_title()) == ("Slow, 3 seeds", "Fast, 2 seeds")
    assert [text.get_text() for text in slow.texts] == ["90", "10", "30", "70"]
    assert slow.images[0].get_array().filled(0).tolist() == [[0, 10], [30, 0]]


def test_captions_say_what_is_to_be_seen(pair):
    captions = {figure.name: figure.caption for figure in pair[0]}
    assert "After the last epoch: Slow 88.5 %, Fast 67.5 %." in captions["validation"]
    assert "Mean of 2 to 3 seeds; band: 95 % interval of the mean (Student's t)." in captions["validation"]
    assert "After the last epoch: Slow 0.25, Fast 0.25." in captions["training_loss"]
    assert "Upright: Slow 91.0 %, Fast 70.0 %. At the worst angle: Slow 59.6 %, Fast 45.8 %." in captions["rotation"]
    assert "from the cheapest to the best: Fast, Slow." in captions["pareto_params"]
    assert "from the cheapest to the best: Slow; 1 model is beaten" in captions["pareto_macs"]
    assert "Slow takes 1 for 0 in 30.0 %" in captions["confusion"]


def test_svg_keeps_text_and_says_what_it_is(pair):
    figure = pair[0][0]
    text = figure.svg.read_text()
    root = ElementTree.fromstring(text)
    shown = ["".join(element.itertext()).strip() for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"epoch", "validation accuracy, %", "Slow"} <= set(shown)
    assert root.findtext("{http://www.w3.org/2000/svg}title") == figure.title == "Validation accuracy per epoch on <&>"
    assert figure.caption in "".join(root.itertext())
    assert not re.search(r"20\d\d-\d\d-\d\d", text)  # no date
    assert figure.png.read_bytes().startswith(b"\x89PNG")


def test_fifteen_models_with_long_names_each_have_a_panel_and_no_name_covers_another(tmp_path, monkeypatch):
    random = np.random.RandomState(1)
    options = {"model.operator": "involution", "model.a_long_argument": "a_long_value"}
    found = []
    for index in range(15):
        config = {"model": f"Architecture{index // 2}", "data": "MNIST", **(options if index % 2 else {})}
        named = {"config": config, "config_hash": records.config_hash(config)}
        size = int(10 ** random.uniform(4, 7))
        quality = {"test_acc": 0.9 + 0.09 * random.rand()}
        found.append(trial(config["model"], params=size, macs=0, seconds=0, quality=quality, **named))
    _, drawn = draw(monkeypatch, tmp_path, *found)
    panels = drawn["validation"].axes
    titles = [axes.get_title().replace("\n", " ") for axes in panels]
    assert sum(t.endswith("(a_long_argument=a_long_value, operator=involution)") for t in titles) == 7
    assert len(set(titles)) == 15
    for axes in panels:
        assert len(axes.collections[0].get_segments()) == 15  # all in grey
        assert len(axes.get_lines()) == 1  # and its own
    canvas = drawn["pareto_params"]
    canvas.draw_without_rendering()
    (axes,) = canvas.axes
    boxes = [figures.Text.get_window_extent(text) for text in axes.texts]
    assert len(boxes) == 15
    for one, other in itertools.combinations(boxes, 2):
        assert not one.overlaps(other)
    frame = axes.get_window_extent()
    assert all(frame.x0 <= box.x0 and box.x1 <= frame.x1 + 1 for box in boxes)


def test_the_same_records_give_the_same_bytes_whatever_the_settings(tmp_path):
    found = sweep(trial("A"), trial("B", acc=0.8), trial("B", acc=0.7, seed=1))
    draw_all(found, tmp_path / "a")
    with figures.matplotlib.rc_context({"font.size": 20, "axes.grid": False, "svg.fonttype": "path"}):
        draw_all(found, tmp_path / "b")
        assert figures.matplotlib.rcParams["font.size"] == 20  # and the settings are left alone
    first = {path.name: path.read_bytes() for path in (tmp_path / "a").iterdir()}
    assert len(first) == 2 * len(figures.NAMES)
    assert first == {path.name: path.read_bytes() for path in (tmp_path / "b").iterdir()}


def test_other_kinds_draw_what_they_have(tmp_path, monkeypatch):
    history = [{"epoch": epoch, "val_l1": 0.2 / (epoch + 1)} for epoch in range(3)]
    config = {"model": "ConvUNet"}
    other = {"model": "ConvUNet", "config": config, "config_hash": records.config_hash(config)}
    worse = filled(0, 0.2, history=history, size={"params": 5, "macs": 9, "bytes": 20}, **other)
    made, drawn = draw(monkeypatch, tmp_path, filled(0, 0.1, history=history), worse)
    assert [f.name for f in made] == ["validation", "pareto_params", "pareto_macs", "pareto_time"]
    (axes,) = drawn["validation"].axes
    assert axes.get_ylabel() == "validation L1 error in holes, %"
    assert lines(axes)["PConvUNet"].get_ydata() == pytest.approx([20, 10, 20 / 3])
    assert drawn["pareto_params"].axes[0].get_lines()[-1].get_ydata()[1:3] == pytest.approx([20, 10])


def test_figures_of_an_earlier_call_do_not_stay(tmp_path):
    bare = {"quality": {"test_acc": 0.9}}
    draw_all(sweep(trial(**bare), trial(data="CIFAR10", **bare)), tmp_path)
    assert (tmp_path / "validation-CIFAR10.svg").is_file()
    (tmp_path / "notes.png").write_bytes(b"mine")
    draw_all(sweep(trial(**bare)), tmp_path)
    names = {"validation", "training_loss"}
    assert {path.name for path in tmp_path.iterdir()} == {f"{n}.{x}" for n in names for x in ("svg", "png")} | {
        "notes.png"
    }


def test_nothing_to_draw_draws_nothing(tmp_path):
    bare = trial(quality={"test_acc": 0.9}, history=[])
    assert draw_all(sweep(bare), tmp_path) == []
    assert draw_all(sweep(), tmp_path) == []
    assert list(tmp_path.iterdir()) == []
