"""The tables that end ``fedbert budget``."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fedbert.planning.budget.plan import BudgetPlan
from fedbert.reporting.budget.tables import COST, NOISE, SPENT, cost_rows, noise_rows, spent_rows
from fedbert.reporting.budget.text import answer, difference, how_to_measure, reasons
from fedbert.reporting.parts.terminal import block, dim, new_table

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table


def terminal_tables(plan: BudgetPlan) -> list["RenderableType"]:
    """Return what the command prints: the answer, what is spent, the noise, and the cost or how to get it."""
    delta = plan.question.delta_of(plan.question.devices)
    shares = plan.question.shares
    blocks: list[RenderableType] = [
        answer(plan),
        block(
            "Epsilon of the planned noise",
            "proved",
            dim(f"delta {delta:.0e}; a cycle: the rounds up to the first release"),
            _table(SPENT, spent_rows(plan)),
        ),
        block(
            "Noise of the mean",
            "modelled",
            dim(
                f"in clip norms a coordinate; {100 * shares.in_time:.0f}% of those that join report in their"
            ),
            dim(f"round, {100 * shares.by_opening:.0f}% until a day's sum is opened (daily)"),
            _table(NOISE, noise_rows(plan)),
        ),
    ]
    blocks += [f"{row.mechanism}, participation {row.participation}: {row.why}" for row in plan.refused]
    if plan.measured_rounds is None:
        blocks.append(how_to_measure(plan))
    else:
        note = dim(f"nDCG@10 at this noise of the mean after {plan.measured_rounds} rounds, 95% intervals")
        tables = _differences(plan)
        blocks.append(block("What it costs", "measured", note, *tables, *reasons(plan)))
    return [part for each in blocks for part in ("", each)] + [""]


def _differences(plan: BudgetPlan) -> list["RenderableType"]:
    """Return what was measured at the planned noise, and below it the fleets that lose nothing."""
    rows = cost_rows(plan)
    found: list[RenderableType] = [_table(COST[:4], [row[:4] for row in rows])]
    free = [
        [*row[:2], row[4], difference(each.free)]
        for row, each in zip(rows, plan.rows, strict=True)
        if each.free.devices is not None
    ]
    return [*found, "", _table((*COST[:2], COST[4], "measured there"), free)] if free else found


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> "Table":
    table = new_table(*columns, left=2)
    for row in rows:
        table.add_row(*row)
    return table
