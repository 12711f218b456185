"""Chapters of a run's report: who took part, traffic, the fleet's day, shards that failed."""

from typing import Any, Literal

from fedbert.reporting.parts import text, theme
from fedbert.reporting.parts.page import (
    Cell,
    Panel,
    Section,
    alert_html,
    facts_html,
    figure_html,
    panels_html,
    table_html,
)
from fedbert.reporting.run import sentences
from fedbert.results import RunResult, TrafficRow, Underway
from fedbert.units import MEGABYTE


def _link(result: Underway) -> str:
    """What link a phone needs to send its signal."""
    return "unmetered" if result["scenario"].get("metered", "never") == "never" else "online"


def participation_figure(result: Underway) -> Any:
    """Devices by round: drawn into the cohort, eligible, completed, with a report."""
    import plotly.graph_objects as go

    rounds = [row for row in result["rounds"] if row["round"] > 0]
    figure = go.Figure()
    for key, name, colour in (
        ("cohort", "drawn into the cohort", theme.GREY),
        ("eligible", f"idle, charging, {_link(result)}", theme.ACCENT_LIGHT),
        ("completed", "completed in time", theme.ACCENT),
        ("reported", "had clicks to report", theme.TEAL),
    ):
        figure.add_bar(
            x=[row["round"] for row in rounds],
            y=[row[key] for row in rounds],  # type: ignore[literal-required]
            name=name,
            marker={"color": colour},
            hovertemplate=f"{name}: %{{y:,}}<extra>round %{{x}}</extra>",
        )
    figure.update_layout(
        barmode="group",
        bargap=0.24,
        xaxis={"title": {"text": "round"}, "dtick": max(1, -(-len(rounds) // 14))},
        yaxis={"title": {"text": "devices"}, "tickformat": ","},
    )
    return figure


def traffic_figure(result: Underway, key: Literal["bytes_down", "bytes_up"]) -> Any:
    """MB by round of the whole fleet, down or up."""
    import plotly.graph_objects as go

    rounds = result["rounds"]
    figure = go.Figure()
    figure.add_bar(
        x=[row["round"] for row in rounds],
        y=[row[key] / MEGABYTE for row in rounds],
        marker={"color": theme.ACCENT if key == "bytes_down" else theme.TEAL},
        hovertemplate="%{y:,.1f} MB<extra>round %{x}</extra>",
    )
    figure.update_layout(
        showlegend=False,
        xaxis={"title": {"text": "round (0 = before the first)"}, "dtick": max(1, -(-len(rounds) // 14))},
        yaxis={"title": {"text": "MB, whole fleet"}, "tickformat": ","},
        margin={"t": 8},
    )
    return figure


def eligibility_figure(result: RunResult) -> Any:
    """Shares of the fleet by local hour: idle, charging, unmetered, and all three."""
    import plotly.graph_objects as go

    hours = result["hours"]
    figure = go.Figure()
    for key, name, colour in (
        ("idle", "idle", theme.GREY),
        ("charging", "charging", theme.AMBER),
        ("unmetered", "unmetered network", theme.TEAL),
        ("eligible", f"eligible: idle, charging, {_link(result)}", theme.ACCENT),
    ):
        all_three = key == "eligible"
        figure.add_scatter(
            x=[row["hour"] for row in hours],
            y=[row[key] for row in hours],  # type: ignore[literal-required]
            mode="lines",
            line={"color": colour, "width": 3 if all_three else 1.8, "shape": "spline", "smoothing": 0.5},
            fill="tozeroy" if all_three else None,
            fillcolor=theme.ACCENT_SOFT if all_three else None,
            name=name,
            hovertemplate=f"{name}: %{{y:.1%}}<extra>%{{x}}:00</extra>",
        )
    figure.update_layout(
        xaxis={"title": {"text": "local hour"}, "dtick": 3, "range": [-0.3, 23.3]},
        yaxis={"title": {"text": "share of the fleet"}, "tickformat": ".0%", "rangemode": "tozero"},
    )
    return figure


def sessions_figure(result: RunResult) -> Any:
    """Share of the day's sessions by local hour."""
    import plotly.graph_objects as go

    hours = result["hours"]
    figure = go.Figure()
    figure.add_bar(
        x=[row["hour"] for row in hours],
        y=[row["sessions"] for row in hours],
        marker={"color": theme.ACCENT},
        hovertemplate="%{y:.1%} of sessions<extra>%{x}:00</extra>",
    )
    figure.update_layout(
        showlegend=False,
        bargap=0.2,
        xaxis={"title": {"text": "local hour"}, "dtick": 3},
        yaxis={"title": {"text": "share of the day's sessions"}, "tickformat": ".0%"},
        margin={"t": 8},
    )
    return figure


def participation(result: Underway) -> Section | None:
    """Devices by round from the coin to the report."""
    if all(row["round"] == 0 for row in result["rounds"]):
        return None
    return Section(
        "Who took part",
        None,
        panels_html(
            Panel(
                "From the cohort to the report",
                "modelled",
                figure_html(participation_figure(result), "Devices by round and stage of taking part."),
                wide=True,
            )
        ),
        "Every device tosses its own coin, whether or not it can take part. Devices that cannot take "
        "part count as zero. The privacy accounting charges the coin, not the turnout.",
    )


def traffic(result: Underway, totals: TrafficRow | None) -> Section | None:
    """Bytes up and down; `totals` are those of a whole run."""
    if not result["rounds"]:
        return None
    return Section(
        "Traffic",
        None,
        panels_html(
            Panel(
                "Down: releases",
                "modelled",
                figure_html(traffic_figure(result, "bytes_down"), "Megabytes down by round.", 280),
            ),
            Panel(
                "Up: masked reports",
                "modelled",
                figure_html(traffic_figure(result, "bytes_up"), "Megabytes up by round.", 280),
            ),
            Panel("Payloads and totals", "modelled", facts_html(text.facts(totals)), wide=True)
            if totals
            else None,
        ),
        "The bytes of one release and of one masked report are measured on real payloads. How many "
        "are sent, and how often they are sent again, follows from modelled availability and links.",
    )


def hours(result: RunResult) -> Section | None:
    """Availability and sessions by local hour."""
    if not result["hours"]:
        return None
    return Section(
        "The fleet's day",
        None,
        panels_html(
            Panel(
                "When phones can take part",
                "modelled",
                figure_html(eligibility_figure(result), "Shares of the fleet by local hour."),
            ),
            Panel(
                "When people use them",
                "modelled",
                figure_html(sessions_figure(result), "Share of sessions by local hour."),
            ),
        ),
    )


def shards(result: RunResult) -> Section | None:
    """What went wrong with shards, and whose figures are missing; None if nothing did."""
    events = result.get("events", [])
    if not events:
        return None
    rows: list[list[Cell]] = [[str(event["round"]), event["text"]] for event in events]
    missing = sentences.missing_sentence(result)
    notice = alert_html("Devices are missing.", missing) if missing else ""
    table = table_html(rows, ["round", "what"], align="rl")
    return Section(
        "What went wrong with shards",
        None,
        notice + panels_html(Panel("By round", None, table, wide=True)),
        "A shard that fails is asked again, three times in all. A shard that is left out of a round "
        "is in none of that round's figures.",
    )
