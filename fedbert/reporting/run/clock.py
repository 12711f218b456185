"""Chapter of a run's report: how rounds that close by the clock ended, and how long they took."""

from collections.abc import Sequence
from statistics import median
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
from fedbert.reporting.run.axes import axis_of_rounds, bars_of_rounds, hover
from fedbert.results import ROUND_ENDS, ROUND_PARTS, RoundRow, TierRow, Underway

END_WORDS = {
    "done": "done",
    "late": "late: rejected",
    "interrupted": "interrupted by the user",
    "lost": "not heard of again",
}
"""Ends of a round for a device that was asked, in words."""

_COLOURS = {"done": theme.ACCENT, "late": theme.AMBER, "interrupted": theme.RUST, "lost": theme.GREY}


def clocked(result: Underway) -> list[RoundRow]:
    """Return the rounds that closed by the clock."""
    return [row for row in result["rounds"] if row.get("round_s") is not None]


def ends_of(row: RoundRow) -> dict[str, int]:
    """Return the devices that a round asked, by how it ended for them."""
    return {
        "done": row["completed"],
        "late": row.get("late", 0),
        "interrupted": row.get("interrupted", 0),
        "lost": row.get("lost", 0),
    }


def seconds(value: float) -> str:
    """Return a time inside a round: "4.1 s", or a duration from a minute."""
    return f"{text.significant(value, 2)} s" if value < 60 else text.duration(value)


def sentence(result: Underway) -> str:
    """Return how long rounds took and how they ended for who was asked; empty without a clock."""
    rounds = clocked(result)
    if not rounds:
        return ""
    lengths = [row.get("round_s", 0.0) for row in rounds]
    total = {name: sum(ends_of(row)[name] for row in rounds) for name in ROUND_ENDS}
    shown = [f"{text.percent(share, 1)} {name}" for name, share in text.shares(total).items()]
    span = f"{seconds(min(lengths))} to {seconds(max(lengths))}"
    return (
        f"Rounds took {seconds(median(lengths))} in the median ({span}). Of {sum(total.values()):,} asked "
        f"devices: {', '.join(shown)}."
    )


def tier_cells(tier: TierRow) -> list[str]:
    """Return of a tier: devices that were asked, shares of `ROUND_ENDS`, mean times of `ROUND_PARTS`."""
    ends, spent_s = tier.get("round_ends", {}), tier.get("round_s_by", {})
    part = text.shares(ends)
    return [
        f"{sum(ends.values()):,}",
        *(text.percent(part[name], 1) if any(ends.values()) else text.NONE for name in ROUND_ENDS),
        *(seconds(spent_s[name]) if name in spent_s else text.NONE for name in ROUND_PARTS),
    ]


def ends_figure(rounds: Sequence[RoundRow]) -> Any:
    """Shares of the asked devices by how a round ended for them."""
    import plotly.graph_objects as go

    figure = go.Figure()
    for name in ROUND_ENDS:
        figure.add_bar(
            x=[row["round"] for row in rounds],
            y=[text.shares(ends_of(row))[name] for row in rounds],
            name=END_WORDS[name],
            marker={"color": _COLOURS[name]},
            hovertemplate=hover(END_WORDS[name], ".1%"),
        )
    figure.update_layout(
        barmode="stack",
        xaxis=axis_of_rounds(rounds),
        yaxis={"title": {"text": "share of asked devices"}, "tickformat": ".0%", "range": [0, 1]},
    )
    return figure


def length_figure(rounds: Sequence[RoundRow]) -> Any:
    """Seconds from opening to closing, by round."""
    return bars_of_rounds(rounds, [row.get("round_s", 0.0) for row in rounds], "s", "%{y:,.1f} s")


def clock(result: Underway, tiers: dict[str, TierRow] | None = None) -> Section | None:
    """How rounds ended and how long they took, by round and tier; None without a clock."""
    rounds = clocked(result)
    if not rounds:
        return None
    heads = ["tier", "asked", *ROUND_ENDS, *(f"{part}, mean" for part in ROUND_PARTS)]
    rows: list[list[Cell]] = [[name, *tier_cells(tier)] for name, tier in (tiers or {}).items()]
    by_tier = folded_html("By device tier, over the whole run", table_html(rows, heads)) if rows else ""
    return Section(
        "Inside a round",
        None,
        panels_html(
            Panel(
                "How it ended for asked devices",
                "modelled",
                figure_html(ends_figure(rounds), "Shares of asked devices by end and round.") + by_tier,
            ),
            Panel(
                "From opening to closing",
                "modelled",
                figure_html(length_figure(rounds), "Seconds from opening to closing, by round."),
            ),
        ),
        f"{sentence(result)} A phone fetches the release that it lacks, makes its report and sends it. What "
        "comes after the closing is rejected; its bytes and energy are spent all the same.",
        "Times are those of the phones' links and processors. How many drop out is modelled, and that most "
        "of them come back too late is an assumption.",
    )
