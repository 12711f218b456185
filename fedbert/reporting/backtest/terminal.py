"""The tables that end ``fedbert capacity backtest``."""

from typing import TYPE_CHECKING

from fedbert.planning.capacity.backtest import Backtest
from fedbert.reporting.backtest.text import NOTE, SUMMARY, figure_row, headline, misses, summary_rows
from fedbert.reporting.parts.terminal import block, dim, new_table

if TYPE_CHECKING:
    from rich.console import RenderableType

MISSED = ("fleet", "forecast", "predicted", "95% interval", "simulated", "error")
MOST_MISSED = 20


def terminal_tables(found: Backtest) -> list["RenderableType"]:
    """Return what the command prints: the answer, the sizes, and the figures that were missed."""
    summary = new_table(*SUMMARY)
    for cells in summary_rows(found):
        summary.add_row(*cells)
    blocks: list[RenderableType] = [headline(found), block("Back-test", "modelled", dim(NOTE), summary)]
    blocks += [said for each in found.summaries if (said := misses(each))]
    missed = [each for each in found.checked if not each.inside]
    if missed:
        table = new_table(*MISSED, left=2)
        for each in missed[:MOST_MISSED]:
            table.add_row(f"{each.devices:,}", *figure_row(each)[:-1])
        notes = []
        if len(missed) > MOST_MISSED:
            notes.append(dim(f"the first {MOST_MISSED} of {len(missed)}; all are in the report"))
        blocks.append(block("Outside their intervals", "modelled", *notes, table))
    return [part for each in blocks for part in ("", each)] + [""]
