"""Chapters of a capacity plan's report: stages, weekdays, a horizon, metered links; those that a plan has."""

from fedbert.planning.capacity.capacity import CapacityForecast, Forecast
from fedbert.planning.capacity.world import PLAIN, WEEKDAYS
from fedbert.reporting.capacity.text import figures_text, value_text, world_rows
from fedbert.reporting.parts import text
from fedbert.reporting.parts.page import Section, table_html, text_html

STAGES = ("stage ", "halt: ", "roll-back: ")
HORIZON = ("horizon: ", "last day: ")
METERED = ("metered links: ",)

NO_INPUTS = (
    "Not for this plan: its inputs assume one time zone, equal days, one stage, one size of a release and no "
    "metered links. Give the command other flags instead."
)


def instead_of_inputs(result: CapacityForecast, title: str) -> list[Section]:
    """Return the chapter that says why a plan has no inputs to move; none for one of the plain fleet."""
    return [] if result.plan.world == PLAIN else [Section(title, None, text_html(NO_INPUTS))]


def world(result: CapacityForecast) -> list[Section]:
    """Return the chapters on what the plan says of the fleet beyond its size."""
    sections = [
        _section(result, "Stages of a roll-out", STAGES),
        _weekdays(result),
        _section(result, "Over the horizon", HORIZON),
        _section(result, "On metered links", METERED),
    ]
    return [section for section in sections if section is not None]


def _starting(result: CapacityForecast, kinds: tuple[str, ...]) -> list[Forecast]:
    return [row for row in world_rows(result) if row.name.startswith(kinds)]


def _section(result: CapacityForecast, title: str, kinds: tuple[str, ...]) -> Section | None:
    if not (rows := _starting(result, kinds)):
        return None
    table = table_html(
        [[row.name, *figures_text(row, in_full=False), row.label] for row in rows],
        ["forecast", "value", "95% interval", "kind"],
        align="lrrl",
    )
    why = [f"{row.name}: {row.note}" for row in rows if row.note]
    said = dict.fromkeys(text.sentence(each) for each in (*(row.assumption for row in rows), *why))
    return Section(title, "modelled", table, " ".join(said))


def _weekdays(result: CapacityForecast) -> Section | None:
    """Return a table with a row a weekday; where days are equal there is none."""
    days = {day: _starting(result, (f"{day}: ",)) for day in WEEKDAYS}
    if not days[WEEKDAYS[0]]:
        return None
    names = [row.name.partition(": ")[2] for row in days[WEEKDAYS[0]]]
    factors = result.plan.world.weekday_factors
    table = table_html(
        [
            [day, f"{factor:g}", *(value_text(row.estimate.value, row.unit) for row in rows)]
            for (day, rows), factor in zip(days.items(), factors, strict=True)
        ],
        ["weekday", "factor", *names],
    )
    note = "Factors of weekdays are the user's own, not measured. Intervals are in forecast.csv."
    return Section("By weekday", "modelled", table, note)


def world_facts(result: CapacityForecast) -> dict[str, str]:
    """Return what the plan says of the fleet, by name; nothing of the plain one."""
    told = result.plan.world
    facts = {
        "time zones": ", ".join(f"UTC{zone.offset_hours:+g}: {100 * zone.share:g}%" for zone in told.zones),
        "factors of weekdays": ", ".join(f"{factor:g}" for factor in told.weekday_factors),
        "stages": ", ".join(
            f"{100 * stage.share:g}%" + ("" if stage.hours is None else f" for {stage.hours:g} hours")
            for stage in told.stages
        ),
        "days": "" if told.days is None else f"{told.days:,}",
        "growth per month": f"{told.growth_percent_per_month:g}%" if told.growth_percent_per_month else "",
        "phones off Wi-Fi that fetch there": f"{100 * told.metered_share:g}%" if told.metered_share else "",
        "bytes of a release by tier": ", ".join(f"{size.tier} {size.bytes:,.0f}" for size in told.tier_bytes),
    }
    return {name: value for name, value in facts.items() if value}
