"""Figures of a compression: after every stage, where the bytes are, the shapes tried, the losses.

Names come from files of the user, and plotly reads a subset of HTML in every text: `plain` escapes them.
"""

from collections.abc import Sequence
from html import escape
from typing import Any

from fedbert.reporting.compression.numbers import (
    REST,
    Record,
    Spread,
    kept,
    parts,
    per_seed,
    t_spread,
    tasks,
)
from fedbert.reporting.compression.sentences import shape_name, share
from fedbert.reporting.parts import text, theme

GAP = "\u00a0\u00a0"
"""Between a name and its row; plotly puts no suffix after names that are given."""


def plain(name: object, most: int = 44) -> str:
    """Return `name` as plotly shows it unchanged: no markup, shortened to `most` characters."""
    words = " ".join(str(name).split())
    return escape(words if len(words) <= most else words[: most - 1] + "…", quote=False)


def colours(names: Sequence[str]) -> dict[str, str]:
    """Return one colour a name, in the order of the theme."""
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


def said(spread: Spread, form: str, unit: str) -> str:
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
        "gridcolor": "#eef1f5",
        "showgrid": grid,
    }


def _horizontal_bars(rows: Sequence[tuple[str, float, str, str]], unit: str, room: int) -> Any:
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


def stage_accuracy(record: Record) -> Any:
    """Share of the teacher's accuracy kept after every stage; without a teacher, the accuracy."""
    import plotly.graph_objects as go

    teacher = record.get("teacher") or {}
    relative = bool(teacher.get("accuracy"))
    stages = [stage for stage in record.get("stages") or [] if stage.get("accuracy")]
    names = tasks(record)
    figure = go.Figure()
    for index, (task, colour) in enumerate(colours(names).items()):
        found = [
            (at, spread)
            for at, stage in enumerate(stages)
            if (spread := kept(stage, teacher, task) if relative else t_spread(per_seed(stage, task)))
        ]
        figure.add_scatter(
            x=[at + offset(index, len(names), 0.07) for at, _ in found],
            y=[100 * spread.mean for _, spread in found],
            error_y=interval_bars([spread for _, spread in found], 100) | {"color": colour},
            mode="lines+markers",
            line={"color": colour, "width": 1.4},
            marker={"size": 9, "color": colour},
            name=plain(task),
            text=[said(spread, ".2f", "%") for _, spread in found],
            customdata=[plain(stages[at].get("stage", "")) for at, _ in found],
            hovertemplate="%{customdata}: %{text}<extra></extra>",
        )
    if relative:
        figure.add_hline(
            y=100,
            line={"color": theme.PLUM, "width": 1.4, "dash": "dash"},
            annotation={"text": "teacher", "font": {"color": theme.PLUM, "size": 12}, "xanchor": "right"},
        )
    figure.update_layout(
        xaxis={
            "tickvals": list(range(len(stages))),
            "ticktext": [plain(stage.get("stage", ""), 28) for stage in stages],
            "range": [-0.5, max(0.5, len(stages) - 0.5)],
            "tickfont": {"size": 12.5, "color": theme.INK},
        },
        yaxis={"title": {"text": "% of the teacher's accuracy" if relative else "accuracy, %"}},
        margin={"t": 48},
    )
    return figure


def stage_bytes(record: Record) -> Any:
    """Bytes of the teacher and after every stage, with the budget as a line."""
    teacher = record.get("teacher") or {}
    named = [("teacher", teacher.get("bytes"), theme.PLUM)]
    named += [(str(s.get("stage", "")), s.get("bytes"), theme.ACCENT) for s in record.get("stages") or []]
    rows = [(name, float(size), text.size(size), colour) for name, size, colour in named if size]
    figure = _horizontal_bars(rows, "bytes", 84)
    budget = record.get("budget_bytes")
    if budget:
        figure.add_vline(x=budget, line={"color": theme.RUST, "width": 1.4, "dash": "dash"})
        figure.add_annotation(
            x=budget,
            y=1,
            yref="paper",
            yanchor="bottom",
            text=f"budget {text.size(budget)}",
            font={"color": theme.RUST, "size": 12},
            showarrow=False,
        )
    figure.update_layout(margin={"t": 28, "r": 84}, xaxis={"tickformat": "~s"})
    return figure


def where_the_bytes_are(record: Record) -> Any:
    """Bytes by part, largest at the top."""
    listed = parts(record)
    total = sum(size for _, size in listed) or 1.0
    rows = [
        (
            name,
            size,
            f"{text.size(size)} · {share(size / total)}",
            theme.GREY if name == REST else theme.ACCENT,
        )
        for name, size in listed
    ]
    figure = _horizontal_bars(rows, "bytes", 124)
    figure.update_xaxes(tickformat="~s")
    return figure


def shapes(rows: Sequence[Record]) -> Any:
    """Loss of every shape tried, best at the top, the chosen one filled."""
    import plotly.graph_objects as go

    ordered = sorted((row for row in rows if row.get("loss") is not None), key=lambda row: -row["loss"])
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


def loss(curve: Sequence[Sequence[float]]) -> Any:
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


def seconds(record: Record) -> Any:
    """Seconds by stage."""
    timed = [stage for stage in record.get("stages") or [] if stage.get("seconds") is not None]
    return _horizontal_bars(
        [
            (str(row.get("stage", "")), row["seconds"], text.duration(row["seconds"]), theme.ACCENT)
            for row in timed
        ],
        "seconds",
        90,
    )
