"""Chapter of a trade-off's report: each tier's quality in each arm."""

from typing import TYPE_CHECKING

from fedbert.comparison import TIER_COLUMNS
from fedbert.planning.tradeoff.frontier import SHORT, TIER_FINAL
from fedbert.reporting.parts.page import Section, table_html
from fedbert.reporting.parts.tier_notes import TIER_NOTE, TIER_TITLE
from fedbert.reporting.tradeoff.answer import arm_name
from fedbert.reporting.tradeoff.frontier import quality_of
from fedbert.results import TIERS

if TYPE_CHECKING:
    import pandas as pd


def tiers(frontier: "pd.DataFrame", note: str) -> Section:
    """Return the chapter with each tier's quality at each epsilon; `note` is on the intervals."""
    rows = [
        [
            arm_name(row),
            row["budget"],
            tier,
            *(quality_of(row, f"{tier}_{short}_ndcg@10") for short in SHORT.values()),
        ]
        for _, row in frontier.iterrows()
        for tier in TIERS
    ]
    return Section(
        TIER_TITLE,
        "measured",
        table_html(rows, ["arm", "epsilon", "tier", *TIER_COLUMNS], align="lllrrrrr"),
        f"{TIER_NOTE} {note}",
        "Noise costs every tier the same only if their users are alike. Phones that cannot answer "
        "gain nothing.",
    )


def tier_rows(frontier: "pd.DataFrame") -> list[list[str]]:
    """Return, by arm, the final release's nDCG@10 of each tier with every session scored, as text."""
    return [
        [arm_name(row), row["budget"], *(quality_of(row, f"{tier}_{TIER_FINAL}_ndcg@10") for tier in TIERS)]
        for _, row in frontier.iterrows()
    ]
