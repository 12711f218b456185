"""What the figures of several chapters share: a line with its band, a figure by hour."""

from typing import Any

from fedbert.planning.capacity.capacity import HOURS, CapacityForecast, Curve
from fedbert.reporting.capacity.text import hour_title
from fedbert.reporting.parts import theme


def band(figure: Any, x: list[float], curve: Curve, name: str, colour: str, fill: str) -> None:
    """Add a line with its 95% band."""
    import plotly.graph_objects as go

    figure.add_trace(
        go.Scatter(
            x=x + x[::-1],
            y=curve.high.tolist() + curve.low.tolist()[::-1],
            fill="toself",
            fillcolor=fill,
            line={"width": 0},
            hoverinfo="skip",
            name="95% interval",
            showlegend=False,
        )
    )
    figure.add_trace(go.Scatter(x=x, y=curve.value.tolist(), mode="lines", name=name, line={"color": colour}))


def hourly_figure(result: CapacityForecast, name: str, title: str, share: bool) -> Any:
    """Return one forecast by local hour with its band; `share` makes the axis per cent."""
    import plotly.graph_objects as go

    figure = go.Figure()
    hours = [float(hour) for hour in range(HOURS)]
    band(figure, hours, result.by_hour(name), name, theme.ACCENT, theme.ACCENT_SOFT)
    figure.update_xaxes(title=hour_title(result.plan))
    figure.update_yaxes(title=title, rangemode="tozero")
    if share:
        figure.update_yaxes(tickformat=".0%", range=[0, 1.02])
    return figure
