"""Rules of the page that every report is made of."""

import hashlib
import json
import re

import plotly.graph_objects as go
import pytest
from plotly.offline import get_plotlyjs_version

from fedbert.paths import assets_folder
from fedbert.reporting.parts.page import (
    Card,
    Panel,
    Section,
    alert_html,
    facts_html,
    figure_html,
    panels_html,
    render_page,
    table_html,
)
from fedbert.reporting.parts.plotly_js import SHA_256, VERSION


def test_text_is_escaped_everywhere() -> None:
    """Names from a user's file cannot become markup."""
    evil = "<img src=x>"
    page = render_page(
        evil,
        evil,
        [Card(evil, evil, evil, "measured")],
        [Section(evil, "proved", table_html([[evil]], [evil], evil) + facts_html({evil: evil}), evil, evil)],
        evil,
        [alert_html(evil, evil)],
        evil,
        {evil: evil},
    )
    assert evil not in page
    assert "&lt;img src=x&gt;" in page


def test_a_figure_cannot_end_its_script_and_is_read_back() -> None:
    """The figure's JSON holds no "<", and is the figure."""
    figure = go.Figure(go.Bar(x=["a</script>"], y=[2]))
    html = figure_html(figure, "bars")
    (inside,) = re.findall(r'<script type="application/json">(.*?)</script>', html, re.S)
    assert "<" not in inside
    assert json.loads(inside)["data"][0]["x"] == ["a</script>"]


def test_plotly_is_inside_once_and_only_with_a_figure() -> None:
    """A page of tables stays small; a page of two figures carries the library once."""
    figures = figure_html(go.Figure(), "one") + figure_html(go.Figure(), "two")
    with_figures = render_page("t", "l", [], [Section("s", None, figures)])
    without = render_page("t", "l", [], [Section("s", None, table_html([["a", 1]], ["x", "y"]))])
    assert with_figures.count(f"plotly.js (basic - minified) v{VERSION}") == 1
    assert len(with_figures) < 1_300_000
    assert len(without) < 30_000


def test_the_bundle_is_the_published_one_for_the_installed_plotly() -> None:
    """Its bytes have the digest beside its version, and figures of the installed package are made for it."""
    content = (assets_folder() / f"plotly-basic-{VERSION}.min.js").read_bytes()
    assert hashlib.sha256(content).hexdigest() == SHA_256
    assert VERSION.split(".")[:2] == get_plotlyjs_version().split(".")[:2]
    assert b"</script" not in content
    assert (assets_folder() / "plotly-LICENSE.txt").read_text().startswith("MIT License")


def test_a_figure_that_the_bundle_cannot_draw_is_refused() -> None:
    """A heatmap would be an empty field in the page: the author of the figure is told."""
    with pytest.raises(ValueError, match="heatmap"):
        figure_html(go.Figure(go.Heatmap(z=[[1]])), "heat")


def test_the_page_names_nothing_outside() -> None:
    """No element of the page's own markup points to another file or host, and the policy forbids it."""
    page = render_page("t", "l", [Card("a", "b")], [Section("s", "modelled", table_html([[1]], ["x"]))])
    assert "default-src 'none'" in page
    assert not re.search(r'(src|href)="(?!#|data:)', page)


def test_table_formats_and_refuses_ragged_rows() -> None:
    """Whole numbers get separators, others three decimals, None a dash; row lengths must agree."""
    html = table_html([["a", 12345, 0.5, None]], ["name", "n", "share", "none"], emphasis=[0])
    assert [cell in html for cell in ("12,345", "0.500", "–", 'class="stressed"')] == [True] * 4
    with pytest.raises(ValueError, match="3 entries"):
        table_html([["a", 1]], ["x", "y", "z"])


def test_badges_say_what_they_mean() -> None:
    """Each badge carries its explanation; no badge, no label."""
    html = panels_html(Panel("p", "proved", "x"), None, Panel("q", None, "y", wide=True))
    assert html.count('class="badge proved"') == 1
    assert "mathematical bound" in html
    assert html.count("<figure") == 2
