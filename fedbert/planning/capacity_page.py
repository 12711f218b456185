"""The capacity forecast for people: the terminal tables and report.html."""

from typing import TYPE_CHECKING, Any

import numpy as np

from fedbert.planning.capacity import HOURS, CapacityForecast, Curve, Forecast
from fedbert.planning.capacity_text import (
    MIX_ASSUMPTION,
    day_rows,
    interval_text,
    number_text,
    tier_rows,
    value_text,
)
from fedbert.reporting import theme
from fedbert.reporting.page import Badge, Card, Section, figure_html, render_page, table_html

if TYPE_CHECKING:
    from rich.console import RenderableType

REQUEST_KINDS = ("downloads", "report uploads", "check-ins")
MODELLED: Badge = "modelled"


def terminal_tables(result: CapacityForecast) -> list["RenderableType"]:
    """Return the two tables that end the command: the whole fleet, and a device by tier."""
    from rich.box import SIMPLE
    from rich.table import Table

    title = f"What {result.plan.devices:,} phones take to serve"
    fleet = Table(title=title, title_justify="left", box=SIMPLE)
    for name in ("forecast", "value", "95 % interval", ""):
        fleet.add_column(name, justify="left" if name in ("forecast", "") else "right")
    for row in day_rows(result):
        fleet.add_row(
            row.name,
            value_text(row.estimate.value, row.unit),
            interval_text(row.estimate, row.unit),
            row.label,
        )
    tiers = Table(title="A phone a day, by tier", title_justify="left", box=SIMPLE)
    for name in ("tier", "forecast", "value", "95 % interval", ""):
        tiers.add_column(name, justify="right" if name in ("value", "95 % interval") else "left")
    for row in tier_rows(result):
        tiers.add_row(
            row.tier,
            row.name,
            value_text(row.estimate.value, row.unit),
            interval_text(row.estimate, row.unit),
            row.label,
        )
    return [fleet, tiers]


def _band(figure: Any, x: list[float], curve: Curve, name: str, colour: str, fill: str) -> None:
    """Add a line with its 95 % band."""
    import plotly.graph_objects as go

    figure.add_trace(
        go.Scatter(
            x=x + x[::-1],
            y=curve.high.tolist() + curve.low.tolist()[::-1],
            fill="toself",
            fillcolor=fill,
            line={"width": 0},
            hoverinfo="skip",
            name="95 % interval",
            showlegend=False,
        )
    )
    figure.add_trace(go.Scatter(x=x, y=curve.value.tolist(), mode="lines", name=name, line={"color": colour}))


SOFT_GREY = "rgba(152, 162, 179, 0.18)"


def rollout_figure(result: CapacityForecast) -> Any:
    """Return the share of devices with a release by hours since it was made, with and without the cap."""
    import plotly.graph_objects as go

    shown = result.rollout_hours <= _horizon(result)
    every = np.flatnonzero(shown)[::3]
    hours = result.rollout_hours[every].tolist()
    figure = go.Figure()
    free, capped = _part(result.rollout_without_cap, every), _part(result.rollout, every)
    _band(figure, hours, free, "without a cap", theme.GREY, SOFT_GREY)
    _band(figure, hours, capped, "under the cap", theme.ACCENT, theme.ACCENT_SOFT)
    figure.update_xaxes(title="hours since the release")
    figure.update_yaxes(title="share of fetching devices", tickformat=".0%", range=[0, 1.02])
    return figure


def _part(curve: Curve, index: Any) -> Curve:
    return Curve(curve.value[index], curve.low[index], curve.high[index])


def _horizon(result: CapacityForecast) -> float:
    """Return the hours worth showing: until 99 % have the release, at least a day."""
    enough = result.rollout_hours[result.rollout.value >= 0.99]
    last = float(result.rollout_hours[-1])
    return min(last, max(24.0, 1.2 * float(enough[0]))) if len(enough) else last


def requests_figure(result: CapacityForecast) -> Any:
    """Return requests a second by local hour, stacked by kind."""
    import plotly.graph_objects as go

    figure = go.Figure()
    for kind, colour in zip(REQUEST_KINDS, (theme.ACCENT, theme.TEAL, theme.AMBER), strict=True):
        curve = result.by_hour(f"{kind} a second")
        figure.add_trace(
            go.Bar(x=list(range(HOURS)), y=curve.value.tolist(), name=kind, marker={"color": colour})
        )
    total = result.by_hour("all requests a second")
    figure.add_trace(
        go.Scatter(
            x=list(range(HOURS)),
            y=total.value.tolist(),
            mode="markers",
            marker={"color": theme.INK, "size": 4},
            name="all, 95 % interval",
            error_y={
                "type": "data",
                "symmetric": False,
                "array": (total.high - total.value).tolist(),
                "arrayminus": (total.value - total.low).tolist(),
                "thickness": 1.2,
            },
        )
    )
    figure.update_layout(barmode="stack")
    figure.update_xaxes(title="local hour")
    figure.update_yaxes(title="requests a second")
    return figure


def hourly_figure(result: CapacityForecast, name: str, title: str, share: bool) -> Any:
    """Return one forecast by local hour with its band; `share` makes the axis per cent."""
    import plotly.graph_objects as go

    figure = go.Figure()
    hours = [float(hour) for hour in range(HOURS)]
    _band(figure, hours, result.by_hour(name), name, theme.ACCENT, theme.ACCENT_SOFT)
    figure.update_xaxes(title="local hour")
    figure.update_yaxes(title=title, rangemode="tozero")
    if share:
        figure.update_yaxes(tickformat=".0%", range=[0, 1.02])
    return figure


