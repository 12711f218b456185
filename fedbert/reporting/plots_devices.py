"""Figures of the fleet: tiers, outcomes, latency, memory, participation, traffic, hours."""

import math
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, Literal

from fedbert.reporting.parts import text, theme
from fedbert.reporting.run import sentences
from fedbert.results import RunResult
from fedbert.units import MEGABYTE

OUTCOME_COLOURS = {"scored": theme.ACCENT, "slow": theme.AMBER, "memory": theme.RUST, "release": theme.GREY}
"""Colours of session outcomes by what their name contains."""

LATENCY_TICKS_MS = (1, 2, 5, 10, 20, 50, 100, 200, 300, 500, 1000, 2000, 5000, 10_000)


def outcome_colour(name: str, index: int) -> str:
    """Return the colour of an outcome, the `index`-th of a figure."""
    for part, colour in OUTCOME_COLOURS.items():
        if part in name.lower():
            return colour
    return theme.SERIES[index % len(theme.SERIES)]


def _tier_colours(result: RunResult) -> dict[str, str]:
    return dict(zip(result["tiers"], theme.shades(len(result["tiers"])), strict=True))


def tier_quality(result: RunResult) -> Any:
    """nDCG@10 by tier: over all sessions as users saw them, and over the scored ones."""
    import plotly.graph_objects as go

    tiers = result["tiers"]
    names = list(tiers)
    figure = go.Figure()
    scored = [tier["scored_quality"] for tier in tiers.values()]
    for name, values, colour in (
        ("as users saw it", [tier["quality"]["ndcg@10"] for tier in tiers.values()], theme.ACCENT),
        ("scored sessions only", [each["ndcg@10"] if each else None for each in scored], "#a9c1f0"),
    ):
        figure.add_bar(
            x=names,
            y=values,
            name=name,
            marker={"color": colour},
            text=[text.number(value) if value is not None else "" for value in values],
            textposition="outside",
            textfont={"size": 12},
            cliponaxis=False,
            hovertemplate=f"%{{x}}, {name}: %{{y:.3f}}<extra></extra>",
        )
    figure.update_layout(
        barmode="group",
        bargroupgap=0.08,
        yaxis={"title": {"text": "nDCG@10"}, "range": [0, 1.08], "tickformat": ".1f"},
    )
    return figure


def tier_outcomes(result: RunResult) -> Any:
    """Share of sessions by outcome, one bar a tier."""
    tiers = result["tiers"]
    parts = {
        sentences.outcome_label(outcome): (
            outcome_colour(outcome, index),
            [text.shares(tier["outcomes"]).get(outcome, 0.0) for tier in tiers.values()],
        )
        for index, outcome in enumerate(sentences.outcome_names(result))
    }
    return stacked_shares(list(tiers), parts, "share of sessions")


def stacked_shares(bars: list[str], parts: dict[str, tuple[str, list[float]]], axis: str) -> Any:
    """One bar each of `bars`, split into named `parts`: a colour and the share of each bar."""
    import plotly.graph_objects as go

    figure = go.Figure()
    for name, (colour, part) in parts.items():
        figure.add_bar(
            y=bars,
            x=part,
            orientation="h",
            name=name,
            marker={"color": colour, "line": {"color": "#fff", "width": 1}},
            text=[f"{share:.0%}" if share >= 0.06 else "" for share in part],
            textposition="inside",
            insidetextanchor="middle",
            insidetextfont={"color": "#fff", "size": 12},
            textangle=0,
            hovertemplate=f"%{{y}}, {name}: %{{x:.2%}}<extra></extra>",
        )
    figure.update_layout(
        barmode="stack",
        legend={"traceorder": "normal"},
        xaxis={"title": {"text": axis}, "tickformat": ".0%", "range": [0, 1]},
        yaxis={
            "autorange": "reversed",
            "showgrid": False,
            "ticksuffix": "  ",
            "tickfont": {"size": 13, "color": theme.INK},
        },
    )
    return figure


def _occupied(counts: Sequence[float]) -> tuple[int, int]:
    filled = [index for index, count in enumerate(counts) if count > 0]
    return (filled[0], filled[-1] + 1) if filled else (0, 0)


