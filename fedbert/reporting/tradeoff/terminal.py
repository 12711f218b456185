"""The tables that end ``fedbert tradeoff``."""

from typing import TYPE_CHECKING

from fedbert.devices.profiles import TIERS
from fedbert.reporting.tradeoff.frontier import COLUMNS, mean_text, table_rows
from fedbert.reporting.tradeoff.tiers import tier_rows

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table


TERMINAL_COLUMNS = (
    "epsilon",
    "nDCG@10",
    "AUC",
    "text only nDCG@10",
    "gap closed",
    "noise multiplier",
    "unamplified",
)
"""What fits in 80 columns."""


def terminal_table(frontier: "pd.DataFrame") -> "Table":
    """Return the table that ends the command, with release 0 and the pooled-data bound below."""
    from rich.box import SIMPLE
    from rich.table import Table

    table = Table(
        title="Final release by epsilon (20 candidates, mean over evaluation sessions)",
        title_justify="left",
        box=SIMPLE,
    )
    for number, name in enumerate(TERMINAL_COLUMNS):
        table.add_column(name, justify="left" if number == 0 else "right")
    shown = [COLUMNS.index(name) for name in TERMINAL_COLUMNS]
    for row in table_rows(frontier):
        table.add_row(*(row[index] for index in shown))
    table.add_section()
    for name, key in (("release 0", "release_0"), ("pooled", "pooled")):
        figures = [mean_text(frontier, f"{key}_{metric}") for metric in ("ndcg@10", "auc")]
        table.add_row(name, *figures, *[""] * (len(TERMINAL_COLUMNS) - 3))
    return table


def tier_table(frontier: "pd.DataFrame") -> "Table":
    """Return the final release's nDCG@10 by epsilon and device tier, with every session scored."""
    from rich.box import SIMPLE
    from rich.table import Table

    table = Table(
        title="nDCG@10 of the final release by device tier, every session scored (measured)",
        title_justify="left",
        box=SIMPLE,
    )
    for number, name in enumerate(("epsilon", *TIERS)):
        table.add_column(name, justify="left" if number == 0 else "right")
    for row in tier_rows(frontier):
        table.add_row(*row)
    return table