def _table(rows: list[Forecast], with_tier: bool) -> str:
    head = ["tier"] if with_tier else []
    return table_html(
        [
            [
                *([row.tier] if with_tier else []),
                row.name,
                value_text(row.estimate.value, row.unit),
                interval_text(row.estimate, row.unit),
                row.label,
                row.assumption,
            ]
            for row in rows
        ],
        [*head, "forecast", "value", "95 % interval", "kind", "assumption"],
        align=("l" if with_tier else "") + "lrrll",
    )


def headline(result: CapacityForecast) -> str:
    """Return the answer in two sentences."""
    down = result.find("bytes down a day").estimate.value
    up = result.find("bytes up a day").estimate.value
    peak = result.find("all requests a second, busiest hour").estimate.value
    reach = result.find("hours to 95%").estimate.value
    cap = value_text(result.plan.release_bits_per_s, "bit/s")
    reached = f"takes {value_text(reach, 'hours')} to reach" if np.isfinite(reach) else "does not reach"
    within = "" if np.isfinite(reach) else " within 7 days"
    return (
        f"Serving {result.plan.devices:,} phones takes {value_text(down, 'bytes')} down and "
        f"{value_text(up, 'bytes')} up a day, with {number_text(peak)} requests a second in the busiest "
        f"hour. Under a cap of {cap} a release {reached} 95 % of the phones that fetch it{within}."
    )


def _card(result: CapacityForecast, name: str, label: str) -> Card:
    row = result.find(name)
    return Card(
        label,
        value_text(row.estimate.value, row.unit),
        f"95 %: {interval_text(row.estimate, row.unit)}",
        row.label,
    )


def render(result: CapacityForecast, command: str) -> str:
    """Return report.html of a forecast."""
    base, plan = result.base, result.plan
    spread = f"{100 * plan.model_spread:.0f} %"
    interval_note = (
        f"Intervals: 95 %, from 400 draws of the run's sampling error ({base.devices:,} devices, "
        f"{len(base.completed)} rounds) and of a stated spread of ± {spread} on modelled odds and costs."
    )
    sections = [
        Section(
            "The fleet", MODELLED, _table(day_rows(result), False), note=interval_note, lead=MIX_ASSUMPTION
        ),
        Section(
            "A release reaches the fleet",
            MODELLED,
            figure_html(rollout_figure(result), "share of devices with a release by hours since it was made"),
            note=result.find("hours to 50%").assumption,
        ),
        Section(
            "Requests by hour",
            MODELLED,
            figure_html(requests_figure(result), "requests a second by local hour and kind"),
            note="; ".join(
                f"{kind}: {result.find(f'{kind} a second', 0).assumption}" for kind in REQUEST_KINDS
            ),
        ),
        Section(
            "Eligible devices by hour",
            MODELLED,
            figure_html(
                hourly_figure(result, "eligible devices", "devices", False), "eligible devices by local hour"
            ),
            note=result.find("eligible devices", 0).assumption,
        ),
        Section(
            "Chance that a round fills",
            MODELLED,
            figure_html(
                hourly_figure(result, "chance that a round fills", "chance", True),
                f"chance that a round gets {plan.reports_per_round:,} reports, by local hour",
            ),
            note=(
                f"{plan.reports_per_round:,} reports wanted. "
                + result.find("chance that a round fills", 0).assumption
            ),
        ),
        Section("A phone a day, by tier", MODELLED, _table(tier_rows(result), True), note=interval_note),
        Section("The plan and the run", None, _plan_table(result), note=f"Command: {command}"),
    ]
    cards = [
        _card(result, "bytes down a day", "down a day"),
        _card(result, "bytes up a day", "up a day"),
        _card(result, "all requests a second, busiest hour", "requests, busiest hour"),
        _card(result, "hours to 95%", "a release reaches 95 %"),
        _card(result, "rounds that fill", "rounds that fill"),
        _card(result, "share of sessions scored", "sessions scored"),
    ]
    return render_page(
        f"What {plan.devices:,} phones take to serve",
        headline(result),
        cards,
        sections,
        subtitle="Capacity forecast",
    )


def _plan_table(result: CapacityForecast) -> str:
    base, plan = result.base, result.plan
    facts: list[tuple[str, str]] = [
        ("devices", f"{plan.devices:,}"),
        ("bandwidth cap of releases", value_text(plan.release_bits_per_s, "bit/s")),
        ("reports wanted a round", f"{plan.reports_per_round:,}"),
        ("over-selection", f"{plan.over_selection:g}"),
        ("chance that a device joins a round", f"{result.sampling_probability:.3g}"),
        ("the same in the run", f"{base.sampling_probability:.3g}"),
        ("rounds a day", f"{plan.rounds_per_day:g} (run: {base.rounds_per_day:g})"),
        ("releases a day", f"{plan.releases_per_day:g} (run: {base.releases_per_day:g})"),
        ("hour of the first release", f"{plan.release_hour:g}"),
        ("run", f"{base.name}, seed {base.seed}, {base.devices:,} devices, {base.days:g} days"),
        ("bytes of a release", f"{base.release_bytes:,.0f}"),
        ("bytes of a report", f"{base.report_bytes:,.0f}"),
    ]
    return table_html([list(fact) for fact in facts], ["what", "value"], align="ll")
