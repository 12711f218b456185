"""The site builds as `make docs` builds it: without a warning, and without anything from the network."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from pages import ROOT

sphinx = pytest.importorskip("sphinx", reason="the extra 'docs' is not installed")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site; a dead link, a missing page or an unknown name fails the build."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-b", "html", "-q", "-W", "--keep-going", "-E"]
    done = subprocess.run(
        [*command, "-d", str(folder / "trees"), str(ROOT / "docs"), str(folder / "html")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return folder / "html"


def test_it_has_all_kinds_of_pages(site: Path) -> None:
    """Tutorial, guides, explanations, reference and notebooks are there, with what is made from code."""
    for page in ("tutorial", "how-to/signal", "privacy", "glossary", "examples/first_run"):
        assert (site / f"{page}.html").is_file(), page
    commands = (site / "reference" / "commands.html").read_text("utf-8")
    assert "--over-selection" in commands
    assert "fedbert profiles check" in commands
    assert "energy_mj_per_round" in (site / "reference" / "data.html").read_text("utf-8")
    assert "EiBert.classify" in (site / "reference" / "python.html").read_text("utf-8")


def test_it_loads_nothing_from_elsewhere(site: Path) -> None:
    """No page has a script, a style, a font or a picture of another host."""
    loading = re.compile(r"<(?:script|img|iframe|link)\b[^>]*\b(?:src|href)=\"(?:https?:)?//[^\"]*\"")
    styles = re.compile(r"(?:@import|url\()\s*[\"']?(?:https?:)?//")
    for page in site.rglob("*.html"):
        assert loading.findall(page.read_text("utf-8")) == [], page.name
    for page in site.rglob("*.css"):
        assert styles.findall(page.read_text("utf-8")) == [], page.name
