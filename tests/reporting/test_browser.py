"""Rules of the layout of reports, asked of a real browser at both widths, in light and dark, and on paper."""

from pathlib import Path

import pytest
from browser import Page, Scheme, needs_browser
from example_pages import PAGES

AUDIT = (Path(__file__).parent / "audit.js").read_text(encoding="utf-8")

DRAWN = """new Promise((resolve) => {
  const scheme = () => matchMedia("(prefers-color-scheme: dark)").matches ? " dark" : " light";
  const drawn = (figure) => figure.dataset.drawn === figure.clientWidth + scheme();
  const scrolls = (table) => table.scrollWidth > table.clientWidth + 1;
  const cued = (table) => !table.checkVisibility() || table.classList.contains("scrolls") === scrolls(table);
  let frames = 0;
  const look = () => {
    const figures = [...document.querySelectorAll("[data-figure]")].every(drawn);
    const tables = [...document.querySelectorAll(".table")].every(cued);
    if (++frames > 3 && figures && tables || frames > 1000) resolve(figures);
    else requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
})"""
"""Waits until every figure is drawn for the width and scheme of the page, and tables are measured."""

PRINTED = """new Promise((resolve) => setTimeout(() => resolve({
  folded: document.querySelectorAll("details:not([open])").length,
  drawn: [...new Set([...document.querySelectorAll("[data-figure]")].map((figure) => figure.dataset.drawn))],
  width: document.documentElement.scrollWidth,
  ink: getComputedStyle(document.body).color,
}), 0))"""
"""What stands on paper right after the event, without another frame: a browser does not wait for one."""

pytestmark = needs_browser


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The four reports in files."""
    folder = tmp_path_factory.mktemp("pages")
    for kind, make in PAGES.items():
        (folder / f"{kind}.html").write_text(make(), encoding="utf-8")
    return {kind: folder / f"{kind}.html" for kind in PAGES}


@pytest.mark.parametrize("kind", PAGES)
def test_nothing_overflows_is_cut_or_cannot_be_read(page: Page, files: dict[str, Path], kind: str) -> None:
    """At 390 and 1,400 px, light and dark, tables unfolded, also when the width changes under an open page.

    Nothing is wider than the window; no text of a chart is cut, or lies on another; a card's figure stands on
    one line; text has the contrast of WCAG AA; a table that scrolls says so and keeps its first column.
    """
    faults: list[str] = []
    states: tuple[tuple[int, Scheme], ...] = ((390, "dark"), (390, "light"), (1400, "light"), (1400, "dark"))
    page.show(*states[0])
    page.open(files[kind])
    for width, scheme in states:
        page.show(width, scheme)
        page.run("document.querySelectorAll('details').forEach((fold) => fold.open = true)")
        assert page.run(DRAWN), f"figures were not drawn anew: {width} {scheme}"
        faults += [f"{width} {scheme}: {fault}" for fault in page.run(AUDIT)]
    assert faults == []


def test_on_paper_all_is_open_light_and_within_the_sheet(page: Page, files: dict[str, Path]) -> None:
    """Printed from a dark screen: tables unfolded, charts in light colours, no wider than A4; then folded."""
    page.show(1400, "dark")
    page.open(files["run"])
    assert page.run(DRAWN)
    page.show(688, "dark", "print")  # A4 within margins of 14 mm
    page.run("window.dispatchEvent(new Event('beforeprint'))")
    printed = page.run(PRINTED)
    assert printed == {"folded": 0, "drawn": ["640 light"], "width": 688, "ink": "rgb(23, 32, 46)"}
    page.run("window.dispatchEvent(new Event('afterprint'))")
    assert page.run("document.querySelectorAll('details[open]').length") == 0
