"""Chapter of a run's report: what the server learned and released."""

from typing import Any

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
from fedbert.reporting.run.axes import axis_of_rounds, hover
from fedbert.results import Underway

NAMED_RELEASES = 8
"""With more releases their names would take half of the chart."""


def server_figure(result: Underway) -> Any:
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
        hovertemplate=hover("public validation"),
    )
    released = [row for row in rounds if row["released"] is not None]
    figure.add_scatter(
        x=[row["round"] for row in released],
        y=[row["server_ndcg@10"] for row in released],
        mode="markers+text",
        marker={
            "size": 13,
            "color": theme.TEAL,
            "symbol": "diamond",
            "line": {"color": theme.PAPER, "width": 2},
        },
        text=[str(row["released"]) for row in released],
        textposition="top center",
        name="released to devices",
        hovertemplate="release %{text}: %{y:.3f}<extra>round %{x}</extra>",
    )
    seen = [value for row in rounds if (value := row["server_ndcg@10"]) is not None] or [0.0]
    room = max(0.004, max(seen) - min(seen))
    figure.update_layout(
        xaxis=axis_of_rounds(rounds),
        yaxis={
            "title": {"text": "nDCG@10, public texts"},
            "tickformat": ".3f",
            # plotly leaves no room for the number above the topmost release
            "range": [min(seen) - 0.06 * room, max(seen) + 0.16 * room],
        },
    )
    return figure


def installed_figure(result: Underway) -> Any:
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
        showlegend=len(names) <= NAMED_RELEASES,
        xaxis=axis_of_rounds(rounds),
        yaxis={"title": {"text": "share of devices"}, "tickformat": ".0%", "range": [0, 1]},
    )
    return figure


def releases(result: Underway) -> Section | None:
    """What the server learned and what the gate let through."""
    rounds = result["rounds"]
    if not rounds:
        return None
    rows: list[list[Cell]] = [
        [
            str(row["round"]),
            str(row["signal_release"]),
            row["reported"],
            row["round_status"],
            text.number(row["loss"], 4),
            row["server_ndcg@10"],
            row["gate"],
            str(row["released"]) if row["released"] is not None else None,
        ]
        for row in rounds
    ]
    columns = [
        "round",
        "signals of release",
        "reports",
        "outcome",
        "loss",
        "public nDCG@10",
        "gate",
        "release",
    ]
    return Section(
        "What the server learned and released",
        None,
        panels_html(
            Panel(
                "What the server could see",
                "measured",
                figure_html(server_figure(result), "nDCG@10 on public validation texts by round."),
            ),
            Panel(
                "What phones had installed",
                "modelled",
                figure_html(installed_figure(result), "Share of devices by installed release and round."),
                "Shades go from the first release to the newest.",
            ),
            Panel(
                "Rounds and the gate's decisions",
                "measured",
                folded_html(
                    f"Every round: reports, loss, the gate and the release ({len(rows)} rows)",
                    table_html(rows, columns, align="llrlrrlr"),
                ),
                wide=True,
            ),
        ),
        "The gate uses only what a deployed server has: public validation texts and privatised "
        "histograms of the ranks that users clicked. A round sums the signals of one release only.",
    )
