"""The capacity forecast for people: the terminal tables and report.html."""

from typing import TYPE_CHECKING

import numpy as np

from fedbert.comparison import TIER_COLUMNS
from fedbert.planning.capacity.base_run import BaseRun
from fedbert.planning.capacity.capacity import CapacityForecast, Forecast
from fedbert.reporting.capacity.plots import REQUEST_KINDS, hourly_figure, requests_figure, rollout_figure
from fedbert.reporting.capacity.text import (
    MIX_ASSUMPTION,
    day_rows,
    interval_text,
    number_text,
    part_day_warning,
    tier_rows,
    value_text,
)
from fedbert.reporting.parts import text
from fedbert.reporting.parts.device_errors import device_errors_section
from fedbert.reporting.parts.page import (
    Badge,
    Card,
    Panel,
    Section,
    alert_html,
    facts_html,
    figure_html,
    panels_html,
    render_page,
    table_html,
)
from fedbert.reporting.parts.tier_notes import TIER_NOTE, TIER_TITLE

if TYPE_CHECKING:
    from rich.console import RenderableType

MODELLED: Badge = "modelled"


def terminal_tables(result: CapacityForecast) -> list["RenderableType"]:
    """Return the tables that end the command: the fleet, a device by tier, quality by tier in the run."""
    from rich.box import SIMPLE
    from rich.table import Table

    title = f"What {result.plan.devices:,} phones take to serve"
    fleet = Table(title=title, title_justify="left", box=SIMPLE)
    for name in ("forecast", "value", "95 % interval", ""):
        fleet.add_column(name, justify="left" if name in ("forecast", "") else "right")
    for row in day_rows(result):
        fleet.add_row(
            row.name,
            value_text(row.estimate.value, row.unit),
            interval_text(row.estimate, row.unit),
            row.label,
        )
    tiers = Table(title="A phone a day, by tier", title_justify="left", box=SIMPLE)
    for name in ("tier", "forecast", "value", "95 % interval", ""):
        tiers.add_column(name, justify="right" if name in ("value", "95 % interval") else "left")
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
    for tier in result.base.tiers:
        quality.add_row(tier.name, *(text.number(value) for value in tier.ndcg))
    return [fleet, tiers, quality]


def _table(rows: list[Forecast], with_tier: bool) -> str:
    head = ["tier"] if with_tier else []
    return table_html(
        [
            [
                *([row.tier] if with_tier else []),
                row.name,
                value_text(row.estimate.value, row.unit),
                interval_text(row.estimate, row.unit),
                row.label,
            ]
            for row in rows
        ],
        [*head, "forecast", "value", "95 % interval", "kind"],
        align=("l" if with_tier else "") + "lrrl",
    )


def _assumptions(result: CapacityForecast) -> str:
    """Return every assumption once, with the forecasts that rest on it."""
    names: dict[str, list[str]] = {}
    for row in result.forecasts:
        shared = names.setdefault(row.assumption, [])
        if row.name not in shared:
            shared.append(row.name)
    return table_html(
        [["; ".join(shared), assumption] for assumption, shared in names.items()],
        ["forecasts", "what they assume"],
        align="ll",
    )


def headline(result: CapacityForecast) -> str:
    """Return the answer in two sentences."""
    down = result.find("bytes down a day").estimate.value
    up = result.find("bytes up a day").estimate.value
    peak = result.find("all requests a second, busiest hour").estimate.value
    reach = result.find("hours to 95%").estimate.value
    cap = value_text(result.plan.release_bits_per_s, "bit/s")
    reached = f"takes {value_text(reach, 'hours')} to reach" if np.isfinite(reach) else "does not reach"
    within = "" if np.isfinite(reach) else " within 7 days"
    return (
        f"Serving {result.plan.devices:,} phones takes {value_text(down, 'bytes')} down and "
        f"{value_text(up, 'bytes')} up a day, with {number_text(peak)} requests a second in the busiest "
        f"hour. Under a cap of {cap} a release {reached} 95 % of the phones that fetch it{within}."
    )


def _card(result: CapacityForecast, name: str, label: str) -> Card:
    row = result.find(name)
    return Card(
        label,
        value_text(row.estimate.value, row.unit),
        f"95 %: {interval_text(row.estimate, row.unit)}",
        row.label,
    )


