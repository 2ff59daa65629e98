"""What can be chosen in the report, in a headless Chromium: rows, two to compare, the axis; and links to a choice."""

import pytest

from headtohead.report.collect import collect
from headtohead.report.comparison import make_comparison
from tests.conftest import ROOT
from tests.report.test_browser import PHONE

REPORT = ROOT / "results" / "plain_vs_equivariant" / "report.html"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def comparison():
    return make_comparison(collect(REPORT.parent))


def reopened(page, open_page):
    """Open the address that a page now has."""
    hash_ = page.evaluate("location.hash")
    fresh = open_page(REPORT)
    fresh.evaluate("(hash) => { location.hash = hash; }", hash_)
    fresh.reload()
    return fresh


def test_two_chosen_rows_have_the_verdicts_that_python_found(open_page, comparison):
    page = open_page(REPORT)
    part = comparison.parts[0]
    pairs = [
        (pair, line)
        for asked in (*part.questions, part.others)
        for pair, line in zip(asked.pairs, asked.sentences, strict=True)
    ]
    for one, other in (("Z2CNN", "EqCNN"), ("SimpleCNN", "EqCNN ×11")):
        page.get_by_label("MNIST: choose two rows, row").select_option(one)
        page.get_by_label("MNIST: choose two rows, against").select_option(other)
        expected = [line for pair, line in pairs if {pair.model, pair.other} == {one, other}]
        assert len(expected) == 2  # upright and at 90 degrees
        assert page.locator(".choose > ul li").all_inner_texts() == expected
    again = reopened(page, open_page)
    assert again.locator(".choose > ul li").all_inner_texts() == expected
    page.get_by_label("MNIST: choose two rows, row").select_option("EqCNN ×11")
    assert page.locator(".choose > ul li").all_inner_texts() == ["These two are not compared."]


def test_rows_are_filtered_and_the_link_keeps_it(open_page):
    page = open_page(REPORT)
    names = page.locator("table[aria-labelledby=table-1-1] tbody tr:visible th")
    assert names.count() == 16
    page.get_by_label("Rows with").fill("eqcnn ×11")
    assert names.all_inner_texts() == ["EqCNN ×11"]
    again = reopened(page, open_page)
    assert again.locator("table[aria-labelledby=table-1-1] tbody tr:visible th").all_inner_texts() == ["EqCNN ×11"]
    page.get_by_label("Rows with").fill("")
    assert names.count() == 16
    assert page.evaluate("location.hash") == ""


def test_the_order_of_rows_is_in_the_link(open_page):
    page = open_page(REPORT)
    page.locator("table[aria-labelledby=table-1-2] thead th").nth(1).get_by_role("button").click()
    order = page.locator("table[aria-labelledby=table-1-2] tbody th").all_inner_texts()
    assert order[0] == "EqCNN"  # the smallest
    again = reopened(page, open_page)
    assert again.locator("table[aria-labelledby=table-1-2] tbody th").all_inner_texts() == order


def test_the_axis_is_switched_by_keyboard(open_page):
    page = open_page(REPORT)
    shown = page.locator("figure[id^=figure-pareto_]:visible")
    assert shown.evaluate_all("(all) => all.map((one) => one.id)") == ["figure-pareto_params"]
    page.get_by_role("radio", name="parameters").focus()
    page.keyboard.press("ArrowDown")
    assert shown.evaluate_all("(all) => all.map((one) => one.id)") == ["figure-pareto_macs"]
    again = reopened(page, open_page)
    assert again.get_by_role("radio", name="MACs").is_checked()


def test_the_pointer_shows_the_numbers_of_a_point(open_page):
    for page in (open_page(REPORT), open_page(REPORT, viewport=PHONE, has_touch=True)):
        picture = page.locator("#figure-pareto_params img")
        picture.scroll_into_view_if_needed()
        spots = page.evaluate("JSON.parse(document.querySelector('#spots').textContent)")
        x, y, said = next(spot for spot in spots["pareto_params"] if spot[2].startswith("EqCNN: "))
        box = picture.bounding_box()
        page.mouse.move(box["x"] + x * box["width"] / 1000 + 2, box["y"] + y * box["height"] / 1000)
        assert page.locator("#near").inner_text() == said
        assert said.startswith("EqCNN: 96.")
        assert " % at 7,834 parameters" in said
        page.mouse.move(box["x"] + 1, box["y"] + 1)
        assert not page.locator("#near").is_visible()


def test_what_is_asked_comes_first_and_is_unfolded(open_page):
    page = open_page(REPORT)
    ids = page.evaluate(
        "[...document.querySelectorAll('table, figure')].map((one) => one.id || one.getAttribute('aria-labelledby'))"
    )
    questions = [f"verdict-{number}" for number in range(1, 5)]
    first = [*questions, "figure-verdicts", "claimed", "table-1-1", "table-1-2"]
    assert ids[: len(first)] == first
    assert all(page.locator(f"[aria-labelledby={name}].sortable").is_visible() for name in questions)
    assert not page.locator("table[aria-labelledby=runs]").is_visible()


def test_print_has_no_controls(open_page):
    page = open_page(REPORT)
    page.emulate_media(media="print")
    assert not page.get_by_label("Rows with").is_visible()
    assert page.locator("table[aria-labelledby=verdict-1]").is_visible()
