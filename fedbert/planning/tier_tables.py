"""Quality by device tier in the reports of planning: the trade-off's frontier, and a forecast's base run."""

from typing import TYPE_CHECKING, Any

from fedbert.devices.profiles import TIERS
from fedbert.planning.capacity.base_run import BaseRun
from fedbert.reporting.parts.page import Section, table_html
from fedbert.reporting.tier_quality import EVERY_SESSION, TIER_COLUMNS, TIER_NOTE, tier_ndcg
from fedbert.results import RunResult

if TYPE_CHECKING:
    import pandas as pd

TITLE = "Quality by device tier"

SHORT = dict(zip(TIER_COLUMNS, ("seen", "scored", "release_0", "final", "pooled"), strict=True))
"""Names in columns of the figures of `tier_ndcg`; the last three are with every session scored."""

TIER_FIGURES = tuple(f"{tier}_{short}_ndcg@10" for tier in TIERS for short in SHORT.values())
"""Columns of cells and frontier; NaN where a run has no device of the tier, or did not keep the figure."""

FINAL = SHORT[f"all scored: {list(EVERY_SESSION)[1]}"]


def tier_figures(result: RunResult) -> dict[str, float | None]:
    """Return nDCG@10 by tier of one run as columns, `TIER_FIGURES`; None for what it lacks."""
    figures: dict[str, float | None] = dict.fromkeys(TIER_FIGURES)
    for tier in result["tiers"]:
        values = zip(SHORT.values(), tier_ndcg(result, tier), strict=True)
        figures |= {f"{tier}_{short}_ndcg@10": value for short, value in values}
    return {name: figures[name] for name in TIER_FIGURES}


def _shown(row: Any, name: str) -> str:
    value, low, high = row[name], row[f"{name}_low"], row[f"{name}_high"]
    if value != value:
        return "–"
    return f"{value:.3f}" if low != low or high != high else f"{value:.3f} ± {(high - low) / 2:.3f}"


def frontier_section(frontier: "pd.DataFrame", note: str) -> Section:
    """Return the chapter with each tier's quality at each epsilon; `note` is on the intervals."""
    rows = [
        [row["budget"], tier, *(_shown(row, f"{tier}_{short}_ndcg@10") for short in SHORT.values())]
        for _, row in frontier.iterrows()
        for tier in TIERS
    ]
    return Section(
        TITLE,
        "measured",
        table_html(rows, ["epsilon", "tier", *TIER_COLUMNS], align="llrrrrr"),
        f"{TIER_NOTE} {note}",
        "Noise costs every tier alike only if their users are alike; phones that cannot answer gain nothing.",
    )


def frontier_rows(frontier: "pd.DataFrame") -> list[list[str]]:
    """Return, by epsilon, the final release's nDCG@10 of each tier with every session scored, as text."""
    return [
        [row["budget"], *(_shown(row, f"{tier}_{FINAL}_ndcg@10") for tier in TIERS)]
        for _, row in frontier.iterrows()
    ]


def base_section(base: BaseRun) -> Section:
    """Return the chapter with the quality of each tier in the run that a forecast starts from."""
    return Section(
        TITLE,
        "measured",
        table_html([[tier.name, *tier.ndcg] for tier in base.tiers], ["tier", *TIER_COLUMNS]),
        f"{TIER_NOTE} Of the run of {base.devices:,} devices, not forecast: what a larger fleet would learn "
        "is not in it.",
    )
