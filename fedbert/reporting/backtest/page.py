"""The report of a back-test: one HTML page."""

from collections.abc import Sequence
from typing import Any

from fedbert.planning.capacity.backtest import Backtest, Checked
from fedbert.reporting.backtest.text import (
    FIGURES,
    METHOD,
    NOTE,
    SUMMARY,
    figure_row,
    headline,
    misses,
    name,
    summary_rows,
)
from fedbert.reporting.parts import text, theme
from fedbert.reporting.parts.page import (
    Card,
    Section,
    alert_html,
    facts_html,
    figure_html,
    folded_html,
    render_page,
    table_html,
)

FARTHEST = 2.5
"""Largest share of a forecast that is drawn: beyond it all would be squeezed for the sake of one."""


def render(found: Backtest, command: str) -> str:
    """Return report.html of a back-test."""
    sections = [
        Section("By size of the fleet", "modelled", table_html(summary_rows(found), SUMMARY), note=NOTE),
        *(_figures(found, each.devices) for each in found.summaries),
        Section("How it was done", None, facts_html(_facts(found)), lead=METHOD, note=f"Command: {command}"),
    ]
    cards = [
        Card(
            f"{each.devices:,} phones",
            text.percent(each.inside.value, 1),
            f"of {each.figures:,} figures inside; half width {text.percent(each.median_half_width, 1)}",
            "modelled",
        )
        for each in found.summaries
    ]
    alerts = [alert_html("Missed by every seed", said) for each in found.summaries if (said := misses(each))]
    return render_page(
        f"How well {found.small:,} phones forecast",
        headline(found),
        cards,
        sections,
        subtitle="Back-test of the capacity forecast",
        alerts=alerts,
    )


def _figures(found: Backtest, devices: int) -> Section:
    """Return the chapter of one size: what was missed, and all figures of each seed folded under it."""
    rows = [each for each in found.checked if each.devices == devices]
    missed = [[str(each.seed), *figure_row(each)] for each in rows if not each.inside]
    columns = ["seed", *FIGURES]
    html = _drawn(rows) + (table_html(missed, columns, align="llrrrrl") if missed else "")
    for seed in sorted({each.seed for each in rows}):
        table = table_html([figure_row(each) for each in rows if each.seed == seed], FIGURES, align="lrrrrl")
        html += folded_html(f"All figures, seed {seed}", table)
    lead = f"{len(missed)} of {len(rows)} figures lie outside their intervals."
    return Section(f"{devices:,} phones", "modelled", html, lead=lead)


def _drawn(rows: Sequence[Checked]) -> str:
    """Return each figure's interval and what came out, both over the forecast."""
    shown = [each for each in rows if each.predicted > 0]
    names = list(dict.fromkeys(name(each) for each in shown))[::-1]
    if not names:
        return ""
    return figure_html(
        _figure(shown, names),
        "Simulated over forecast figures of all seeds, with the forecast's 95% intervals.",
        height=120 + 22 * len(names),
    )


def _figure(rows: Sequence[Checked], names: Sequence[str]) -> Any:
    import plotly.graph_objects as go

    figure = go.Figure()
    figure.add_scatter(
        x=[1.0] * len(rows),
        y=[name(each) for each in rows],
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [min(each.high / each.predicted, FARTHEST) - 1 for each in rows],
            "arrayminus": [1 - each.low / each.predicted for each in rows],
            "thickness": 1.4,
            "width": 3,
            "color": theme.INTERVAL,
        },
        mode="markers",
        name="forecast, 95% interval",
        marker={"color": theme.INTERVAL, "size": 5},
        hoverinfo="skip",
    )
    for inside, label, colour in ((True, "simulated", theme.ACCENT), (False, "outside", theme.RUST)):
        part = [each for each in rows if each.inside == inside]
        figure.add_scatter(
            x=[min(each.simulated / each.predicted, FARTHEST) for each in part],
            y=[name(each) for each in part],
            text=[f"{each.simulated / each.predicted:.3f}" for each in part],
            mode="markers",
            name=label,
            marker={"color": colour, "size": 7},
            hovertemplate="%{y}: %{text}<extra></extra>",
        )
    figure.update_xaxes(title=f"over the forecast, at most {FARTHEST:g}")
    figure.update_yaxes(categoryorder="array", categoryarray=list(names), automargin=True)
    return figure


def _facts(found: Backtest) -> dict[str, str]:
    return {
        "phones of the small runs": f"{found.small:,}",
        "pairs of runs": f"{found.seeds}",
        "rounds": f"{found.rounds}",
        "model spread": f"{found.model_spread:g}",
    }
