"""Chapter of a compression's report: shapes that were tried under the budget."""

import math
from collections.abc import Sequence
from typing import Any

from fedbert.reporting.compression import sentences as said
from fedbert.reporting.compression.axes import plain, rows_by_name
from fedbert.reporting.compression.record import CompressionRecord, SearchRow
from fedbert.reporting.compression.sentences import shape_name
from fedbert.reporting.parts import text, theme
from fedbert.reporting.parts.page import (
    Cell,
    Panel,
    Section,
    figure_html,
    folded_html,
    panels_html,
    table_html,
)


def shapes_figure(rows: Sequence[SearchRow]) -> Any:
    """Loss of every shape tried, best at the top, the chosen one filled."""
    import plotly.graph_objects as go

    ordered = sorted((row for row in rows if row.get("loss") is not None), key=_loss, reverse=True)
    figure = go.Figure()
    figure.add_scatter(
        x=[row["loss"] for row in ordered],
        y=list(range(len(ordered))),
        mode="markers",
        marker={
            "size": 11,
            "color": [theme.ACCENT if row.get("chosen") else theme.PAPER for row in ordered],
            "line": {"color": theme.ACCENT, "width": 2},
        },
        customdata=[plain(shape_name(row.get("shape") or {})) for row in ordered],
        hovertemplate="%{customdata}: %{x:.4f}<extra></extra>",
    )
    figure.update_layout(
        showlegend=False,
        xaxis={"title": {"text": "pre-distillation loss"}, "showgrid": True},
        yaxis=rows_by_name([shape_name(row.get("shape") or {}) for row in ordered], 60),
        margin={"t": 8},
    )
    return figure


def _loss(row: SearchRow) -> float:
    """Return the loss to sort by; shapes without one come last."""
    loss = row.get("loss")
    return math.inf if loss is None else loss


def search(record: CompressionRecord) -> Section | None:
    """Shapes that were tried under the budget."""
    listed = record.get("search") or []
    if not listed:
        return None
    ordered = sorted(listed, key=_loss)
    rows: list[list[Cell]] = [
        [
            said.shape_name(row.get("shape") or {}),
            said.exact_bytes(row.get("bytes")),
            text.number(row.get("loss"), 4),
            said.count(row.get("texts_per_s")),
            text.duration(row.get("seconds")),
            "chosen" if row.get("chosen") else "",
        ]
        for row in ordered
    ]
    chosen = [index for index, row in enumerate(ordered) if row.get("chosen")]
    with_loss = [row for row in listed if row.get("loss") is not None]
    columns = ["layers × width", "on disk", "loss", "texts per second", "time", "verdict"]
    table = table_html(rows, columns, align="lrrrrl", emphasis=chosen)
    if with_loss:
        height = 84 + 32 * len(with_loss)
        table = figure_html(shapes_figure(listed), "Loss by shape.", height) + folded_html(
            f"All {len(rows)} shapes as a table, with bytes and speed", table
        )
    return Section(
        "Shapes tried",
        None,
        panels_html(
            Panel(
                "Pre-distillation loss" if with_loss else "Shapes, in full",
                "measured",
                table,
                "Filled: chosen." if with_loss else "",
                wide=True,
            )
        ),
        "A short pre-distillation ranks the shapes. Its loss is not the accuracy that they would end with.",
    )
