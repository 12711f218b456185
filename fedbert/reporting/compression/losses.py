"""Chapter of a compression's report: training curves."""

from collections.abc import Sequence
from typing import Any

from fedbert.reporting.compression.record import CompressionRecord
from fedbert.reporting.parts import theme
from fedbert.reporting.parts.page import Panel, Section, figure_html, panels_html


def loss_figure(curve: Sequence[Sequence[float]]) -> Any:
    """A loss by step."""
    import plotly.graph_objects as go

    figure = go.Figure()
    figure.add_scatter(
        x=[step for step, _ in curve],
        y=[value for _, value in curve],
        mode="lines",
        line={"color": theme.ACCENT, "width": 2},
        hovertemplate="step %{x}: %{y:.4g}<extra></extra>",
    )
    figure.update_layout(
        showlegend=False,
        xaxis={"title": {"text": "step"}},
        yaxis={"title": {"text": "loss"}},
        margin={"t": 8},
    )
    values = [value for _, value in curve if value is not None]
    if values and min(values) > 0 and max(values) > 10 * min(values):
        figure.update_yaxes(type="log", title={"text": "loss, log scale"}, dtick="D2")
    return figure


def losses(record: CompressionRecord) -> Section | None:
    """Training curves."""
    curves = {name: curve for name, curve in (record.get("losses") or {}).items() if curve}
    if not curves:
        return None
    panels = [
        Panel(str(name), "measured", figure_html(loss_figure(curve), f"Loss of {name} by step.", 280))
        for name, curve in curves.items()
    ]
    return Section("Losses", None, panels_html(*panels))
