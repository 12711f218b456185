"""No link of a page is dead: files and headings are there, and every page leads on."""

from pathlib import Path

import pytest
from pages import ROOT, anchors, links, notebooks, pages, text_of

OUTSIDE = ("https://", "http://", "mailto:")
MADE = {"reference/commands.md", "reference/data.md"}
"""Pages whose headings are made from code; building the site checks links to these."""


def dead_links(page: Path) -> list[str]:
    """Return the targets in `page` that are neither a file nor a heading of one."""
    found = []
    for target in links(text_of(page)):
        if target.startswith(OUTSIDE):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        if not file.exists():
            found.append(target)
        elif anchor and not any(str(file).endswith(made) for made in MADE):
            found += [] if anchor in anchors(text_of(file)) else [target]
    return found


@pytest.mark.parametrize("page", [*pages(), *notebooks()], ids=lambda page: str(page.relative_to(ROOT)))
def test_no_link_is_dead(page: Path) -> None:
    """Each link within the repository leads to a file and, after a #, to a heading in it."""
    assert dead_links(page) == []


@pytest.mark.parametrize("page", [*pages(), *notebooks()], ids=lambda page: str(page.relative_to(ROOT)))
def test_every_page_leads_on(page: Path) -> None:
    """Each page links to at least one other."""
    targets = {target.partition("#")[0] for target in links(text_of(page))}
    assert {target for target in targets if target.endswith((".md", ".ipynb"))}


def test_a_dead_link_is_seen(tmp_path: Path) -> None:
    """A file that is missing and a heading that is missing are told; what is there is not."""
    page = tmp_path / "page.md"
    page.write_text(
        "# A b, `c`\n\n[1](#a-b-c) [2](page.md#none) [3](none.md) [4](page.md) [5](https://x.org)\n"
    )
    assert dead_links(page) == ["page.md#none", "none.md"]
