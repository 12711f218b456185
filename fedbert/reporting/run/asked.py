"""Chapter of a run's report: who was asked and who reported, by device tier."""

from fedbert.reporting.parts import text
from fedbert.reporting.parts.page import Cell, Panel, Section, panels_html, table_html
from fedbert.results import RunResult, TierRow

HEADINGS = ("tier", "of the fleet", "of the drawn", "of the asked", "of the reports", "drawn each round")


def tier_shares(tiers: dict[str, TierRow], rounds: int) -> dict[str, list[float | None]]:
    """Return by tier its shares of fleet, drawn, asked and reports, and the rate at which it was drawn.

    `rounds` are those that drew. A share of nothing, and a rate without a round, is None.
    """
    counts = {name: tier.get("taking_part", {}) for name, tier in tiers.items()}
    fleet = sum(tier["devices"] for tier in tiers.values())
    total = {
        key: sum(each.get(key, 0) for each in counts.values()) for key in ("cohort", "eligible", "reported")
    }
    return {
        name: [
            tier["devices"] / fleet if fleet else None,
            *(counts[name].get(key, 0) / whole if whole else None for key, whole in total.items()),
            counts[name].get("cohort", 0) / (tier["devices"] * rounds)
            if rounds and tier["devices"]
            else None,
        ]
        for name, tier in tiers.items()
    }


def rows(result: RunResult) -> list[list[str]]:
    """Return the table of a run, a tier a row, in `HEADINGS`; no row where nothing was counted by tier."""
    tiers = result["tiers"]
    if not any("taking_part" in tier for tier in tiers.values()):
        return []
    drawn = sum(row["round"] > 0 for row in result["rounds"])
    return [
        [name, *(text.percent(share, 1) for share in shares)]
        for name, shares in tier_shares(tiers, drawn).items()
    ]


def sentence(result: RunResult) -> str:
    """Return which selection it was and what it costs; empty in results of before there were any."""
    row = result.get("selection")
    return "" if row is None else f"Selection {row['name']}. {row['statement']}"


def chosen(result: RunResult) -> bool:
    """Return whether a selection other than the mechanism's coins was at work."""
    row = result.get("selection")
    return row is not None and row["reveals"] != "nothing"


def asked(result: RunResult) -> Section | None:
    """Who was asked and who reported, by tier; None in results of before that was counted."""
    table: list[list[Cell]] = [list[Cell](each) for each in rows(result)]
    if not table or "selection" not in result:
        return None
    panel = Panel(
        "By device tier, over all rounds",
        "modelled",
        table_html(table, list(HEADINGS), align="lrrrrr"),
        "Drawn: by mechanism and selection, available or not; where a day is one sum also who still waits. "
        "Asked: those of them that could take part. Shares are of device-rounds; the last column is the mean "
        "share of a tier that was drawn in a round.",
    )
    return Section("Who is asked", None, panels_html(panel), sentence(result))
