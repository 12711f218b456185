"""Chapter of a run's report: ranking quality by round, and what of the possible gain was won."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from fedbert.comparison import RELEASE_0, ranked_by, system_id
from fedbert.findings import LEAST_ARM_SESSIONS
from fedbert.reporting.parts import theme
from fedbert.reporting.parts.page import Cell, Panel, Section, figure_html, panels_html, table_html
from fedbert.reporting.run import sentences
from fedbert.reporting.run.axes import axis_of_rounds, hover
from fedbert.reporting.run.gap import gap_panel
from fedbert.results import RoundRow, Underway

FAR = 2.0
"""How far below the rounds' own span a guide is still drawn, in spans."""

GUIDES = ("popularity", "tfidf")
"""Systems of the comparison that are drawn as lines beside the rounds, by id."""


METRIC_COLUMNS = (
    ("nDCG@10", "ndcg@10"),
    ("nDCG@5", "ndcg@5"),
    ("MRR", "mrr"),
    ("hit@1", "hit@1"),
    ("AUC", "auc"),
)


class _Point(NamedTuple):
    """One arm in one round: nDCG@10 of its scored sessions, how many they are, and the interval."""

    round: int
    value: float
    low: float
    high: float
    sessions: int


def _arm(rounds: Sequence[RoundRow], name: str) -> list[_Point]:
    """Return the rounds in which enough scored sessions of an arm stand behind a point with its interval."""
    points = []
    for row in rounds:
        each: Mapping[str, Any] = row
        value, low, high, sessions = (
            each.get(f"{name}_{key}") for key in ("ndcg@10", "ndcg@10_low", "ndcg@10_high", "sessions")
        )
        if (
            value is not None
            and low is not None
            and high is not None
            and (sessions or 0) >= LEAST_ARM_SESSIONS
        ):
            points.append(_Point(row["round"], value, low, high, int(sessions or 0)))
    return points


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


def _levels(result: Underway) -> list[float]:
    """Return all that the rounds draw: quality as users saw it and both arms, with their intervals."""
    rounds = result["rounds"]
    found = [row[key] for row in rounds for key in ("ndcg@10_low", "ndcg@10", "ndcg@10_high")]
    arms = [*_arm(rounds, "treated"), *_arm(rounds, "control")]
    return [value for value in found if value is not None] + [
        end for point in arms for end in (point.low, point.high)
    ]


def _drawn(result: Underway) -> tuple[list[tuple[str, float, str]], list[tuple[str, float, str]]]:
    """Return the guides that are drawn, and those so far below that they would flatten the rounds."""
    guides, levels = _guides(result), _levels(result)
    if not levels:
        return guides, []
    least = min(levels) - FAR * (max(levels) - min(levels))
    near = [guide for guide in guides if guide[1] >= least]
    return near, [guide for guide in guides if guide[1] < least]


