"""The tables that end ``fedbert tradeoff``."""

from typing import TYPE_CHECKING

from fedbert.reporting.parts.terminal import block, dim, new_table
from fedbert.reporting.tradeoff.answer import DIFFERENCE_COLUMNS, answer, difference_rows
from fedbert.reporting.tradeoff.frontier import COLUMNS, SHARE_NOTE, mean_text, table_rows
from fedbert.reporting.tradeoff.tiers import tier_rows
from fedbert.results import TIERS

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import RenderableType

TERMINAL_COLUMNS = ("arm", "epsilon", "nDCG@10", "AUC", "gap closed", "unamplified")
"""What fits in 80 columns; the page has the rest."""


def terminal_tables(frontier: "pd.DataFrame") -> list["RenderableType"]:
    """Return the tables that end the command: the frontier, and the final release's quality by tier."""
    return [
        "",
        answer(frontier),
        "",
        _frontier(frontier),
        "",
        _differences(frontier),
        "",
        _tiers(frontier),
        "",
    ]


def _frontier(frontier: "pd.DataFrame") -> "RenderableType":
    """Return each budget's figures, with release 0 and the pooled-data bound below."""
    table = new_table(*TERMINAL_COLUMNS)
    shown = [COLUMNS.index(name) for name in TERMINAL_COLUMNS]
    for row in table_rows(frontier):
        table.add_row(*(row[index] for index in shown))
    table.add_section()
    for name, key in (("release 0", "release_0"), ("pooled", "pooled")):
        figures = [mean_text(frontier, f"{key}_{metric}") for metric in ("ndcg@10", "auc")]
        table.add_row(name, "", *figures, *[""] * (len(TERMINAL_COLUMNS) - 4))
    note = dim("20 candidates, mean over sessions; unamplified: epsilon if participation is seen")
    left_out = [dim(SHARE_NOTE)] if frontier["closed"].isna().any() else []
    made: RenderableType = block("Final release by epsilon", "measured", note, *left_out, table)
    return made


DIFFERENCES = ("arm", "participation seen", "nDCG@10 against no privacy", "over no signal", "verdict")
"""What of `DIFFERENCE_COLUMNS` fits in 80 columns."""


def _differences(frontier: "pd.DataFrame") -> "RenderableType":
    """Return what each arm costs and wins, paired by seed."""
    table = new_table(*DIFFERENCES)
    shown = [DIFFERENCE_COLUMNS.index(name) for name in DIFFERENCES]
    for row in difference_rows(frontier):
        table.add_row(*(row[index] for index in shown))
    note = dim("differences of equal seeds; participation seen: the epsilon that then holds")
    made: RenderableType = block("What each arm costs and wins", "measured", note, table)
    return made


def _tiers(frontier: "pd.DataFrame") -> "RenderableType":
    table = new_table("arm", "epsilon", *TIERS, left=2)
    for row in tier_rows(frontier):
        table.add_row(*row)
    note = dim("nDCG@10 of the final release, every session scored")
    made: RenderableType = block("Quality by device tier", "measured", note, table)
    return made
