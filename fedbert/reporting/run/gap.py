"""What of the possible gain was won: from release 0 over the final release to the pooled-data bound."""

from typing import Any

from fedbert.evidence import Absent
from fedbert.findings import evidence
from fedbert.reporting.parts import text, theme
from fedbert.reporting.parts.page import Panel, figure_html
from fedbert.reporting.run import sentences
from fedbert.results import Findings, Underway


def gap_figure(result: Underway) -> Any:
    """From release 0 over the final release to the pooled-data bound, with and without the user model."""
    import plotly.graph_objects as go

    values = result["gap"]
    figure = go.Figure()
    if values is None:
        return figure
    rows = (
        ("text only", values["text_only_release_0"], values["text_only_final"], values["text_only_pooled"]),
        ("text and<br>user model", values["release_0"], values["final"], values["pooled"]),
    )
    for name, first, final, pooled in rows:
        figure.add_scatter(
            x=[first, pooled],
            y=[name, name],
            mode="lines",
            line={"color": "#dfe4ec", "width": 12},
            showlegend=False,
            hoverinfo="skip",
        )
        figure.add_scatter(
            x=[first, final],
            y=[name, name],
            mode="lines",
            line={"color": theme.ACCENT, "width": 12},
            showlegend=False,
            hoverinfo="skip",
        )
    for column, name, colour, symbol in (
        (1, "release 0", theme.GREY, "circle"),
        (2, "final release", theme.ACCENT, "circle"),
        (3, "pooled-data bound", theme.PLUM, "diamond"),
    ):
        figure.add_scatter(
            x=[row[column] for row in rows],
            y=[row[0] for row in rows],
            mode="markers+text",
            marker={"size": 14, "color": colour, "symbol": symbol, "line": {"color": "#fff", "width": 2}},
            text=[f"{row[column]:.3f}" for row in rows],
            textposition="bottom center" if column == 2 else "top center",
            textfont={"size": 12},
            cliponaxis=False,
            name=name,
            hovertemplate=f"{name}, %{{y}}: %{{x:.3f}}<extra></extra>",
        )
    figure.update_layout(
        xaxis={"title": {"text": "nDCG@10, every session scored"}, "showgrid": True, "tickformat": "~r"},
        yaxis={
            "gridcolor": "rgba(0,0,0,0)",
            "range": [-0.6, 1.6],
            "ticksuffix": "  ",
            "tickfont": {"size": 13, "color": theme.INK},
        },
        margin={"r": 26},
    )
    return figure


def gap_panel(result: Underway) -> Panel | None:
    """Return the gap with its sentence, None where the pooled-data bound was not trained."""
    gap, found, said = result["gap"], result.get("findings"), sentences.said(result)
    if gap is None:
        return None
    return Panel(
        f"The signals closed {text.percent(gap['closed'])} of the gap"
        if gap["closed"] is not None and found is not None
        else "What the signals won of what pooled data would win",
        "measured",
        figure_html(gap_figure(result), "From release 0 to the final release to the pooled-data bound.", 270),
        " ".join(
            part
            for part in (
                said["gap"],
                _text_only(found),
                "The pooled-data bound is the same student with the same steps and learning rates, "
                "trained on the clicks of all learning sessions in one place, without clipping.",
            )
            if part
        ),
        wide=True,
    )


def _text_only(found: Findings | None) -> str:
    """Return what share of the gap was closed from the text alone, or why none is given."""
    if found is None:
        return ""
    closed = evidence(found["figures"]["text_only_closed"])
    if isinstance(closed, Absent):
        return f"From the text alone no share is given: {closed.reason}."
    return (
        f"From the text alone they closed {text.percent(closed.value)} "
        f"({text.percent(closed.low)} to {text.percent(closed.high)})."
    )
