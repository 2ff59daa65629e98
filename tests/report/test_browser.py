"""The report in a headless Chromium: it opens from disk, sorts, shows every figure, and can be read by everyone.

With ``SUITE_SCREENSHOTS=1`` the screenshots that are committed are made anew. Each holds the hash of the page that
it shows; tests/report/test_report.py compares that with the committed page.
"""

import dataclasses
import hashlib
import io
import os

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from headtohead.report.collect import collect
from headtohead.report.comparison import make_comparison
from headtohead.report.figures import Drawing
from headtohead.report.html import html
from headtohead.report.index import write_index
from tests.conftest import ROOT
from tests.records.examples import filled, make, other_config, save, with_accuracy

COMMITTED = ROOT / "results" / "plain_vs_equivariant"
DESKTOP, PHONE, NARROW = ({"width": width, "height": height} for width, height in ((1280, 900), (390, 844), (320, 640)))
REPORT, INDEX = COMMITTED / "report.html", ROOT / "results" / "index.html"
LOOKS = {
    "desktop": {"viewport": DESKTOP},
    "phone": {"viewport": PHONE},
    "dark": {"viewport": DESKTOP, "color_scheme": "dark"},
}
SCREENSHOTS = {page.with_name(f"{page.stem}-{look}.png"): (page, look) for page in (REPORT, INDEX) for look in LOOKS}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    """The report of a sweep with three models on one data set, an inpainter, odd names and something left out."""
    folder = tmp_path_factory.mktemp("several")
    names = ("B", "<script>document.title = 'owned'</script>", "A")
    found = [filled(0), filled(1)]
    for index, name in enumerate(names):
        config = {**other_config(model=name), "model": name}
        found += [with_accuracy(0.9 + 0.01 * (index * index) - 0.001 * seed, seed, **config) for seed in range(7)]
    shared = {**make().hardware, "trials_at_once": 2}
    found = [dataclasses.replace(record, hardware=shared) if record.model == "A" else record for record in found]
    trials = collect(save(folder / "several", *found))
    trials.problems.append("trial99/record.json: not valid JSON")
    path = folder / "report.html"
    path.write_text(html(make_comparison(trials), Drawing(folder).finish(make_comparison(trials))))
    return path


def texts(page, table, column):
    return page.locator(f"table[aria-labelledby={table}] tbody tr > :nth-child({column})").all_inner_texts()


def hash_of(page):
    return hashlib.sha256(page.read_bytes()).hexdigest()


@pytest.mark.parametrize("path", SCREENSHOTS, ids=lambda path: path.stem)
def test_it_opens_and_looks_as_on_the_screenshots(open_page, tmp_path, path):
    shown, look = SCREENSHOTS[path]
    page = open_page(shown, **LOOKS[look])
    path = path if os.environ.get("SUITE_SCREENSHOTS") else tmp_path / path.name
    of = PngInfo()
    of.add_text("page", hash_of(shown))
    Image.open(io.BytesIO(page.screenshot())).save(path, pnginfo=of, optimize=True)
    with Image.open(path) as taken:
        assert taken.size == tuple(LOOKS[look]["viewport"].values())
        assert taken.text == {"page": hash_of(shown)}
    assert page.complaints == []


def test_it_loads_nothing_and_shows_every_figure(open_page, several):
    for path in (REPORT, several):
        page = open_page(path)
        assert [url for url in page.asked if not url.startswith("data:")] == [path.resolve().as_uri()]
        assert page.complaints == []
        widths = page.evaluate("[...document.images].map((image) => image.complete ? image.naturalWidth : 0)")
        assert widths
        assert min(widths) > 100
        assert page.evaluate("[...document.images].every((image) => image.alt.length > 0)")
    shown = len([path for path in COMMITTED.glob("*.png") if not path.name.startswith("report-")])
    assert open_page(REPORT).locator("figure img").count() == shown
    page = open_page(INDEX)
    assert page.asked == [INDEX.resolve().as_uri()]
    assert page.complaints == []


