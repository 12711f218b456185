"""What the figures of several chapters share: names, colours, intervals, horizontal bars.

Names come from files of the user, and plotly reads a subset of HTML in every text: `plain` escapes them.
"""

from collections.abc import Sequence
from html import escape
from typing import Any

from fedbert.reporting.compression.numbers import Spread
from fedbert.reporting.parts import theme

GAP = "\u00a0\u00a0"
"""Between a name and its row; plotly puts no suffix after names that are given."""


def plain(name: object, most: int = 44) -> str:
    """Return `name` as plotly shows it unchanged: no markup, shortened to `most` characters."""
    words = " ".join(str(name).split())
    return escape(words if len(words) <= most else words[: most - 1] + "…", quote=False)


def colours(names: Sequence[str]) -> dict[str, str]:
    """Return one colour per name, in the order of the theme."""
    return {name: theme.SERIES[index % len(theme.SERIES)] for index, name in enumerate(names)}


def offset(index: int, count: int, step: float) -> float:
    """Return how far the series `index` of `count` stands beside its category, so that none hides another."""
    return (index - (count - 1) / 2) * min(step, 0.6 / max(1, count))


def interval_bars(spreads: Sequence[Spread], scale: float) -> dict[str, Any]:
    """Return plotly's asymmetric bars of intervals; without an interval nothing is drawn."""
    return {
        "type": "data",
        "symmetric": False,
        "array": [0.0 if s.high is None else scale * (s.high - s.mean) for s in spreads],
        "arrayminus": [0.0 if s.low is None else scale * (s.mean - s.low) for s in spreads],
        "thickness": 1.6,
        "width": 0,
    }


def with_interval(spread: Spread, form: str, unit: str) -> str:
    """Return a share as per cent with its interval, for a hover text."""
    bounds = "" if spread.low is None or spread.high is None else f" ({100 * spread.low:{form}} to "
    return f"{100 * spread.mean:{form}}{unit}" + (bounds and f"{bounds}{100 * (spread.high or 0):{form}})")


def rows_by_name(names: Sequence[object], most: int = 44, grid: bool = True) -> dict[str, Any]:
    """Return the axis of horizontal rows by name, the first at the bottom; equal names stay apart."""
    return {
        "tickvals": list(range(len(names))),
        "ticktext": [plain(name, most) + GAP for name in names],
        "range": [-0.6, len(names) - 0.4],
        "tickfont": {"size": 12.5, "color": theme.INK},
        "gridcolor": theme.FAINT,
        "showgrid": grid,
    }


def horizontal_bars(rows: Sequence[tuple[str, float, str, str]], unit: str, room: int) -> Any:
    """Return horizontal bars, the first at the top, of (name, value, text beside it, colour).

    `room` is what the texts need at the right, in pixels.
    """
    import plotly.graph_objects as go

    shown = rows[::-1]
    figure = go.Figure()
    figure.add_bar(
        x=[value for _, value, _, _ in shown],
        y=list(range(len(shown))),
        orientation="h",
        marker={"color": [colour for _, _, _, colour in shown]},
        text=[beside for _, _, beside, _ in shown],
        textposition="outside",
        cliponaxis=False,
        customdata=[plain(name) for name, _, _, _ in shown],
        hovertemplate="%{customdata}: %{text}<extra></extra>",
    )
    figure.update_layout(
        showlegend=False,
        xaxis={"title": {"text": unit}, "rangemode": "tozero"},
        yaxis=rows_by_name([name for name, _, _, _ in shown], 30, grid=False),
        margin={"t": 8, "r": room},
    )
    return figure
