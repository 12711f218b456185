"""One self-contained HTML page: lead, cards, sections with a badge each; plotly.js is inside, once.

Every report of fedbert is made of the same parts: `Card` for a key number, `Section` for a chapter,
`figure_html`, `table_html` and `panels_html` for what stands in it. The page loads nothing from anywhere.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from fedbert.paths import templates_folder
from fedbert.reporting.parts import theme
from fedbert.reporting.parts.plotly_js import TRACES, plotly_js

Badge = Literal["measured", "modelled", "proved"]

BADGES: dict[Badge, str] = {
    "measured": "really computed or timed in this run: rankings, bytes of real payloads, seconds",
    "modelled": "predicted from device profiles and assumptions: phone latency, memory, energy, availability",
    "proved": "a mathematical bound, true under the assumptions stated beside it",
}
"""The three kinds of number and what each word promises."""

Cell = str | int | float | None


@dataclass(frozen=True)
class Card:
    """A key number: what it is, its value as text, one line of context, and its kind."""

    label: str
    value: str
    note: str = ""
    badge: Badge | None = None
    alert: bool = False  # drawn as a warning, as in "not private"


@dataclass(frozen=True)
class Panel:
    """A figure or table with its own heading and badge inside a section; two stand side by side."""

    title: str
    badge: Badge | None
    html: str
    note: str = ""
    wide: bool = False  # takes the whole width


@dataclass(frozen=True)
class Section:
    """A chapter: `lead` (plain text) stands above its `html`, `note` (small print) below it."""

    title: str
    badge: Badge | None
    html: str
    note: str = ""
    lead: str = ""


@cache
def _environment() -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(templates_folder()),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render(template: str, **values: Any) -> str:
    """Return the template of this package filled with `values`; text is escaped, see `safe`."""
    return str(_environment().get_template(template).render(**values))


def safe(html: str) -> Any:
    """Mark `html` as ready, so that a template leaves it as it is."""
    from markupsafe import Markup

    return Markup(html)


def figure_html(figure: Any, label: str, height: int = 340) -> str:
    """Return the HTML of a plotly figure in the common theme.

    Args:
        figure: a `plotly.graph_objects.Figure`; the theme is set on it.
        label: one sentence that says what it shows, for those who cannot see it.
        height: in pixels; the width follows the page.

    Raises:
        ValueError: for a kind of trace that the page's bundle of plotly.js cannot draw.
    """
    strange = sorted({trace.type for trace in figure.data} - TRACES)
    if strange:
        raise ValueError(f"a report's figures are of {', '.join(sorted(TRACES))}, not {strange[0]}")
    figure.update_layout(template=theme.template(), height=height)
    return render(
        "figure.html.j2",
        label=label,
        height=height,
        # "<" would end the script element that holds the figure
        figure=safe(figure.to_json().replace("<", "\\u003c")),
    )


def _cell_text(cell: Cell) -> str:
    if cell is None:
        return "–"
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, int):
        return f"{cell:,}"
    if isinstance(cell, float):
        return f"{cell:,.3f}"
    return cell


def table_html(
    rows: Sequence[Sequence[Cell]],
    columns: Sequence[str],
    caption: str = "",
    align: str = "",
    emphasis: Sequence[int] = (),
) -> str:
    """Return an HTML table; text is escaped.

    Args:
        rows: cells by row and column; None reads "–", whole numbers get thousands separators, other numbers
            three decimals; give text for anything else.
        columns: one heading per column.
        caption: what the table shows, above it.
        align: one letter per column, "l" or "r"; by default the first column left, the others right.
        emphasis: indices of rows to stress.
    """
    align = align or "l" + "r" * (len(columns) - 1)
    if len(align) != len(columns) or any(len(row) != len(columns) for row in rows):
        raise ValueError(f"every row and align must have {len(columns)} entries, one per column")
    return render(
        "table.html.j2",
        caption=caption,
        head=list(zip(columns, align, strict=True)),
        body=[
            {
                "stressed": index in emphasis,
                "cells": [(_cell_text(cell), side) for cell, side in zip(row, align, strict=True)],
            }
            for index, row in enumerate(rows)
        ],
    )


def folded_html(summary: str, html: str) -> str:
    """Return `html` folded under a line that opens it, as the figures behind a chart; on paper it is open."""
    return render("fold.html.j2", summary=summary, html=safe(html))


def facts_html(facts: Mapping[str, Cell]) -> str:
    """Return names with their values as a two-column list."""
    return render("facts.html.j2", facts={name: _cell_text(value) for name, value in facts.items()})


def alert_html(title: str, text: str, warning: bool = True) -> str:
    """Return a notice that nobody overlooks, red if it is a `warning`."""
    return render("alert.html.j2", title=title, text=text, warning=warning)


def text_html(*paragraphs: str) -> str:
    """Return plain paragraphs; text is escaped."""
    return render("text.html.j2", paragraphs=paragraphs)


def badge_html(badge: Badge | None) -> str:
    """Return the small label of a kind of number, or nothing."""
    return render("badge.html.j2", badge=badge, meaning=BADGES[badge]) if badge else ""


def panels_html(*panels: Panel | None) -> str:
    """Return panels in a grid, two a row where there is room; None is left out."""
    shown = [panel for panel in panels if panel is not None]
    return render(
        "panels.html.j2",
        panels=[
            {
                "title": panel.title,
                "badge": safe(badge_html(panel.badge)),
                "html": safe(panel.html),
                "note": panel.note,
                "wide": panel.wide,
            }
            for panel in shown
        ],
    )


def _anchor(title: str) -> str:
    return "-".join("".join(c if c.isalnum() else " " for c in title.lower()).split())


def render_page(
    title: str,
    lead: str,
    cards: Sequence[Card],
    sections: Sequence[Section],
    subtitle: str = "",
    alerts: Sequence[str] = (),
    footer: str = "",
    answers: Mapping[str, str] | None = None,
) -> str:
    """Return the whole page.

    Args:
        title: the heading, a short noun phrase.
        lead: the answer in a sentence or two, in plain text.
        cards: the key numbers, in order.
        sections: the chapters, in order; they also make up the table of contents.
        subtitle: one small line above the title, as in "Simulation report".
        alerts: HTML of `alert_html`, shown above the first section.
        footer: one small line at the end.
        answers: short texts by question, side by side under the lead.
    """
    any_figure = any("data-figure" in section.html for section in sections)
    return render(
        "page.html.j2",
        title=title,
        subtitle=subtitle,
        lead=lead,
        answers=answers or {},
        cards=[(card, safe(badge_html(card.badge))) for card in cards],
        alerts=[safe(alert) for alert in alerts],
        sections=[
            {
                "id": _anchor(section.title),
                "title": section.title,
                "badge": safe(badge_html(section.badge)),
                "lead": section.lead,
                "html": safe(section.html),
                "note": section.note,
            }
            for section in sections
        ],
        badges=[(safe(badge_html(badge)), meaning) for badge, meaning in BADGES.items()],
        footer=footer,
        font=theme.FONT,
        palette=theme.PALETTE,
        dark=theme.PALETTE_DARK,
        dark_mode=theme.DARK_MODE,
        plotly=safe(plotly_js()) if any_figure else "",
    )
