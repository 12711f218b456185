"""Chapters of a capacity plan's report: every figure in a table, and what each assumes."""

from itertools import groupby

from fedbert.comparison import TIER_COLUMNS
from fedbert.planning.capacity.capacity import BaseFacts, CapacityForecast, Forecast, Price
from fedbert.reporting.capacity.buyers import buyer_of, by_buyer
from fedbert.reporting.capacity.text import day_rows, figures_text, mix_assumption, tier_rows
from fedbert.reporting.parts.device_errors import spending_sentence
from fedbert.reporting.parts.page import Section, render, safe, table_html
from fedbert.reporting.parts.tier_notes import TIER_NOTE, TIER_TITLE


def _table(rows: list[Forecast], with_tier: bool) -> str:
    head = ["tier"] if with_tier else []
    return table_html(
        [
            [
                *([row.tier] if with_tier else []),
                row.name,
                *figures_text(row),
                row.label,
            ]
            for row in rows
        ],
        [*head, "forecast", "value", "95% interval", "kind"],
        align=("l" if with_tier else "") + "lrrl",
    )


def _interval_note(result: CapacityForecast) -> str:
    spread = f"{100 * result.plan.model_spread:.0f}%"
    return (
        "Intervals: 95%, from 400 draws. They cover the run's sampling error "
        f"({result.run.devices:,} devices, {result.run.rounds} rounds) and a stated spread of ± {spread} on "
        "modelled odds and costs. What a device spends is spread by the measured error of the device model, "
        "if that is larger."
    )


def fleet(result: CapacityForecast) -> Section:
    """Return the chapter with the figures of the whole day and fleet, in the groups of who buys them."""
    groups = [
        {"name": buyer.name, "buys": buyer.buys, "table": safe(_table(list(rows), False))}
        for buyer, rows in groupby(by_buyer(day_rows(result)), key=lambda row: buyer_of(row.name))
    ]
    html = render("buyers.html.j2", groups=groups)
    return Section("The fleet", None, html, _interval_note(result), mix_assumption(result.plan))


def by_tier(result: CapacityForecast) -> Section:
    """Return the chapter with what a phone of each tier spends."""
    return Section(
        "Per phone and day, by tier",
        "modelled",
        _table(tier_rows(result), True),
        _interval_note(result),
        spending_sentence(result.run.device_errors),
    )


def quality_by_tier(run: BaseFacts) -> Section:
    """Return the chapter with the quality of each tier in the run that a forecast starts from."""
    return Section(
        TIER_TITLE,
        "measured",
        table_html([[tier, *ndcg] for tier, ndcg in run.tier_ndcg.items()], ["tier", *TIER_COLUMNS]),
        f"{TIER_NOTE} Of the run of {run.devices:,} devices, not forecast: what a larger fleet would learn "
        "is not in it.",
    )


def prices(result: CapacityForecast) -> Section:
    """Return the chapter with the numbers that money and carbon rest on."""
    table = table_html(
        [[price.name, _steps(price), price.date, price.source] for price in result.prices],
        ["price", "value", "date", "source"],
        align="lrll",
    )
    lead = f"From {result.priced_by}." if result.priced_by else ""
    note = "None of them is measured here; --prices FILE replaces them."
    return Section("Prices", None, table, note, lead)


def _steps(price: Price) -> str:
    """Return a price, and from which terabytes a month on there is another."""
    beyond = (f"{each:g} above {start:,g} TB a month" for start, each in price.above_tb_per_month)
    return "; ".join((f"{price.value:g}", *beyond))


def assumptions(result: CapacityForecast) -> Section:
    """Return the chapter with every assumption once, and the forecasts that rest on it."""
    names: dict[str, list[str]] = {}
    for row in result.forecasts:
        shared = names.setdefault(row.assumption, [])
        if row.name not in shared:
            shared.append(row.name)
    table = table_html(
        [["; ".join(shared), assumption] for assumption, shared in names.items()],
        ["forecasts", "what they assume"],
        align="ll",
    )
    return Section("What each figure assumes", None, table, lead=mix_assumption(result.plan))
