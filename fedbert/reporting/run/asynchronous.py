"""Chapter of a run's report: buffers that reports filled, how stale the reports were, and what was wasted."""

from collections.abc import Sequence
from typing import Any, Literal

from fedbert.reporting.parts import text, theme
from fedbert.reporting.parts.page import Panel, Section, figure_html, panels_html
from fedbert.reporting.run.axes import bars_of_rounds
from fedbert.results import RoundRow, Underway


def buffered(result: Underway) -> list[RoundRow]:
    """Return the rounds whose reports filled buffers."""
    return [row for row in result["rounds"] if "buffers" in row]


def staleness(rounds: Sequence[RoundRow]) -> dict[str, int]:
    """Return the reports of some rounds by how stale they were."""
    total: dict[str, int] = {}
    for row in rounds:
        for name, count in row.get("staleness", {}).items():
            total[name] = total.get(name, 0) + count
    return total


def _mean(rounds: Sequence[RoundRow], key: Literal["staleness_mean", "weight_mean"]) -> float | None:
    """Return the mean over taken reports of a round's mean `key`; None if none was taken."""
    known = [(row.get(key) or 0.0, row["completed"]) for row in rounds]
    taken = sum(count for _, count in known)
    return sum(mean * count for mean, count in known) / taken if taken else None


def sentence(result: Underway) -> str:
    """Return what the buffers did, in words; empty where there is none."""
    rounds = buffered(result)
    if not rounds:
        return ""
    size = result["scenario"]["buffer_reports"]
    closed = sum(row.get("buffers", 0) for row in rounds)
    asked, taken = (sum(row[key] for row in rounds) for key in ("eligible", "completed"))
    dropped = sum(row.get("discarded", 0) for row in rounds)
    open_s = sum(row.get("round_s", 0.0) for row in rounds)
    work_s = sum(row.get("at_work", 0.0) * row.get("round_s", 0.0) for row in rounds)
    at_work, useless = work_s / open_s if open_s else 0.0, (asked - taken) / asked if asked else None
    said = (
        f"{closed:,} buffers of {size:,} reports were full in {len(rounds):,} rounds; "
        f"{text.significant(at_work, 2)} phones were at work at once in the mean. "
        f"Of {asked:,} that began, {text.percent(useless, 1)} sent nothing that counted; {dropped:,} of "
        f"{taken:,} reports were dropped from an open buffer as a release came out."
    )
    stale, weight = _mean(rounds, "staleness_mean"), _mean(rounds, "weight_mean")
    if stale is None:
        return said
    return (
        f"{said} A report was stale by {text.significant(stale, 2)} steps in the mean, and weighed "
        f"{text.number(weight, 2)}."
    )


def buffers_figure(rounds: Sequence[RoundRow]) -> Any:
    """Buffers that were full, by round."""
    return bars_of_rounds(rounds, [row.get("buffers", 0) for row in rounds], "buffers", "%{y:,} buffers")


def staleness_figure(rounds: Sequence[RoundRow]) -> Any:
    """Shares of the taken reports by the steps that they were stale by."""
    import plotly.graph_objects as go

    part = text.shares(staleness(rounds))
    figure = go.Figure()
    figure.add_bar(
        x=list(part),
        y=list(part.values()),
        marker={"color": theme.ACCENT},
        hovertemplate="%{y:.1%}<extra>%{x} steps</extra>",
    )
    figure.update_layout(
        showlegend=False,
        xaxis={"title": {"text": "steps of the server while the phone was at work"}, "type": "category"},
        yaxis={"title": {"text": "share of reports"}, "tickformat": ".0%", "rangemode": "tozero"},
        margin={"t": 8},
    )
    return figure


def asynchronous(result: Underway) -> Section | None:
    """How reports filled buffers; None for a run without."""
    rounds = buffered(result)
    if not rounds:
        return None
    return Section(
        "Asynchronous rounds",
        None,
        panels_html(
            Panel(
                "Buffers that were full",
                "modelled",
                figure_html(buffers_figure(rounds), "Full buffers by round."),
            ),
            Panel(
                "How stale reports were",
                "modelled",
                figure_html(staleness_figure(rounds), "Shares of reports by staleness."),
            ),
        ),
        f"{sentence(result)} The server takes a step with each full buffer. A phone weighs its own report by "
        "1 / sqrt(1 + the steps before its upload); steps during the upload it cannot know of.",
        "Asynchronous rounds have no privacy account: one device more shifts every later buffer.",
    )