def test_a_click_sorts_and_another_turns_the_order(open_page, several):
    page = open_page(several)
    table, costs = "table-1-1", "table-1-2"  # the classifiers
    assert len(texts(page, table, 3)) == 3
    head = page.locator(f"table[aria-labelledby={table}] thead th").nth(2)
    assert head.get_attribute("aria-sort") is None
    head.get_by_role("button").click()
    rising = [float(text.split()[0]) for text in texts(page, table, 3)]
    assert rising == sorted(rising)
    assert head.get_attribute("aria-sort") == "ascending"
    head.get_by_role("button").press("Enter")
    assert [float(text.split()[0]) for text in texts(page, table, 3)] == rising[::-1]
    assert head.get_attribute("aria-sort") == "descending"
    name = page.locator(f"table[aria-labelledby={table}] thead th").nth(0)
    name.get_by_role("button").click()
    assert texts(page, table, 1) == ["<script>document.title = 'owned'</script>", "A", "B"]
    assert head.get_attribute("aria-sort") is None
    # numbers are sorted as numbers, and what is missing stays last either way
    seconds = page.locator(f"table[aria-labelledby={costs}] thead th").nth(4)
    for _ in range(2):
        seconds.get_by_role("button").click()
        assert texts(page, costs, 5)[-1] == "–"
    assert page.title() == "several: comparison"


def test_without_javascript_everything_but_sorting_is_there(open_page):
    page = open_page(REPORT, java_script_enabled=False)
    assert page.locator("th button").count() == 0
    best = make_comparison(collect(COMMITTED)).headline[0].sentences[0]
    assert page.locator("table[aria-labelledby=verdict-1]").is_visible()
    page.get_by_text("MNIST: all pairs in words").click()
    assert page.get_by_text(best).first.is_visible()
    page.get_by_text("trials, as in runs.csv").click()
    assert page.locator("table[aria-labelledby=runs]").is_visible()


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE, NARROW], ids=["desktop", "phone", "narrow"])
def test_nothing_sticks_out_of_the_page(open_page, several, viewport):
    for path in (REPORT, INDEX, several):
        page = open_page(path, viewport=viewport)
        page.evaluate("document.querySelectorAll('details').forEach((item) => { item.open = true; })")
        assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]


def test_on_a_desktop_no_table_of_verdicts_is_cut_off(open_page, tmp_path):
    """Of the page as it is made now, of the committed sweeps with the longest names."""
    sweeps = [make_comparison(collect(ROOT / "results" / name)) for name in (COMMITTED.name, "conv_vs_involution")]
    pages = [write_index(sweeps, tmp_path)[0]]
    for sweep in sweeps:
        pages.append(tmp_path / f"{sweep.trials.name}.html")
        pages[-1].write_text(html(sweep))
    for path in pages:
        page = open_page(path, viewport=DESKTOP)
        tables = page.locator("h3[id^=verdict] + .scroll")
        assert tables.count() >= 2
        assert tables.evaluate_all("(all) => all.filter((one) => one.scrollWidth > one.clientWidth).length") == 0


@pytest.mark.parametrize("path", [REPORT, INDEX], ids=lambda path: path.stem)
def test_dark_is_dark(open_page, path):
    def light(page):
        return page.evaluate("getComputedStyle(document.body).backgroundColor")

    assert light(open_page(path, color_scheme="light")) == "rgb(255, 255, 255)"
    assert light(open_page(path, color_scheme="dark")) == "rgb(20, 23, 27)"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_axe_finds_nothing(open_page, several, scheme, viewport):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    for path in (REPORT, INDEX, several):
        page = open_page(path, color_scheme=scheme, viewport=viewport)
        page.evaluate("document.querySelectorAll('details').forEach((item) => { item.open = true; })")
        found = axe.run(page)
        assert found.violations_count == 0, found.generate_report()
        assert len(found.response["passes"]) > 20


def test_the_table_of_verdicts_can_be_read_by_everyone(open_page, tmp_path):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    found = [with_accuracy(0.9, seed) for seed in range(3)]
    found += [with_accuracy(0.8 + seed / 100, seed, **other_config(model="B"), model="B") for seed in range(3)]
    trials = collect(save(tmp_path / "two", *found))
    (tmp_path / "report.html").write_text(html(make_comparison(trials)))
    page = open_page(tmp_path / "report.html")
    verdicts = page.locator("table[aria-labelledby=verdict-1]")
    assert verdicts.locator("tbody tr").count() == 2
    assert verdicts.locator("thead button").all_inner_texts()[:3] == ["model", "verdict", "other"]
    report = axe.run(page)
    assert report.violations_count == 0, report.generate_report()
