"""What the figures of several chapters share: the axis of rounds, colours of tiers, stacked shares."""

from collections.abc import Sequence
from typing import Any

from fedbert.reporting.parts import theme
from fedbert.results import RoundRow, RunResult


def axis_of_rounds(rounds: Sequence[RoundRow]) -> dict[str, Any]:
    """Return the axis of rounds, with at most about 14 ticks."""
    last = rounds[-1]["round"] if rounds else 0
    step = max(1, -(-last // 14))
    return {"title": {"text": "round (0 = before the first)"}, "dtick": step, "range": [-0.35, last + 0.35]}


def bars_of_rounds(rounds: Sequence[RoundRow], values: Sequence[float], unit: str, said: str) -> Any:
    """Return bars of one value a round; `unit` names their axis, and `said` is what is read over a bar."""
    import plotly.graph_objects as go

    figure = go.Figure()
    figure.add_bar(
        x=[row["round"] for row in rounds],
        y=values,
        marker={"color": theme.ACCENT},
        hovertemplate=f"{said}<extra>round %{{x}}</extra>",
    )
    figure.update_layout(
        showlegend=False,
        xaxis=axis_of_rounds(rounds),
        yaxis={"title": {"text": unit}, "rangemode": "tozero", "tickformat": ","},
        margin={"t": 8},
    )
    return figure


def hover(name: str, form: str = ".3f") -> str:
    """Return a hover text: the name, the value in this format, the round."""
    return f"{name}: %{{y:{form}}}<extra>round %{{x}}</extra>"


def tier_colours(result: RunResult) -> dict[str, str]:
    """Return a shade of one colour for each tier, light to dark."""
    return dict(zip(result["tiers"], theme.shades(len(result["tiers"])), strict=True))


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
            marker={"color": colour, "line": {"color": theme.PAPER, "width": 1}},
            text=[f"{share:.0%}" if share >= 0.06 else "" for share in part],
            textposition="inside",
            insidetextanchor="middle",
            insidetextfont={"color": theme.text_on(colour), "size": 12},
            textangle=0,
            hovertemplate=f"%{{y}}, {name}: %{{x:.2%}}<extra></extra>",
        )
    figure.update_layout(
        barmode="stack",
        uniformtext={
            "minsize": 11,
            "mode": "hide",
        },  # plotly shrinks what does not fit until none can read it
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
