"""Figures of what was measured and proved: quality, comparison, releases, epsilon, seconds."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from fedbert.reporting.parts import text, theme
from fedbert.reporting.run import sentences
from fedbert.results import RoundRow, RunResult

GUIDES = {"popularity": theme.GREY, "tf-idf": theme.GREY, "tfidf": theme.GREY}
"""Systems of the comparison that are drawn as lines beside the rounds, by what their name contains."""


def _axis_of_rounds(rounds: Sequence[RoundRow]) -> dict[str, Any]:
    last = rounds[-1]["round"] if rounds else 0
    step = max(1, -(-last // 14))
    return {"title": {"text": "round (0 = before the first)"}, "dtick": step, "range": [-0.35, last + 0.35]}


def _hover(name: str, form: str = ".3f") -> str:
    return f"{name}: %{{y:{form}}}<extra>round %{{x}}</extra>"


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


def _guides(result: RunResult) -> list[tuple[str, float, str]]:
    lines = [
        (row["system"], row["quality"]["ndcg@10"], colour)
        for row in result["comparison"]
        for part, colour in GUIDES.items()
        if part in row["system"].lower()
    ]
    gap = result["gap"]
    if gap is not None:
        lines.append(("release 0, every session scored", gap["release_0"], theme.MUTED))
        lines.append(("pooled-data bound", gap["pooled"], theme.PLUM))
    return lines


def quality_by_round(result: RunResult) -> Any:
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
                hovertemplate=_hover(name),
            )
    figure.add_scatter(
        x=at,
        y=seen,
        mode="lines+markers",
        line={"color": theme.ACCENT, "width": 3},
        marker={"size": 7},
        name="as users saw it, every session",
        hovertemplate=_hover("as users saw it"),
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
        xaxis=_axis_of_rounds(rounds),
        yaxis={"title": {"text": "nDCG@10, 20 candidates"}, "tickformat": ".2f"},
        margin={"r": 240 if guides else 12, "t": 64},
    )
    return figure


def _kind_colour(system: str) -> str:
    """Return the colour of a ranking system: what runs on phones, what bounds it, what it is held against."""
    name = system.lower()
    if "pooled" in name:
        return theme.PLUM
    if name.startswith("int8"):
        return theme.ACCENT
    return theme.TEAL if "student" in name or "teacher" in name else theme.GREY


def comparison(result: RunResult) -> Any:
    """nDCG@10 of every system with its interval, best at the top."""
    import plotly.graph_objects as go

    named = sorted(
        zip(sentences.system_labels(result), result["comparison"], strict=True),
        key=lambda pair: pair[1]["quality"]["ndcg@10"],
    )
    rows = [row for _, row in named]
    values = [row["quality"]["ndcg@10"] for row in rows]
    figure = go.Figure()
    figure.add_scatter(
        x=values,
        y=[name for name, _ in named],
        mode="markers+text",
        marker={"size": 11, "color": [_kind_colour(row["system"]) for row in rows]},
        text=[f"  {value:.3f}" for value in values],
        textposition="middle right",
        cliponaxis=False,
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [row["high"] - row["quality"]["ndcg@10"] for row in rows],
            "arrayminus": [row["quality"]["ndcg@10"] - row["low"] for row in rows],
            "color": "#aab6ca",
            "thickness": 2,
            "width": 0,
        },
        customdata=[[row["inputs"], row["low"], row["high"]] for row in rows],
        hovertemplate="%{y}: %{x:.3f} (%{customdata[1]:.3f} to %{customdata[2]:.3f})"
        "<br>sees %{customdata[0]}<extra></extra>",
    )
    figure.update_layout(
        showlegend=False,
        xaxis={"title": {"text": "nDCG@10 with 95% interval"}, "showgrid": True, "tickformat": ".2f"},
        yaxis={"gridcolor": "#eef1f5", "ticksuffix": "  ", "tickfont": {"size": 13, "color": theme.INK}},
        margin={"t": 8, "r": 54},
    )
    return figure


def gap(result: RunResult) -> Any:
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


def epsilon_by_round(result: RunResult) -> Any:
    """Cumulative epsilon by round, amplified and not."""
    import plotly.graph_objects as go

    rounds = [row for row in result["rounds"] if row["epsilon"] is not None]
    figure = go.Figure()
    for key, name, colour in (
        ("epsilon_unamplified", "unamplified", theme.AMBER),
        ("epsilon", "amplified by sampling", theme.ACCENT),
    ):
        values = [row[key] for row in rounds]  # type: ignore[literal-required]
        figure.add_scatter(
            x=[row["round"] for row in rounds],
            y=values,
            mode="lines+markers",
            line={"color": colour, "width": 2.5, "shape": "hv"},
            marker={"size": 6},
            name=name,
            hovertemplate=_hover(f"epsilon {name}", ".3g"),
        )
    figure.update_layout(
        xaxis=_axis_of_rounds(result["rounds"]),
        yaxis={"title": {"text": "epsilon spent so far"}, "rangemode": "tozero"},
    )
    return figure


def server_quality(result: RunResult) -> Any:
    """nDCG@10 on public validation texts, what the server itself can see, with the releases marked."""
    import plotly.graph_objects as go

    rounds = result["rounds"]
    figure = go.Figure()
    figure.add_scatter(
        x=[row["round"] for row in rounds],
        y=[row["server_ndcg@10"] for row in rounds],
        mode="lines+markers",
        line={"color": theme.ACCENT, "width": 2.5},
        marker={"size": 6},
        name="student on public validation texts",
        hovertemplate=_hover("public validation"),
    )
    released = [row for row in rounds if row["released"] is not None]
    figure.add_scatter(
        x=[row["round"] for row in released],
        y=[row["server_ndcg@10"] for row in released],
        mode="markers+text",
        marker={"size": 13, "color": theme.TEAL, "symbol": "diamond", "line": {"color": "#fff", "width": 2}},
        text=[str(row["released"]) for row in released],
        textposition="top center",
        name="released to devices",
        hovertemplate="release %{text}: %{y:.3f}<extra>round %{x}</extra>",
    )
    figure.update_layout(
        xaxis=_axis_of_rounds(rounds), yaxis={"title": {"text": "nDCG@10, public texts"}, "tickformat": ".3f"}
    )
    return figure


def installed(result: RunResult) -> Any:
    """Share of devices on each release at the end of every round."""
    import plotly.graph_objects as go

    rounds = result["rounds"]
    names = list(dict.fromkeys(name for row in rounds for name in row["installed"]))
    figure = go.Figure()
    colours = dict(zip(names, theme.shades(len(names)), strict=True))
    for name in names:
        spoken = f"release {name}" if name.lstrip("-").isdigit() and int(name) >= 0 else name
        figure.add_bar(
            x=[row["round"] for row in rounds],
            y=[text.shares(row["installed"]).get(name, 0.0) for row in rounds],
            marker={"color": colours[name]},
            name=spoken,
            hovertemplate=f"{spoken}: %{{y:.1%}}<extra>round %{{x}}</extra>",
        )
    figure.update_layout(
        barmode="stack",
        xaxis=_axis_of_rounds(rounds),
        yaxis={"title": {"text": "share of devices"}, "tickformat": ".0%", "range": [0, 1]},
    )
    return figure


def timing(result: RunResult) -> Any:
    """Seconds by stage of the run."""
    import plotly.graph_objects as go

    stages = sorted(result["timing_s"].items(), key=lambda stage: stage[1])
    figure = go.Figure()
    figure.add_bar(
        x=[seconds for _, seconds in stages],
        y=[text.label(name) for name, _ in stages],
        orientation="h",
        marker={"color": theme.ACCENT},
        text=[text.duration(seconds) for _, seconds in stages],
        textposition="outside",
        cliponaxis=False,
        hovertemplate="%{y}: %{x:.2f} s<extra></extra>",
    )
    figure.update_layout(
        showlegend=False,
        xaxis={"title": {"text": "seconds"}},
        margin={"t": 8, "r": 70},
        yaxis={"showgrid": False},
    )
    return figure
