"""The tables that end ``fedbert capacity``."""

from typing import TYPE_CHECKING

from fedbert.planning.capacity.capacity import CapacityForecast, Forecast
from fedbert.reporting.capacity.privacy import DAYS, privacy_note, privacy_rows
from fedbert.reporting.capacity.text import day_rows, figures_text, tier_rows, world_rows
from fedbert.reporting.parts import text
from fedbert.reporting.parts.device_errors import spending_sentence
from fedbert.reporting.parts.terminal import block, dim, new_table
from fedbert.reporting.parts.tier_notes import TIER_HEADINGS

if TYPE_CHECKING:
    from rich.console import RenderableType


def terminal_tables(result: CapacityForecast) -> list["RenderableType"]:
    """Return the tables that end the command: the fleet, a device by tier, quality by tier in the run."""
    fleet = new_table("forecast", "value", "95% interval")
    for row in day_rows(result):
        fleet.add_row(row.name, *_figures(row))
    world = new_table("forecast", "value", "95% interval")
    for row in world_rows(result):
        world.add_row(row.name, *_figures(row))
    tiers = new_table("tier", "forecast", "value", "95% interval", left=2)
    for row in tier_rows(result):
        tiers.add_row(row.tier, row.name, *_figures(row))
    quality = new_table(*TIER_HEADINGS)
    for name, ndcg in result.run.tier_ndcg.items():
        quality.add_row(name, *(text.number(value) for value in ndcg))
    last = f"every session scored: {', '.join(TIER_HEADINGS[3:])}"
    spending = spending_sentence(result.run.device_errors)
    private = new_table("epsilon, against one who", *DAYS)
    for cells in privacy_rows(result.privacy):
        private.add_row(*cells)
    tables = [private] if result.privacy.guarantees else []
    note = privacy_note(result.privacy)
    said = [f"{alert.name.upper()}: {alert.text} Change: {alert.change}." for alert in result.alerts]
    goals = [f"{met.goal}: {met.value:.4g} with {met.found}" for met in result.goals]
    servers = [f"Servers: modelled, {result.servers.said}."] if result.servers else []
    if result.priced_by:
        servers.append(f"Prices: {result.priced_by}.")
    blocks = (
        *([block("Goals that the plan meets at best guess", "modelled", *goals)] if goals else []),
        *([block("What the plan does not carry", "modelled", *said)] if said else []),
        block(f"What {result.plan.devices:,} phones take to serve", "modelled", fleet, *servers),
        *([block("The fleet's world", "modelled", world)] if world.row_count else []),
        block("Per phone and day, by tier", "modelled", tiers, *([spending] if spending else [])),
        block("Privacy at the plan's cohort", "proved", *tables, note),
        block("nDCG@10 by device tier in the run", "measured", dim(last), quality),
    )
    return [part for each in blocks for part in ("", each)] + [""]


def _figures(row: Forecast) -> tuple[str, str]:
    """Return value and interval; what follows from measured sizes by plain arithmetic has no interval."""
    value, interval = figures_text(row, in_full=False)
    return value, "measured" if row.label == "measured" else interval
