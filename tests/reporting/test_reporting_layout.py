"""Rules of what stands where in the four reports, and in which colours."""

import json
import re
from collections import Counter
from typing import Any

import pytest
from example_pages import PAGES
from example_run import DEVICE_ERRORS, example_run

from fedbert.reporting.parts import text, theme
from fedbert.reporting.parts.device_errors import device_errors_reference
from fedbert.reporting.run.latency_and_memory import memory_figure, memory_sentence
from fedbert.results import RunResult

TITLE = "How far off the device model is"


def _colours(value: Any, key: str = "") -> set[str]:
    if isinstance(value, dict):
        return {colour for name, each in value.items() for colour in _colours(each, name)}
    if isinstance(value, list):
        return {colour for each in value for colour in _colours(each, key)}
    return {value} if isinstance(value, str) and re.search("color(way)?$", key) else set()


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    """The four reports, by kind."""
    return {kind: make() for kind, make in PAGES.items()}


@pytest.mark.parametrize("kind", PAGES)
def test_every_colour_of_a_figure_has_one_for_dark_mode(pages: dict[str, str], kind: str) -> None:
    """A colour that the table of dark mode lacks would stay as it is, on a ground it was not chosen for."""
    figures = re.findall(r'<script type="application/json">(.*?)</script>', pages[kind], re.S)
    found = {colour for figure in figures for colour in _colours(json.loads(figure))}
    assert theme.ACCENT in found
    assert found - theme.DARK_MODE.keys() == set()


@pytest.mark.parametrize("kind", PAGES)
def test_no_table_has_two_columns_of_one_name(pages: dict[str, str], kind: str) -> None:
    """Each heading of a table stands once in it, and none is empty."""
    heads = re.findall(r"<thead>(.*?)</thead>", pages[kind], re.S)
    names = [re.findall(r"<th[^>]*>(.*?)</th>", head) for head in heads]
    assert len(names) > 2
    assert [head for head in names if max(Counter(head).values()) > 1 or "" in head] == []


@pytest.mark.parametrize(
    ("kind", "charts"), {"run": 7, "tradeoff": 2, "capacity": 0, "compression": 2}.items()
)
def test_a_table_of_a_charts_rows_is_folded_under_it(pages: dict[str, str], kind: str, charts: int) -> None:
    """A panel with a chart has its table in a fold that opens: no row is said twice at once."""
    panels = re.findall(r"<figure.*?</figure>", pages[kind], re.S)
    both = [panel for panel in panels if "data-figure" in panel and "<table" in panel]
    assert len(both) == charts
    assert [panel for panel in both if not re.search(r"<details.*?<table.*?</details>", panel, re.S)] == []


def test_the_table_of_device_errors_stands_whole_in_one_report(pages: dict[str, str]) -> None:
    """A run's report has every row; a trade-off and a forecast have the median and where the rest is."""
    whole = DEVICE_ERRORS["rows"][0]["note"]
    chapters = {
        kind: page.partition(f"<h2>{TITLE}")[2].partition("</section>")[0] for kind, page in pages.items()
    }
    assert {kind: ("<table" in chapter, whole in chapter) for kind, chapter in chapters.items()} == {
        "run": (True, True),
        "tradeoff": (False, False),
        "capacity": (False, False),
        "compression": (False, False),
        "backtest": (False, False),
        "budget": (False, False),
        "compare": (False, False),
    }
    assert "fedbert report FOLDER, with a folder of cells/" in chapters["tradeoff"]
    assert "fedbert report FOLDER, with run/ beside this page" in chapters["capacity"]
    assert chapters["compression"] == ""
    assert device_errors_reference(None, "a report") is None


@pytest.mark.parametrize(
    ("millijoules", "shown"),
    [
        ([3.64, 9_999.0, None], ["3.64 mJ", "9,999 mJ", "–"]),
        ([18_206.0, 234.0, 13.0], ["18.2 J", "0.234 J", "0.013 J"]),
        ([9_999.6], ["10 J"]),
        ([], []),
    ],
)
def test_energies_are_joules_where_millijoules_have_five_digits(
    millijoules: list[float | None], shown: list[str]
) -> None:
    """What stands together has one unit, J as soon as one of them would have five digits in mJ."""
    assert text.energies(millijoules) == shown


def _tight(budget: int) -> RunResult:
    result = example_run()
    result["scenario"]["memory_budget_bytes"] = budget
    result["memory_histogram"] = {
        "upper_bytes": [3_820_000.0, 3_900_000.0, 3_980_000.0, 4_060_000.0],
        "entry": [0, 0, 5, 0],
        "mid": [0, 0, 7, 0],
        "flagship": [0, 2, 1, 0],
    }
    return result


def test_the_axis_of_memory_is_around_the_budget() -> None:
    """3.98 of 4 MB: both stand well inside an axis that shows no more than a fifth of the value."""
    low, high = memory_figure(_tight(4_000_000)).layout.xaxis.range
    assert low < 3.9 < 3.98 < 4.0 < high
    assert high - low < 0.2 * 4.0


def test_memory_left_and_memory_too_much_are_said_by_tier() -> None:
    """Peaks count to the upper edge of their bin; tiers that are alike are said together."""
    assert memory_sentence(_tight(4_000_000)) == (
        "Largest peak (upper edge of its bin) against the budget of 4 MB: "
        "entry, mid, flagship 3.98 MB, 20 kB (0.5%) left."
    )
    assert "entry, mid, flagship 3.98 MB, 80 kB (2.1%) too much" in memory_sentence(_tight(3_900_000))
    assert memory_sentence(_tight(0)) == ""


@pytest.mark.parametrize(
    ("bar", "words"),
    [(theme.ACCENT, theme.ON_DARK), (theme.AMBER, theme.ON_LIGHT), (theme.GREY, theme.ON_LIGHT)],
)
def test_text_inside_a_bar_is_readable(bar: str, words: str) -> None:
    """White on the dark colours, ink on the light ones."""
    assert theme.text_on(bar) == words
