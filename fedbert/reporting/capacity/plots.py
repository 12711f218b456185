"""Figures of the capacity forecast: roll-out, requests, eligible devices and filled rounds by hour."""

from typing import Any

import numpy as np

from fedbert.planning.capacity.capacity import HOURS, CapacityForecast, Curve
from fedbert.reporting.parts import theme

REQUEST_KINDS = ("downloads", "report uploads", "check-ins")
SOFT_GREY = "rgba(152, 162, 179, 0.18)"


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
