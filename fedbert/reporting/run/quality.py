"""Chapter of a run's report: ranking quality by round, and what of the possible gain was won."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from fedbert.comparison import RELEASE_0, ranked_by, system_id
from fedbert.reporting.parts import text, theme
from fedbert.reporting.parts.page import Cell, Panel, Section, figure_html, panels_html, table_html
from fedbert.reporting.run import sentences
from fedbert.reporting.run.axes import axis_of_rounds, hover
from fedbert.results import Underway

GUIDES = ("popularity", "tfidf")
"""Systems of the comparison that are drawn as lines beside the rounds, by id."""


METRIC_COLUMNS = (
    ("nDCG@10", "ndcg@10"),
    ("nDCG@5", "ndcg@5"),
    ("MRR", "mrr"),
    ("hit@1", "hit@1"),
    ("AUC", "auc"),
)


def _spread(values: Sequence[float], least: float) -> list[float]:
    """Return `values` moved apart, order kept, so that labels at them stand `least` from each other."""
    order = sorted(range(len(values)), key=lambda index: values[index])
    placed = list(values)
    for before, after in pairwise(order):
        placed[after] = max(placed[after], placed[before] + least)
    if order:
        shift = (placed[order[-1]] - values[order[-1]]) / 2
        placed = [place - shift for place in placed]
    return placed


def _guides(result: Underway) -> list[tuple[str, float, str]]:
    lines = [
        (row["system"], row["quality"]["ndcg@10"], theme.GREY)
        for row in result["comparison"]
        if system_id(row) in GUIDES
    ]
    for row in result["comparison"]:
        if system_id(row) == ranked_by(RELEASE_0):
            lines.append(("release 0, every session scored", row["quality"]["ndcg@10"], theme.MUTED))
    gap = result["gap"]
    if gap is not None:
        lines.append(("pooled-data bound", gap["pooled"], theme.PLUM))
    return lines


def quality_figure(result: Underway) -> Any:
    """nDCG@10 by round as users saw it with its interval, the two groups, and lines to compare with."""
    import plotly.graph_objects as go

    rounds = result["rounds"]
    at = [row["round"] for row in rounds]
    low = [row["ndcg@10_low"] for row in rounds]
    high = [row["ndcg@10_high"] for row in rounds]
    seen = [row["ndcg@10"] for row in rounds]
    treated = [row["treated_ndcg@10"] for row in rounds]
    control = [row["control_ndcg@10"] for row in rounds]
    guides = _guides(result)
    figure = go.Figure()
    figure.add_scatter(
        x=at + at[::-1],
        y=high + low[::-1],
        mode="lines",
        fill="toself",
        fillcolor=theme.ACCENT_SOFT,
        line={"width": 0},
        hoverinfo="skip",
        name="95% interval, resampling texts",
    )
    for name, values, colour, dash in (
        ("scored sessions, devices with new releases", treated, theme.TEAL, "solid"),
        ("scored sessions, control group on release 0", control, theme.AMBER, "dot"),
    ):
        if any(value is not None for value in values):
            figure.add_scatter(
                x=at,
                y=values,
                mode="lines",
                line={"color": colour, "width": 2, "dash": dash},
                name=name,
                hovertemplate=hover(name),
            )
    figure.add_scatter(
        x=at,
        y=seen,
        mode="lines+markers",
        line={"color": theme.ACCENT, "width": 3},
        marker={"size": 7},
        name="as users saw it, every session",
        hovertemplate=hover("as users saw it"),
    )
    levels = [*low, *high, *(value for value in [*treated, *control] if value is not None)]
    levels += [value for _, value, _ in guides]
    if levels:
        bottom, top = min(levels), max(levels)
        margin = max(0.01, 0.06 * (top - bottom))
        labels = _spread([value for _, value, _ in guides], 0.062 * (top - bottom + 2 * margin))
        for (name, value, colour), place in zip(guides, labels, strict=True):
            figure.add_hline(y=value, line={"color": colour, "width": 1.4, "dash": "dash"})
            figure.add_annotation(
                x=1.01,
                xref="paper",
                xanchor="left",
                y=place,
                text=f"{name} <b>{value:.3f}</b>",
                showarrow=False,
                align="left",
                font={"size": 12, "color": theme.MUTED if colour == theme.GREY else colour},
            )
        figure.update_yaxes(range=[bottom - margin, top + margin])
    figure.update_layout(
        xaxis=axis_of_rounds(rounds),
        yaxis={"title": {"text": "nDCG@10, 20 candidates"}, "tickformat": ".2f"},
        margin={"r": 240 if guides else 12, "t": 64},
    )
    return figure


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
        xaxis={"title": {"text": "nDCG@10, every session scored"}, "showgrid": True, "tickformat": ".2f"},
        yaxis={
            "gridcolor": "rgba(0,0,0,0)",
            "range": [-0.6, 1.6],
            "ticksuffix": "  ",
            "tickfont": {"size": 13, "color": theme.INK},
        },
        margin={"r": 26},
    )
    return figure


def quality(result: Underway) -> Section | None:
    """Quality by round, and what of the possible gain was won."""
    rounds = result["rounds"]
    if not rounds:
        return None
    every: list[Panel | None] = [
        Panel(
            "Ranking quality by round",
            "measured",
            figure_html(
                quality_figure(result),
                "Line chart of nDCG@10 by round: as users saw it, treated and control groups, baselines.",
                460,
            ),
            "The solid blue line covers every evaluation session. Where the phone could not answer in "
            "time, the user saw the default order. The two thinner lines cover scored sessions only. "
            "The control group never gets a new release, so the distance between the two lines is the "
            "gain from learning. Dashed lines score every session.",
            wide=True,
        )
    ]
    gap = result["gap"]
    if gap is not None:
        closed = text.percent(gap["closed"])
        every.append(
            Panel(
                f"The signals closed {closed} of the gap"
                if gap["closed"] is not None
                else "There was no gain to reach",
                "measured",
                figure_html(
                    gap_figure(result), "From release 0 to the final release to the pooled-data bound.", 270
                ),
                "The pooled-data bound is the same student with the same steps and learning rates, "
                "trained on the clicks of all learning sessions in one place, without clipping. From "
                f"the text alone the signals closed {text.percent(gap['text_only_closed'])}.",
                wide=True,
            )
        )
    last = rounds[-1]
    rows: list[list[Cell]] = [
        [name, *(row[key] for _, key in METRIC_COLUMNS), row["sessions"]]  # type: ignore[literal-required]
        for name, row in (("before the first round", rounds[0]), (f"round {last['round']}", last))
    ]
    every.append(
        Panel(
            "As users saw it, all metrics",
            "measured",
            table_html(rows, ["window", *(name for name, _ in METRIC_COLUMNS), "sessions"]),
            wide=True,
        )
    )
    return Section(
        "Quality",
        None,
        panels_html(*every),
        "Metrics over sampled candidates cannot be compared with metrics over a whole catalogue. "
        "Intervals come from resampling texts, not devices.",
        f"All figures are {sentences.METRIC_IN_FULL}. 1 means that the target item was always ranked first.",
    )
