"""Chapter of a capacity plan's report: requests by hour."""

from typing import Any

from fedbert.planning.capacity.capacity import HOURS, CapacityForecast
from fedbert.reporting.capacity.text import hour_of_day, hour_title
from fedbert.reporting.parts import text, theme
from fedbert.reporting.parts.page import Section, figure_html

REQUEST_KINDS = ("download", "upload", "check-in")


def requests_figure(result: CapacityForecast) -> Any:
    """Return QPS by local hour, stacked by kind."""
    import plotly.graph_objects as go

    figure = go.Figure()
    for kind, colour in zip(REQUEST_KINDS, (theme.ACCENT, theme.TEAL, theme.AMBER), strict=True):
        curve = result.by_hour(f"{kind} QPS")
        figure.add_trace(
            go.Bar(x=list(range(HOURS)), y=curve.value.tolist(), name=kind, marker={"color": colour})
        )
    total = result.by_hour("total QPS")
    figure.add_trace(
        go.Scatter(
            x=list(range(HOURS)),
            y=total.value.tolist(),
            mode="markers",
            marker={"color": theme.INK, "size": 4},
            name="total, 95% interval",
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
    figure.update_xaxes(title=hour_title(result.plan))
    figure.update_yaxes(title="requests per second (QPS)")
    return figure


def requests(result: CapacityForecast) -> Section:
    """Return the chapter on requests by local hour."""
    return Section(
        "Requests by hour",
        "modelled",
        figure_html(requests_figure(result), f"Requests per second by {hour_of_day(result.plan)} and kind."),
        note=" ".join(
            text.sentence(f"{kind}: {result.find(f'{kind} QPS', 0).assumption}") for kind in REQUEST_KINDS
        ),
    )
