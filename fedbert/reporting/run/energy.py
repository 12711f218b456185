"""Chapter of a run's report: what the feature costs a phone, in energy, battery and time."""

from typing import Any, Literal

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
from fedbert.reporting.run.axes import stacked_shares
from fedbert.results import ENERGY_USES, RunResult

UsesKey = Literal["energy_mj_per_day_by", "energy_mj_per_round_by"]
"""The splits of a tier's energy."""


COLOURS = dict(zip(ENERGY_USES, (theme.ACCENT, theme.TEAL, theme.AMBER, theme.GREY), strict=True))


EXTRAPOLATED = (
    "Extrapolated: energy is the modelled time of one busy core or radio multiplied by its power, "
    "from the power profile of one phone. The currents were compared with five measured drain rates "
    "of that phone (docs/devices.md). No energy of a session was measured."
)


def energy_uses_figure(result: RunResult, key: UsesKey) -> Any:
    """Share of energy by what it went to, one bar per tier; tiers without figures are left out."""
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


def cost(result: RunResult) -> Section | None:
    """What the feature costs a phone by tier: a session, a round in which it takes part, a day."""
    tiers = result["tiers"]
    if not tiers:
        return None
    by_session = text.energies(tier["energy_mj_per_session"] for tier in tiers.values())
    by_round = text.energies(tier.get("energy_mj_per_round") for tier in tiers.values())
    day_rows: list[list[Cell]] = [
        [
            name,
            text.significant(tier["battery_percent_per_day"]) + "%",
            text.significant(tier["mah_per_day"]) + " mAh",
            session,
            in_round,
            text.milliseconds(tier["device_ms_per_day"]),
            text.milliseconds(tier["install_ms"]),
        ]
        for (name, tier), session, in_round in zip(tiers.items(), by_session, by_round, strict=True)
    ]
    columns = [
        "tier",
        "battery per day",
        "charge per day",
        "energy per session",
        "energy per round",
        "computing per day",
        "encoding per release",
    ]
    return Section(
        "What it costs a phone",
        None,
        panels_html(
            Panel(
                "Energy, battery and time, extrapolated",
                "modelled",
                table_html(day_rows, columns),
                "Energy per session is the mean over sessions that ran. Energy per round is all that "
                "a device spends in a round in which it tries to send a signal: upload, download, "
                "install and its sessions. Encoding per release is the mean background work when a "
                "release is installed: the catalogue and the history are encoded again.",
                wide=True,
            ),
            _uses(result, "energy_mj_per_day_by", "Use of energy per day, extrapolated", "per phone and day"),
            _uses(
                result,
                "energy_mj_per_round_by",
                "Use of energy per round, extrapolated",
                "per participant",
            ),
        ),
        EXTRAPOLATED,
    )


def _uses(result: RunResult, key: UsesKey, title: str, per: str) -> Panel | None:
    """Return the split of energy by what it went to; None for a run from before it was kept."""
    if not any(tier.get(key) for tier in result["tiers"].values()):
        return None
    found = [tier.get(key, {}).get(use) for tier in result["tiers"].values() for use in ENERGY_USES]
    shown, width = text.energies(found), len(ENERGY_USES)
    rows: list[list[Cell]] = [
        [name, *shown[at * width : (at + 1) * width]] for at, name in enumerate(result["tiers"])
    ]
    return Panel(
        title,
        "modelled",
        figure_html(
            energy_uses_figure(result, key),
            f"Share of energy by tier and what it went to: {', '.join(ENERGY_USES)}.",
            max(240, 110 + 44 * len(rows)),
        )
        + folded_html("The energy itself as a table", table_html(rows, ["tier", *ENERGY_USES])),
        f"Mean {per}.",
    )
