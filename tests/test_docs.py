"""The pages in docs/ say what was measured."""

from tests.conftest import ROOT


def test_the_tables_of_the_page_on_statistics_are_the_simulations_own():
    page = (ROOT / "docs" / "statistics.md").read_text()
    simulated = (ROOT / "results" / "benchmarks" / "verdicts.md").read_text().splitlines()
    shown = page.split("<!-- simulations -->")[1].split("<!-- /simulations -->")[0].strip().splitlines()
    rows = [line for line in shown if line.startswith("|")]
    assert len(rows) > 20
    assert [line for line in rows if line not in simulated] == []
    titles = [line.strip("*") for line in shown if line.startswith("**")]
    assert [title for title in titles if f"## {title}" not in simulated] == []
