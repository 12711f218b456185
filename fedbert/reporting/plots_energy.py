"""Figure of what phones spend energy on."""

from typing import Any, Literal

from fedbert.reporting.parts import theme
from fedbert.reporting.plots_devices import stacked_shares
from fedbert.results import ENERGY_USES, RunResult

UsesKey = Literal["energy_mj_per_day_by", "energy_mj_per_round_by"]
"""The splits of a tier's energy."""

COLOURS = dict(zip(ENERGY_USES, (theme.ACCENT, theme.TEAL, theme.AMBER, theme.GREY), strict=True))


def energy_uses(result: RunResult, key: UsesKey) -> Any:
    """Share of energy by what it went to, one bar a tier; tiers without figures are left out."""
    splits = {name: tier[key] for name, tier in result["tiers"].items() if tier.get(key)}
    totals = {name: sum(split.values()) for name, split in splits.items()}
    parts = {
        use: (
            COLOURS[use],
            [split[use] / totals[name] if totals[name] else 0.0 for name, split in splits.items()],
        )
        for use in ENERGY_USES
    }
    return stacked_shares(list(splits), parts, "share of energy")