def quality_figure(result: Underway) -> Any:
    """nDCG@10 by round as users saw it with its interval, the two groups, and lines to compare with."""
    import plotly.graph_objects as go

    rounds = result["rounds"]
    at = [row["round"] for row in rounds]
    ends = [
        (row["round"], bottom, top)
        for row in rounds
        if (bottom := row["ndcg@10_low"]) is not None and (top := row["ndcg@10_high"]) is not None
    ]
    low, high = [end[1] for end in ends], [end[2] for end in ends]
    seen = [row["ndcg@10"] for row in rounds]
    treated, control = _arm(rounds, "treated"), _arm(rounds, "control")
    guides, _ = _drawn(result)
    figure = go.Figure()
    figure.add_scatter(
        x=[end[0] for end in ends] + [end[0] for end in reversed(ends)],
        y=high + low[::-1],
        mode="lines",
        fill="toself",
        fillcolor=theme.ACCENT_SOFT,
        line={"width": 0},
        hoverinfo="skip",
        name=sentences.interval_label(result),
    )
    for name, arm, colour, dash in (
        ("scored sessions, devices with new releases", treated, theme.TEAL, "solid"),
        ("scored sessions, control group on release 0", control, theme.AMBER, "dot"),
    ):
        if arm:
            figure.add_scatter(
                x=[point.round for point in arm],
                y=[point.value for point in arm],
                error_y={
                    "type": "data",
                    "symmetric": False,
                    "array": [point.high - point.value for point in arm],
                    "arrayminus": [point.value - point.low for point in arm],
                    "thickness": 1,
                    "width": 3,
                },
                mode="lines+markers",
                marker={"size": 4},
                line={"color": colour, "width": 2, "dash": dash},
                name=name,
                customdata=[[point.sessions, point.low, point.high] for point in arm],
                hovertemplate=f"{name}: %{{y:.3f}} (%{{customdata[1]:.3f}} to %{{customdata[2]:.3f}}), "
                "%{customdata[0]:,} sessions<extra>round %{x}</extra>",
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
    levels = [*_levels(result), *(value for _, value, _ in guides)]
    if levels:
        bottom, top = min(levels), max(levels)
        margin = max(0.01, 0.06 * (top - bottom))
        # The page moves labels apart that would lie on one another.
        for name, value, colour in guides:
            figure.add_hline(y=value, line={"color": colour, "width": 1.4, "dash": "dash"})
            figure.add_annotation(
                x=1.01,
                xref="paper",
                xanchor="left",
                y=value,
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


def _far(result: Underway) -> str:
    """Return the guides that are not drawn as a sentence, with a space before it; empty if all are."""
    _, far = _drawn(result)
    named = ", ".join(f"{name} {value:.3f}" for name, value, _ in far)
    return f" Far below, and not drawn: {named}." if far else ""


def quality(result: Underway) -> Section | None:
    """Quality by round, and what of the possible gain was won."""
    rounds = result["rounds"]
    if not rounds or result["scenario"].get("timing_only"):
        return None
    said = sentences.said(result)
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
            "The control group never gets a new release. An arm is drawn in rounds in which it has at least "
            f"{LEAST_ARM_SESSIONS} scored sessions. {said['arms']} Dashed lines score every session."
            f"{_far(result)}",
            wide=True,
        )
    ]
    every.append(gap_panel(result))
    last = rounds[-1]
    rows: list[list[Cell]] = [
        [
            name,
            *(_cell(row[key]) for _, key in METRIC_COLUMNS),  # type: ignore[literal-required]
            row["sessions"],
            users if (users := row.get("users")) is not None else "as many as devices",
            row.get("texts"),
            row["outcomes"].get("no_release", 0),
        ]
        for name, row in (("before the first round", rounds[0]), (f"round {last['round']}", last))
    ]
    counted = ("sessions", "users", "texts", "sessions without a release")
    every.append(
        Panel(
            "As users saw it, all metrics",
            "measured",
            table_html(rows, ["window", *(name for name, _ in METRIC_COLUMNS), *counted]),
            f"{said['delivery']}{_unplaced(result)}",
            wide=True,
        )
    )
    return Section(
        "Quality",
        None,
        panels_html(*every),
        "Metrics over sampled candidates cannot be compared with metrics over a whole catalogue. "
        f"Intervals: {sentences.interval_label(result)}, not devices or sessions.",
        f"All figures are {sentences.METRIC_IN_FULL}. 1 means that the target item was always ranked first.",
    )


def _unplaced(result: Underway) -> str:
    """Return how many sessions have a text that the student cannot place, with a space before it."""
    row = result.get("unplaced")
    if row is None:
        return ""
    return (
        f" Texts that the student cannot place: those of {row['final']:.1%} of the sessions by the final "
        f"release, of {row['release_0']:.1%} by release 0. No name of the catalogue is as near to them as "
        f"the nearest is to {row['kept']:.0%} of {row['requests']:,} public requests, by the same release."
    )


def _cell(value: float | None) -> Cell:
    return "no session" if value is None else value