def latency(result: RunResult) -> Any:
    """Cumulative share of answered sessions by latency, one line a tier, with the deadline."""
    import plotly.graph_objects as go

    histogram = result["latency_histogram"]
    edges = histogram.get("upper_ms", [])
    colours = _tier_colours(result)
    figure = go.Figure()
    for name, colour in colours.items():
        counts = histogram.get(name, [])
        total = sum(counts)
        first, last = _occupied(counts)
        if not total:
            continue
        first = max(0, first - 1)
        figure.add_scatter(
            x=edges[first:last],
            y=[reached / total for reached in accumulate(counts)][first:last],
            mode="lines",
            line={"color": colour, "width": 2.5},
            name=name,
            hovertemplate=f"{name}: %{{y:.1%}} within %{{x:.0f}} ms<extra></extra>",
        )
    deadline = result["scenario"].get("deadline_ms")
    if deadline:
        figure.add_vline(x=deadline, line={"color": theme.RUST, "width": 1.6, "dash": "dash"})
        figure.add_annotation(
            x=math.log10(deadline),
            y=0.42,
            yref="paper",
            xanchor="right",
            xshift=-6,
            align="right",
            showarrow=False,
            text=f"deadline<br>{text.milliseconds(deadline)}",
            font={"color": theme.RUST, "size": 12},
        )
    figure.update_layout(
        xaxis={
            "title": {"text": "milliseconds to answer a session (logarithmic)"},
            "type": "log",
            "tickvals": list(LATENCY_TICKS_MS),
            "ticktext": [f"{tick:,}" for tick in LATENCY_TICKS_MS],
            "showgrid": True,
        },
        yaxis={"title": {"text": "share of answered sessions"}, "tickformat": ".0%", "range": [0, 1.02]},
    )
    return figure


def memory(result: RunResult) -> Any:
    """Sessions by peak memory of the feature, stacked by tier, with the budget."""
    import plotly.graph_objects as go

    histogram = result["memory_histogram"]
    edges = [edge / MEGABYTE for edge in histogram.get("upper_bytes", [])]
    lower = [0.0, *edges[:-1]]
    budget = result["scenario"].get("memory_budget_bytes")
    widest = budget / MEGABYTE if budget else 1.0
    figure = go.Figure()
    for name, colour in _tier_colours(result).items():
        counts = histogram.get(name, [])
        first, last = _occupied(counts)
        if first == last:
            continue
        widest = max(widest, edges[last - 1])
        figure.add_bar(
            x=[(low + high) / 2 for low, high in zip(lower[first:last], edges[first:last], strict=True)],
            width=[high - low for low, high in zip(lower[first:last], edges[first:last], strict=True)],
            y=counts[first:last],
            name=name,
            marker={"color": colour, "line": {"width": 0}},
            hovertemplate=f"{name}: %{{y:,.0f}} near %{{x:.2f}} MB<extra></extra>",
        )
    if budget:
        figure.add_vline(
            x=budget / MEGABYTE,
            line={"color": theme.RUST, "width": 1.6, "dash": "dash"},
            annotation={
                "text": f"budget {budget / MEGABYTE:g} MB",
                "font": {"color": theme.RUST, "size": 12},
            },
            annotation_position="top left",
        )
    figure.update_layout(
        barmode="stack",
        bargap=0,
        legend={"traceorder": "normal"},
        xaxis={"title": {"text": "peak memory of the feature, MB"}, "range": [0, 1.1 * widest]},
        yaxis={"title": {"text": "sessions"}, "tickformat": "~s"},
    )
    return figure


def _link(result: RunResult) -> str:
    """What link a phone needs to send its signal."""
    return "unmetered" if result["scenario"].get("metered", "never") == "never" else "online"


def participation(result: RunResult) -> Any:
    """Devices by round: drawn into the cohort, eligible, completed, with a report."""
    import plotly.graph_objects as go

    rounds = [row for row in result["rounds"] if row["round"] > 0]
    figure = go.Figure()
    for key, name, colour in (
        ("cohort", "drawn into the cohort", "#c9d6f2"),
        ("eligible", f"idle, charging, {_link(result)}", "#8fabe6"),
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


def traffic(result: RunResult, key: Literal["bytes_down", "bytes_up"]) -> Any:
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


def eligibility(result: RunResult) -> Any:
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


def sessions_by_hour(result: RunResult) -> Any:
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
