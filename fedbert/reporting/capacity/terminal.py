"""The tables that end ``fedbert capacity``."""

from typing import TYPE_CHECKING

from fedbert.comparison import TIER_COLUMNS
from fedbert.planning.capacity.capacity import CapacityForecast
from fedbert.reporting.capacity.text import day_rows, interval_text, tier_rows, value_text
from fedbert.reporting.parts import text

if TYPE_CHECKING:
    from rich.console import RenderableType


def terminal_tables(result: CapacityForecast) -> list["RenderableType"]:
    """Return the tables that end the command: the fleet, a device by tier, quality by tier in the run."""
    from rich.box import SIMPLE
    from rich.table import Table

    title = f"What {result.plan.devices:,} phones take to serve"
    fleet = Table(title=title, title_justify="left", box=SIMPLE)
    for name in ("forecast", "value", "95% interval", ""):
        fleet.add_column(name, justify="left" if name in ("forecast", "") else "right")
    for row in day_rows(result):
        fleet.add_row(
            row.name,
            value_text(row.estimate.value, row.unit),
            interval_text(row.estimate, row.unit),
            row.label,
        )
    tiers = Table(title="Per phone and day, by tier", title_justify="left", box=SIMPLE)
    for name in ("tier", "forecast", "value", "95% interval", ""):
        tiers.add_column(name, justify="right" if name in ("value", "95% interval") else "left")
    for row in tier_rows(result):
        tiers.add_row(
            row.tier,
            row.name,
            value_text(row.estimate.value, row.unit),
            interval_text(row.estimate, row.unit),
            row.label,
        )
    quality = Table(title="nDCG@10 by tier in the run (measured)", title_justify="left", box=SIMPLE)
    for name in ("tier", *TIER_COLUMNS):
        quality.add_column(name, justify="left" if name == "tier" else "right")
    for name, ndcg in result.run.tier_ndcg.items():
        quality.add_row(name, *(text.number(value) for value in ndcg))
    return [fleet, tiers, quality]