def render(result: CapacityForecast, command: str) -> str:
    """Return report.html of a forecast."""
    base, plan, warning = result.base, result.plan, part_day_warning(result)
    spread = f"{100 * plan.model_spread:.0f} %"
    interval_note = (
        f"Intervals: 95 %, from 400 draws of the run's sampling error ({base.devices:,} devices, "
        f"{len(base.completed)} rounds) and of a stated spread of ± {spread} on modelled odds and costs; "
        "what a device spends is spread by the measured error of the device model, if that is more."
    )
    fills = f"chance that a round gets {plan.reports_per_round:,} reports, by local hour"
    eligible_figure = hourly_figure(result, "eligible devices", "devices", False)
    fill_figure = hourly_figure(result, "chance that a round fills", "chance", True)
    sections = [
        Section(
            "A release reaches the fleet",
            MODELLED,
            figure_html(rollout_figure(result), "share of devices with a release by hours since it was made"),
            note=result.find("hours to 50%").assumption,
        ),
        Section(
            "Requests by hour",
            MODELLED,
            figure_html(requests_figure(result), "requests a second by local hour and kind"),
            note="; ".join(
                f"{kind}: {result.find(f'{kind} a second', 0).assumption}" for kind in REQUEST_KINDS
            ),
        ),
        Section(
            "Rounds by hour",
            MODELLED,
            panels_html(
                Panel(
                    "Eligible devices",
                    MODELLED,
                    figure_html(eligible_figure, "eligible devices by local hour"),
                    result.find("eligible devices", 0).assumption,
                ),
                Panel(
                    "Chance that a round fills",
                    MODELLED,
                    figure_html(fill_figure, fills),
                    f"{plan.reports_per_round:,} reports wanted; "
                    + result.find("chance that a round fills", 0).assumption,
                ),
            ),
        ),
        Section("The fleet", None, _table(day_rows(result), False), interval_note, MIX_ASSUMPTION),
        Section("A phone a day, by tier", MODELLED, _table(tier_rows(result), True), interval_note),
        base_section(base),
        *([errors] if (errors := device_errors_section(base.device_errors)) else []),
        Section("What each figure assumes", None, _assumptions(result), lead=MIX_ASSUMPTION),
        Section("The plan and the run", None, facts_html(_facts(result)), note=f"Command: {command}"),
    ]
    cards = [
        _card(result, "bytes down a day", "down a day"),
        _card(result, "bytes up a day", "up a day"),
        _card(result, "all requests a second, busiest hour", "requests, busiest hour"),
        _card(result, "hours to 95%", "a release reaches 95 %"),
        _card(result, "rounds that fill", "rounds that fill"),
        _card(result, "share of sessions scored", "sessions scored"),
    ]
    return render_page(
        f"What {plan.devices:,} phones take to serve",
        headline(result),
        cards,
        sections,
        subtitle="Capacity forecast",
        alerts=[alert_html("Part of a day", warning)] if warning else [],
    )


def _facts(result: CapacityForecast) -> dict[str, str]:
    base, plan = result.base, result.plan
    return {
        "devices": f"{plan.devices:,}",
        "bandwidth cap of releases": value_text(plan.release_bits_per_s, "bit/s"),
        "reports wanted a round": f"{plan.reports_per_round:,}",
        "over-selection": f"{plan.over_selection:g}",
        "chance that a device joins a round": f"{result.sampling_probability:.3g}",
        "the same in the run": f"{base.sampling_probability:.3g}",
        "rounds a day": f"{plan.rounds_per_day:g} (run: {base.rounds_per_day:g})",
        "releases a day": f"{plan.releases_per_day:g} (run: {base.releases_per_day:g})",
        "hour of the first release": f"{plan.release_hour:g}",
        "run": f"{base.name}, seed {base.seed}, {base.devices:,} devices, {base.days:g} days",
        "bytes of a release": f"{base.release_bytes:,.0f}",
        "bytes of a report": f"{base.report_bytes:,.0f}",
    }


def base_section(base: BaseRun) -> Section:
    """Return the chapter with the quality of each tier in the run that a forecast starts from."""
    return Section(
        TIER_TITLE,
        "measured",
        table_html([[tier.name, *tier.ndcg] for tier in base.tiers], ["tier", *TIER_COLUMNS]),
        f"{TIER_NOTE} Of the run of {base.devices:,} devices, not forecast: what a larger fleet would learn "
        "is not in it.",
    )
