"""Chapter of a run's report: quality and outcomes by device tier."""

from typing import Any

from fedbert.comparison import TIER_COLUMNS, tier_ndcg
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
from fedbert.reporting.parts.tier_notes import tier_note
from fedbert.reporting.run import sentences
from fedbert.reporting.run.axes import stacked_shares
from fedbert.results import RunResult

OUTCOME_COLOURS = {
    "scored": theme.ACCENT,
    "too_slow": theme.AMBER,
    "out_of_memory": theme.RUST,
    "no_release": theme.GREY,
}
"""Colours of session outcomes."""


def tier_quality_figure(result: RunResult) -> Any:
    """nDCG@10 by tier: over all sessions as users saw them, and over the scored ones."""
    import plotly.graph_objects as go

    tiers = result["tiers"]
    names = list(tiers)
    figure = go.Figure()
    seen = [tier["quality"] for tier in tiers.values()]
    scored = [tier["scored_quality"] for tier in tiers.values()]
    for name, values, colour in (
        ("as users saw it", [each["ndcg@10"] if each else None for each in seen], theme.ACCENT),
        ("scored sessions only", [each["ndcg@10"] if each else None for each in scored], theme.ACCENT_LIGHT),
    ):
        figure.add_bar(
            x=names,
            y=values,
            name=name,
            marker={"color": colour},
            text=[text.number(value) if value is not None else "" for value in values],
            textposition="outside",
            textfont={"size": 12},
            cliponaxis=False,
            hovertemplate=f"%{{x}}, {name}: %{{y:.3f}}<extra></extra>",
        )
    figure.update_layout(
        barmode="group",
        bargroupgap=0.08,
        yaxis={"title": {"text": "nDCG@10"}, "range": [0, 1.08], "tickformat": ".1f"},
    )
    return figure


def tier_outcomes_figure(result: RunResult) -> Any:
    """Share of sessions by outcome, one bar per tier."""
    tiers = result["tiers"]
    parts = {
        sentences.outcome_label(outcome): (
            OUTCOME_COLOURS.get(outcome, theme.SERIES[index % len(theme.SERIES)]),
            [text.shares(tier["outcomes"]).get(outcome, 0.0) for tier in tiers.values()],
        )
        for index, outcome in enumerate(sentences.outcome_names(result))
    }
    return stacked_shares(list(tiers), parts, "share of sessions")


def tiers(result: RunResult) -> Section | None:
    """Quality and outcomes by device tier."""
    if not result["tiers"]:
        return None
    outcomes = sentences.outcome_names(result)
    quality_rows: list[list[Cell]] = [
        [name, tier["devices"], tier["sessions"], *tier_ndcg(result, name)]
        for name, tier in result["tiers"].items()
    ]
    outcome_rows: list[list[Cell]] = [
        [name, *(text.percent(text.shares(tier["outcomes"]).get(outcome, 0.0), 1) for outcome in outcomes)]
        for name, tier in result["tiers"].items()
    ]
    height = 130 + 44 * len(result["tiers"])
    return Section(
        "Who gets what, by device tier",
        None,
        panels_html(
            None
            if result["scenario"].get("timing_only")
            else Panel(
                "Quality by tier",
                "measured",
                figure_html(tier_quality_figure(result), "Bars of nDCG@10 by device tier.", max(320, height))
                + folded_html(
                    "Quality over the whole run as a table, with every session scored",
                    table_html(quality_rows, ["tier", "devices", "sessions", *TIER_COLUMNS]),
                ),
                tier_note(result),
            ),
            Panel(
                "What became of the sessions",
                "modelled",
                figure_html(
                    tier_outcomes_figure(result),
                    "Share of sessions by outcome and tier.",
                    max(320, height),
                )
                + folded_html(
                    "Outcomes over the whole run as a table",
                    table_html(
                        outcome_rows, ["tier", *(sentences.outcome_label(outcome) for outcome in outcomes)]
                    ),
                ),
            ),
        ),
        "Quality is over evaluation sessions, outcomes are over all sessions. Quality is measured on "
        "real text. Whether a phone of a tier answers in time is modelled from its profile.",
        "A phone that is too slow, is short of memory or has no release shows the default order. This "
        "chapter shows how much quality its user loses.",
    )
